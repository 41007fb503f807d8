"""Dropout and its kin: what is kept is scaled so that the mean stays."""

from __future__ import annotations

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann import layers, ops
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


def test_alpha_dropout_keeps_mean_and_variance_and_drops_to_the_saturated_value():
    x = jax.random.normal(jax.random.key(0), (400_000,))
    for rate in (0.1, 0.5):
        y = np.asarray(train(layers.alpha_dropout(rate), x, jax.random.key(1)), np.float64)
        assert abs(y.mean()) < 0.01 and abs(y.var() - 1) < 0.01
        q, s = 1 - rate, -1.7580993408473766
        a = (q + s * s * q * (1 - q)) ** -0.5
        low = a * s - a * (1 - q) * s
        dropped = np.abs(y - low) < 1e-6
        assert abs(dropped.mean() - rate) < 0.005
        expected = a * np.asarray(x, np.float64) - a * (1 - q) * s
        np.testing.assert_allclose(y[~dropped], expected[~dropped], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(train(layers.alpha_dropout(0.0), x, jax.random.key(1)), x)
    nothing = ops.alpha_dropout(x[:10], jax.random.key(1), 1.0)
    assert not np.asarray(nothing).any()


def test_alpha_dropout_has_pytorchs_line():
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(0).uniform(1, 2, 500)  # positive, so that what is negative afterwards was dropped
    theirs = torch.nn.functional.alpha_dropout(torch.tensor(x), 0.3, training=True).numpy()
    ours = np.asarray(train(layers.alpha_dropout(0.3), jnp.asarray(x, jnp.float32), jax.random.key(1)))
    kept = (ours > 0) & (theirs > 0)
    assert 150 < kept.sum() < 350
    np.testing.assert_allclose(ours[kept], theirs[kept], rtol=1e-6)
    np.testing.assert_allclose(np.unique(ours[ours < 0]), theirs.min(), rtol=1e-6)


def test_spatial_dropout_drops_whole_channels():
    x = jax.random.normal(jax.random.key(0), (500, 3, 2, 20)) + 5.0
    for shape in ((500, 6, 20), (500, 3, 2, 20), (500 * 6, 20)):
        y = np.asarray(train(layers.spatial_dropout(0.4), x.reshape(shape), jax.random.key(1)))
        whole = y.reshape(shape[0], -1, 20)
        gone = whole == 0
        assert (gone.all(1) | ~gone.any(1)).all()
        assert abs(gone.mean() - 0.4) < 0.02
        kept = np.asarray(x).reshape(whole.shape) / 0.6
        np.testing.assert_allclose(whole[~gone], kept[~gone], rtol=1e-6)
    assert_input_error(lambda: layers.spatial_dropout(0.5).apply({}, {}, np.zeros(3, np.float32)), "x", given="(3,)")


@pytest.mark.parametrize("block", [1, 2, 3, 5])
def test_drop_block_drops_squares_about_as_often_as_asked(block: int):
    shape, rate = (200, 5, 7, 4), 0.2
    x = jnp.full(shape, 2.0)
    y = np.asarray(train(layers.drop_block(rate, block=block), x, jax.random.key(1)))
    gone = y == 0
    np.testing.assert_allclose(y.mean(), 2.0, rtol=1e-5)  # exactly, over the batch
    np.testing.assert_allclose(np.unique(y[~gone]), 2.0 * y.size / (~gone).sum(), rtol=1e-5)
    assert 0.6 * rate < gone.mean() < 1.1 * rate
    # What is dropped is a union of squares: each dropped place lies in one that is dropped as a whole.
    whole = np.ones((200, 6 - block, 8 - block, 4), bool)
    for i in range(block):
        for j in range(block):
            whole &= gone[:, i : i + whole.shape[1], j : j + whole.shape[2]]
    covered = np.zeros_like(gone)
    for i in range(block):
        for j in range(block):
            covered[:, i : i + whole.shape[1], j : j + whole.shape[2]] |= whole
    np.testing.assert_array_equal(covered, gone)
    assert_input_error(
        lambda: layers.drop_block(0.2, block=6).apply({}, {}, np.zeros(shape, np.float32)), "x", given="5, 7"
    )


@pytest.mark.parametrize("masks", ["rows", "positions", "both"])
def test_drop_block_keeps_the_mean_of_real_places_whatever_is_dropped_of_padding(masks: str):
    x = np.full((6, 8, 7, 3), 2.0, np.float32)
    rows, positions = np.arange(6) < 4, np.arange(8)[None] < np.array([8, 8, 3, 5, 8, 1])[:, None]
    given = {"example_mask": rows} if masks != "positions" else {}
    given |= {"sequence_mask": positions} if masks != "rows" else {}
    real = np.ones((6, 8), bool)
    real &= rows[:, None] if masks != "positions" else True
    real &= positions if masks != "rows" else True
    y, _ = layers.drop_block(0.3, block=2).apply({}, {}, x, key=jax.random.key(1), train=True, **given)
    np.testing.assert_allclose(np.asarray(y)[real].mean(), 2.0, rtol=1e-5)
    assert abs(np.asarray(y)[~real].mean() - 2.0) > 1e-3  # padding has another share of squares


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
