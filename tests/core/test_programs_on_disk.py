"""Programs are kept for the next process, in a folder that nobody else can write to, and only when one is asked for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from jaxann.core import programs_on_disk

ROOT = Path(__file__).resolve().parents[2]
# Trains, and prints how many programs JAX has found on disk and where it looks.
TRAIN = """
import jax, jax.monitoring, numpy as np
found = []
jax.monitoring.register_event_listener(lambda event, **_: found.append(event))
import jaxann as ja
assert jax.config.jax_compilation_cache_dir == GIVEN, "importing has changed where programs are kept"
x = np.arange(40, dtype=np.float32).reshape(20, 2)
recipe = ja.recipe(ja.models.mlp((8, 1)), ja.losses.squared_error, ja.optimizers.adam(1e-3))
result = ja.fit(recipe, (x, x[:, :1]), key=jax.random.key(0), epochs=2)
print(sum(event.endswith("cache_hits") for event in found), jax.config.jax_compilation_cache_dir,
      float(result.history["loss"][-1]).hex(), sep=chr(10))
"""


def _train(tmp_path: Path, **settings: str) -> tuple[int, str, str]:
    left = {name: value for name, value in os.environ.items() if "CACHE" not in name and name != "LOCALAPPDATA"}
    environment = left | {"PYTHONPATH": str(ROOT), "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)} | settings
    code = TRAIN.replace("GIVEN", repr(settings.get("JAX_COMPILATION_CACHE_DIR")))
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and "rror" not in done.stderr, done.stderr[-2000:]
    hits, folder, loss = done.stdout.splitlines()
    return int(hits), folder, loss


@pytest.mark.skipif(sys.platform != "linux", reason="the folder of caches is named by XDG_CACHE_HOME")
def test_a_second_process_finds_what_the_first_has_compiled_and_gets_the_same_bits(tmp_path):
    first, folder, loss = _train(tmp_path)
    again, _, same = _train(tmp_path)
    assert first == 0 and again >= 2 and same == loss
    assert Path(folder).parent == tmp_path / "jaxann" and Path(folder).stat().st_mode & 0o777 == 0o700


def test_what_somebody_has_chosen_stays(tmp_path):
    mine = str(tmp_path / "mine")
    assert _train(tmp_path, JAX_COMPILATION_CACHE_DIR=mine)[1] == mine
    assert _train(tmp_path, JAX_ENABLE_COMPILATION_CACHE="false")[1] == "None"
    assert not (tmp_path / "jaxann").exists()


def test_a_folder_that_cannot_be_made_or_that_others_can_write_to_is_left_alone(tmp_path):
    assert programs_on_disk._is_usable(tmp_path / "new" / "one")
    (tmp_path / "file").touch()
    assert not programs_on_disk._is_usable(tmp_path / "file" / "one")
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    assert not programs_on_disk._is_usable(tmp_path / "open")


def test_a_full_disk_ends_no_training(tmp_path, monkeypatch):
    def full(_: Path) -> None:
        raise OSError(28, "No space left on device")

    config = SimpleNamespace(jax_enable_compilation_cache=True, jax_compilation_cache_dir=None)  # cannot be updated
    monkeypatch.setattr(programs_on_disk, "jax", SimpleNamespace(config=config))
    monkeypatch.setattr(programs_on_disk, "_weed", full)
    monkeypatch.setattr(programs_on_disk, "user_folder", lambda: tmp_path)
    monkeypatch.setattr(programs_on_disk._Settled, "is_asked", False)
    programs_on_disk.keep_on_disk()
    assert programs_on_disk._Settled.is_asked


def test_who_has_no_home_keeps_nothing(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # which the standard says is to be ignored
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    assert programs_on_disk.user_folder() is None


def test_what_was_not_read_for_the_longest_time_goes_first_and_once_a_day(tmp_path, monkeypatch):
    monkeypatch.setattr(programs_on_disk, "MOST", 250)
    for number, name in enumerate(("old-cache", "new-cache", "newest-cache", "no program")):
        (tmp_path / name).write_bytes(bytes(100))
        os.utime(tmp_path / name, (1e9 + number, 1e9 + number))
    os.utime(tmp_path / "old-cache", (2e9, 1e9))  # read since
    programs_on_disk._weed(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"old-cache", "newest-cache", "no program", "weeded"}
    (tmp_path / "more-cache").write_bytes(bytes(100))
    programs_on_disk._weed(tmp_path)
    assert (tmp_path / "more-cache").exists()
