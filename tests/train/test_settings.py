"""JAX's settings: every verb does under them what it does without, and weights of 32 bits serve where JAX has 64."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest

import jaxann as ja

X = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
DATA = (X, (X[:, 0] > 0).astype(np.int32))
KEY = jax.random.key(0)
KEYS = jax.random.split(KEY, 2)


def build(hyper: dict[str, Any]) -> Any:
    return ja.recipe(
        ja.layers.dense(2), ja.losses.softmax_cross_entropy, ja.optimizers.sgd(hyper["rate"]), batch_size=4
    )


RECIPE = build({"rate": 0.1})
PARAMS, STATE = RECIPE.model.init(KEY, X)
VERBS: dict[str, Callable[[], Any]] = {
    "fit": lambda: ja.fit(RECIPE, DATA, validation=DATA, key=KEY, epochs=2).history,
    "fit_population": lambda: ja.train.fit_population(build, {"rate": [0.1, 0.2]}, DATA, keys=KEYS, epochs=2).history,
    "evaluate": lambda: ja.train.evaluate(RECIPE, PARAMS, STATE, DATA),
    "predict": lambda: ja.predict(RECIPE, PARAMS, STATE, X),
    "monte_carlo_predict": lambda: ja.train.monte_carlo_predict(RECIPE, PARAMS, STATE, X, key=KEY, samples=2),
    "hypergradient": lambda: tuple(ja.tune.hypergradient(build, {"rate": 0.1}, DATA, DATA, key=KEY, epochs=2)),
}


def numbers(verb: str) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in jax.tree.leaves(VERBS[verb]())]


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_does_the_same_under_any_check(verb: str):
    wanted = numbers(verb)
    with contextlib.ExitStack() as stack:
        for check in (
            jax.transfer_guard("disallow"),
            jax.numpy_rank_promotion("raise"),
            jax.numpy_dtype_promotion("strict"),
            jax.checking_leaks(),
        ):
            stack.enter_context(check)
        found = VERBS[verb]()
    for a, b in zip(wanted, jax.tree.leaves(found), strict=True):
        np.testing.assert_array_equal(a, np.asarray(b))


@pytest.mark.parametrize("verb", ["evaluate", "predict", "monte_carlo_predict"])
def test_weights_of_32_bits_serve_in_64(verb: str):
    wanted = numbers(verb)
    with jax.enable_x64(True):
        found = numbers(verb)
    for a, b in zip(wanted, found, strict=True):
        assert b.dtype == np.float64
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
