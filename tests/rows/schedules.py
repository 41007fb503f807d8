"""Schedules."""

from __future__ import annotations

from jaxann import schedules
from tests.rows.kinds import ScheduleRow

__all__ = ["HELPERS", "SCHEDULES"]

HELPERS = {
    "schedules.value_at": "a number or a schedule as a value",
}

SCHEDULES = [
    ScheduleRow("schedules.constant", lambda: schedules.constant(0.3), "optax", ({"value": "0.3"},), values={0: 0.3}),
    ScheduleRow(
        "schedules.cosine",
        lambda: schedules.cosine(0.1, 10, warmup=4, start=0.02, end=0.01),
        "optax",
        ({"steps": 0}, {"warmup": -1}, {"warmup": 11}, {"steps": 2.5}, {"peak": float("inf")}),
        last=10,
        values={0: 0.02, 4: 0.1, 10: 0.01, 1000: 0.01},
    ),
    ScheduleRow("schedules.scaled", lambda: schedules.scaled(schedules.cosine(1.0, 8), 0.5), last=8, values={0: 0.5}),
    ScheduleRow(
        "schedules.reduce_on_plateau",
        lambda: schedules.reduce_on_plateau(0.2),
        "optax",
        ({"factor": 1.0}, {"factor": 0.0}, {"patience": 0}, {"rtol": -1.0}, {"mode": "minimum"}, {"min_scale": 2.0}),
        values={0: 0.2},
    ),
]
