"""Early stopping and best weights, as a pure update that lives inside the program."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxann.core.typing import Array, Params, Scalar, State

__all__ = ["StopState", "observe", "start"]


class StopState(NamedTuple):
    """What early stopping remembers."""

    best: Array  # (), best value so far, as something to minimize
    best_epoch: Array  # int32 (), epoch it was seen in, counted from 0; -1 for none
    wait: Array  # int32 (), epochs since
    best_weights: tuple[Params, State] | None  # kept only when they are to be restored


def start(weights: tuple[Params, State], keep_best: bool) -> StopState:
    """Nothing observed yet."""
    kind = jnp.result_type(float)
    best = jnp.asarray(jnp.finfo(kind).max, kind)  # as good as infinity, which JAX's checks would take for a fault
    return StopState(best, jnp.int32(-1), jnp.int32(0), weights if keep_best else None)


def observe(
    stop: StopState,
    value: Array,
    weights: tuple[Params, State],
    epoch: Array,
    *,
    min_delta: Scalar,
    mode: str,
    adds_up: bool = True,
) -> StopState:
    """The state after an epoch.

    improved = value < best - min_delta ("min"), value > best + min_delta ("max"); NaN is no improvement. The epoch to
    stop at is the one where `wait` reaches the patience. Until something has improved, the last weights are kept: those
    before the first epoch are no better than any. Where improvements do not add up, best is the least of all values.
    Source: Prechelt 1998.
    """
    value = value if mode == "min" else -value
    improved = value < stop.best - jnp.asarray(min_delta, stop.best.dtype)
    better = improved if adds_up else value < stop.best
    kept = stop.best_weights
    if kept is not None:
        newer = better | (stop.best_epoch < 0)
        kept = jax.tree.map(lambda new, old: jnp.where(newer, new, old), weights, kept)
    return StopState(
        best=jnp.where(better, value, stop.best),
        best_epoch=jnp.where(better, epoch, stop.best_epoch),
        wait=jnp.where(improved, 0, stop.wait + 1),
        best_weights=kept,
    )
