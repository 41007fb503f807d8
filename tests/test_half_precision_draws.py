"""Numbers of 16 bits are drawn in float32 and then rounded: no mean and no deviation moves by more than chance."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann import ops
from jaxann.initializers import truncated_normal
from tests.catalogue import INITIALIZERS
from tests.programs import quick_jit

HALVES = (jnp.bfloat16, jnp.float16)
BOUNDS = [(6.0, 8.0), (-np.inf, -20.0), (100.0, 101.0), (0.5, 0.5001), (-1e-3, 2e-3), (3.5, 30.0), (-2.0, 2.0), (-1, 3)]


@pytest.mark.parametrize("row", INITIALIZERS, ids=str)
def test_initializer_of_half_precision_is_that_of_float32_rounded(row):
    """So it has its mean and its deviation."""
    drawn = row.build()
    key = jax.random.key(3)
    given = quick_jit(lambda: [drawn(key, row.shape, dtype) for dtype in (jnp.float32, *HALVES)])()
    for half, dtype in zip(given[1:], HALVES, strict=True):
        np.testing.assert_array_equal(np.asarray(half), np.asarray(given[0].astype(dtype)))


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.7])
def test_dropout_of_half_precision_keeps_the_mean(rate: float):
    """A scale of 16 bits is off by up to 0.2 %; values spread over an octave are rounded either way."""
    x = np.linspace(1, 2, 40001, dtype=np.float32)
    for dtype in HALVES:
        y = np.asarray(quick_jit(ops.dropout)(x.astype(dtype), jax.random.key(0), rate)).astype(np.float64)
        kept = y != 0
        np.testing.assert_allclose(
            np.mean(y[kept]) / np.mean(x.astype(dtype)[kept].astype(np.float64)), 1 / (1 - rate), rtol=4e-4
        )


def test_dropout_of_float16_does_not_overflow():
    x = np.asarray([0, 1, -1, 0.25, np.inf] * 8000, np.float16)
    y = np.asarray(quick_jit(ops.dropout)(x, jax.random.key(0), 0.999))
    assert not np.isnan(y).any() and np.isfinite(y[x != np.inf]).all()
    far = np.asarray(quick_jit(ops.dropout)(x, jax.random.key(1), 0.99999))
    assert not np.isnan(far).any() and np.isfinite(far[x != np.inf]).all()


@pytest.mark.parametrize("traced", [False, True])
def test_truncated_normal_far_in_the_tail_and_in_a_narrow_cut(traced: bool):
    draw = quick_jit(lambda low, high: truncated_normal(1.0, lower=low, upper=high)(jax.random.key(0), (20_000,)))
    for low, high in BOUNDS if traced else BOUNDS[:3]:
        low, high = max(low, -1e4), min(high, 1e4)
        if traced:
            z = np.asarray(draw(np.float32(low), np.float32(high)))
        else:
            z = np.asarray(truncated_normal(1.0, lower=low, upper=high)(jax.random.key(0), (20_000,)))
        assert z.min() >= np.float32(low) and z.max() <= np.float32(high)
        edge = low if low > 0 else high if high < 0 else 0.0
        reach = min(high - low, 20.0, 30 / max(abs(edge), 1))
        ends = (edge, edge + reach) if low > 0 else (edge - reach, edge) if high < 0 else (max(low, -9), min(high, 9))
        s = np.linspace(*ends, 100_001)
        density = np.exp(-(s - edge) * (s + edge) / 2)
        mean = np.sum(s * density) / np.sum(density)
        deviation = np.sqrt(np.sum((s - mean) ** 2 * density) / np.sum(density))
        assert abs(z.astype(np.float64).mean() - mean) < 5 * deviation / np.sqrt(20_000)
        np.testing.assert_allclose(z.astype(np.float64).std(), deviation, rtol=0.03)


def test_corrected_truncated_normal_of_any_cut_has_the_deviation_asked_for():
    draw = quick_jit(
        lambda low, high: truncated_normal(0.5, lower=low, upper=high, corrected=True)(jax.random.key(0), (20_000,))
    )
    for low, high in [(6.0, 8.0), (0.5, 0.51), (-1.0, 2.0), (20.0, 40.0)]:
        z = np.asarray(draw(np.float32(low), np.float32(high)), np.float64)
        np.testing.assert_allclose(z.std(), 0.5, rtol=0.03)
