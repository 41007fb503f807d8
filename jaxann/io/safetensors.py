"""Named arrays in one flat safetensors file: written whole or not at all, checked to the last bit when read.

Other tools read these files as they read any safetensors file; this reader takes only files with a checksum, that is
jaxann's own. The bytes are written here rather than by the `safetensors` package because that one orders the metadata
at random (equal content, other bytes), needs the whole file in memory a second time, and does not force it to disk.
"""

from __future__ import annotations

import hashlib
import os
import stat
import struct
from collections.abc import Callable, Mapping
from io import BufferedReader
from typing import Any

import numpy as np

from jaxann.core.errors import InputError
from jaxann.io.atomic import check_path, show_path, write_atomically
from jaxann.io.header import (
    CHECKSUM,
    CODES,
    DTYPES,
    HIGHEST_RANK,
    LARGEST_HEADER,
    LARGEST_TENSOR,
    LONGEST_NAME,
    MOST_TENSORS,
    NO_CHECKSUM,
    Tensor,
    bad_name,
    build_header,
    largest_bytes,
    locate_checksum,
    parse_header,
    refuse,
    show,
)

__all__ = ["load_arrays", "open_plain", "read_arrays", "save_arrays", "write_arrays"]

_FLOATS = {"float16", "bfloat16", "float32", "float64"}
_FOREIGN = {  # for messages only: nothing here is ever opened with another reader
    b"PK\x03\x04": "a zip archive (.pt, .keras, .npz)",
    b"\x93NUMPY": "a .npy file",
    b"\x89HDF": "an HDF5 file",
    b"\x1f\x8b": "gzip data",
    b"\x80": "a pickle",
}


def save_arrays(
    path: str | os.PathLike[str],
    arrays: Mapping[str, np.ndarray],
    metadata: Mapping[str, str] | None = None,
    *,
    allow_nonfinite: bool = False,
) -> None:
    """Write named arrays to one safetensors file; at any moment the path holds the old file or the new one.

    Args:
        path: file to write, with any ending.
        arrays: name -> array of bool, int8 to int64, uint8 to uint64, float16, bfloat16, float32 or float64, any
            shape of rank up to 8. Names: at most 256 characters, dotted, without slashes.
        metadata: name -> text, kept beside the arrays; `sha256` is taken.
        allow_nonfinite: let NaN and infinities through.

    Raises:
        InputError: a name, dtype or value does not fit, or the path is a folder or a special file.
        OSError: the system refused; the text names the path. What the path held before is intact.
    """
    write_arrays("save_arrays", path, arrays, metadata or {}, allow_nonfinite=allow_nonfinite)


