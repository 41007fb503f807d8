"""Steps from 2^24 on, which float32 does not tell from their neighbours: every boundary stands where it should."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann import schedules as s

at = jax.jit(lambda schedule, step: schedule(step))
B = 2**24 + 1  # the first whole number that float32 lacks
LAST = 2**31 - 1

# A schedule, and what it is at steps; the odd steps are those that float32 rounds.
JUMPS: dict[str, tuple[Any, dict[int, float]]] = {
    "step": (s.step(0.5, B, gamma=0.5), {B - 1: 0.5, B: 0.25, 2 * B - 1: 0.25, 2 * B: 0.125}),
    "multi_step": (s.multi_step(0.5, (B, B + 2), gamma=0.5), {B - 1: 0.5, B: 0.25, B + 1: 0.25, B + 2: 0.125}),
    "piecewise_constant": (
        s.piecewise_constant(0.5, {B: 0.5, LAST: 2.0}),
        {B - 1: 0.5, B: 0.25, LAST - 1: 0.25, LAST: 0.5},
    ),
    "join": (s.join((0.5, s.step(0.25, 3)), (B,)), {B - 1: 0.5, B: 0.25, B + 2: 0.25, B + 3: 0.025}),
    "join of three": (s.join((0.5, 0.25, 0.125), (B, B + 2)), {B - 1: 0.5, B + 1: 0.25, B + 2: 0.125}),
    "warmup": (s.warmup(s.step(0.5, 2, gamma=0.5), B, start=0.5), {B - 1: 0.5, B: 0.5, B + 1: 0.5, B + 2: 0.25}),
    "exponential": (s.exponential(0.5, B, 0.5, staircase=True), {B - 1: 0.5, B: 0.25, 2 * B - 1: 0.25, 2 * B: 0.125}),
    "exponential from": (s.exponential(0.5, 1, 0.5, begin=B), {B - 1: 0.5, B: 0.5, B + 1: 0.25, B + 2: 0.125}),
    "inverse_time": (s.inverse_time(0.5, B, 1.0, staircase=True), {B - 1: 0.5, B: 0.25}),
    "linear from": (
        s.linear(0.5, 4, end=0.25, begin=B),
        {B: 0.5, B + 1: 0.4375, B + 2: 0.375, B + 3: 0.3125, B + 4: 0.25},
    ),
    "linear ends": (s.linear(1.0, B, end=0.0), {B - 1: 2.0**-24, B: 0.0, LAST: 0.0}),
    "polynomial from": (s.polynomial(1.0, 4, 2.0, begin=B), {B: 1.0, B + 1: 0.5625, B + 3: 0.0625, B + 4: 0.0}),
    "cosine": (s.cosine(0.5, B + 4, warmup=B, start=0.5), {B: 0.5, B + 2: 0.25, B + 4: 0.0}),
    "wsd": (s.wsd(0.5, B, 2, 4), {B: 0.5, B + 2: 0.5, B + 3: 0.375, B + 5: 0.125, B + 6: 0.0}),
    "wsd at the end": (s.wsd(0.5, 1, LAST - 3, 2), {LAST - 2: 0.5, LAST - 1: 0.25, LAST: 0.0}),
    "cyclic": (
        s.cyclic(0.25, 0.5, step_up=2, step_down=1),
        {3 * B: 0.25, 3 * B + 1: 0.375, 3 * B + 2: 0.5, LAST: 0.375},
    ),
    "cosine_restarts": (s.cosine_restarts(0.5, 2), {B - 1: 0.5, B: 0.25, B + 1: 0.5, LAST - 1: 0.5, LAST: 0.25}),
    "one_cycle": (
        s.one_cycle(0.5, B, pct_start=0.0, anneal="linear", div=1.0, final_div=2.0),
        {0: 0.5, B: 0.25, LAST: 0.25},
    ),
}


@pytest.mark.parametrize("name", JUMPS)
def test_a_boundary_beyond_float32_stands_at_its_step(name: str):
    schedule, values = JUMPS[name]
    steps = np.array([*values], np.int32)
    expected = np.array([*values.values()], np.float32)
    np.testing.assert_allclose(at(schedule, steps), expected, rtol=3e-7, atol=1e-9)
    np.testing.assert_allclose([float(schedule(int(step))) for step in steps], expected, rtol=3e-7, atol=1e-9)


def test_numbers_of_steps_beyond_all_counters_are_never_reached():
    for build in (lambda n: s.step(0.5, n), lambda n: s.multi_step(0.5, (n,)), lambda n: s.join((0.5, 0.1), (n,))):
        assert float(build(2**32)(LAST)) == 0.5
    np.testing.assert_allclose(float(s.linear(1.0, 2**32)(2**30)), 0.75, rtol=1e-6)
    assert float(s.linear(1.0, 10)(jnp.uint32(2**32 - 1))) == 0.0


def test_lengths_may_be_whole_numbers_of_members():
    sizes = np.array([B, B + 2], np.int32)
    many = jax.jit(jax.vmap(lambda n: s.step(0.5, n, gamma=0.5)(jnp.int32(B + 1))))(sizes)
    np.testing.assert_array_equal(many, np.float32([0.25, 0.5]))
