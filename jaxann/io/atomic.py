"""Writing a file so that a crash at any moment leaves the old content or the new one, never a mixture.

The bytes go to a temporary file in the same folder, are forced to the disk, and only then take the target's name; the
folder is forced to the disk last, so that the new name survives a power cut. A writer holds a lock on its temporary
file. The system drops the lock when the process dies, however it dies, so a temporary file without a lock has no
owner: the next write into the folder removes it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterable
from typing import NoReturn

from jaxann.core.errors import InputError

try:
    import fcntl
except ImportError:  # Windows has no such lock, and refuses to remove a file that is open
    fcntl = None

__all__ = ["check_path", "show_path", "write_atomically"]

_TEMPORARY = re.compile(r"\.jaxann-[0-9a-f]{16}\.tmp")
_BINARY = getattr(os, "O_BINARY", 0)


def check_path(function: str, path: str | os.PathLike[str]) -> str:
    """The path as text.

    Raises:
        InputError: it is no path: empty, a number, bytes, None, or a text that no file system can hold.
    """
    text = os.fspath(path) if isinstance(path, str | os.PathLike) else None
    with contextlib.suppress(UnicodeEncodeError):
        if isinstance(text, str) and text and b"\0" not in os.fsencode(text):
            return text
    raise InputError(f"{function}: path must be the name of a file, got {path!a:.80}.")


def show_path(path: str) -> str:
    """The path for a message: quoted, and its end only when it is long."""
    return repr(path if len(path) <= 120 else "..." + path[-117:])


def write_atomically(function: str, path: str, pieces: Iterable[memoryview | bytes], size: int) -> None:
    """Replace the content of `path` by the pieces, or leave it as it was.

    Args:
        function: name for messages.
        path: file to write; through a symbolic link the file it points at is replaced.
        pieces: the content, in order.
        size: bytes in all pieces, for the message of a full disk.

    Raises:
        InputError: the path is a folder or a special file.
        OSError: the system refused (no such folder, no permission, disk full); the text names the path, and the old
            content is intact unless the refusal came from the very last call, the folder's.
    """
    target = os.path.realpath(path)
    mode = _existing_mode(function, path, target)
    folder = os.path.dirname(target)
    temporary = ""
    try:
        _remove_leftovers(folder)
        descriptor, temporary = _open_temporary(folder)
        try:
            if mode is not None and hasattr(os, "fchmod"):
                os.fchmod(descriptor, mode)  # a private file stays private
            for piece in pieces:
                _write_all(descriptor, piece)
            os.fsync(descriptor)
            if fcntl is not None:  # the name changes under the lock, so that nobody takes the file for a leftover
                os.replace(temporary, target)
        finally:
            with contextlib.suppress(OSError):  # the bytes are on the disk, or another error is on its way
                os.close(descriptor)
        if fcntl is None:
            os.replace(temporary, target)
        _sync_folder(folder)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        if isinstance(error, OSError):
            _explain(function, path, folder, size, error)
        raise


def _existing_mode(function: str, path: str, target: str) -> int | None:
    """Permissions of the file to be replaced; a rename would put a plain file in the place of /dev/null."""
    try:
        mode = os.stat(target).st_mode
    except OSError:
        return None
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "a special file"
        raise InputError(f"{function}: path must be the name of a file, got {kind}, {show_path(path)}.")
    return stat.S_IMODE(mode)


def _open_temporary(folder: str) -> tuple[int, str]:
    while True:
        temporary = os.path.join(folder, f".jaxann-{secrets.token_hex(8)}.tmp")
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | _BINARY, 0o666)
        if _lock(descriptor) is None:  # another writer, about to remove it, was faster
            os.close(descriptor)
            continue
        try:
            present = os.path.samestat(os.stat(temporary), os.fstat(descriptor))
        except FileNotFoundError:
            present = False
        except BaseException:
            os.close(descriptor)
            os.unlink(temporary)
            raise
        if present:
            return descriptor, temporary
        os.close(descriptor)  # another writer took it for a leftover before it was locked


def _lock(descriptor: int) -> bool | None:
    """True if the lock is ours now, None if somebody else holds it, False where the file system has no locks."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return None
    except OSError:
        return False
    return True


def _remove_leftovers(folder: str) -> None:
    """Remove temporary files that no living process writes; what cannot be looked at or removed stays."""
    names: list[str] = []
    with contextlib.suppress(OSError):
        names = [name for name in os.listdir(folder) if _TEMPORARY.fullmatch(name)]
    for name in names:
        leftover = os.path.join(folder, name)
        with contextlib.suppress(OSError):
            descriptor = os.open(leftover, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
            try:
                if _lock(descriptor):
                    os.unlink(leftover)
            finally:
                os.close(descriptor)


def _write_all(descriptor: int, piece: memoryview | bytes) -> None:
    """Write every byte: one call may take only part of them."""
    view = memoryview(piece)
    while len(view):
        written = os.write(descriptor, view)
        if written <= 0:
            raise OSError(errno.EIO, "the system wrote nothing")
        view = view[written:]


def _sync_folder(folder: str) -> None:
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _explain(function: str, path: str, folder: str, size: int, error: OSError) -> NoReturn:
    """Raise the same kind of error with a text that says which path, and what is missing."""
    reason = error.strerror or str(error)
    if error.errno == errno.ENOENT and not os.path.isdir(folder):
        reason = "no such folder"
    if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
        with contextlib.suppress(OSError):
            reason += f" ({size} bytes needed, {shutil.disk_usage(folder).free} free)"
    text = f"{function}: path must be a file that can be written, got {show_path(path)}: {reason}."
    raise (OSError(text) if error.errno is None else OSError(error.errno, text)) from error
