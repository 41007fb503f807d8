"""The cosine against optax, its exact boundaries, and values of numbers and schedules."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann.schedules import constant, cosine, scaled, value_at
from tests.contract import assert_input_error


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    "numbers", [(0.1, 100, 0, 0.0, 0.0), (0.1, 100, 10, 0.02, 0.01), (3.0, 7, 7, 1.0, 0.5), (1.0, 1, 0, 0.0, 0.3)]
)
def test_cosine_matches_optax(numbers: tuple):
    optax = pytest.importorskip("optax")
    peak, steps, warmup, start, end = numbers
    ours = cosine(peak, steps, warmup=warmup, start=start, end=end)
    if warmup == steps:
        theirs = optax.join_schedules(
            [optax.linear_schedule(start, peak, warmup), optax.constant_schedule(end)], [warmup]
        )
    elif warmup:
        theirs = optax.warmup_cosine_decay_schedule(start, peak, warmup, steps, end)
    else:
        theirs = optax.cosine_decay_schedule(peak, steps, end / peak)
    counts = np.arange(steps + 20)
    with jax.numpy_dtype_promotion("standard"):
        expected = jax.jit(jax.vmap(theirs))(jnp.asarray(counts))
    np.testing.assert_allclose(jax.jit(ours)(counts), expected, rtol=1e-10, atol=1e-15)


@pytest.mark.parametrize("seed", range(5))
def test_cosine_is_exact_at_its_boundaries(seed: int):
    chooser = np.random.default_rng(seed)
    call = jax.jit(lambda schedule, step: schedule(step))
    for _ in range(40):
        peak, start, end = chooser.uniform(0.0, 1.0, 3).astype(np.float32)
        warmup = int(chooser.integers(1, 1000))
        steps = warmup + int(chooser.integers(1, 100_000))
        schedule = cosine(float(peak), steps, warmup=warmup, start=float(start), end=float(end))
        values = call(schedule, jnp.array([0, warmup, steps, steps + 1, 2**31 - 1]))
        np.testing.assert_array_equal(values, [start, peak, end, end, end])


def test_cosine_stays_between_its_ends():
    schedule = cosine(0.7, 1000, warmup=100, start=0.1, end=0.2)
    values = np.asarray(jax.jit(schedule)(np.arange(1100, dtype=np.int32)))
    assert values.max() == np.float32(0.7) and (np.diff(values[:101]) > 0).all() and (np.diff(values[100:]) <= 0).all()
    assert values[100:].min() == np.float32(0.2)
    for bad in ({"steps": np.int64(3), "warmup": np.int64(4)}, {"steps": 3, "warmup": 4}):
        assert_input_error(lambda bad=bad: cosine(1.0, **bad), "warmup", given="4")


def test_values_of_numbers_and_schedules():
    assert float(value_at(0.5, jnp.int32(3))) == 0.5
    assert float(value_at(constant(0.25), jnp.int32(3))) == 0.25
    assert value_at(lambda step: step * 2, jnp.int32(3)).dtype == jnp.float32
    np.testing.assert_allclose(scaled(constant(0.5), 0.5)(jnp.zeros((2, 2), jnp.int32)), np.full((2, 2), 0.25))
