"""Nested cross-validation within a budget: its time ends the choice, and known settings and retries are heeded."""

from __future__ import annotations

import time
from typing import Any

import jax
import numpy as np
import pytest

import jaxann as ja
from tests.tune.problems import SETTING, build, digits
from tests.tune.test_budget import RATES, _lucky, hands_of

KEY = jax.random.key(3)
ONE = ja.train.placement(devices=jax.local_devices()[:1])


def nested(epochs: Any, made: Any = build, hyperparameters: Any = RATES, **changes: Any) -> ja.tune.Nested:
    setting = {"key": KEY, "outer": 2, "inner": 2, "placement": ONE, **SETTING} | changes
    return ja.tune.nested_cross_validate(made, hyperparameters, digits(), epochs=epochs, **setting)


def test_time_enough_changes_nothing_and_known_settings_come_first():
    known = ja.tune.enqueue({"learning_rate": [1e-3, 1e-2]}, [{"learning_rate": 3e-2}, {"learning_rate": 1e-2}])
    free = nested(3, hyperparameters={"learning_rate": [3e-2, 1e-2, 1e-3]})
    timed = nested(ja.tune.budget(3, seconds=1e6, retries=2), hyperparameters=known)
    assert timed.chosen == free.chosen
    for name, values in free.scores.items():
        np.testing.assert_allclose(timed.scores[name], values, rtol=1e-6)
    for one, other in zip(timed.tables, free.tables, strict=True):
        np.testing.assert_array_equal(one.hyperparameters["learning_rate"], [3e-2, 1e-2, 1e-3])
        np.testing.assert_allclose(one.scores["loss"], other.scores["loss"], rtol=1e-5)
        assert one.rounds is None


def test_it_ends_when_its_time_is_over():
    begun = time.monotonic()
    with pytest.warns(UserWarning, match="nested_cross_validate: the time budget was over when members had trained"):
        found = nested(ja.tune.budget(100_000, seconds=1e-3))
    assert time.monotonic() - begun < 60
    assert np.isfinite(found.scores["loss"]).all() and len(found.chosen) == 2
    assert all(table.epochs.max() < 100 for table in found.tables)


def test_the_run_that_scores_is_as_long_as_those_that_it_was_chosen_by(monkeypatch: pytest.MonkeyPatch):
    """A known setting came to its end, the others did not begin; or all came to the same epoch."""
    known = ja.tune.enqueue(RATES, [{"learning_rate": 3e-3}])
    for looks in range(2, 12):
        hands_of(monkeypatch, looks)
        with pytest.warns(UserWarning, match="time budget was over"):
            found = nested(ja.tune.budget(4, seconds=5.0), hyperparameters=known)
        first = found.tables[0]
        assert first.rounds is not None
        if first.rounds.tolist() == [1, 0, 0, 0]:
            break
    assert found.chosen == [{"learning_rate": 3e-3}] * 2
    alone = nested(4, hyperparameters={"learning_rate": [3e-3]})
    for name, values in alone.scores.items():
        np.testing.assert_allclose(found.scores[name], values, rtol=1e-6)
    hands_of(monkeypatch, 2)
    with pytest.warns(UserWarning, match="trained for (.*) to (.*) epochs"):
        cut = nested(ja.tune.budget(50, seconds=5.0))
    taken = {int(table.epochs[table.best_index].max()) for table in cut.tables}
    assert len(taken) == 1 and max(taken) < 50
    alike = nested(taken.pop(), hyperparameters={"learning_rate": [cut.chosen[0]["learning_rate"]]})
    np.testing.assert_allclose(cut.scores["loss"][0], alike.scores["loss"][0], rtol=1e-5)


def test_runs_that_diverged_begin_again_inside_and_outside():
    rates = {"learning_rate": [1e-2]}  # with which two in three diverge
    found = nested(ja.tune.budget(1, retries=12), _lucky, rates)
    assert np.isfinite(found.scores["loss"]).all() and all(np.isfinite(t.scores["loss"]).all() for t in found.tables)


def test_an_error_of_the_machine_is_tried_again():
    calls: list[None] = []

    def flaky(hyper: dict[str, Any]) -> Any:
        calls.append(None)
        if len(calls) == 1:
            raise OSError("the file system is not there")
        return build(hyper)

    with pytest.warns(UserWarning, match="nested_cross_validate: failed with OSError"):
        assert len(nested(ja.tune.budget(1, retries=1), flaky).chosen) == 2


def test_no_time_for_any_scores_of_a_fold_is_told(monkeypatch: pytest.MonkeyPatch):
    """Outer folds of other sizes are programs of their own, and the second one has not begun."""
    hands_of(monkeypatch, 1)
    x = np.arange(203)
    pairs = [(x[:60], x[60:]), (x[60:], x[:60])]
    with pytest.warns(UserWarning, match="time budget was over"):
        with pytest.raises(ja.InputError, match="seconds of the budget must be enough .*, got none in fold 1"):
            nested(ja.tune.budget(4, seconds=5.0), outer=pairs)
