"""JAX's checks, turned on to find a fault: every search, and an exported run, gives what it gives without."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest

import jaxann as ja

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(24, 3)).astype(np.float32)
DATA = X, (X[:, 0] > 0).astype(np.int32)
RATES, SPACE = {"rate": [0.5, 0.1]}, {"rate": ja.tune.log_uniform(1e-3, 1.0)}
FLAGS = {
    "jax_debug_nans": jax.debug_nans,
    "jax_debug_infs": jax.debug_infs,
    "jax_debug_key_reuse": jax.debug_key_reuse,
}


def _build(hyper: dict[str, Any]) -> Any:
    return ja.recipe(
        ja.models.mlp((2,), dropout=0.1), ja.losses.softmax_cross_entropy, ja.optimizers.sgd(hyper["rate"]),
        metrics={"accuracy": ja.metrics.accuracy}, batch_size=8,
    )  # fmt: skip


def _exported() -> Any:
    run = ja.train.export_run(None, _build, {"rate": 0.1}, DATA, epochs=2, platforms=("cpu",))
    return run.call(np.uint32(0), {"rate": np.float32(0.5)}, DATA)["params"]


def _evolved() -> Any:
    exploration = ja.tune.Exploration(0.5, 0.5, 1)
    found = ja.tune.population_based(
        _build, SPACE, DATA, key=jax.random.key(4), epochs=3, members=2, exploration=exploration, validation=DATA
    )
    return found.scores, found.population.params, found.settings


ONE = {"epochs": 3, "validation": DATA}
SEARCHES: dict[str, Callable[[], Any]] = {
    "bayes": lambda: ja.tune.bayes(_build, SPACE, DATA, key=jax.random.key(1), trials=2, generation=2, **ONE).scores,
    "export_run": _exported,
    "halving": lambda: ja.tune.halving(_build, RATES, DATA, key=jax.random.key(2), factor=2, **ONE).scores,
    "hyperband": lambda: ja.tune.hyperband(_build, SPACE, DATA, key=jax.random.key(3), **ONE).scores,
    "nested_cross_validate": lambda: (
        ja.tune.nested_cross_validate(_build, RATES, DATA, key=jax.random.key(5), epochs=2, outer=2, inner=2).scores
    ),
    "population_based": _evolved,
}


@functools.cache
def _plain(name: str) -> list[np.ndarray]:
    return _found(name)


def _found(name: str) -> list[np.ndarray]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return [np.asarray(leaf) for leaf in jax.tree.leaves(SEARCHES[name]())]


@pytest.mark.parametrize("flag", FLAGS)
@pytest.mark.parametrize("name", SEARCHES)
def test_a_search_does_under_a_check_what_it_does_without(name: str, flag: str):
    wanted = _plain(name)
    with FLAGS[flag](True):
        found = _found(name)
    assert len(found) == len(wanted)
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_run_that_begins_again_does_so_under_the_checks():
    """What members keep before their first epoch is infinite, and NaN where one diverged."""

    def made(hyper: dict[str, Any]) -> Any:
        return _build(hyper).replace(stopping=ja.train.early_stopping(1))

    rates = {"rate": [0.5, 3e38]}
    budget = ja.tune.budget(2, retries=1)
    told = pytest.warns(
        UserWarning, match="validation_loss of 1 of 4 members is no number"
    )  # it stops before a bad step
    with jax.debug_nans(True), jax.debug_infs(True), pytest.warns(ja.DivergedWarning), told:
        table = ja.tune.cross_validate(made, rates, DATA, key=jax.random.key(6), folds=2, epochs=budget)
    assert np.isfinite(table.scores["loss"][0]).all() and np.isnan(table.scores["loss"][1]).all()
