"""One optimizer step, as the program, a Python loop and the replay of a bad step all run it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxann.core.products import Layer, Optimizer
from jaxann.core.trees import squared_norm
from jaxann.core.typing import Array, Key, Params, State
from jaxann.optimizers import apply_updates
from jaxann.train.objective import objective

__all__ = ["Guard", "Trained", "gradient", "start_guard", "train_step"]


class Guard(NamedTuple):
    """The finite guard: what it has seen."""

    alive: Array  # bool (), False once training has been given up
    bad_in_row: Array  # int32 (), bad steps since the last good one
    skipped: Array  # int32 (), bad steps in all
    first_bad: Array  # int32 (), number of the first bad step of the run, from 0; -1 for none


class Trained(NamedTuple):
    """What one step hands to the next."""

    params: Params
    state: State
    optimizer: Any
    guard: Guard


def start_guard() -> Guard:
    """Nothing bad seen."""
    return Guard(jnp.asarray(True), jnp.int32(0), jnp.int32(0), jnp.int32(-1))


def gradient(
    trained: Trained,
    model: Layer,
    loss: Callable,
    batch: tuple[Array, Array, Array | None],
    *,
    key: Key | None,
    mask: Array | None,
    compute_dtype: str | None,
) -> tuple[tuple[Array, tuple[Array, State]], Params]:
    """`((loss, (predictions, state)), gradients)` of a batch."""

    def mean_loss(params):
        return objective(
            params, trained.state, model, loss, batch, key=key, mask=mask, compute_dtype=compute_dtype
        )  # fmt: skip

    return jax.value_and_grad(mean_loss, has_aux=True)(trained.params)


def train_step(
    trained: Trained,
    model: Layer,
    loss: Callable,
    optimizer: Optimizer,
    batch: tuple[Array, Array, Array | None],
    number: Array,
    *,
    key: Key | None,
    mask: Array | None,
    most_bad: Array,
    compute_dtype: str | None,
) -> tuple[Trained, tuple[Array, Array, Array, Array]]:
    """Gradient, update, guard.

    A step is bad when its loss, or the squared norm of its gradient, is not finite in float32: then parameters, layer
    state and optimizer memory stay as they were. After `most_bad` bad steps in a row nothing moves any more.

    Args:
        number: the step's number in the run.
        most_bad: bad steps in a row that end training; 1 ends it at the first.

    Returns:
        The new state, and `(loss, gradient norm, predictions, kept)`.
    """
    (value, (predictions, state)), grads = gradient(
        trained, model, loss, batch, key=key, mask=mask, compute_dtype=compute_dtype
    )  # fmt: skip
    square = squared_norm(grads)
    guard = trained.guard
    finite = jnp.isfinite(value) & jnp.isfinite(square)
    kept = guard.alive & finite
    bad = guard.alive & ~finite
    in_row = jnp.where(kept, 0, guard.bad_in_row + bad.astype(jnp.int32))
    first = jnp.where(bad & (guard.first_bad < 0), number, guard.first_bad)
    after = Guard(guard.alive & (in_row < most_bad), in_row, guard.skipped + bad.astype(jnp.int32), first)

    def move(old, grads, new_state):
        params, _, memory = old
        updates, memory = optimizer.update(grads, memory, params)
        return apply_updates(params, updates), new_state, memory

    # A branch, not a selection: selecting each number would copy the parameters and both moments in every step.
    # Under vmap it becomes a selection by itself, so each member is guarded alone.
    old = (trained.params, trained.state, trained.optimizer)
    moved = lax.cond(kept, move, lambda old, *_: old, old, grads, state)
    params, state, memory = moved
    return Trained(params, state, memory, after), (value, jnp.sqrt(square), predictions, kept)
