"""Early stopping is a pure update: what counts as better, how waiting is counted, and which weights are kept."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from jaxann.train import stopping


def test_update_follows_the_rule():
    values = [3.0, 2.0, 1.9, np.nan, 1.9, 1.5, np.inf, 1.5, 1.4, 2.0]

    @jax.jit
    def follow(values, min_delta):
        def body(stop, inputs):
            epoch, value = inputs
            stop = stopping.observe(stop, value, {"w": value}, epoch, min_delta=min_delta, mode="min")
            return stop, (stop.best_epoch, stop.wait, stop.best_weights["w"])

        first = stopping.start({"w": jnp.asarray(-1.0)}, True)
        return jax.lax.scan(body, first, (jnp.arange(len(values), dtype=jnp.int32), values))[1]

    # Better is strictly less than best - min_delta: 1.9 is not, for 0.1; NaN and inf never are.
    for min_delta, best, wait in (
        (0.0, [0, 1, 2, 2, 2, 5, 5, 5, 8, 8], [0, 0, 0, 1, 2, 0, 1, 2, 0, 1]),
        (0.125, [0, 1, 1, 1, 1, 5, 5, 5, 5, 5], [0, 0, 1, 2, 3, 0, 1, 2, 3, 4]),
        (0.5, [0, 1, 1, 1, 1, 1, 1, 1, 8, 8], [0, 0, 1, 2, 3, 4, 5, 6, 0, 1]),  # 2 - 0.5 = 1.5 is not better
    ):
        epochs, waits, kept = follow(jnp.asarray(values), min_delta)
        assert (epochs.tolist(), waits.tolist()) == (best, wait)
        np.testing.assert_array_equal(kept, np.float32([values[i] for i in best]))


def test_mode_max_mirrors_and_nothing_is_changed_in_place():
    first = stopping.start({"w": jnp.zeros(())}, False)
    assert first.best_weights is None and int(first.best_epoch) == -1
    better = stopping.observe(first, jnp.float32(0.5), {"w": jnp.ones(())}, jnp.int32(0), min_delta=0.0, mode="max")
    same = stopping.observe(better, jnp.float32(0.5), {"w": jnp.ones(())}, jnp.int32(1), min_delta=0.0, mode="max")
    worse = stopping.observe(better, jnp.float32(np.nan), {"w": jnp.ones(())}, jnp.int32(1), min_delta=0.0, mode="max")
    assert [int(s.wait) for s in (first, better, same, worse)] == [0, 0, 1, 1]
    assert [int(s.best_epoch) for s in (first, better, same, worse)] == [-1, 0, 0, 0]
    loose = stopping.observe(better, jnp.float32(0.6), {"w": jnp.ones(())}, jnp.int32(1), min_delta=0.25, mode="max")
    assert int(loose.wait) == 1
