"""What holds for every schedule."""

from __future__ import annotations

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.catalogue import SCHEDULES, ScheduleRow
from tests.tolerances import assert_close

value_at = jax.jit(lambda schedule, steps: schedule(steps))


@pytest.mark.parametrize("row", SCHEDULES, ids=str)
def test_schedule_takes_steps_of_any_shape_and_kind(row: ScheduleRow):
    schedule = row.build()
    steps = jnp.arange(-2, 14).reshape(4, 4)
    table = value_at(schedule, steps)
    assert (table.shape, table.dtype) == (steps.shape, jnp.float32)
    one_by_one = [float(schedule(int(step))) for step in steps.ravel()]
    assert_close(table.ravel(), one_by_one, "program")
    assert_close(jax.jit(schedule)(steps), table, "program")
    assert_close(jax.jit(jax.vmap(jax.vmap(schedule)))(steps), table, "program")
    np.testing.assert_array_equal(schedule(steps.astype(jnp.float32)), schedule(steps))
    assert float(schedule(jnp.uint32(3))) == one_by_one[5]


@pytest.mark.parametrize("row", SCHEDULES, ids=str)
def test_schedule_is_exact_at_its_boundaries_and_constant_outside(row: ScheduleRow):
    schedule = row.build()
    for step, value in (row.values or {}).items():
        assert float(schedule(step)) == np.float32(value), f"at step {step}"
        assert float(value_at(schedule, step)) == np.float32(value), f"compiled, at step {step}"
    if row.values:  # closed over, its numbers are constants of the program, which XLA computes with in other ways
        inside = jax.jit(lambda steps: schedule(steps))(jnp.array([*row.values]))
        np.testing.assert_array_equal(inside, np.array([*row.values.values()], np.float32))
    after = schedule(jnp.array([row.last, row.last + 1, 10**6, 2**31 - 1]))
    assert np.isfinite(after).all()
    assert (after == after[0]).all() or not row.settles
    before = schedule(jnp.array([0, -1, -1000]))
    assert (before == before[0]).all()


@pytest.mark.parametrize("row", SCHEDULES, ids=str)
def test_schedule_numbers_may_be_traced(row: ScheduleRow):
    schedule = row.build()
    numbers = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), schedule)
    if not jax.tree.leaves(numbers):
        return
    many = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), numbers)
    np.testing.assert_array_equal(jax.jit(jax.vmap(lambda s: s(3)))(many)[1], schedule(3))
    slope = jax.jit(jax.grad(lambda s: s(3)))(numbers)
    chex.assert_tree_all_finite(slope)
    assert any(np.asarray(leaf).any() for leaf in jax.tree.leaves(slope))
    gradients = jax.jit(jax.vmap(jax.grad(lambda s, step: s(step)), in_axes=(None, 0)))
    everywhere = gradients(numbers, jnp.arange(-1.0, 40.0))
    chex.assert_tree_all_finite(everywhere)  # at every boundary too


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("row", SCHEDULES, ids=str)
def test_schedule_is_double_when_asked(row: ScheduleRow):
    table = row.build()(jnp.arange(4))
    assert table.dtype == jnp.float64
    single = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), row.build())
    assert single(jnp.arange(4, dtype=jnp.int16)).dtype == jnp.float64
