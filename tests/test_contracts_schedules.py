"""What holds for every schedule."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.catalogue import SCHEDULES, ScheduleRow
from tests.tolerances import assert_close

SHAPE = (4, 4)  # of whatever steps a compiled schedule is asked for: one program serves all of them

value_at = jax.jit(lambda schedule, steps: schedule(steps))
in_other_ways = jax.jit(
    lambda schedule, steps: (schedule(steps.astype(jnp.float32)), jax.vmap(jax.vmap(schedule))(steps))
)


@functools.cache
def _closed(row: ScheduleRow) -> Callable[..., jax.Array]:
    """Compiled with its numbers as constants of the program, which XLA computes with in other ways."""
    return jax.jit(row.build())


def _table(function: Callable[..., jax.Array], steps: Sequence[int]) -> np.ndarray:
    """The values at at most 16 steps."""
    return np.asarray(function(np.resize(np.array(steps, np.int32), SHAPE))).ravel()[: len(steps)]


@pytest.mark.parametrize("row", SCHEDULES, ids=str)
def test_schedule_takes_steps_of_any_shape_and_kind(row: ScheduleRow):
    schedule = row.build()
    steps = np.arange(-2, 14, dtype=np.int32).reshape(SHAPE)
    table = value_at(schedule, steps)
    assert (table.shape, table.dtype) == (steps.shape, jnp.float32)
    one_by_one = [float(schedule(int(step))) for step in steps.ravel()]
    assert_close(table.ravel(), one_by_one, "program")
    assert_close(_closed(row)(steps), table, "program")
    of_floats, mapped = in_other_ways(schedule, steps)
    np.testing.assert_array_equal(of_floats, table)
    assert_close(mapped, table, "program")
    assert [float(schedule(np.float32(step))) for step in steps.ravel()] == one_by_one
    assert float(schedule(jnp.uint32(3))) == one_by_one[5]


@pytest.mark.parametrize("row", SCHEDULES, ids=str)
def test_schedule_is_exact_at_its_boundaries_and_constant_outside(row: ScheduleRow):
    schedule = row.build()
    for step, value in (row.values or {}).items():
        assert float(schedule(step)) == np.float32(value), f"at step {step}"
        assert float(value_at(schedule, step)) == np.float32(value), f"compiled, at step {step}"
    if row.values:
        inside = _table(_closed(row), [*row.values])
        np.testing.assert_array_equal(inside, np.array([*row.values.values()], np.float32))
    late, early = [row.last, row.last + 1, 10**6, 2**31 - 1], [0, -1, -1000]
    compiled, eager = _table(functools.partial(value_at, schedule), late + early), map(schedule, late + early)
    for values in (compiled, np.array([float(value) for value in eager])):
        after, before = values[:4], values[4:]
        assert np.isfinite(after).all()
        assert (after == after[0]).all() or not row.settles
        assert (before == before[0]).all()


@pytest.mark.parametrize("row", SCHEDULES, ids=str)
def test_schedule_numbers_may_be_traced(row: ScheduleRow):
    schedule = row.build()
    numbers = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), schedule)
    if not jax.tree.leaves(numbers):
        return
    many = jax.tree.map(lambda leaf: np.stack([leaf, leaf]), numbers)

    @jax.jit
    def program(many, numbers, steps):
        gradients = jax.vmap(jax.grad(lambda s, step: s(step)), in_axes=(None, 0))
        return jax.vmap(lambda s: s(3))(many), jax.grad(lambda s: s(3))(numbers), gradients(numbers, steps)

    members, slope, everywhere = program(many, numbers, np.arange(-1, 40, dtype=np.float32))
    np.testing.assert_array_equal(members[1], schedule(3))
    chex.assert_tree_all_finite(slope)
    assert any(np.asarray(leaf).any() for leaf in jax.tree.leaves(slope))
    chex.assert_tree_all_finite(everywhere)  # at every boundary too


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("row", SCHEDULES, ids=str)
def test_schedule_is_double_when_asked(row: ScheduleRow):
    table = jax.eval_shape(row.build(), np.arange(4))
    assert table.dtype == jnp.float64
    single = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), row.build())
    assert jax.eval_shape(single, np.arange(4, dtype=np.int16)).dtype == jnp.float64
