"""Losses where a square, or a logarithm, leaves the range of float32."""

from __future__ import annotations

import math

import jax
import numpy as np
import pytest

from jaxann import losses
from tests.programs import quick_jit


@pytest.mark.parametrize("alpha", [1.5, 1.0, 0.5, 0.0, -2.0, -math.inf])
def test_barron_of_residuals_whose_square_overflows(alpha: float):
    program = quick_jit(jax.vmap(jax.value_and_grad(lambda r: losses.barron(r, np.float32(0), alpha=alpha, scale=2.0))))
    r = np.float32([1e8, -1e12, 2e19, 5e19, -1e25])
    value, slope = program(r)
    x = r.astype(np.float64) / 2
    if alpha == -math.inf:
        want, by_r = np.ones(5), np.zeros(5)
    elif alpha == 0:
        want, by_r = np.log1p(x * x / 2), x / (x * x / 2 + 1) / 2
    else:
        v = abs(alpha - 2)
        want = v / alpha * ((x * x / v + 1) ** (alpha / 2) - 1)
        by_r = x * (x * x / v + 1) ** (alpha / 2 - 1) / 2
    np.testing.assert_allclose(value, want, rtol=1e-5)
    np.testing.assert_allclose(slope, by_r, rtol=2e-5, atol=1e-37)


def test_barron_of_alpha_two_is_a_square_as_far_as_there_are_numbers():
    value, slope = quick_jit(jax.value_and_grad(lambda r: losses.barron(r, np.float32(0), alpha=2.0)))(np.float32(1e19))
    np.testing.assert_allclose([value, slope], [5e37, 1e19], rtol=1e-6)


def test_gaussian_nll_of_no_variance_at_all():
    """A log variance of -inf is held at log eps like any other below it, with the slope of the rule."""
    program = quick_jit(jax.value_and_grad(lambda p: losses.gaussian_nll(p, np.float32(0.001), eps=1e-6)))
    value, slope = program(np.float32([0, -np.inf]))
    np.testing.assert_allclose(value, (math.log(1e-6) + 1) / 2, rtol=1e-5)
    np.testing.assert_allclose(slope, [-1e3, 0], rtol=1e-4, atol=1e-4)
