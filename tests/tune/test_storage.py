"""Searches that are kept in a folder: going on gives the uninterrupted search to the bit, another one is refused."""

from __future__ import annotations

import functools
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import jaxann as ja
from jaxann.train import interrupts, trainer
from jaxann.train.trainer import PopulationTrainer
from jaxann.tune.storage import Storage
from tests.contract import assert_input_error
from tests.train.problems import equal_bits
from tests.tune.problems import RANKED, SETTING, build, digits

KEY = jax.random.key(3)
RATES = {"learning_rate": np.logspace(-5, -1, 5)}
SPACE = {"learning_rate": ja.tune.log_uniform(1e-5, 1e-1)}
ADAM = functools.partial(build, model=ja.models.mlp((6, 10), dropout=0.2))
STOPPING = functools.partial(ADAM, stopping=ja.train.early_stopping(2, **RANKED))
USUAL: dict[str, Any] = {"key": KEY, "epochs": 4, **SETTING}
EXPLORATION = ja.tune.Exploration(0.5, 0.5, 1)
SEARCHES: dict[str, Any] = {
    "cross_validate": functools.partial(ja.tune.cross_validate, STOPPING, RATES, digits(), folds=2, **USUAL),
    "halving": functools.partial(
        ja.tune.halving, ADAM, RATES, digits(), validation=ja.tune.resampling(2), factor=2, **USUAL
    ),
    "hyperband": functools.partial(
        ja.tune.hyperband, ADAM, SPACE, digits(), validation=digits(100), factor=2, **USUAL
    ),
    "population_based": functools.partial(
        ja.tune.population_based, ADAM, SPACE, digits(), validation=digits(100), members=4, exploration=EXPLORATION,
        **USUAL,
    ),
}  # fmt: skip


class Killed(BaseException):
    """What ends a process in a test."""


def content(found: Any) -> Any:
    """What a search found, to be compared to the bit."""
    if isinstance(found, ja.tune.Table):
        columns = {name: list(column) for name, column in found.hyperparameters.items()}
        return [found.scores, found.epochs, () if found.rounds is None else found.rounds, columns]
    many = found.population
    return [found.scores, found.parents, found.settings, many.params, many.history, many.epochs_run, many.status]


@pytest.fixture(scope="module")
def whole() -> Any:
    """Each search uninterrupted, without a storage."""
    return functools.cache(lambda name: content(SEARCHES[name]()))


def count_chunks(monkeypatch, ends_after: int | None = None) -> list[int]:
    """How many chunks were trained; after some of them the process ends."""
    calls, train = [0], PopulationTrainer._train_group

    def counted(self, number, wanted, observe):
        before = self.epoch.sum()
        if ends_after is not None and calls[0] >= ends_after:
            raise Killed
        train(self, number, wanted, observe)
        calls[0] += int(self.epoch.sum() - before)

    monkeypatch.setattr(PopulationTrainer, "_train_group", counted)
    return calls


def one_epoch_at_a_time(monkeypatch) -> None:
    monkeypatch.setattr("jaxann.train.trainer.LONGEST_CHUNK", 1)
    monkeypatch.setattr("jaxann.train.trainer._CHUNK_SECONDS", 0.0)


def press_ctrl_c(monkeypatch, call: int) -> None:
    """Ctrl-C when a chunk begins, as a real signal."""
    original, calls = trainer.advance_members, []

    def advance(*arguments):
        calls.append(None)
        if len(calls) == call:
            os.kill(os.getpid(), signal.SIGINT)
        return original(*arguments)

    monkeypatch.setattr(trainer, "advance_members", advance)
    monkeypatch.setattr(interrupts, "PATIENCE", 0.0)  # the next one is a first one again


@pytest.mark.parametrize("name", SEARCHES)
def test_a_search_goes_on_where_it_was_killed(tmp_path: Path, monkeypatch, whole, name: str):
    """Killed again and again, each time at the next stage, nothing is trained twice, and nothing is another number."""
    whole(name)
    with monkeypatch.context() as patched:
        total = count_chunks(patched)
        assert equal_bits(content(SEARCHES[name](storage=tmp_path / "whole")), whole(name))
    spent, starts = 0, 0
    while True:
        starts += 1
        with monkeypatch.context() as patched:
            calls = count_chunks(patched, ends_after=1)
            try:
                found = SEARCHES[name](storage=tmp_path / "killed")
            except Killed:
                found = None
        spent += calls[0]
        assert starts < 30
        if found is not None:
            break
    assert equal_bits(content(found), whole(name))
    assert spent == total[0] and (starts > 2 or name == "cross_validate")
    with monkeypatch.context() as patched:
        calls = count_chunks(patched)
        assert equal_bits(content(SEARCHES[name](storage=tmp_path / "killed")), whole(name))
    assert calls == [0], "nothing was left to train"


@pytest.mark.parametrize("name", SEARCHES)
def test_a_search_goes_on_within_a_stage(tmp_path: Path, monkeypatch, whole, name: str):
    """Written after every chunk, and killed after the third."""
    monkeypatch.setattr("jaxann.tune.storage._SECONDS", -1e9)
    one_epoch_at_a_time(monkeypatch)
    watch, seen = Storage.watch, []

    def watching(self, watched):
        observe = watch(self, watched)

        def killing(moment):
            observe(moment)
            seen.append(None)
            if len(seen) == 3:
                raise Killed

        return killing

    monkeypatch.setattr(Storage, "watch", watching)
    with pytest.raises(Killed):
        SEARCHES[name](storage=tmp_path)
    calls = count_chunks(monkeypatch)
    assert equal_bits(content(SEARCHES[name](storage=tmp_path)), whole(name))
    assert calls[0] > 0


