"""Activations at the far ends of float32; the formulas in float64 are right."""

from __future__ import annotations

import jax
import numpy as np

from jaxann import activations
from tests.programs import quick_jit


def test_squareplus_of_the_largest_numbers():
    x = np.float32([3.4e38, 1e20, 2.0, 0.0, -2.0, -1e20, -3.4e38, np.inf, -np.inf, np.nan])
    for b in (4.0, 1e38, 0.0):
        value, slope = quick_jit(jax.vmap(jax.value_and_grad(lambda x, b=b: activations.squareplus(x, b))))(x)
        wide = x[:7].astype(np.float64)
        size = np.sqrt(wide**2 + b)
        want = np.where(wide > 0, (wide + size) / 2, b / 2 / np.where(size == 0, 1, size + np.abs(wide)))
        np.testing.assert_allclose(value[:7], want, rtol=1e-6, atol=1.2e-38)  # less is no normal number
        by_x = (1 + wide / np.where(size == 0, 1, size)) / 2
        np.testing.assert_allclose(slope[:7], by_x, rtol=1e-6, atol=1e-7)
        assert value[7] == np.inf and value[8] == 0 and np.isnan(value[9])
        assert slope[7] == 1 and slope[8] == 0