def load_arrays(
    path: str | os.PathLike[str], *, allow_nonfinite: bool = False
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Arrays and metadata that `save_arrays` wrote, bit for bit.

    Args:
        path: file to read.
        allow_nonfinite: let NaN and infinities through, to inspect a file that holds some.

    Returns:
        `(arrays, metadata)`: name -> a new, writable array, and name -> text.

    Raises:
        CheckpointError: the file is damaged, cut, foreign, or no plain file; nothing of it is returned.
        OSError: there is no such file, or no permission.
    """
    return read_arrays("load_arrays", path, allow_nonfinite=allow_nonfinite)


def write_arrays(
    function: str,
    path: str | os.PathLike[str],
    arrays: Mapping[str, Any],
    metadata: Mapping[str, str],
    *,
    allow_nonfinite: bool,
) -> None:
    """`save_arrays` on behalf of `function`, whose name the messages bear."""
    text = check_path(function, path)
    _check_flag(function, allow_nonfinite)
    _check_metadata(function, metadata)
    if len(arrays) > MOST_TENSORS:
        raise InputError(f"{function}: arrays must be at most {MOST_TENSORS}, got {len(arrays)}.")
    plain = {name: _plain(function, name, array, allow_nonfinite) for name, array in arrays.items()}
    head, order = build_header(plain, metadata)
    if len(head) - 8 > LARGEST_HEADER:
        raise InputError(
            f"{function}: names, shapes and metadata must fit in {LARGEST_HEADER} bytes, got {len(head) - 8}."
        )
    pieces = [plain[name].reshape(-1).view(np.uint8).data for name in order if plain[name].size]
    digest = hashlib.sha256(head)
    for piece in pieces:
        digest.update(piece)
    mark = f'"{CHECKSUM}":"'.encode()
    head = head.replace(mark + NO_CHECKSUM.encode(), mark + digest.hexdigest().encode(), 1)
    size = len(head) + sum(len(piece) for piece in pieces)
    write_atomically(function, text, [memoryview(head), *pieces], size)


def read_arrays(
    function: str,
    path: str | os.PathLike[str],
    *,
    allow_nonfinite: bool,
    inspect: Callable[[str, dict[str, str]], None] | None = None,
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """`load_arrays` on behalf of `function`; `inspect(where, metadata)` may refuse before the tensors are looked at."""
    text = check_path(function, path)
    _check_flag(function, allow_nonfinite)
    where = f"{function}: {show_path(text)}"
    with open_plain(where, text) as file:
        size = os.fstat(file.fileno()).st_size
        start, head = _read_head(where, file, size)
        header = parse_header(where, head, size - len(start) - len(head), inspect)
        position = locate_checksum(where, head, header.metadata)
        digest = hashlib.sha256(start)
        digest.update(head[:position] + NO_CHECKSUM.encode() + head[position + 64 :])
        arrays = {tensor.name: _read_tensor(where, file, tensor, digest) for tensor in header.tensors}
    if digest.hexdigest() != header.metadata[CHECKSUM]:
        refuse(where, "have the content its checksum states", "other content: the file is damaged")
    for tensor in header.tensors:
        _check_values(where, tensor, arrays[tensor.name], allow_nonfinite)
    return arrays, {name: value for name, value in header.metadata.items() if name != CHECKSUM}


def _check_flag(function: str, allow_nonfinite: object) -> None:
    """As `core.checks.check_flag`, which would import JAX: files are read and written without it."""
    if not isinstance(allow_nonfinite, bool | np.bool_):
        raise InputError(f"{function}: allow_nonfinite must be True or False, got {show(allow_nonfinite)}.")


def _check_metadata(function: str, metadata: Mapping[str, str]) -> None:
    for name, value in metadata.items():
        if not isinstance(name, str) or not isinstance(value, str) or name == CHECKSUM:
            expected = f"map names other than {CHECKSUM!r} to texts"
            raise InputError(f"{function}: metadata must {expected}, got {show(name)}: {show(value)}.")
        try:
            (name + value).encode("utf-8")
        except UnicodeEncodeError:
            raise InputError(f"{function}: metadata must be text in UTF-8, got {show(name)}: {show(value)}.") from None


def _plain(function: str, name: str, array: Any, allow_nonfinite: bool) -> np.ndarray:
    """The array as it will lie in the file: C order, little-endian."""
    if not isinstance(name, str) or bad_name(name) or name == "__metadata__":
        expected = f"at most {LONGEST_NAME} characters, dotted, without slashes"
        raise InputError(f"{function}: each array's name must have {expected}, got {show(name)}.")
    if isinstance(array, np.ma.MaskedArray) and np.ma.is_masked(array):  # checks that know JAX's arrays need JAX
        count = int(np.ma.getmaskarray(array).sum())
        got = f"{count} of {array.size} masked.\nFill them: value.filled(...)."
        raise InputError(f"{function}: {name} must be without masked entries, got {got}")
    if not hasattr(array, "dtype") or not hasattr(array, "shape"):
        raise InputError(f"{function}: {name} must be an array, got {show(array)} ({type(array).__name__}).")
    dtype = getattr(array.dtype, "name", str(array.dtype))
    if dtype not in CODES:
        raise InputError(f"{function}: {name} must be of bool, an integer or a float dtype, got {dtype}.")
    plain = np.asarray(array, dtype=DTYPES[CODES[dtype]], order="C")
    if plain.ndim > HIGHEST_RANK or largest_bytes(plain.shape, plain.itemsize) > LARGEST_TENSOR:
        raise InputError(f"{function}: {name} must have rank at most {HIGHEST_RANK}, got shape {plain.shape}.")
    if dtype in _FLOATS and not allow_nonfinite and not np.isfinite(plain).all():
        count = int(plain.size - np.isfinite(plain).sum())
        raise InputError(
            f"{function}: {name} must be finite, got {count} of {plain.size} values NaN or infinite.\n"
            "Save the last good values instead, or pass allow_nonfinite=True to keep these."
        )
    return plain


def open_plain(where: str, path: str) -> BufferedReader:
    """Open a plain file; a folder, a pipe or a device is refused without waiting on it."""
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISREG(mode):
            # The path may name a pipe by now: opened without waiting, and looked at again.
            flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
            file = os.fdopen(os.open(path, flags), "rb")
            mode = os.fstat(file.fileno()).st_mode
            if stat.S_ISREG(mode):
                return file
            file.close()
    except OSError as error:
        reason = error.strerror or str(error)
        raise OSError(error.errno, f"{where} must be a file that can be read, got: {reason}.") from error
    refuse(where, "be a plain file", "a folder" if stat.S_ISDIR(mode) else "a pipe or a device")


def _read_head(where: str, file: BufferedReader, size: int) -> tuple[bytes, bytes]:
    """The eight bytes of the length, and the header; the length is compared with the file's size first."""
    start = file.read(8)
    for magic, kind in _FOREIGN.items():
        if start.startswith(magic) and file.peek(1)[:1] != b"{":  # our own length may look like a magic number
            refuse(where, "be a jaxann checkpoint", kind)
    if len(start) < 8:
        refuse(where, "be a jaxann checkpoint", f"a file of {size} bytes")
    (length,) = struct.unpack("<Q", start)
    if length > LARGEST_HEADER:
        refuse(where, f"be a jaxann checkpoint, with a header of at most {LARGEST_HEADER} bytes", f"{length} bytes")
    if length > size - 8:
        refuse(where, f"hold a header of {length} bytes", f"a file of {size} bytes (truncated?)")
    head = file.read(length)
    if len(head) != length:
        refuse(where, f"hold a header of {length} bytes", f"{len(head)} bytes: the file changed meanwhile")
    return start, head


def _read_tensor(where: str, file: BufferedReader, tensor: Tensor, digest: Any) -> np.ndarray:
    array = np.empty(tensor.shape, DTYPES[tensor.code])
    if array.size:
        view = array.reshape(-1).view(np.uint8).data
        if file.readinto(view) != len(view):
            refuse(where, f"hold {len(view)} bytes for {show(tensor.name)}", "fewer: the file changed meanwhile")
        digest.update(view)
    return array


def _check_values(where: str, tensor: Tensor, array: np.ndarray, allow_nonfinite: bool) -> None:
    if tensor.code == "BOOL" and (array.view(np.uint8) > 1).any():
        refuse(where, f"hold only 0 and 1 in {show(tensor.name)}", "another byte")
    if array.dtype.name in _FLOATS and not allow_nonfinite and not np.isfinite(array).all():
        count = int(array.size - np.isfinite(array).sum())
        hint = "Pass allow_nonfinite=True to look at them."
        refuse(where, f"hold finite numbers in {show(tensor.name)}", f"{count} NaN or infinite", hint=hint)
