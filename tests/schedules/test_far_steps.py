"""Schedules and their gradients long after they have come to their end."""

from __future__ import annotations

import jax
import numpy as np

from jaxann import schedules
from tests.programs import quick_jit

STEPS = np.int32([0, 1, 2, 5, 127, 200, 10**6, 2**31 - 1])


def test_a_growth_that_is_held_has_no_slope_of_infinity_times_nothing():
    def rates(value, rate, end):
        return jax.vmap(schedules.exponential(value, 1, rate, end=end))(STEPS)

    found, gradients = quick_jit(lambda *a: (rates(*a), jax.jacfwd(rates, (0, 1, 2))(*a)))(*np.float32([1, 2, 5]))
    assert found.tolist() == [1, 2, 4, 5, 5, 5, 5, 5]
    assert [s.tolist() for s in gradients] == [[1, 2, 4] + [0] * 5, [0, 1, 4] + [0] * 5, [0] * 3 + [1] * 5]
    found, gradients = quick_jit(lambda *a: (rates(*a), jax.jacfwd(rates, (0, 1, 2))(*a)))(*np.float32([1, 0.5, 0.2]))
    np.testing.assert_allclose(found, [1, 0.5, 0.25] + [0.2] * 5, rtol=1e-6)
    np.testing.assert_allclose(gradients, [[1, 0.5, 0.25] + [0] * 5, [0, 1, 1] + [0] * 5, [0] * 3 + [1] * 5], rtol=1e-6)


def test_a_power_that_vanishes_leaves_finite_slopes():
    def all_of(value, rate):
        made = (
            schedules.exponential(value, 1, rate), schedules.step(value, 1, gamma=rate),
            schedules.polynomial(value, 10, rate), schedules.inverse_time(value, 1, rate),
            schedules.cyclic(value / 2, value, step_up=1, mode="exp_range", gamma=rate),
            schedules.cosine_restarts(value, 1, decay=rate), schedules.cosine(value, 10, exponent=rate),
        )  # fmt: skip
        return [jax.vmap(one)(STEPS) for one in made]

    found = quick_jit(lambda *a: (all_of(*a), jax.jacfwd(all_of, (0, 1))(*a)))(*np.float32([0.1, 0.3]))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found))


def test_whole_numbers_of_64_bits_do_not_wrap():
    for late in (2**40, np.int64(2**40), np.array(2**40), np.array(2**40, np.uint64)):
        assert float(schedules.linear(0.1, late)(5)) == np.float32(0.1)
        assert float(schedules.wsd(0.1, 10, late, 5)(20)) == np.float32(0.1)
