"""Layers of activations: against PyTorch and NumPy, what is learned, what is drawn, and the outputs of every layer."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann import activations, layers, models, optimizers
from jaxann.core import from_config, to_config
from jaxann.layers import gated_dense, layer_outputs, maxout, prelu, rrelu, sequential, swish
from tests.contract import assert_input_error

X = np.random.default_rng(0).normal(size=(6, 5))


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("per_channel", [False, True], ids=["shared", "channels"])
def test_prelu_learns_the_slope_torch_learns(per_channel: bool):
    torch = pytest.importorskip("torch")
    layer = prelu(0.3, per_channel=per_channel)
    x = jnp.asarray(X)
    params, state = layer.init(jax.random.key(0), x)
    assert params["alpha"].shape == ((5,) if per_channel else ())
    theirs = torch.nn.PReLU(5 if per_channel else 1, 0.3, dtype=torch.float64)
    y = theirs(torch.tensor(X))
    (y**2).sum().backward()
    loss = jax.jit(jax.grad(lambda p: (layer.apply(p, state, x)[0] ** 2).sum()))
    np.testing.assert_allclose(layer.apply(params, state, x)[0], y.detach().numpy(), rtol=1e-12)
    np.testing.assert_allclose(np.ravel(loss(params)["alpha"]), theirs.weight.grad.numpy(), rtol=1e-10)


def test_learned_numbers_are_left_out_of_weight_decay():
    for layer, name in ((prelu(per_channel=True), "alpha"), (swish(), "beta")):
        params, _ = layer.init(jax.random.key(0), jnp.ones((2, 3)))
        assert not optimizers.matrices(name, params[name])


@pytest.mark.usefixtures("x64")
def test_swish_learns_its_steepness():
    x = jnp.asarray(X)
    for per_channel in (False, True):
        layer = swish(1.5, per_channel=per_channel)
        params, state = layer.init(jax.random.key(0), x)
        np.testing.assert_allclose(layer.apply(params, state, x)[0], X / (1 + np.exp(-1.5 * X)), rtol=1e-12)
        slope = jax.grad(lambda p, s=state, f=layer: f.apply(p, s, x)[0].sum())(params)["beta"]
        s = 1 / (1 + np.exp(-1.5 * X))
        each = (X**2 * s * (1 - s)).sum(0)
        np.testing.assert_allclose(slope, each if per_channel else each.sum(), rtol=1e-10)
    assert_input_error(
        lambda: jax.eval_shape(functools.partial(layer.apply, params, state), jax.ShapeDtypeStruct((2, 4), x.dtype)),
        "x",
    )


def test_rrelu_draws_in_training_alone():
    layer, x = rrelu(0.2, 0.4), -jnp.ones((1000,))
    np.testing.assert_allclose(layer.apply({}, {}, x)[0], -0.3, rtol=1e-6)
    drawn = -np.asarray(layer.apply({}, {}, x, key=jax.random.key(0), train=True)[0])
    assert 0.2 <= drawn.min() < 0.21 and 0.39 < drawn.max() <= 0.4


def test_maxout_is_the_greatest_of_its_pieces():
    layer, x = maxout(3, k=4), jnp.asarray(X, jnp.float32)
    params, state = layer.init(jax.random.key(0), x)
    w, b = (np.asarray(params[n], np.float64) for n in ("weight", "bias"))
    assert w.shape == (5, 12)
    pieces = (X @ w + b).reshape(6, 3, 4)
    np.testing.assert_allclose(layer.apply(params, state, x)[0], pieces.max(-1), rtol=1e-5, atol=1e-6)
    plain = {"weight": jnp.array([[1.0, 0.0]]), "bias": jnp.zeros(2)}
    y = maxout(1).apply(plain, {}, jnp.array([[-2.0], [3.0]]))[0]
    np.testing.assert_array_equal(y, [[0.0], [3.0]])  # one piece 0: relu


@pytest.mark.parametrize("gate", ["glu", "reglu", "geglu", "swiglu", "bilinear"])
def test_gated_dense_is_a_dense_layer_and_its_gate(gate: str):
    x = jnp.asarray(X, jnp.float32)
    for first in (False, True):
        layer = gated_dense(3, gate=gate, gate_first=first)
        params, state = layer.init(jax.random.key(0), x)
        z = x @ params["weight"]
        expected = getattr(activations, gate)(z, gate_first=first)
        np.testing.assert_allclose(layer.apply(params, state, x)[0], expected, rtol=1e-5, atol=1e-6)


def test_models_take_a_layer_for_their_activation():
    x = jnp.asarray(X, jnp.float32)
    model = models.mlp((4, 3, 2), activation=prelu(0.1, per_channel=True))
    params, state = model.init(jax.random.key(0), x)
    assert params["act0"]["alpha"].shape == (4,) and params["act1"]["alpha"].shape == (3,)
    leaky = models.mlp((4, 3, 2), activation=functools.partial(activations.leaky_relu, negative_slope=0.1))
    plain, empty = leaky.init(jax.random.key(0), x)
    np.testing.assert_allclose(model.apply(params, state, x)[0], leaky.apply(plain, empty, x)[0], rtol=1e-6)
    assert from_config(to_config(model)) == model
    wide = models.tabm((4, 2), members=3, activation=swish())
    assert wide.apply(*wide.init(jax.random.key(0), x), x)[0].shape == (6, 3, 2)


def test_outputs_are_those_of_every_layer():
    inner = sequential({"d": layers.dense(3), "act": prelu()})
    model = sequential(
        {"a": layers.dense(4), "drop": layers.dropout(0.5), "block": inner, "r": layers.residual(swish())}
    )
    x, key = jnp.asarray(X, jnp.float32), jax.random.key(0)
    params, state = model.init(key, x)
    for options in ({}, {"key": key, "train": True}):
        found = layer_outputs(model, state, **options)(params, x)
        assert list(found) == ["a", "drop", "block.d", "block.act", "r"]
        np.testing.assert_array_equal(found["r"], model.apply(params, state, x, **options)[0])
    net = models.mlp((4, 2))
    assert list(layer_outputs(net, net.init(key, x)[1])(net.init(key, x)[0], x)) == ["dense0", "act0", "dense1"]
    assert_input_error(lambda: layer_outputs(layers.dense(3), {}), "model")