WRONG_MIN = ja.train.early_stopping(None, monitor="validation_accuracy", mode="min", restore_best=False)


def wrong(predictions, targets):
    """A metric that declares no direction."""
    return (predictions.argmax(-1) != targets).mean()


CHANGES: dict[str, tuple[str, dict[str, Any]]] = {
    "key": ("key", {"key": jax.random.key(4)}),
    "epochs": ("epochs", {"epochs": 3}),
    "batch_size": ("batch_size", {"batch_size": 16}),
    "factor": ("factor", {"factor": 3}),
    "min_epochs": ("min_epochs", {"min_epochs": 2}),
    "validation": ("validation", {"validation": digits(99)}),
    "folds": ("validation", {"validation": ja.tune.resampling(ja.tune.k_fold(203, 2))}),
    "repeats": ("repeats", {"validation": ja.tune.resampling(validation=digits(100), repeats=2)}),
    "settings": ("hyperparameters", {"settings": {"learning_rate": [1e-3, 1e-1]}}),
    "data": ("data", {"data": digits(202)}),
    "recipe": ("recipe", {"build": functools.partial(build, loss=ja.losses.poly1)}),
    "metrics": ("metrics", {"build": functools.partial(build, metrics={"accuracy": wrong, "wrong": wrong})}),
    "mode": ("mode", {"build": functools.partial(build, metrics={"accuracy": wrong}, stopping=WRONG_MIN)}),
}


def halved(storage: Path, **changes: Any) -> ja.tune.Table:
    setting = {**USUAL, "epochs": 2, "validation": digits(100), "factor": 2} | changes
    made, tried = setting.pop("build", build), setting.pop("settings", {"learning_rate": [1e-3, 1e-2]})
    return ja.tune.halving(made, tried, setting.pop("data", digits()), storage=storage, **setting)


@pytest.fixture(scope="module")
def begun(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("kept")
    halved(path)
    return path


def files(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.iterdir()}


@pytest.mark.parametrize("change", CHANGES)
def test_another_definition_is_refused_by_name_and_changes_nothing(begun: Path, change: str):
    argument, changes = CHANGES[change]
    before = files(begun)
    assert_input_error(lambda: halved(begun, **changes), argument)
    assert files(begun) == before


def test_what_settings_are_drawn_by_is_named_before_them(tmp_path: Path):
    drawn, evolved = tmp_path / "hyperband", tmp_path / "population_based"
    SEARCHES["hyperband"](storage=drawn)
    SEARCHES["population_based"](storage=evolved)
    other = jax.random.key(4)
    assert_input_error(lambda: SEARCHES["hyperband"](storage=drawn, key=other), "key")
    assert_input_error(lambda: SEARCHES["hyperband"](storage=drawn, factor=3), "factor")
    assert_input_error(lambda: SEARCHES["population_based"](storage=evolved, key=other), "key")
    assert_input_error(lambda: SEARCHES["population_based"](storage=evolved, members=6), "members")


def test_another_search_is_refused(begun: Path):
    search = functools.partial(ja.tune.cross_validate, build, {"learning_rate": [1e-3, 1e-2]}, digits(), **USUAL)
    assert_input_error(lambda: search(folds=ja.tune.k_fold(203, 2), storage=begun), "search")


def test_a_folder_that_cannot_be_used_is_refused(begun: Path, tmp_path: Path):
    (tmp_path / "file").write_text("")
    assert_input_error(lambda: halved(tmp_path / "file"), "storage")
    assert_input_error(lambda: halved(3), "storage")
    for name, damage in (("state.safetensors", b"cut"), ("study.json", b"{"), ("study.json", json.dumps({}).encode())):
        folder = tmp_path / f"{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        for file, data in (files(begun) | {name: damage}).items():
            (folder / file).write_bytes(data)
        with pytest.raises(ja.CheckpointError, match="halving"):
            halved(folder)


def test_one_folder_serves_one_search_at_a_time(begun: Path, monkeypatch):
    def meanwhile(*_: Any) -> None:
        halved(begun)

    monkeypatch.setattr(sys.modules[ja.tune.halving.__module__], "run_rungs", meanwhile)
    assert_input_error(lambda: halved(begun), "storage")


@pytest.mark.parametrize("name", ["cross_validate", "hyperband"])
def test_a_search_goes_on_after_ctrl_c(tmp_path: Path, monkeypatch, whole, name: str):
    whole(name)
    with monkeypatch.context() as patched:
        one_epoch_at_a_time(patched)
        press_ctrl_c(patched, call=2)
        with pytest.warns(UserWarning, match="interrupted"):
            SEARCHES[name](storage=tmp_path)
    calls = count_chunks(monkeypatch)
    assert equal_bits(content(SEARCHES[name](storage=tmp_path)), whole(name)) and calls[0] > 0


def test_settings_and_dimensions_in_another_order_are_refused(tmp_path: Path):
    """They would draw other settings; a search over one space may not go on with another's."""
    space = {"learning_rate": [1e-3, 1e-2, 1e-1], "width": ja.tune.uniform(0.0, 1.0)}
    search = functools.partial(
        ja.tune.hyperband, build, data=digits(), validation=digits(100), storage=tmp_path, **USUAL
    )
    search(space=space, epochs=1)
    other = {"learning_rate": [1e-2, 1e-3, 1e-1], "width": space["width"]}
    assert_input_error(lambda: search(space=other, epochs=1), "space")
    turned = {"width": space["width"], "learning_rate": space["learning_rate"]}
    assert_input_error(lambda: search(space=turned, epochs=1), "space", given="others are drawn")
