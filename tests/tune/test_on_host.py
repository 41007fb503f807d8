"""Searches inside jit, vmap and grad: one message that names what works there, before anything is compiled."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest

import jaxann as ja
from tests.tune.problems import build, digits

X, Y = digits(40)
KEY = jax.random.key(0)
RATES = {"learning_rate": [1e-3, 1e-2]}
SPACE = {"learning_rate": ja.tune.log_uniform(1e-4, 1e-1)}
LABELS = np.arange(40) % 2
COMMON = {"epochs": 1, "validation": (X, Y)}
TRAINING = {"bayes", "cross_validate", "halving", "hyperband", "nested_cross_validate", "population_based"}
DRAWN: dict[str, Callable[[Any, Any], Any]] = {
    "bayes": lambda key, x: ja.tune.bayes(build, SPACE, (x, Y), key=key, trials=1, **COMMON),
    "cross_validate": lambda key, x: ja.tune.cross_validate(build, RATES, (x, Y), key=key, epochs=1, folds=2),
    "grouped_k_fold": lambda key, x: ja.tune.grouped_k_fold(LABELS if x is X else x[:, 0], 2, key=key),
    "halving": lambda key, x: ja.tune.halving(build, RATES, (x, Y), key=key, **COMMON),
    "hyperband": lambda key, x: ja.tune.hyperband(build, SPACE, (x, Y), key=key, **COMMON),
    "k_fold": lambda key, x: ja.tune.k_fold(40 if x is X else x[0, 0], 2, key=key),
    "nested_cross_validate": lambda key, x: ja.tune.nested_cross_validate(
        build, RATES, (x, Y), key=key, epochs=1, outer=2, inner=2
    ),
    "population_based": lambda key, x: ja.tune.population_based(build, SPACE, (x, Y), key=key, members=2, **COMMON),
    "random": lambda key, x: ja.tune.random(SPACE, 2 if x is X else x[0, 0], key=key),
    "sobol": lambda key, x: ja.tune.sobol(SPACE, 2 if x is X else x[0, 0], key=key),
    "stratified_k_fold": lambda key, x: ja.tune.stratified_k_fold(LABELS if x is X else x[:, 0], 2, key=key),
}
LOOKED_AT: dict[str, Callable[[Any], Any]] = {
    "choice": lambda value: ja.tune.choice([1.0, value]),
    "conditional": lambda value: ja.tune.conditional(ja.tune.uniform(0, 1), when={"a": 1}, otherwise=value),
    "decode": lambda value: ja.tune.decode(SPACE, [[value]]),
    "encode": lambda value: ja.tune.encode(SPACE, {"learning_rate": value}),
    "enqueue": lambda value: ja.tune.enqueue(SPACE, [{"learning_rate": value}]),
    "grid": lambda value: ja.tune.grid({"learning_rate": [1.0, value]}),
    "integer": lambda value: ja.tune.integer(1, value),
    "log_uniform": lambda value: ja.tune.log_uniform(value, 1.0),
    "uniform": lambda value: ja.tune.uniform(0.0, value),
    "a value that build uses": lambda value: ja.tune.cross_validate(
        lambda hyper: build({"learning_rate": value}), {}, (X, Y), key=KEY, epochs=1, folds=2
    ),
}


def refused(call: Callable[[], Any], name: str) -> None:
    with pytest.raises(ja.InputError) as caught:
        call()
    first, hint = str(caught.value).split("\n")
    assert first.startswith(f"{name}: ") and first.endswith(" must be known when it is called, got a traced value.")
    trains = name in TRAINING
    assert ("train.make_run(recipe" in hint and "train.fit_population" in hint) == trains
    assert ("Call it outside of jit" in hint) != trains  # of what trains nothing


@pytest.mark.parametrize("name", DRAWN)
def test_what_draws_is_refused_inside_a_program(name: str):
    def none(key: Any, x: Any) -> int:
        DRAWN[name](key, x)
        return 0

    refused(lambda: jax.jit(lambda key: none(key, X))(KEY), name)
    refused(lambda: jax.jit(lambda: none(KEY, X))(), name)
    refused(lambda: jax.jit(lambda x: none(KEY, x))(X), name)
    refused(lambda: jax.vmap(lambda key: none(key, X))(jax.random.split(KEY, 2)), name)
    refused(lambda: jax.vmap(lambda x: none(KEY, x))(X[None]), name)
    refused(lambda: jax.grad(lambda x: float(none(KEY, x)))(X), name)


@pytest.mark.parametrize("name", LOOKED_AT)
def test_what_looks_at_values_is_refused_them_traced(name: str):
    def none(value: Any) -> float:
        LOOKED_AT[name](value)
        return 0.0

    function = "cross_validate" if " " in name else name
    for transform in (jax.jit, jax.grad, lambda f: lambda value: jax.vmap(f)(jax.numpy.full(1, value))):
        refused(lambda: transform(none)(0.5), function)  # noqa: B023


def test_every_function_that_draws_is_among_them():
    public = {name: getattr(ja.tune, name) for name in ja.tune.__all__}
    keyed = {n for n, one in public.items() if inspect.isfunction(one) and "key" in inspect.signature(one).parameters}
    assert keyed == set(DRAWN) | {"hypergradient"}  # which is a part of programs


def test_folds_without_a_key_and_points_are_no_part_of_the_program():
    def inside(x: Any) -> Any:
        train, tested = ja.tune.k_fold(40, 2)[0]
        rate = ja.tune.decode(SPACE, [[0.5]])["learning_rate"][0]
        return x[train].sum() * rate, tested

    np.testing.assert_allclose(jax.jit(inside)(X)[0], X[20:].sum() * 10**-2.5, rtol=1e-5)
