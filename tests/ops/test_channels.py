"""Sums of channels, and the normalization that is made of them, against NumPy and plain autodiff."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann.ops import batch_normalize, moments, normalize
from jaxann.ops.channels import at_all_places, channel_sums
from tests.programs import quick_jit

RANDOM = np.random.default_rng(0)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    "shape", [(5, 3), (4, 32, 32, 3), (3, 7, 67, 5), (2, 9, 9, 80), (2, 64, 3, 4, 11), (2, 31, 71, 1)]
)
def test_channel_sums_are_sums(shape: tuple[int, ...]):
    x, vector = RANDOM.normal(size=shape), RANDOM.normal(size=shape[-1:])

    @quick_jit
    def both(x, vector):
        laid = jax.grad(lambda x: jnp.sum(channel_sums(x) * vector))(x)
        gathered = jax.grad(lambda v: jnp.sum(at_all_places(v, x) * x))(vector)
        return channel_sums(x), at_all_places(vector, x), laid, gathered

    sums, placed, laid, gathered = both(x, vector)
    wanted = x.sum(tuple(range(x.ndim - 1)))
    np.testing.assert_allclose(sums, wanted, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(gathered, wanted, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(placed, np.broadcast_to(vector, shape))
    np.testing.assert_array_equal(laid, np.broadcast_to(vector, shape))


def _plain(x, scale, bias, eps, mask):
    mean, variance, _ = moments(x, mask)
    y = normalize(x, mean, variance, scale, bias, eps)
    if mask is not None:
        y = jnp.where(jnp.expand_dims(mask, (1, 2)) > 0, y, 0)
    return y, mean, variance


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("masked", [False, True])
def test_batch_normalize_and_its_derivatives_are_those_of_the_plain_formula(masked: bool):
    x, (scale, bias) = RANDOM.normal(size=(4, 2, 3)), RANDOM.normal(size=(2, 3))
    mask = np.array([1, 0, 1, 1]) if masked else None
    weights = RANDOM.normal(size=x.shape)

    def cost(function):
        def of(x, scale, bias, eps):
            y, mean, variance = function(x, scale, bias, eps, mask)[:3]
            return jnp.sum(weights * jnp.sin(y)) + jnp.sum(jnp.cos(mean) * variance)

        return of

    @quick_jit
    def everything(*given):
        return [
            (
                function(*given, mask)[:3],
                jax.grad(cost(function), (0, 1, 2, 3))(*given),
                jax.hessian(cost(function), (0, 1, 3))(*given),
                jax.jvp(cost(function), given, tuple(jnp.ones_like(g) for g in given))[1],
            )
            for function in (batch_normalize, _plain)
        ]

    ours, wanted = everything(jnp.asarray(x), jnp.asarray(scale), jnp.asarray(bias), jnp.asarray(1e-3))
    for found, other in zip(jax.tree.leaves(ours), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(found, other, rtol=1e-9, atol=1e-10)
