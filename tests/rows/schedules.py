"""Schedules."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jaxann import schedules
from jaxann.schedules import cosine, linear
from tests.rows.kinds import ScheduleRow

__all__ = ["HELPERS", "SCHEDULES"]

HELPERS = {
    "schedules.value_at": "a number or a schedule as a value",
}


def own_schedule(step: Any) -> jax.Array:
    """A schedule of the tests' own: 0.5 up to step 3, then 0.25."""
    return jnp.where(step < 3, 0.5, 0.25)


NUMBERS = ({"peak": float("inf")}, {"steps": 0}, {"steps": 2.5})

SCHEDULES = [
    ScheduleRow("schedules.constant", lambda: schedules.constant(0.3), "optax", ({"value": "0.3"},), values={0: 0.3}),
    ScheduleRow(
        "schedules.custom",
        lambda: schedules.custom(own_schedule),
        bad=({"function": 0.5},),
        saved=False,
        last=3,
        values={0: 0.5, 2: 0.5, 3: 0.25},
    ),
    ScheduleRow(
        "schedules.step",
        lambda: schedules.step(0.5, 4, gamma=0.25),
        "optax",
        ({"step_size": 0}, {"step_size": 2.5}, {"gamma": 0.0}, {"value": "fast"}),
        settles=False,
        values={0: 0.5, 3: 0.5, 4: 0.125, 7: 0.125, 8: 0.03125},
    ),
    ScheduleRow(
        "schedules.multi_step",
        lambda: schedules.multi_step(0.5, (2, 5, 6), gamma=0.5),
        "optax",
        ({"milestones": 3}, {"milestones": (-1,)}, {"milestones": (2.5,)}, {"gamma": -0.5}),
        last=6,
        values={0: 0.5, 1: 0.5, 2: 0.25, 4: 0.25, 5: 0.125, 6: 0.0625},
    ),
    ScheduleRow(
        "schedules.piecewise_constant",
        lambda: schedules.piecewise_constant(0.5, {6: 2.0, 3: 0.25}),
        "optax",
        ({"scales": (3, 0.5)}, {"scales": 0.5}, {"scales": {-1: 0.5}}, {"scales": {3: -0.5}}),
        last=6,
        values={0: 0.5, 2: 0.5, 3: 0.125, 5: 0.125, 6: 0.25},
    ),
    ScheduleRow(
        "schedules.exponential",
        lambda: schedules.exponential(0.5, 4, 0.25, begin=2, end=0.01),
        "optax",
        ({"steps": 0}, {"rate": 0.0}, {"begin": -1}, {"end": "low"}, {"value": None}),
        last=14,
        values={0: 0.5, 2: 0.5, 4: 0.25, 6: 0.125, 100: 0.01},
    ),
    ScheduleRow(
        "schedules.inverse_time",
        lambda: schedules.inverse_time(0.5, 2, 1.0),
        "a formula in NumPy",
        ({"steps": 0}, {"rate": -1.0}),
        settles=False,
        values={0: 0.5, 2: 0.25, 6: 0.125},
    ),
    ScheduleRow(
        "schedules.inverse_sqrt",
        lambda: schedules.inverse_sqrt(0.3, 4),
        "a formula in NumPy",
        ({"warmup": 0}, {"value": float("nan")}),
        settles=False,
        values={0: 0.0, 2: 0.15, 4: 0.3, 16: 0.15},
    ),
    ScheduleRow(
        "schedules.noam",
        lambda: schedules.noam(64, warmup=4),
        "a formula in NumPy",
        ({"features": 0}, {"warmup": 0}),
        settles=False,
        values={0: 0.015625, 1: 0.03125, 3: 0.0625, 15: 0.03125},
    ),
    ScheduleRow(
        "schedules.polynomial",
        lambda: schedules.polynomial(0.7, 8, 2.0, end=0.1, begin=1),
        "optax",
        ({"steps": 0}, {"power": 0.0}, {"begin": -1}, {"end": None}),
        last=9,
        values={0: 0.7, 1: 0.7, 9: 0.1, 1000: 0.1},
    ),
    ScheduleRow(
        "schedules.linear",
        lambda: schedules.linear(0.7, 8, end=0.1, begin=1),
        "optax",
        ({"steps": 0}, {"begin": -1}, {"end": None}),
        last=9,
        values={0: 0.7, 1: 0.7, 5: 0.4, 9: 0.1, 1000: 0.1},
    ),
    ScheduleRow(
        "schedules.cosine",
        lambda: schedules.cosine(0.1, 10, warmup=4, start=0.02, end=0.01),
        "optax",
        ({"steps": 0}, {"warmup": -1}, {"warmup": 11}, {"steps": 2.5}, {"peak": float("inf")}, {"exponent": 0.0}),
        last=10,
        values={0: 0.02, 4: 0.1, 10: 0.01, 1000: 0.01},
    ),
    ScheduleRow(
        "schedules.cosine_log",
        lambda: schedules.cosine_log(0.4, 1847, cycles=8),  # at the top of a wave in step 3, to 3e-5 of it
        "a formula in NumPy",
        (*NUMBERS, {"cycles": 0}, {"cycles": 1.5}, {"cycles": 31}),
        last=1847,
        values={0: 0.0, 3: 0.4, 1847: 0.0, 1848: 0.0},
    ),
    ScheduleRow(
        "schedules.cosine_restarts",
        lambda: schedules.cosine_restarts(0.4, 5, growth=2, end=0.1, decay=0.5),
        "PyTorch",
        ({"period": 0}, {"growth": 0.5}, {"decay": 0.0}, {"peak": "high"}),
        settles=False,
        values={0: 0.4, 5: 0.2, 15: 0.1, 35: 0.05},
    ),
    ScheduleRow(
        "schedules.one_cycle",
        lambda: schedules.one_cycle(1.0, 10),
        "optax",
        (*NUMBERS, {"pct_start": 1.5}, {"div": 0.0}, {"final_div": 0.0}, {"anneal": "cos"}),
        last=10,
        values={0: 0.04, 3: 1.0, 10: 4e-6, 11: 4e-6},
    ),
    ScheduleRow(
        "schedules.linear_one_cycle",
        lambda: schedules.linear_one_cycle(1.0, 20, div=4.0),
        "optax",
        (*NUMBERS, {"pct_final": 0.2}, {"pct_final": 1.1}, {"div": -1.0}),
        last=20,
        values={0: 0.25, 3: 0.625, 6: 1.0, 17: 0.25, 20: 2.5e-5},
    ),
    ScheduleRow(
        "schedules.slanted_triangular",
        lambda: schedules.slanted_triangular(0.32, 20),
        "a formula in NumPy",
        (*NUMBERS, {"cut_frac": 1.0}, {"ratio": 0.5}),
        last=20,
        values={0: 0.01, 2: 0.32, 20: 0.01},
    ),
    ScheduleRow(
        "schedules.cyclic",
        lambda: schedules.cyclic(0.1, 1.0, step_up=2),
        "PyTorch",
        ({"step_up": 0}, {"step_down": 0}, {"mode": "triangle"}, {"gamma": 0.0}, {"base": None}),
        settles=False,
        values={0: 0.1, 1: 0.55, 2: 1.0, 3: 0.55, 4: 0.1, 6: 1.0},
    ),
    ScheduleRow(
        "schedules.wsd",
        lambda: schedules.wsd(0.4, 4, 3, 4, end=0.2, shape="1-sqrt"),
        "optax",
        ({"warmup": -1}, {"stable": 0.5}, {"decay": 0}, {"shape": "sqrt"}),
        last=11,
        values={0: 0.0, 1: 0.1, 4: 0.4, 7: 0.4, 8: 0.3, 11: 0.2},
    ),
    ScheduleRow(
        "schedules.warmup",
        lambda: schedules.warmup(linear(0.4, 4, end=0.1), 4, start=0.2),
        "optax",
        ({"rate": "fast"}, {"rate": None}, {"steps": -1}, {"start": "low"}),
        last=8,
        values={0: 0.2, 2: 0.3, 4: 0.4, 6: 0.25, 8: 0.1},
    ),
    ScheduleRow(
        "schedules.join",
        lambda: schedules.join((linear(0.4, 4), 0.3, cosine(0.5, 4)), (3, 5)),
        "optax",
        ({"schedules": 0.5}, {"schedules": ()}, {"boundaries": (3,)}, {"boundaries": (5, 3)}, {"boundaries": (-1, 2)}),
        last=9,
        values={0: 0.4, 2: 0.2, 3: 0.3, 4: 0.3, 5: 0.5, 9: 0.0},
    ),
    ScheduleRow("schedules.scaled", lambda: schedules.scaled(cosine(1.0, 8), 0.5), last=8, values={0: 0.5}),
    ScheduleRow(
        "schedules.reduce_on_plateau",
        lambda: schedules.reduce_on_plateau(0.2),
        "optax",
        ({"factor": 1.0}, {"factor": 0.0}, {"patience": 0}, {"rtol": -1.0}, {"mode": "minimum"}, {"min_scale": 2.0}),
        values={0: 0.2},
    ),
]
