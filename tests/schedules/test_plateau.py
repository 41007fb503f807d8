"""The plateau against a plain transcription and optax."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann import optimizers, schedules
from jaxann.schedules import cosine, reduce_on_plateau


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
        update = jax.jit(lambda state, value: theirs.update({"w": jnp.ones(())}, state, value=value)[1])
        for value in values:
            state = update(state, jnp.asarray(value))
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
