"""A search's budget: it ends in time with whole runs first, and what failed is made again, so often and no oftener."""

from __future__ import annotations

import importlib
import itertools
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxann as ja
from jaxann.tune import budget
from tests.contract import assert_input_error
from tests.tune.problems import SETTING, build, digits

KEY = jax.random.key(3)
RATES = {"learning_rate": [1e-3, 1e-2, 3e-2]}
SPACE = {"learning_rate": ja.tune.log_uniform(1e-5, 1e-1)}
FOLDS = ja.tune.k_fold(203, 2)


def validate(epochs: Any, **changes: Any) -> ja.tune.Table:
    setting = {"key": KEY, "folds": FOLDS} | SETTING | changes
    hyperparameters = setting.pop("hyperparameters", RATES)
    return ja.tune.cross_validate(setting.pop("build", build), hyperparameters, digits(), epochs=epochs, **setting)


def _searches() -> dict[str, Callable[..., Any]]:
    common = {"key": KEY, "validation": digits(60), **SETTING}
    tune = ja.tune
    return {
        "cross_validate": lambda made, epochs: validate(epochs, build=made),
        "halving": lambda made, epochs: tune.halving(made, RATES, digits(), epochs=epochs, **common),
        "hyperband": lambda made, epochs: tune.hyperband(made, SPACE, digits(), epochs=epochs, **common),
        "population_based": lambda made, epochs: tune.population_based(
            made, SPACE, digits(), epochs=epochs, members=3, exploration=ja.tune.Exploration(interval=1), **common
        ),
        "bayes": lambda made, epochs: tune.bayes(
            made, SPACE, digits(), epochs=epochs, trials=3, generation=3, **common
        ),
    }


SEARCHES = _searches()


def hands_of(monkeypatch: pytest.MonkeyPatch, looks: int) -> None:
    """A clock that stands still until it has been looked at so often, and is far ahead from then on."""
    looked = itertools.count(1)
    clock = SimpleNamespace(monotonic=lambda: 0.0 if next(looked) <= looks else 1e9)
    module = importlib.import_module("jaxann.tune.budget")  # of the name of its function
    monkeypatch.setattr(module, "time", clock)


@pytest.mark.parametrize("name", SEARCHES)
def test_a_search_ends_when_its_time_is_over(name: str):
    begun = time.monotonic()
    with pytest.warns(UserWarning, match="time budget was over"):
        epochs = 9 if name == "hyperband" else 100_000  # which would draw as many settings
        found = SEARCHES[name](build, budget(epochs, seconds=1e-3))
    assert time.monotonic() - begun < 60  # and not the hours of so many epochs
    if name == "population_based":
        assert 0 < found.population.epochs_run.max() < epochs and np.isfinite(found.scores[-1]).any()
    else:
        assert 0 < found.epochs.max() < epochs and np.isfinite(found.scores["loss"]).any()
        assert np.isnan(found.scores["loss"][found.epochs == 0]).all()
        assert found.epochs[found.best_index].min() > 0


@pytest.mark.parametrize("name", SEARCHES)
def test_time_enough_changes_nothing(name: str):
    free, timed = (SEARCHES[name](build, epochs) for epochs in (3, budget(3, seconds=1e6, retries=2)))
    if name == "population_based":
        np.testing.assert_array_equal(free.scores, timed.scores)
    else:
        np.testing.assert_array_equal(free.scores["loss"], timed.scores["loss"])
        assert timed.best == free.best


def test_known_settings_are_whole_before_others_begin(monkeypatch: pytest.MonkeyPatch):
    known = ja.tune.enqueue(RATES, [{"learning_rate": 3e-3}])
    placement = ja.train.placement(devices=jax.local_devices()[:1])
    whole = validate(4, hyperparameters=known)
    for looks in range(3, 12):
        hands_of(monkeypatch, looks)
        with pytest.warns(UserWarning, match="time budget was over"):
            table = validate(budget(4, seconds=5.0), hyperparameters=known, placement=placement)
        if table.rounds is not None and table.rounds.sum() == 2:
            break
    assert table.rounds.tolist() == [1, 1, 0, 0], "one after the other, the known one first"
    np.testing.assert_allclose(table.scores["loss"][:2], whole.scores["loss"][:2], rtol=1e-5)
    assert set(table.order[:2]) == {0, 1} and table.epochs[3].tolist() == [0, 0]
    assert np.isnan(table.scores["loss"][3]).all()


def test_what_was_known_out_of_fold_in_time_is_kept(monkeypatch: pytest.MonkeyPatch):
    hands_of(monkeypatch, 2)
    placement = ja.train.placement(devices=jax.local_devices()[:1])
    with pytest.warns(UserWarning, match="time budget was over"):
        table = validate(budget(4, seconds=5.0), placement=placement, out_of_fold=True, refit=True)
    begun = (table.epochs > 0).all(1)
    assert not begun.all() and begun.any()
    assert np.isfinite(table.out_of_fold[begun]).all() and np.isnan(table.out_of_fold[~begun]).all()
    assert table.refitted.epochs_run == 4


