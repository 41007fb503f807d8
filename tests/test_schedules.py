"""Schedules against optax, exactness at their boundaries, and the plateau against a plain transcription."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann import optimizers, schedules
from jaxann.schedules import constant, cosine, reduce_on_plateau, scaled, value_at
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
    expected = [float(theirs(int(count))) for count in counts]
    np.testing.assert_allclose(ours(jnp.asarray(counts)), expected, rtol=1e-10, atol=1e-15)


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
    values = np.asarray(schedule(jnp.arange(1100)))
    assert values.max() == np.float32(0.7) and (np.diff(values[:101]) > 0).all() and (np.diff(values[100:]) <= 0).all()
    assert values[100:].min() == np.float32(0.2)
    for bad in ({"steps": np.int64(3), "warmup": np.int64(4)}, {"steps": 3, "warmup": 4}):
        assert_input_error(lambda bad=bad: cosine(1.0, **bad), "warmup", given="4")


def test_values_of_numbers_and_schedules():
    assert float(value_at(0.5, jnp.int32(3))) == 0.5
    assert float(value_at(constant(0.25), jnp.int32(3))) == 0.25
    assert value_at(lambda step: step * 2, jnp.int32(3)).dtype == jnp.float32
    np.testing.assert_allclose(scaled(constant(0.5), 0.5)(jnp.zeros((2, 2), jnp.int32)), np.full((2, 2), 0.25))


def _plain(values: list[float], factor, patience, rtol, atol, cooldown, min_scale, mode="min") -> list[float]:
    """The rule of the docstring, in plain Python."""
    best, bad, waiting, scale, scales = math.inf, 0, 0, 1.0, []
    for value in values:
        value = value if mode == "min" else -value
        bar = best if math.isinf(best) else best - rtol * abs(best) - atol
        improved = value < bar
        best = value if improved else best
        bad = 0 if improved or waiting else bad + 1
        if bad >= patience:
            scale, bad, waiting = max(scale * factor, min_scale), 0, cooldown
        else:
            waiting = max(waiting - 1, 0)
        scales.append(scale)
    return scales


def _observe(schedule: Any, values: list[float]) -> np.ndarray:
    def body(state, value):
        state = schedule.observe(state, value)
        return state, state.scale

    return np.asarray(jax.jit(lambda v: jax.lax.scan(body, schedule.init(), v)[1])(jnp.asarray(values)))


SETTINGS = [
    {"factor": 0.5, "patience": 1, "rtol": 0.0, "atol": 0.0, "cooldown": 0, "min_scale": 0.0},
    {"factor": 0.5, "patience": 3, "rtol": 1e-2, "atol": 0.0, "cooldown": 2, "min_scale": 0.1},
    {"factor": 0.1, "patience": 2, "rtol": 0.0, "atol": 0.1, "cooldown": 1, "min_scale": 0.0},
]


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("sign", [1.0, -1.0], ids=["positive", "negative"])
def test_plateau_follows_the_plain_rule(settings: dict[str, Any], sign: float):
    chooser = np.random.default_rng(4)
    for _ in range(5):
        values = list(sign * (2 + np.round(chooser.normal(size=60), 1) - np.linspace(0, 1, 60)))
        values[17] = math.nan
        for mode in ("min", "max"):
            actual = _observe(reduce_on_plateau(1.0, mode=mode, **settings), values)
            np.testing.assert_allclose(actual, _plain(values, mode=mode, **settings), rtol=1e-12)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_plateau_matches_optax(settings: dict[str, Any]):
    optax = pytest.importorskip("optax")
    values = list(3 + np.round(np.random.default_rng(4).normal(size=60), 1) - np.linspace(0, 1, 60))
    names = dict(settings)
    if names["rtol"] == names["atol"] == 0.0:
        names["rtol"] = 1e-12  # optax wants one of the two
    theirs = optax.contrib.reduce_on_plateau(accumulation_size=1, **names)
    with jax.numpy_dtype_promotion("standard"):
        state, expected = theirs.init({"w": jnp.ones(())}), []
        for value in values:
            _, state = theirs.update({"w": jnp.ones(())}, state, value=jnp.asarray(value))
            expected.append(float(state.scale))
    assert len(set(expected)) > 2
    np.testing.assert_allclose(_observe(reduce_on_plateau(1.0, **settings), values), expected, rtol=1e-6)


def test_plateau_fires_at_the_value_that_uses_up_its_patience():
    np.testing.assert_allclose(_observe(reduce_on_plateau(1.0, patience=2, factor=0.5), [1.0, 1.0, 1.0]), [1, 1, 0.5])
    np.testing.assert_allclose(_observe(reduce_on_plateau(1.0, patience=2, factor=0.5), [np.nan] * 2), [1, 0.5])


def test_plateau_scales_the_schedule_it_holds():
    schedule = reduce_on_plateau(cosine(0.4, 10), factor=0.5, patience=1)
    state = schedule.init()
    assert float(schedule.at(state)(0)) == float(schedule(0)) == np.float32(0.4)
    state = schedule.observe(schedule.observe(state, jnp.float32(1.0)), jnp.float32(1.0))
    assert float(schedule.at(state)(0)) == np.float32(0.2)
    adam = optimizers.adam(schedule)
    assert float(optimizers.learning_rate_at(adam, jnp.int32(0))) == np.float32(0.4)
    assert isinstance(schedule, schedules.Plateau)
