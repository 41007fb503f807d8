"""Moments and normalization against NumPy, with and without a mask."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann.ops import dense, moments, normalize


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("shape", [(6, 3), (6, 2, 4, 3)], ids=str)
def test_moments_match_numpy(shape: tuple[int, ...]):
    x = np.random.default_rng(0).normal(size=shape) * 3 + 7
    axes = tuple(range(len(shape) - 1))
    mean, variance, count = moments(jnp.asarray(x))
    np.testing.assert_allclose(mean, x.mean(axes), rtol=1e-13)
    np.testing.assert_allclose(variance, x.var(axes), rtol=1e-13)
    assert float(count) == x.size / 3
    kept = np.array([1, 0, 1, 1, 0, 1])
    mean, variance, count = moments(jnp.asarray(x), jnp.asarray(kept))
    np.testing.assert_allclose(mean, x[kept == 1].mean(axes), rtol=1e-13)
    np.testing.assert_allclose(variance, x[kept == 1].var(axes), rtol=1e-13)
    assert float(count) == x[kept == 1].size / 3


def test_moments_are_never_negative_and_survive_a_large_mean():
    x = 1e4 + jnp.array([[0.0], [1.0], [2.0]])
    np.testing.assert_allclose(moments(x)[1], [2 / 3], rtol=1e-4)  # one rounding of the mean costs 1e-4 of 2/3
    constant = jnp.full((7, 2), 0.1)
    assert (moments(constant)[1] >= 0).all() and float(moments(constant)[1].max()) < 1e-14
    nothing = moments(x, jnp.zeros(3))
    assert all(np.isfinite(a).all() for a in nothing) and float(nothing[2]) == 0.0


def test_moments_of_half_precision_are_single():
    mean, variance, count = moments(jnp.full((4096, 1), 1.0, jnp.bfloat16))
    assert mean.dtype == variance.dtype == count.dtype == jnp.float32
    assert float(mean[0]) == 1.0 and float(count) == 4096.0


def test_normalize_of_a_constant_feature_is_the_bias():
    y = normalize(jnp.full((3, 2), 5.0), jnp.full(2, 5.0), jnp.zeros(2), jnp.ones(2), jnp.array([1.0, 2.0]), 1e-5)
    np.testing.assert_array_equal(y, [[1.0, 2.0]] * 3)
    plain = normalize(jnp.array([[1.0], [3.0]]), jnp.array([2.0]), jnp.array([1.0]), None, None, 0.0)
    np.testing.assert_allclose(plain, [[-1.0], [1.0]], rtol=1e-6)


def test_dense_map_is_a_product_over_the_last_axis():
    x = jax.random.normal(jax.random.key(0), (2, 3, 4))
    weight, bias = jax.random.normal(jax.random.key(1), (4, 5)), jnp.arange(5.0)
    expected = np.einsum("abi,io->abo", np.asarray(x, np.float64), np.asarray(weight, np.float64)) + np.arange(5.0)
    np.testing.assert_allclose(dense(x, weight, bias), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(dense(x, weight), expected - np.arange(5.0), rtol=1e-5, atol=2e-6)
