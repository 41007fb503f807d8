"""Compiled programs are kept on disk, so that a process does not compile again what an earlier one has compiled.

JAX can do this and does not by default. So when the first program of this library is asked for, and nobody has said
where JAX is to keep programs, it is told to keep them in the user's folder for caches: `jaxann/programs-...` in
`$XDG_CACHE_HOME` (`~/.cache`), `~/Library/Caches` or `%LOCALAPPDATA%`. Importing changes nothing.

- Another folder: `JAX_COMPILATION_CACHE_DIR`, or `jax.config.update("jax_compilation_cache_dir", ...)` before.
- None: `JAX_ENABLE_COMPILATION_CACHE=false`, or `jax.config.update("jax_enable_compilation_cache", False)`.

What JAX looks a program up by is the program, its options, the flags and jaxlib's version; not which instructions the
processor has. A home is often shared between machines, so the folder's name has a digest of those. A program on disk is
code that will be run: a folder that belongs to somebody else, or that others may write to, is not used. One that cannot
be made is not used either: programs are then compiled in each process, as without it. What has not been read for the
longest time is removed, once a day, above `MOST` bytes.
"""

from __future__ import annotations

import hashlib
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

import jax

__all__ = ["MOST", "keep_on_disk", "user_folder"]

MOST = 2_000_000_000  # bytes of a folder
SHORTEST = 0.05  # seconds of compiling: what is compiled faster is not worth a file
_DAY = 86_400


class _Settled:
    is_asked = False


def keep_on_disk() -> None:
    """Tell JAX where to keep programs, unless somebody has; looks once in a process."""
    if _Settled.is_asked:
        return
    _Settled.is_asked = True
    config: Any = jax.config
    if not config.jax_enable_compilation_cache or config.jax_compilation_cache_dir:
        return
    caches = user_folder()
    if caches is None or not _is_usable(folder := caches / f"programs-{_instructions()}"):
        return
    try:
        _weed(folder)
    except OSError:  # a full disk, or a file that another process has just removed: no reason to end a training
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    if config.jax_persistent_cache_min_compile_time_secs == 1.0:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", SHORTEST)  # 1 s is JAX's default


def user_folder() -> Path | None:
    """The folder of this library among the user's caches; None where the user has no home."""
    given = {"win32": "LOCALAPPDATA", "darwin": ""}.get(sys.platform, "XDG_CACHE_HOME")
    place = os.environ.get(given, "")
    if not os.path.isabs(place):
        own = {"win32": ("AppData", "Local"), "darwin": ("Library", "Caches")}.get(sys.platform, (".cache",))
        place = os.path.join(os.path.expanduser("~"), *own)
    return Path(place) / "jaxann" if os.path.isabs(place) else None


def _instructions() -> str:
    """A digest of what the processor can do."""
    found = [platform.machine(), platform.processor()]
    listed = Path("/proc/cpuinfo")
    if listed.exists():
        lines = listed.read_text(errors="replace").splitlines()
        names = ("flags", "Features", "model name", "CPU part")
        found += [next((line for line in lines if line.startswith(name)), "") for name in names]
    return hashlib.sha256("\n".join(found).encode()).hexdigest()[:12]


def _is_usable(folder: Path) -> bool:
    """Whether it is there, or can be made, and nobody else can write to it."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        about = folder.stat()
    except OSError:  # a home that is read only, or none: nothing is kept
        return False
    mine = not hasattr(os, "getuid") or (about.st_uid == os.getuid() and not about.st_mode & 0o022)
    return mine and os.access(folder, os.W_OK | os.X_OK)


def _weed(folder: Path) -> None:
    """Remove what has not been read for the longest time above `MOST` bytes, if nobody has looked today."""
    mark = folder / "weeded"
    if mark.exists() and time.time() - mark.stat().st_mtime < _DAY:
        return
    mark.touch()
    found = [(entry, entry.stat()) for entry in os.scandir(folder) if entry.is_file() and entry.name.endswith("-cache")]
    found.sort(key=lambda one: max(one[1].st_atime, one[1].st_mtime), reverse=True)
    size = 0
    for entry, about in found:
        size += about.st_size
        if size > MOST:
            Path(entry.path).unlink(missing_ok=True)  # another process may have been faster
