"""Saving under faults: at any moment, whatever fails, the path holds the old content or the new one."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import jaxann
from jaxann.core import CheckpointError, InputError
from jaxann.io import atomic, load_arrays, save_arrays

pytestmark = pytest.mark.skipif(os.name != "posix", reason="faults are planted into POSIX calls")

locks = atomic.fcntl
COUNTED = ("open", "write", "fsync", "replace", "close", "stat", "fstat", "listdir", "fchmod", "unlink", "flock")


class Killed(BaseException):
    """The process is gone: nothing that it would do from here on happens."""


class FaultySystem:
    """`os` and `fcntl` whose N-th call fails; after a kill, every later call does."""

    def __init__(self, fault, nth):
        self.fault, self.left, self.struck, self.descriptors = fault, nth, False, set()

    def __getattr__(self, name):
        real = getattr(os if hasattr(os, name) else locks, name)
        if name not in COUNTED:
            return real
        return lambda *args, **kwargs: self.call(name, real, *args, **kwargs)

    def call(self, name, real, *args, **kwargs):
        if self.struck and self.fault == "kill":
            raise Killed
        self.left -= 1
        if self.left == 0:
            self.struck = True
            if self.fault == "kill":
                raise Killed
            if self.fault != "short":
                raise OSError(self.fault, os.strerror(self.fault))
            if name == "write":
                args = (args[0], args[1][: max(1, len(args[1]) // 3)])
        result = real(*args, **kwargs)
        if name == "open":
            self.descriptors.add(result)
        if name == "close":
            self.descriptors.discard(args[0])
        return result

    def release(self):
        """What the system does for a process that died."""
        for descriptor in self.descriptors:
            os.close(descriptor)


def arrays_of(value):
    return {"a": np.full(5000, value, np.float32), "b": np.full((3, 4), value, np.int8)}


def value_in(path):
    """The one value of all arrays in the file; a mixture has none."""
    arrays, _ = load_arrays(path)
    (value,) = {float(v) for array in arrays.values() for v in np.unique(array)}
    return value


@pytest.mark.parametrize("fault", [errno.ENOSPC, errno.EIO, errno.EINTR, "short", "kill"])
def test_r7_whichever_call_fails_the_old_or_the_new_file_is_there(fault, tmp_path, monkeypatch):
    path = tmp_path / "a.safetensors"
    for nth in range(1, 100):
        save_arrays(path, arrays_of(1))
        system = FaultySystem(fault, nth)
        monkeypatch.setattr(atomic, "os", system)
        monkeypatch.setattr(atomic, "fcntl", system)
        outcome = "saved"
        try:
            save_arrays(path, arrays_of(2))
        except OSError as error:
            outcome = "refused"
            assert str(path) in str(error) and error.errno == fault
        except Killed:
            outcome = "killed"
        system.release()
        monkeypatch.undo()
        assert value_in(path) in ((2,) if outcome == "saved" else (1, 2))
        if outcome == "refused":
            assert os.listdir(tmp_path) == [path.name]  # nothing is left behind
        save_arrays(path, arrays_of(3))
        assert value_in(path) == 3
        assert os.listdir(tmp_path) == [path.name]  # what a killed writer left is gone
        if not system.struck:
            break
    assert 10 < nth < 99  # the loop ran past the last call


def test_r7_the_file_is_on_the_disk_before_its_name_changes_and_the_folder_after(tmp_path, monkeypatch):
    calls = []

    class Recorder:
        def __getattr__(self, name):
            real = getattr(os, name)
            if name not in ("write", "fsync", "replace"):
                return real

            def record(*args):
                place = os.readlink(f"/proc/self/fd/{args[0]}") if name != "replace" else args[1]
                calls.append((name, Path(place).name if not os.path.isdir(place) else "folder"))
                return real(*args)

            return record

    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("needs /proc")
    monkeypatch.setattr(atomic, "os", Recorder())
    save_arrays(tmp_path / "a", {})
    names = [name for name, _ in calls]
    assert names == ["write", "fsync", "replace", "fsync"]
    assert calls[1][1].startswith(".jaxann-") and calls[2][1] == "a" and calls[3][1] == "folder"


WRITER = """
import sys, types
from pathlib import Path
root = Path(sys.argv[1])
for name, folder in (("jaxann", root), ("jaxann.core", root / "core"), ("jaxann.io", root / "io")):
    sys.modules[name] = types.ModuleType(name)  # the rooms without their __init__, which imports jax
    sys.modules[name].__path__ = [str(folder)]
import numpy as np
from jaxann.io.safetensors import save_arrays
assert "jax" not in sys.modules
value = 0
while True:
    value += 1
    save_arrays(sys.argv[2], {"a": np.full(100_000, value, np.float32), "b": np.full((3, 4), value, np.int32)})
    if value == 1:
        print("ready", flush=True)
