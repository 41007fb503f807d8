"""Dropout: what is kept is scaled so that the mean stays."""

from __future__ import annotations

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann.layers import dropout
from tests.contract import assert_input_error

train = jax.jit(lambda layer, x, key: layer.apply({}, {}, x, key=key, train=True)[0])


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_keeps_the_mean(rate: float):
    x = jnp.full((200_000,), 2.0)
    y = np.asarray(train(dropout(rate), x, jax.random.key(1)), np.float64)
    deviation = 2.0 * np.sqrt(rate / (1 - rate) / x.size)
    assert abs(y.mean() - 2.0) < 4 * deviation
    np.testing.assert_allclose(np.unique(y), [0.0, 2.0 / (1 - rate)], rtol=1e-6)


def test_dropout_of_nothing_and_of_all_but_all():
    x = jax.random.normal(jax.random.key(0), (1000,))
    np.testing.assert_array_equal(train(dropout(0.0), x, jax.random.key(1)), x)
    everything = jax.tree.map(lambda rate: rate * 2, dropout(0.5))  # a computed rate is not checked
    nothing = train(everything, x, jax.random.key(1))
    assert np.isfinite(nothing).all() and not np.asarray(nothing).any()
    for rate in (1.0, -0.1, 2.0, float("nan"), "0.5", None, True):
        assert_input_error(lambda rate=rate: dropout(rate), "rate")


def test_dropout_compiles_once_for_all_rates_and_is_differentiated_through():
    chex.clear_trace_counter()
    x = jnp.ones((50,))

    @jax.jit
    @chex.assert_max_traces(n=1)
    def slope(layer, x):
        return jax.grad(lambda v: jnp.sum(layer.apply({}, {}, v, key=jax.random.key(1), train=True)[0]))(x)

    for rate in (0.25, 0.5):
        np.testing.assert_array_equal(slope(dropout(rate), x), train(dropout(rate), x, jax.random.key(1)))


def test_dropout_in_half_precision_keeps_what_single_precision_keeps():
    x = jnp.ones((1000,))
    for rate in (0.3, 0.999):
        single = train(dropout(rate), x, jax.random.key(1)) != 0
        half = train(dropout(rate), x.astype(jnp.bfloat16), jax.random.key(1)) != 0
        np.testing.assert_array_equal(single, half)
