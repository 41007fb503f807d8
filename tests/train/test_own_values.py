"""A function of a person's own that asks for values while it is traced is named in every verb, in one message."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxann as ja
from tests.contract import assert_input_error

X = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
Y = X[:, :1]
KEY = jax.random.key(0)


def _numpy(x: Any) -> Any:
    return jnp.asarray(np.sin(np.asarray(x)))


def _branching(x: Any) -> Any:
    return x if x.sum() > 0 else -x


def _number(x: Any) -> Any:
    return x * float(x[0, 0])


def _index(x: Any) -> Any:
    return x + len(range(x[0, 0].astype(int)))


def _mask(x: Any) -> Any:
    return x + x[x > 0].size


ASKING: dict[str, Callable[[Any], Any]] = {f.__name__[1:]: f for f in (_numpy, _branching, _number, _index, _mask)}


def layer(function: Callable[[Any], Any]) -> Any:
    return ja.layers.custom(
        lambda key, spec: ({}, {}), lambda params, state, x, *, key=None, train=False: (function(x), state)
    )


def recipe(model: Any = None, loss: Any = ja.losses.squared_error, **more: Any) -> Any:
    model = ja.layers.dense(1) if model is None else model
    optimizer = more.pop("optimizer", ja.optimizers.sgd(0.1))
    return ja.recipe(model, loss, optimizer, batch_size=8, **more)


VERBS: dict[str, Callable[[Any], Any]] = {
    "fit": lambda r: ja.fit(r, (X, X), key=KEY, epochs=1),
    "fit_population": lambda r: ja.train.fit_population(
        lambda hyper: r, {"a": [1.0, 2.0]}, (X, X), keys=jax.random.split(KEY), epochs=1
    ),
    "make_run": lambda r: ja.train.make_run(r, epochs=1)(KEY, (X, X)),
    "make_run in jit": lambda r: jax.jit(ja.train.make_run(r, epochs=1))(KEY, (X, X)),
    "predict": lambda r: ja.predict(r, {}, {}, X),
    "predict in jit": lambda r: jax.jit(lambda x: ja.predict(r, {}, {}, x))(X),
    "evaluate": lambda r: ja.train.evaluate(r, {}, {}, (X, X)),
    "monte_carlo_predict": lambda r: ja.train.monte_carlo_predict(r, {}, {}, X, key=KEY, samples=2),
    "apply in jit": lambda r: jax.jit(lambda x: r.model.apply({}, {}, x)[0])(X),
}


@pytest.mark.parametrize("verb", VERBS)
def test_a_layer_that_asks_for_values_is_named_in_every_verb(verb: str):
    asked = recipe(layer(_numpy if verb != "fit" else _branching))
    with pytest.raises(ja.InputError, match=r"(?s)^custom: apply must be written with jax\.numpy, .* instead of if"):
        VERBS[verb](asked)


@pytest.mark.parametrize("kind", ASKING)
def test_whichever_way_it_asks_it_is_told_the_same(kind: str):
    function = ASKING[kind]
    model = ja.layers.sequential({"own": layer(function)})  # the innermost layer is named
    told = assert_input_error(lambda: ja.predict(model, {"own": {}}, {"own": {}}, X), "apply", given="traced array")
    assert told.startswith("custom: ")

    def loss(predictions: Any, targets: Any) -> Any:
        return function(predictions - targets)

    assert_input_error(lambda: ja.fit(recipe(loss=loss), (X, Y), key=KEY, epochs=1), "values", given="traced array")


def test_where_nothing_is_traced_values_may_be_looked_at():
    np.testing.assert_allclose(layer(_numpy).apply({}, {}, X)[0], np.sin(X), rtol=1e-6)


def test_a_layer_may_use_what_is_traced_around_it():
    def scaled(a: Any) -> Any:
        return ja.predict(layer(lambda x: x * a), {}, {}, X)

    np.testing.assert_allclose(jax.jit(scaled)(2.0), 2 * X)
    np.testing.assert_allclose(jax.grad(lambda a: scaled(a).sum())(1.0), X.sum(), rtol=1e-5)
    np.testing.assert_allclose(jax.vmap(scaled)(jnp.array([1.0, 3.0])), np.stack([X, 3 * X]), rtol=1e-6)


def _weight(params: Any) -> Any:
    return 0.0 if jax.tree.leaves(params)[0].sum() > 0 else 1.0


def test_what_an_optimizer_and_an_initializer_of_your_own_ask_is_told_too():
    def update(grads: Any, state: Any, params: Any) -> Any:
        return jax.tree.map(lambda g: g * _weight(params), grads), state

    asked = recipe(optimizer=ja.optimizers.custom(lambda params: (), update))
    with pytest.raises(ja.InputError, match=r"custom: update must be written with jax\.numpy"):
        ja.fit(asked, (X, Y), key=KEY, epochs=1)
    asked = recipe(ja.layers.dense(1, kernel_init=lambda key, shape, dtype: _branching(jnp.ones(shape, dtype))))
    with pytest.raises(ja.InputError, match=r"dense: init must be written with jax\.numpy"):
        ja.fit(asked, (X, Y), key=KEY, epochs=1)
