"""The worked network of two inputs, two hidden units and one output: every number, to the last printed digit."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann import activations, backprop, layers, losses

X, Y = np.array([[0.5, 0.8]]), np.array([[1.0]])
TOLERANCE = 1e-12  # as printed: fifteen digits


def network(beta: float = 1.0) -> tuple[Any, Any, Any]:
    """Model, parameters, state; the weights as `(in, out)`."""
    squash = functools.partial(activations.sigmoid, beta=beta)
    model = layers.sequential(
        {
            "dense0": layers.dense(2), "act0": layers.elementwise(squash),
            "dense1": layers.dense(1), "act1": layers.elementwise(squash),
        }
    )  # fmt: skip
    params = {
        "dense0": {"weight": jnp.array([[0.2, 0.3], [0.4, 0.7]]), "bias": jnp.array([0.1, 0.2])},
        "act0": {},
        "dense1": {"weight": jnp.array([[0.5], [0.6]]), "bias": jnp.array([0.3])},
        "act1": {},
    }
    return model, params, {name: {} for name in params}


def close(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(np.ravel(found), np.ravel(expected), rtol=TOLERANCE, atol=0)


def test_every_number(x64: None):
    trace = backprop.backward(*network(), X, Y, losses.half_squared_error)
    hidden, squashed, output, last = trace.layers.values()
    assert list(trace.layers) == ["dense0", "act0", "dense1", "act1"]
    assert [layer.kind for layer in trace.layers.values()] == ["dense", "elementwise"] * 2
    close(hidden.z, [0.52, 0.91])
    close(hidden.a, [0.627147766313196, 0.713000162752282])
    close(output.z, 1.04137398080797)
    close(output.a, 0.739115029592156)
    close(trace.predictions, 0.739115029592156)
    close(trace.loss, 0.0340304838923508)
    close(last.input_grad / last.delta, 0.192824002623142)  # the slope of the output's sigmoid
    close(squashed.input_grad / squashed.delta, [0.233833445521565, 0.204630930667502])
    close(output.delta, -0.0503048842182605)
    close(output.grads["bias"], -0.0503048842182605)
    close(output.grads["weight"], [-0.0315485957721260, -0.0358673906348544])
    close(output.input_grad, [-0.0251524421091303, -0.0301829305309563])
    close(squashed.delta, [-0.0251524421091303, -0.0301829305309563])
    close(hidden.delta, [-0.00588148220165963, -0.00617636116482214])
    close(hidden.grads["bias"], [-0.00588148220165963, -0.00617636116482214])
    close(
        hidden.grads["weight"],
        [[-0.00294074110082981, -0.00308818058241107], [-0.0047051857613277, -0.00494108893185771]],
    )
    assert trace.grads["dense0"] is hidden.grads and trace.grads["dense1"] is output.grads
    close(trace.input_grad, hidden.delta @ network()[1]["dense0"]["weight"].T)


def _stepped(rate: float) -> tuple[Any, Callable[[Any], Any]]:
    model, params, state = network()

    def look(params: Any) -> Any:
        return backprop.backward(model, params, state, X, Y, losses.half_squared_error)

    after = jax.tree.map(lambda p, g: p - rate * g, params, look(params).grads)
    return after, look


@pytest.mark.parametrize(
    ("rate", "loss"),
    [
        (0.1, 0.0335383763337583),
        (0.5, 0.0316268484853003),
        (1.0, 0.0293625701304246),
        (-0.5, 0.0365782451899969),  # up the hill, by a wrong sign
    ],
)
def test_loss_after_a_step(rate: float, loss: float, x64: None):
    params, look = _stepped(rate)
    close(look(params).loss, loss)


def test_weights_after_a_step(x64: None):
    params, look = _stepped(0.5)
    close(
        params["dense0"]["weight"],
        [[0.201470370550415, 0.301544090291206], [0.402352592880664, 0.702470544465929]],
    )
    close(params["dense0"]["bias"], [0.10294074110083, 0.203088180582411])
    close(params["dense1"]["weight"], [0.515774297886063, 0.617933695317427])
    close(params["dense1"]["bias"], 0.32515244210913)
    close(look(params).predictions, 0.748497123335337)


def test_binary_cross_entropy(x64: None):
    """From the probability and from the logit alike: the slope of the sigmoid cancels in the first."""
    model, params, state = network()
    logits = layers.sequential({name: layer for name, layer in model.arguments["layers"].items() if name != "act1"})
    for net, loss in ((model, losses.binary_cross_entropy_probs), (logits, losses.sigmoid_cross_entropy)):
        inside = {name: params[name] for name in net.arguments["layers"]}
        trace = backprop.backward(net, inside, {name: {} for name in inside}, X, Y, loss)
        close(trace.loss, 0.302301714406633)
        close(trace.layers["dense1"].delta, -0.260884970407844)
        close(trace.grads["dense1"]["weight"], [-0.163613426455963, -0.186011026360417])
        close(trace.layers["dense0"].delta, [-0.0305018157576288, -0.0320310805750324])
        close(
            trace.grads["dense0"]["weight"],
            [[-0.0152509078788144, -0.0160155402875162], [-0.0244014526061031, -0.0256248644600259]],
        )


def test_steeper_sigmoids(x64: None):
    trace = backprop.backward(*network(beta=2.0), X, Y, losses.half_squared_error)
    close(trace.layers["dense0"].a, [0.738850006084249, 0.86056612703835])
    close(trace.predictions, 0.914630351184054)
    close(trace.loss, 0.00364398846947898)
    close(trace.layers["dense1"].delta, -0.0133316098142008)
    close(trace.grads["dense1"]["weight"], [-0.00985005999233511, -0.0114727318249933])
    close(trace.layers["dense0"].delta, [-0.0025723431070681, -0.00191962491817103])
    close(
        trace.grads["dense0"]["weight"],
        [[-0.00128617155353405, -0.000959812459085514], [-0.00205787448565448, -0.00153569993453682]],
    )


def test_mean_squared_error_is_twice_the_half(x64: None):
    close(backprop.backward(*network(), X, Y, losses.squared_error).loss, 0.0680609677847016)


def test_single_precision():
    trace = backprop.backward(*network(), X.astype(np.float32), Y.astype(np.float32), losses.half_squared_error)
    wanted = [[-0.00294074110082981, -0.00308818058241107], [-0.0047051857613277, -0.00494108893185771]]
    assert trace.grads["dense0"]["weight"].dtype == jnp.float32
    np.testing.assert_allclose(trace.grads["dense0"]["weight"], wanted, rtol=1e-5)
