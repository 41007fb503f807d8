"""What the tables of values do not show: float edges, great steps, schedules inside schedules and in training."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxann as ja
from jaxann import schedules as s
from tests.contract import assert_input_error
from tests.train.problems import loss, small_fit

at = jax.jit(lambda schedule, step: schedule(step))


@pytest.mark.parametrize("growth", [1, 2, 3])
def test_restarts_are_exact_however_late(growth: int):
    for period in (1, 10, 49):
        begins = np.cumsum([0] + [period * growth**i for i in range(12 if growth > 1 else 400)])
        begins = begins[begins < 2**22]
        schedule = s.cosine_restarts(0.7, period, growth=growth, end=0.1)
        np.testing.assert_array_equal(at(schedule, jnp.asarray(begins)), np.full(begins.shape, np.float32(0.7)))
        if period > 1:
            assert (np.asarray(at(schedule, jnp.asarray(begins[1:] - 1))) < 0.5).all()


def test_steps_and_cycles_turn_at_their_boundaries_however_late():
    """XLA divides by a number it divides many by as a product with its rounded reciprocal: 41 (1 / 41) < 1."""
    for size in (3, 41, 47, 1000):
        k = np.unique(np.concatenate([np.arange(150), np.linspace(0, 2**22 // size, 150).astype(int)]))
        staircase = s.inverse_time(1.0, size, 1.0, staircase=True)
        np.testing.assert_array_equal(at(staircase, jnp.asarray(k * size)), (1 / (1 + k)).astype(np.float32))
        np.testing.assert_array_equal(staircase(k * size), (1 / (1 + k)).astype(np.float32))
        np.testing.assert_array_equal(at(staircase, jnp.asarray(k[1:] * size - 1)), (1 / k[1:]).astype(np.float32))
        triangle = s.cyclic(0.1, 0.7, step_up=size, step_down=2 * size)
        np.testing.assert_array_equal(at(triangle, jnp.asarray(k * 3 * size)), np.full(k.shape, np.float32(0.1)))


def test_the_end_is_exact_where_the_length_is_a_constant_of_the_program():
    """The same there, and 1 / 41 is rounded before the program runs."""
    for schedule in (
        s.linear(0.7, 41, end=0.1),
        s.polynomial(0.7, 41, 0.5, end=0.1),
        s.wsd(0.7, 0, 0, 41, end=0.1),
        s.warmup(0.1, 41, start=0.7),
        s.join((s.linear(0.7, 41, end=0.1), 0.1), (45,)),
    ):
        inside = jax.jit(lambda step, schedule=schedule: schedule(step))
        assert float(inside(41)) == float(inside(42)) == np.float32(0.1) and float(inside(0)) == np.float32(0.7)


def test_a_share_of_the_steps_that_is_whole_counts_as_whole():
    for share, steps in ((0.29, 100), (0.53, 100), (0.42, 150), (0.13, 1700), (0.3, 10)):
        top = round(share * steps)
        values = np.asarray(at(s.one_cycle(1.0, steps, pct_start=share), jnp.arange(steps)))
        assert int(values.argmax()) == top and values[top] == 1.0
    assert (np.asarray(at(s.slanted_triangular(0.3, 15), jnp.arange(40))) >= np.float32(0.3 / 32)).all()


def test_warmup_holds_its_schedule_back():
    inner = s.cosine_restarts(0.4, 6)
    outer = s.warmup(inner, 10, start=0.1)
    counts = jnp.arange(30)
    np.testing.assert_array_equal(at(outer, counts + 10), at(inner, counts))
    np.testing.assert_array_equal(at(s.warmup(inner, 0), counts), at(inner, counts))
    plain = s.join((lambda step: 0.5 + 0 * step, inner), (4,))
    assert isinstance(plain.arguments["schedules"][0], ja.core.Schedule)
    assert float(plain(0)) == 0.5 and float(plain(4)) == np.float32(0.4)
    equal = s.join((s.constant(0.5), inner), (4,))
    assert jax.tree.structure(equal) == jax.tree.structure(s.join((s.constant(0.1), inner), (5,)))


def test_pairs_and_dicts_are_one_schedule():
    pairs = s.piecewise_constant(1.0, ((3, 0.5), (7, 0.1)))
    assert pairs == s.piecewise_constant(1.0, {7: 0.1, 3: 0.5})
    assert_input_error(lambda: s.piecewise_constant(1.0, ((3, 0.5, 1),)), "scales")
    assert_input_error(lambda: s.join((0.1, 0.2, 0.3), (4, 4)), "boundaries", expected="increasing")
    assert_input_error(lambda: s.join((0.1, "fast"), (4,)), "each of schedules", given="fast")


def test_cyclic_rates_and_plateaus_work_inside_the_compiled_run():
    rates = s.cyclic(0.01, 0.2, step_up=5, step_down=3)
    steps = 7  # ceil(410 / 64)
    result = small_fit(optimizer=ja.optimizers.sgd(rates), epochs=3, metrics=None)
    np.testing.assert_allclose(
        result.history["learning_rate"], np.asarray(rates(jnp.arange(1, 4) * steps - 1)), rtol=1e-6
    )
    reacting = s.scaled(s.reduce_on_plateau(rates, factor=0.5, patience=1, atol=1e9), 2.0)
    result = small_fit(optimizer=ja.optimizers.sgd(reacting), epochs=3, metrics=None)
    expected = 2 * np.asarray(rates(jnp.arange(1, 4) * steps - 1)) * [1, 1, 0.5]
    np.testing.assert_allclose(result.history["learning_rate"], expected, rtol=1e-6)
    assert np.isfinite(result.history["loss"]).all() and callable(loss)