"""


def test_kill_in_the_middle_of_saves_loses_nothing(tmp_path):
    """Ten writers are killed at odd moments; the module they import needs no jax."""
    path = tmp_path / "a.safetensors"
    leftovers = 0
    for run in range(10):
        command = [sys.executable, "-c", WRITER, str(Path(jaxann.__file__).parent), str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout.readline() == "ready\n"
            time.sleep(0.001 + 0.0037 * run)
            writer.send_signal(signal.SIGKILL)
        assert value_in(path) >= 1
        leftovers += len(os.listdir(tmp_path)) - 1
    save_arrays(path, arrays_of(1))
    assert os.listdir(tmp_path) == [path.name]
    assert leftovers <= 10  # each writer removed what the one before it left


def test_two_writers_and_a_reader_never_meet_a_mixture(tmp_path):
    path = tmp_path / "a.safetensors"
    save_arrays(path, arrays_of(0))
    until = time.monotonic() + 0.7
    failures, saves, loads = [], [0, 0], 0

    def write(writer):
        try:
            while time.monotonic() < until:
                save_arrays(path, arrays_of(writer))
                saves[writer] += 1
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(i,)) for i in (0, 1)]
    for thread in threads:
        thread.start()
    while time.monotonic() < until:
        assert value_in(path) in (0, 1)
        loads += 1
    for thread in threads:
        thread.join()
    assert failures == [] and min(saves) > 3 and loads > 3
    assert os.listdir(tmp_path) == [path.name]


def test_a_temporary_file_in_use_is_left_alone_and_an_abandoned_one_removed(tmp_path):
    names = (".jaxann-00112233445566aa.tmp", ".jaxann-00112233445566bb.tmp", ".jaxann-mine.tmp")
    used, abandoned, other = (tmp_path / name for name in names)
    for file in (used, abandoned, other):
        file.touch()
    with open(used) as file:
        locks.flock(file, locks.LOCK_EX)
        save_arrays(tmp_path / "a", {})
    assert sorted(os.listdir(tmp_path)) == [used.name, other.name, "a"]


def test_a_temporary_file_taken_for_a_leftover_is_made_again(tmp_path, monkeypatch):
    """Between its creation and its lock, another writer may remove it."""
    real, taken = atomic._lock, []

    def remove_first(descriptor):
        if not taken:
            taken.extend(name for name in os.listdir(tmp_path) if name.startswith(".jaxann-"))
            os.unlink(tmp_path / taken[0])
        return real(descriptor)

    monkeypatch.setattr(atomic, "_lock", remove_first)
    save_arrays(tmp_path / "a", arrays_of(1))
    assert taken and value_in(tmp_path / "a") == 1 and os.listdir(tmp_path) == ["a"]


def test_it_works_where_there_are_no_locks(tmp_path, monkeypatch):
    monkeypatch.setattr(atomic, "fcntl", None)
    save_arrays(tmp_path / "a", arrays_of(1))
    save_arrays(tmp_path / "a", arrays_of(2))
    assert value_in(tmp_path / "a") == 2 and os.listdir(tmp_path) == ["a"]


def test_an_interrupt_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    save_arrays(tmp_path / "a", arrays_of(1))

    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_arrays(tmp_path / "a", arrays_of(2))
    assert value_in(tmp_path / "a") == 1 and os.listdir(tmp_path) == ["a"]


def test_a_full_disk_is_told_with_both_figures(tmp_path, monkeypatch):
    def full(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match=r"No space left on device \(\d+ bytes needed, \d+ free\)"):
        save_arrays(tmp_path / "a", {})


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"missing/a.*: no such folder\."):
        save_arrays(tmp_path / "missing" / "a", {})
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file/a"):
        save_arrays(tmp_path / "file" / "a", {})


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_without_permission_is_named(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError, match=f"{tmp_path.name}/a"):
        save_arrays(tmp_path / "a", {})


def test_a_name_of_the_greatest_length_and_odd_letters_is_fine(tmp_path):
    for name in ("n" * 255, "a b\né.pt", ".hidden", "no_ending"):
        save_arrays(tmp_path / name, arrays_of(1))
        assert value_in(tmp_path / name) == 1
    with pytest.raises(OSError, match="nnn"):
        save_arrays(tmp_path / ("n" * 256), {})


def test_a_link_keeps_pointing_at_the_file_that_is_replaced(tmp_path):
    (tmp_path / "real").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "real" / "a")
    for value in (1, 2):  # first the link points at nothing
        save_arrays(link, arrays_of(value))
        assert link.is_symlink() and value_in(tmp_path / "real" / "a") == value


def test_a_private_file_stays_private(tmp_path):
    path = tmp_path / "a"
    save_arrays(path, {})
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask
    path.chmod(0o600)
    save_arrays(path, {})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_refusal_touches_nothing(tmp_path):
    path = tmp_path / "a"
    save_arrays(path, arrays_of(1))
    before = path.read_bytes(), path.stat().st_mtime_ns
    with pytest.raises(InputError):
        save_arrays(path, {"a": np.array([np.nan])})
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    path.write_bytes(b"damaged")
    with pytest.raises(CheckpointError):
        load_arrays(path)
    assert path.read_bytes() == b"damaged"