class Lucky:
    """A linear layer whose fresh weights are out of range for two keys in three."""

    def init(self, key, spec):
        bad = jax.random.randint(key, (), 0, 3) > 0
        weight = 0.1 * jax.random.normal(key, (spec.shape[-1], 10))
        return {"weight": jnp.where(bad, 3e38, weight)}, {}

    def apply(self, params, state, x, *, key=None, train=False):
        return x @ params["weight"], state


def _lucky(hyper):
    return build(hyper, model=LUCKY, stopping=None)


LUCKY = Lucky()


@pytest.mark.parametrize("retries", [0, 1, 8])
def test_a_run_that_diverged_begins_again_from_another_key(retries: int):
    x, y = digits()
    pairs = ja.tune.k_fold(203, 6)
    expected, recipe = [], _lucky({"learning_rate": 1e-2})
    for number, (train, tested) in enumerate(pairs):
        own = jax.random.split(ja.core.fold_name(KEY, "members"), 6)[number]
        for attempt in range(retries + 1):
            key = own if attempt == 0 else jax.random.fold_in(own, attempt)
            try:
                one = ja.fit(recipe, (x[train], y[train]), key=key, epochs=2, batch_size=32)
            except ja.DivergedError:
                continue
            expected.append(ja.train.evaluate(recipe, one.params, one.state, (x[tested], y[tested]))["loss"])
            break
        else:
            expected.append(np.nan)
    assert np.isnan(expected).any() == (retries < 8) and np.isfinite(expected).any()
    rates = {"learning_rate": [1e-2, 1e-3]}
    if retries < 8:
        with pytest.warns(ja.DivergedWarning):
            table = validate(budget(2, retries=retries), build=_lucky, hyperparameters=rates, folds=pairs)
    else:
        table = validate(budget(2, retries=retries), build=_lucky, hyperparameters=rates, folds=pairs)
    np.testing.assert_allclose(table.scores["loss"][0], expected, rtol=1e-4)
    assert (table.epochs[np.isfinite(table.scores["loss"])] == 2).all()


def test_halving_counts_retries_over_all_rounds():
    rates = {"learning_rate": [1e-2, 1e-3, 3e-2, 3e-3]}
    common = {"key": KEY, "validation": ja.tune.resampling(ja.tune.k_fold(203, 6)), "factor": 2, **SETTING}
    halved = ja.tune.halving(_lucky, rates, digits(), epochs=budget(4, retries=8), **common)
    full = validate(budget(4, retries=8), build=_lucky, hyperparameters=rates, folds=ja.tune.k_fold(203, 6))
    (left,) = np.flatnonzero(halved.epochs[:, 0] == 4)
    np.testing.assert_allclose(halved.scores["loss"][left], full.scores["loss"][left], rtol=1e-5)


@pytest.mark.parametrize("name", SEARCHES)
def test_an_error_of_the_machine_is_tried_again_so_often(name: str):
    calls = itertools.count()

    def flaky(hyper):
        if next(calls) < 2:
            raise OSError("the file system is not there")
        return build(hyper)

    with pytest.warns(UserWarning, match="OSError: the file system is not there; it begins again"):
        found = SEARCHES[name](flaky, budget(1, retries=2))
    assert np.isfinite(found.scores if name == "population_based" else found.scores["loss"]).all()
    calls = itertools.count()
    with pytest.warns(UserWarning, match="0 retries are left|1 retry is left"), pytest.raises(OSError):
        SEARCHES[name](flaky, budget(1, retries=1))
    calls = itertools.count()
    with pytest.raises(OSError):
        SEARCHES[name](flaky, 1)
    assert next(calls) == 1


@pytest.mark.parametrize("name", SEARCHES)
def test_a_wrong_argument_is_not_tried_again(name: str):
    calls = []

    def made(hyper):
        calls.append(1)
        return None

    assert_input_error(lambda: SEARCHES[name](made, budget(1, retries=3)), "build")
    assert len(calls) == 1
    assert_input_error(lambda: SEARCHES[name](build, budget(seconds=3)), "epochs")


def test_recipes_may_have_their_own_epochs():
    def made(hyper):
        return build(hyper, epochs=2)

    table = validate(budget(seconds=1e6), build=made)
    assert (table.epochs == 2).all() and table.rounds is None


@pytest.mark.parametrize(
    ("argument", "change"),
    [
        ("epochs", {"epochs": 0}),
        ("seconds", {"seconds": 0}),
        ("seconds", {"seconds": "1 h"}),
        ("retries", {"retries": -1}),
        ("retries", {"retries": None}),
    ],
)
def test_refusals(argument: str, change: dict[str, Any]):
    assert_input_error(lambda: budget(**change), argument)
