"""Layers and metrics of a person's own: what they return is looked at while traced, and named when it is wrong."""

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
WEIGHT = {"weight": jnp.ones((3, 1))}
COUNT = {"count": jnp.zeros(2)}


def init(key, spec):
    return dict(WEIGHT), dict(COUNT)


def apply(params, state, x, *, key=None, train=False):
    return x @ params["weight"], state


def returning(change: Callable[[Any, Any], Any], when: bool = True) -> Callable[..., Any]:
    def changed(params, state, x, *, key=None, train=False):
        y, state = apply(params, state, x)
        return change(y, state) if train or when else (y, state)

    return changed


def own(init: Any = init, apply: Any = apply) -> Any:
    return ja.layers.custom(init, apply)


def drawn(**more: Any) -> Any:
    return lambda key, spec: (WEIGHT | more, dict(COUNT))


LAYERS: dict[str, tuple[Callable[[], Any], str, str]] = {
    "y alone": (lambda: own(apply=returning(lambda y, state: y)), "apply", "float32 of shape (8, 1) alone"),
    "three values": (lambda: own(apply=returning(lambda y, state: (y, state, 1))), "apply", "3 values"),
    "nothing": (lambda: own(apply=returning(lambda y, state: None)), "apply", "None alone"),
    "params alone": (lambda: own(lambda key, spec: dict(WEIGHT)), "init", "(dict) alone"),
    "two params alone": (lambda: own(lambda key, spec: WEIGHT | {"b": jnp.ones(1)}), "init", "alone"),
    "another shape": (
        lambda: own(apply=returning(lambda y, state: (y, {"count": jnp.zeros(4)}))),
        "state 'count' after apply",
        "float32 of shape (4,)",
    ),
    "another shape in training": (
        lambda: own(apply=returning(lambda y, state: (y, {"count": jnp.zeros(4)}), when=False)),
        "state 'count' after apply",
        "float32 of shape (4,)",
    ),
    "another dtype": (
        lambda: own(apply=returning(lambda y, state: (y, {"count": state["count"].astype(jnp.int32)}))),
        "state 'count' after apply",
        "int32 of shape (2,)",
    ),
    "one more": (
        lambda: own(apply=returning(lambda y, state: (y, state | {"more": y[0]}))),
        "state 'more' after apply",
        "float32 of shape (1,)",
    ),
    "none left": (lambda: own(apply=returning(lambda y, state: (y, {}))), "state 'count' after apply", "none"),
    "no state": (lambda: own(apply=returning(lambda y, state: (y, None))), "state 'count' after apply", "none"),
    "integers": (lambda: own(drawn(table=np.arange(3, dtype=np.int32))), "params['table']", "int32 of shape (3,)"),
    "flags": (lambda: own(drawn(table=np.ones(3, bool))), "params['table']", "bool of shape (3,)"),
    "complex": (lambda: own(drawn(table=np.ones(3, np.complex64))), "params['table']", "complex64 of shape (3,)"),
    "keys": (lambda: own(lambda key, spec: (WEIGHT | {"key": key}, {})), "params['key']", "key<fry> of shape ()"),
    "a number": (lambda: own(drawn(scale=1.0)), "params['scale']", "1.0"),
    "a text": (lambda: own(drawn(kind="relu")), "params['kind']", "'relu'"),
    "no keywords": (lambda: own(apply=lambda params, state, x: (x, state)), "apply", "function"),
    "no spec": (lambda: own(init=lambda key: ({}, {})), "init", "function"),
}


@pytest.mark.parametrize("fault", LAYERS)
def test_what_a_layer_of_your_own_returns_is_looked_at(fault: str):
    make, argument, given = LAYERS[fault]

    def fit(nested: bool) -> Any:
        layer = make()
        model = ja.layers.sequential({"own": layer, "last": ja.layers.dense(1)}) if nested else layer
        recipe = ja.recipe(model, ja.losses.squared_error, ja.optimizers.sgd(0.1), batch_size=8)
        return ja.fit(recipe, (X, Y), key=KEY, epochs=1)

    assert_input_error(lambda: fit(nested=False), argument, given=given)
    inside = argument.replace("state '", "state 'own.")
    if fault != "a text":  # which the layer inside is told of at once
        inside = inside.replace("params[", "params['own'][")
    assert_input_error(lambda: fit(nested=True), inside, given=given)


def test_make_run_and_predict_look_too():
    model = LAYERS["y alone"][0]()
    assert_input_error(lambda: ja.predict(model, WEIGHT, COUNT, X), "apply", given="alone")
    recipe = ja.recipe(LAYERS["integers"][0](), ja.losses.squared_error, ja.optimizers.sgd(0.1))
    with pytest.raises(ja.InputError, match=r"params\['table'\] must be floating point, got int32"):
        ja.train.make_run(recipe, epochs=1)(KEY, (X, Y))


def test_a_flax_module_is_told_how_to_come_in():
    linen = pytest.importorskip("flax.linen")
    module = linen.Dense(1)
    told = assert_input_error(lambda: ja.layers.sequential({"a": module}), "layers['a']", given="Dense")
    assert "custom(lambda key, x" in told
    model = ja.layers.custom(
        lambda key, x: (module.init(key, jnp.zeros(x.shape, x.dtype)), {}),
        lambda params, state, x, *, key=None, train=False: (module.apply(params, x), state),
    )
    recipe = ja.recipe(model, ja.losses.squared_error, ja.optimizers.sgd(0.1), batch_size=8)
    assert np.isfinite(ja.fit(recipe, (X, Y), key=KEY, epochs=1).history["loss"]).all()


METRICS = {
    "dict": (lambda p, t: {"a": jnp.mean(p)}, "(dict)"),
    "None": (lambda p, t: None, "None"),
    "text": (lambda p, t: "good", "'good'"),
    "complex": (lambda p, t: jax.lax.complex(jnp.mean(p), jnp.mean(p)), "complex"),
    "several": (lambda p, t: p[:, 0], "of shape (8,)"),
}


@pytest.mark.parametrize("kind", METRICS)
def test_a_metric_gives_one_real_number(kind: str):
    metric, given = METRICS[kind]
    recipe = ja.recipe(own(), ja.losses.squared_error, ja.optimizers.sgd(0.1), batch_size=8, metrics={"m": metric})
    for call in (
        lambda: ja.fit(recipe, (X, Y), key=KEY, epochs=1),
        lambda: ja.train.evaluate(recipe, WEIGHT, COUNT, (X, Y)),
    ):
        with pytest.raises(ja.InputError, match=r"metrics\['m'\]") as told:
            call()
        assert given in str(told.value)
