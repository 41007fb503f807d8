"""Ctrl-C: the first ends a run, a second one its loop, and whenever it comes the result agrees with itself."""

from __future__ import annotations

import inspect
import os
import signal
import sys
from types import FrameType
from typing import Any

import jax
import numpy as np
import pytest

import jaxann as ja
from jaxann.train import Status, interrupts
from tests.train.problems import FIT

X = np.random.default_rng(0).normal(size=(16, 3)).astype(np.float32)
Y = X[:, :1]
KEY = jax.random.key(0)
RECIPE = ja.recipe(ja.layers.dense(1), ja.losses.squared_error, ja.optimizers.sgd(0.1), batch_size=16)


@pytest.fixture(autouse=True)
def _chunks_of_one_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FIT, "_CHUNK_SECONDS", 0.0)
    monkeypatch.setattr(interrupts._Last, "ended", float("-inf"))


def _fit(epochs: int = 4, **how: Any) -> ja.train.Result:
    return ja.fit(RECIPE, (X, Y), key=KEY, epochs=epochs, **how)


def _press(*epochs: int) -> Any:
    def observer(moment: Any) -> None:
        if moment.epoch in epochs:
            signal.raise_signal(signal.SIGINT)

    return observer


def test_of_a_loop_over_runs_one_ctrl_c_ends_one_run_and_a_second_one_the_loop(monkeypatch: pytest.MonkeyPatch):
    clock = [0.0]
    monkeypatch.setattr(interrupts.time, "monotonic", lambda: clock[0])
    ran = []
    with pytest.raises(KeyboardInterrupt):
        for run in range(5):
            ran.append(_fit(observers=_press(2) if run in (1, 2) else ()).epochs_run)
            clock[0] += interrupts.PATIENCE / 2  # run 2 is still within the patience
    assert ran == [4, 2]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_long_after_a_ctrl_c_another_one_is_a_first_one(monkeypatch: pytest.MonkeyPatch):
    clock = [0.0]
    monkeypatch.setattr(interrupts.time, "monotonic", lambda: clock[0])
    for _ in range(3):
        cut = _fit(observers=_press(2))
        assert (cut.status, cut.epochs_run) == (Status.INTERRUPTED, 2)
        clock[0] += 2 * interrupts.PATIENCE


def test_a_population_follows_the_same_rule():
    keys = jax.random.split(KEY, 2)

    def press(moment: Any) -> None:
        signal.raise_signal(signal.SIGINT)

    def train() -> Any:
        return ja.train.fit_population(lambda hyper: RECIPE, {}, (X, Y), keys=keys, epochs=10**6, observers=press)

    assert (train().status == Status.INTERRUPTED).all()
    with pytest.raises(KeyboardInterrupt):
        train()


def test_an_interruption_between_any_two_lines_leaves_as_many_rows_as_epochs():
    """A handler of the caller's own raises at the n-th line of `fit`, for every n of a chunk."""
    code = inspect.unwrap(FIT.train_on).__code__
    _fit()

    def cut_at(line: int) -> ja.train.Result | None:
        passed = [0]

        def trace(frame: FrameType, event: str, argument: Any) -> Any:
            if frame.f_code is not code:
                return None

            def within(frame: FrameType, event: str, argument: Any) -> Any:
                if event == "line" and "begun" in frame.f_locals and "table" not in frame.f_locals:
                    passed[0] += 1
                    if passed[0] == line:
                        raise KeyboardInterrupt
                return within

            return within

        sys.settrace(trace)
        try:
            return _fit(3)
        except KeyboardInterrupt:  # outside of the loop
            return None
        finally:
            sys.settrace(None)

    interrupted = 0
    for line in range(1, 24):
        result = cut_at(line)
        if result is not None:
            interrupted += result.status is Status.INTERRUPTED
            assert len(result.history["loss"]) == result.epochs_run <= 3, line
            np.testing.assert_array_equal(result.history["loss"], _fit(3).history["loss"][: result.epochs_run])
    assert interrupted > 10


def test_a_handler_of_the_callers_own_stays_in_force():
    pressed = []
    before = signal.signal(signal.SIGINT, lambda *_: pressed.append(1))
    try:
        result = _fit(observers=lambda moment: os.kill(os.getpid(), signal.SIGINT))
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(pressed) == 4 and result.status is Status.FINISHED


def test_a_ctrl_c_in_the_last_chunk_is_told_and_nothing_is_lost():
    cut = _fit(2, observers=_press(2))
    assert (cut.status, cut.epochs_run, len(cut.history["loss"])) == (Status.INTERRUPTED, 2, 2)

    def press(moment: Any) -> None:
        signal.raise_signal(signal.SIGINT)

    keys = jax.random.split(KEY, 2)
    interrupts._Last.ended = float("-inf")
    how: Any = {"keys": keys, "epochs": 1}
    many = ja.train.fit_population(lambda hyper: RECIPE, {}, (X, Y), observers=press, **how)
    assert (many.status == Status.INTERRUPTED).all() and (many.epochs_run == 1).all()


def test_a_run_that_diverged_is_told_as_that_whatever_else_ended_it():
    broken = ja.recipe(
        ja.layers.dense(1), ja.losses.squared_error, ja.optimizers.sgd(1e30), on_nonfinite="stop", batch_size=4
    )
    with pytest.warns(ja.DivergedWarning):
        result = ja.fit(broken, (X, Y), key=KEY, epochs=3, observers=_press(1))
    assert result.status is Status.DIVERGED


def test_a_second_ctrl_c_leaves_pythons_own_handler_even_where_a_third_follows_at_once():
    for late in (False, True):
        interrupts._Last.ended = float("-inf")
        with pytest.raises(KeyboardInterrupt), interrupts.held_interrupts():
            signal.raise_signal(signal.SIGINT)
            try:
                signal.raise_signal(signal.SIGINT)
            finally:
                assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
                if late:
                    signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
