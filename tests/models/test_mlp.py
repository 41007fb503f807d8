"""The multi-layer perceptron against a hand-written forward pass, its names, and its errors."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann import initializers
from jaxann.core.trees import count, flatten_named
from jaxann.models import mlp
from tests.contract import assert_input_error


@pytest.mark.usefixtures("x64")
def test_mlp_is_the_documented_chain():
    model = mlp((5, 4, 2), activation="tanh", kernel_init=initializers.normal(0.7))
    x = jax.random.normal(jax.random.key(0), (6, 3), jnp.float64)
    params, state = model.init(jax.random.key(1), x)
    a = np.asarray(x)
    for i in range(3):
        z = a @ np.asarray(params[f"dense{i}"]["weight"]) + np.asarray(params[f"dense{i}"]["bias"])
        a = np.tanh(z) if i < 2 else z
    np.testing.assert_allclose(model.apply(params, state, x)[0], a, rtol=1e-12)


def test_mlp_names_its_layers():
    model = mlp((5, 2), dropout=0.1, batch_norm=True)
    params, state = model.init(jax.random.key(1), jnp.zeros((1, 3)))
    names = ["dense0.weight", "dense1.bias", "dense1.weight", "norm0.bias", "norm0.scale"]
    assert list(flatten_named(params)) == names
    assert set(flatten_named(state)) == {"norm0.mean", "norm0.var"}
    assert set(params) == set(state) == {"dense0", "norm0", "act0", "drop0", "dense1"}
    assert count(params) == 3 * 5 + 5 + 5 + 5 * 2 + 2


def test_mlp_without_hidden_layers_is_linear():
    model = mlp((2,), dropout=0.5)
    x = jnp.ones((4, 3))
    params, state = model.init(jax.random.key(1), x)
    y = model.apply(params, state, x, train=True)[0]
    np.testing.assert_allclose(y, x @ params["dense0"]["weight"], rtol=1e-6)


def test_mlp_starts_with_the_law_of_its_activation():
    x = jnp.zeros((1, 400))
    for activation, deviation in (("relu", np.sqrt(2 / 400)), ("tanh", np.sqrt(2 / 800))):
        weight = mlp((400, 1), activation=activation).init(jax.random.key(1), x)[0]["dense0"]["weight"]
        np.testing.assert_allclose(np.asarray(weight).std(), deviation, rtol=0.01)  # 4 sigma of 160,000 draws


def test_mlp_checks_its_settings():
    for widths in ((), 3, (3, 0), (3, 2.5), "33"):
        assert_input_error(lambda widths=widths: mlp(widths), "widths")
    assert mlp([3, 2]) == mlp((3, 2))
    assert_input_error(lambda: mlp((3,), dropout=1.0), "dropout", given="1.0")
    assert_input_error(lambda: mlp((3,), activation="rleu"), "activation", given="'rleu'")
