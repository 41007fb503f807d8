"""Rules of one's own, and what is said where there is none."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from jaxann import backprop, layers, losses
from jaxann.backprop.registry import ACTIVATIONS, LAYERS, LOSSES
from jaxann.core.factories import factory
from jaxann.core.products import Layer
from tests.backprop.interpret import evaluate
from tests.contract import assert_input_error

X = np.linspace(-1, 1, 8).reshape(2, 4)
Y = np.ones((2, 4))


@factory(Layer)
def scale():
    """y = s x."""
    return (lambda key, spec: ({"s": jnp.ones((), spec.dtype)}, {})), _scaled


def _scaled(params, state, x, *, key=None, train=False):
    return params["s"] * x, state


def cube(x, power=3):
    return x**power


def quartic_error(predictions, targets, *, factor=1.0):
    return factor * (predictions - targets) ** 4


@pytest.fixture
def tables() -> Iterator[None]:
    """The tables as they were, afterwards."""
    kept = [(table, dict(table)) for table in (LAYERS, ACTIVATIONS, LOSSES)]
    yield
    for table, before in kept:
        table.clear()
        table.update(before)


def _enter_rules() -> None:
    def rule(call: backprop.Call) -> backprop.Step:
        y, state = call.apply()
        s = call.params["s"]
        return backprop.Step(y, state, lambda g: backprop.Cotangents(s * g, {"s": jnp.sum(call.x * g)}))

    assert backprop.layer_rule(scale)(rule) is rule
    backprop.layer_rule(_scaled)(rule)
    backprop.activation_rule(cube)(lambda g, x, y, power=3: g * power * x ** (power - 1))
    backprop.loss_rule(quartic_error)(lambda g, p, t, factor=1.0: g * factor * 4 * (p - t) ** 3)


def test_rules_of_your_own(tables: None, x64: None):
    _enter_rules()
    own = layers.custom(lambda key, spec: ({"s": jnp.ones(())}, {}), _scaled)
    model = layers.sequential(
        {"first": scale(), "own": own, "act": layers.elementwise(functools.partial(cube, power=2))}
    )  # fmt: skip
    params = {"first": {"s": jnp.array(0.5)}, "own": {"s": jnp.array(3.0)}, "act": {}}
    loss = functools.partial(quartic_error, factor=0.5)

    def program(params, x):
        return backprop.backward(model, params, {name: {} for name in params}, x, Y, loss)

    trace = evaluate(program, params, X)
    r = (1.5 * X) ** 2 - 1
    assert list(trace.layers) == ["first", "own", "act"] and trace.layers["own"].kind == "custom"
    np.testing.assert_allclose(trace.loss, np.mean(0.5 * r**4), rtol=1e-12)
    by_product = np.mean(0.5 * 4 * r**3 * 2 * 1.5 * X * X)  # by s1 s2
    np.testing.assert_allclose(trace.grads["first"]["s"], 3 * by_product, rtol=1e-12)
    np.testing.assert_allclose(trace.grads["own"]["s"], 0.5 * by_product, rtol=1e-12)
    np.testing.assert_allclose(trace.input_grad, 0.5 * 4 * r**3 * 2 * 1.5**2 * X / X.size, rtol=1e-12)


def test_whole_numbers_have_no_gradient(tables: None, x64: None):
    """A table of rows: the gradient goes to the rows that were looked up."""

    def apply(params: Any, state: Any, x: Any, *, key: Any = None, train: Any = False) -> Any:
        return params["rows"][x], state

    @backprop.layer_rule(apply)
    def rule(call: backprop.Call) -> backprop.Step:
        y, state = call.apply()

        def vjp(g: Any) -> backprop.Cotangents:
            return backprop.Cotangents(None, {"rows": jnp.zeros_like(call.params["rows"]).at[call.x].add(g)})

        return backprop.Step(y, state, vjp)

    model = layers.sequential(
        {"embed": layers.custom(lambda key, spec: ({}, {}), apply), "act": layers.elementwise("tanh")}
    )
    params, x = {"embed": {"rows": np.ones((3, 2))}, "act": {}}, np.array([2, 0, 2])

    def program(params):
        return backprop.backward(model, params, {"embed": {}, "act": {}}, x, np.zeros((3, 2)), losses.squared_error)

    trace = evaluate(program, params)
    assert trace.input_grad is None and trace.layers["embed"].input_grad is None
    once = 2 * np.tanh(1) * (1 - np.tanh(1) ** 2) / 6
    np.testing.assert_allclose(trace.grads["embed"]["rows"], once * np.array([[1, 1], [0, 0], [2, 2]]), rtol=1e-12)


def _call(model: Any, loss: Any = losses.squared_error) -> None:
    backprop.backward(model, {}, {}, X, Y, loss)


def test_what_has_no_rule_is_named_with_its_path():
    inner = layers.residual(layers.sequential({"dense0": layers.dense(4), "odd": scale()}))
    model = layers.sequential({"dense0": layers.dense(4), "block0": inner})
    for call in (
        lambda: _call(model),
        lambda: backprop.forward(model, {}, {}, X),
        lambda: backprop.value_and_grad(model, losses.squared_error),
    ):
        message = assert_input_error(call, "model", given="scale at 'block0.body.odd'")
        assert "ja.backprop.layer_rule" in message
    lone = layers.custom(lambda key, spec: ({}, {}), _scaled)
    assert_input_error(lambda: _call(lone), "model", given="layers.custom of _scaled")

    net = layers.sequential({"act0": layers.elementwise("relu"), "act1": layers.elementwise(lambda x: x * x)})
    message = assert_input_error(lambda: _call(net), "activation at 'act1'", given="<lambda>")
    assert "ja.backprop.activation_rule" in message
    assert_input_error(lambda: _call(layers.elementwise(jnp.tanh)), "activation", given="tanh")

    message = assert_input_error(lambda: _call(layers.dense(4), quartic_error), "loss", given="quartic_error")
    assert "ja.backprop.loss_rule" in message
    bound = functools.partial(quartic_error, factor=2.0)
    assert_input_error(lambda: _call(layers.dense(4), bound), "loss", given="quartic_error")
    wrapped = losses.each_member(quartic_error)
    assert_input_error(lambda: _call(layers.dense(4), wrapped), "loss", given="quartic_error")


def test_what_is_no_model_loss_or_rule_is_refused():
    assert_input_error(lambda: _call("mlp"), "model", given="mlp")
    assert_input_error(lambda: _call(layers.dense(4), "mse"), "loss", given="mse")
    assert_input_error(lambda: backprop.layer_rule("dense"), "layer", given="dense")
    assert_input_error(lambda: backprop.layer_rule(layers.dense(4)), "layer", given="dense")
    assert_input_error(lambda: backprop.activation_rule("relu"), "function", given="relu")
    assert_input_error(lambda: backprop.loss_rule(None), "loss", given="None")


def test_a_loss_that_is_a_mean_is_refused(tables: None):
    def mean_error(predictions, targets):
        return np.float32(0)

    backprop.loss_rule(mean_error)(lambda g, predictions, targets: g)
    identity = layers.sequential({})
    assert_input_error(lambda: backprop.backward(identity, {}, {}, X.astype("f4"), Y, mean_error), "values")


def test_the_key_is_asked_for():
    model = layers.sequential({"drop": layers.dropout(0.5)})
    state = {"drop": {}}
    call = functools.partial(backprop.backward, model, state, state, X.astype("f4"), Y, losses.squared_error)
    assert_input_error(call, "key")
