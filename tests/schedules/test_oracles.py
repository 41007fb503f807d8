"""Schedules against optax, PyTorch and formulas in NumPy, in double precision."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann import schedules as s

pytestmark = pytest.mark.usefixtures("x64")
COUNTS = np.arange(90)


def _check(ours: Any, expected: Any, rtol: float = 1e-12) -> None:
    expected = np.asarray(expected)
    actual = jax.jit(lambda schedule, counts: schedule(counts))(ours, jnp.asarray(COUNTS))
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=rtol * np.abs(expected).max())


def _optax() -> dict[str, tuple[Any, Callable]]:
    import optax as o

    return {
        "constant": (s.constant(0.3), o.constant_schedule(0.3)),
        "step": (s.step(0.3, 7, gamma=0.6), o.exponential_decay(0.3, 7, 0.6, staircase=True)),
        "multi_step": (s.multi_step(0.3, (4, 30), gamma=0.2), o.piecewise_constant_schedule(0.3, {4: 0.2, 30: 0.2})),
        "piecewise_constant": (
            s.piecewise_constant(0.3, {4: 0.2, 11: 3.0, 12: 0.0}),
            o.piecewise_constant_schedule(0.3, {4: 0.2, 11: 3.0, 12: 0.0}),
        ),
        "exponential": (s.exponential(0.3, 7, 0.6, begin=5), o.exponential_decay(0.3, 7, 0.6, 5)),
        "exponential stairs down to an end": (
            s.exponential(0.3, 7, 0.6, staircase=True, begin=5, end=0.1),
            o.exponential_decay(0.3, 7, 0.6, 5, True, 0.1),
        ),
        "exponential up to an end": (
            s.exponential(0.3, 7, 1.2, end=0.7),
            o.exponential_decay(0.3, 7, 1.2, 0, False, 0.7),
        ),
        "polynomial": (s.polynomial(0.3, 32, 0.7, end=0.02, begin=9), o.polynomial_schedule(0.3, 0.02, 0.7, 32, 9)),
        "polynomial of degree 3": (s.polynomial(0.3, 40, 3), o.polynomial_schedule(0.3, 0.0, 3.0, 40)),
        "linear": (s.linear(0.3, 40, end=0.5, begin=9), o.linear_schedule(0.3, 0.5, 40, 9)),
        "cosine with an exponent": (
            s.cosine(0.3, 60, warmup=7, start=0.1, end=0.02, exponent=1.7),
            o.warmup_cosine_decay_schedule(0.1, 0.3, 7, 60, 0.02, 1.7),
        ),
        "cosine_restarts": (
            s.cosine_restarts(0.3, 10, growth=2, decay=0.5),
            o.sgdr_schedule(
                [
                    {"init_value": 0.0, "peak_value": 0.3 * 0.5**i, "warmup_steps": 0, "decay_steps": 10 * 2**i}
                    for i in range(4)
                ]
            ),
        ),
        "one_cycle": (s.one_cycle(0.3, 61, pct_start=0.27, div=7.0), o.cosine_onecycle_schedule(61, 0.3, 0.27, 7.0)),
        "linear_one_cycle": (
            s.linear_one_cycle(0.3, 61, pct_start=0.27, pct_final=0.7, final_div=50.0),
            o.linear_onecycle_schedule(61, 0.3, 0.27, 0.7, 25.0, 50.0),
        ),
        "warmup of a number": (s.warmup(0.3, 11, start=0.1), o.warmup_constant_schedule(0.1, 0.3, 11)),
        "warmup of an exponential": (
            s.warmup(s.exponential(0.3, 7, 0.6, begin=3, end=0.1), 11, start=0.1),
            o.warmup_exponential_decay_schedule(0.1, 0.3, 11, 7, 0.6, 3, False, 0.1),
        ),
        "wsd": (
            s.wsd(0.3, 11, 20, 25, start=0.1, end=0.02),
            o.join_schedules(
                [o.linear_schedule(0.1, 0.3, 11), o.constant_schedule(0.3), o.linear_schedule(0.3, 0.02, 25)], [11, 31]
            ),
        ),
        "wsd along a cosine": (
            s.wsd(0.3, 0, 20, 25, end=0.03, shape="cosine"),
            o.join_schedules([o.constant_schedule(0.3), o.cosine_decay_schedule(0.3, 25, 0.1)], [20]),
        ),
        "join": (
            s.join((s.linear(0.3, 10), lambda step: step * 0.01, 0.5), (6, 50)),
            o.join_schedules([o.linear_schedule(0.3, 0.0, 10), lambda c: c * 0.01, o.constant_schedule(0.5)], [6, 50]),
        ),
    }


OPTAX = [
    "constant", "step", "multi_step", "piecewise_constant", "exponential", "exponential stairs down to an end",
    "exponential up to an end", "polynomial", "polynomial of degree 3", "linear", "cosine with an exponent",
    "cosine_restarts", "one_cycle", "linear_one_cycle", "warmup of a number", "warmup of an exponential", "wsd",
    "wsd along a cosine", "join",
]  # fmt: skip


@pytest.mark.parametrize("name", OPTAX)
def test_schedule_matches_optax(name: str):
    pytest.importorskip("optax")
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        table = _optax()
        assert set(table) == set(OPTAX)
        ours, theirs = table[name]
        expected = jax.jit(jax.vmap(lambda count: jnp.asarray(theirs(count), float)))(jnp.asarray(COUNTS))
    _check(ours, expected)


def _torch(build: Callable) -> list[float]:
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
    schedule, found = build(optimizer, torch.optim.lr_scheduler), []
    for _ in COUNTS:
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


def test_schedules_match_pytorch():
    for ours, build in (
        (s.step(0.3, 7, gamma=0.6), lambda o, t: t.StepLR(o, 7, 0.6)),
        (s.multi_step(0.3, (4, 30, 30), gamma=0.2), lambda o, t: t.MultiStepLR(o, [4, 30, 30], 0.2)),
        (s.exponential(0.3, 1, 0.9), lambda o, t: t.ExponentialLR(o, 0.9)),
        (s.polynomial(0.3, 40, 0.7), lambda o, t: t.PolynomialLR(o, 40, 0.7)),
        (s.linear(0.3 / 4, 40, end=0.3), lambda o, t: t.LinearLR(o, 0.25, 1.0, 40)),
        (s.piecewise_constant(0.1, {20: 3.0}), lambda o, t: t.ConstantLR(o, 1 / 3, 20)),
        (s.cosine_restarts(0.3, 9, end=0.02), lambda o, t: t.CosineAnnealingWarmRestarts(o, 9, 1, 0.02)),
        (s.cosine_restarts(0.3, 4, growth=3), lambda o, t: t.CosineAnnealingWarmRestarts(o, 4, 3)),
        (s.join((s.linear(0.3, 30, end=0.15), 0.3 * 0.5), (12,)), lambda o, t: t.SequentialLR(
            o, [t.LinearLR(o, 1.0, 0.5, 30), t.ConstantLR(o, 0.5, 1000)], [12])),
    ):  # fmt: skip
        _check(ours, _torch(build), 1e-10)
    for mode, gamma, down in (("triangular", 1.0, 5), ("triangular2", 1.0, None), ("exp_range", 0.95, 9)):
        _check(
            s.cyclic(0.1, 0.7, step_up=7, step_down=down, mode=mode, gamma=gamma),
            _torch(
                lambda o, t, m=mode, g=gamma, d=down: t.CyclicLR(o, 0.1, 0.7, 7, d, m, g, cycle_momentum=False),
            ),
        )


def test_schedules_follow_their_formulas():
    c = COUNTS.astype(float)
    with np.errstate(divide="ignore"):
        _check(s.inverse_time(0.3, 7, 0.6), 0.3 / (1 + 0.6 * c / 7))
        _check(s.inverse_time(0.3, 7, 0.6, staircase=True), 0.3 / (1 + 0.6 * (COUNTS // 7)))
        _check(s.inverse_sqrt(0.3, 13), 0.3 * np.minimum(c / 13, np.sqrt(13 / c)))
        _check(s.noam(512, warmup=13), 512**-0.5 * np.minimum((c + 1) ** -0.5, (c + 1) * 13**-1.5))
    p = np.clip((c - 31) / 25, 0, 1)
    falling = 0.02 + 0.28 * (1 - np.sqrt(p))
    _check(s.wsd(0.3, 11, 20, 25, end=0.02, shape="1-sqrt"), np.where(c < 11, 0.3 * c / 11, falling))
    cut, total, ratio = 8, 80, 32  # 0.1 of 80, so that the paper's denominator is the distance to the end
    p = np.where(c < cut, c / cut, 1 - (c - cut) / (cut * (1 / 0.1 - 1)))
    _check(s.slanted_triangular(0.3, total), 0.3 * (1 + np.clip(p, 0, 1) * (ratio - 1)) / ratio)
    restarts = []
    for count in COUNTS:
        begin, length, peak = 0.0, 8.0, 0.3
        while begin + length <= count:
            begin, length, peak = begin + length, length * 1.5, peak * 0.9
        restarts.append(0.01 + (peak - 0.01) * (1 + math.cos(math.pi * (count - begin) / length)) / 2)
    _check(s.cosine_restarts(0.3, 8, growth=1.5, end=0.01, decay=0.9), restarts)


def test_the_table_of_known_values():
    for ours, counts, expected in (
        (s.one_cycle(1.0, 10), [0, 3, 10], [0.04, 1, 4e-6]),
        (s.cyclic(0.1, 1.0, step_up=2), [0, 1, 2, 3, 4], [0.1, 0.55, 1, 0.55, 0.1]),
        (s.cyclic(0.1, 1.0, step_up=2, mode="triangular2"), [4, 5, 6, 7], [0.1, 0.325, 0.55, 0.325]),
        (s.cyclic(0.1, 1.0, step_up=2, mode="exp_range", gamma=0.9), [0, 1, 2, 3], [0.1, 0.505, 0.829, 0.42805]),
        (s.cosine(1.0, 100, warmup=10), [0, 5, 10, 55, 100], [0, 0.5, 1, 0.5, 0]),
        (s.multi_step(1.0, (3,)), [2, 3], [1, 0.1]),
    ):
        np.testing.assert_allclose(ours(jnp.asarray(counts)), expected, rtol=1e-12, atol=1e-15)
