"""One optimizer step, as the program, a Python loop and the replay of a bad step all run it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxann.core.checks import fail
from jaxann.core.keys import fold_name
from jaxann.core.products import Mixed
from jaxann.core.trees import squared_norm
from jaxann.core.typing import Array, Key, Params, State
from jaxann.optimizers import apply_updates, looks_elsewhere
from jaxann.train.objective import Seen, objective
from jaxann.train.plan import Ingredients

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
    parts: Ingredients,
    batch: tuple[Array, Array, Array | None],
    *,
    key: Key | None,
    mask: Array | None,
    compute_dtype: str | None,
) -> tuple[tuple[Array, Seen], Params, Callable[[Params], Array]]:
    """`((objective, what was seen), gradients, the objective as a function)` of a batch, augmented first."""
    x, own, weights = batch
    y: Array | Mixed = own
    for number, augment in enumerate(parts.augment):
        x, changed = augment(fold_name(_known(key), f"augment{number}"), x, own, mask)
        if isinstance(y, Mixed) and isinstance(changed, Mixed):
            fail("train_step", "augment", "of one augmentation that mixes examples at most", " two")
        y = changed if isinstance(changed, Mixed) else y

    def value_of(params):
        return objective(
            params, trained.state, parts, (x, y, weights), key=key, mask=mask, compute_dtype=compute_dtype
        )  # fmt: skip

    value, grads = jax.value_and_grad(value_of, has_aux=True)(trained.params)
    return value, grads, lambda params: value_of(params)[0]


def train_step(
    trained: Trained,
    parts: Ingredients,
    batch: tuple[Array, Array, Array | None],
    number: Array,
    *,
    key: Key | None,
    mask: Array | None,
    compute_dtype: str | None,
) -> tuple[Trained, tuple[Array, Array, Array, Array, Array]]:
    """Gradient, update, guard.

    A step is bad when its loss, or the squared norm of its gradient (and of its update, for a rule that takes
    derivatives of its own), is not finite in float32: then parameters, layer state and optimizer memory stay as they
    were. After `parts.most_bad` bad steps in a row nothing moves any more (1 ends training at the first).

    Args:
        trained: where the run stands.
        parts: what it is made of; its optimizer with the plateau schedules as they stand.
        batch: `(x, y, weights)`.
        number: the step's number in the run.
        key: randomness of this step.
        mask, compute_dtype: as in `objective`.

    Returns:
        The new state, and `(loss, its weight, gradient norm, predictions, kept)`.
    """
    (value, seen), grads, value_fn = gradient(trained, parts, batch, key=key, mask=mask, compute_dtype=compute_dtype)
    square = squared_norm(grads)
    guard = trained.guard
    finite = guard.alive & jnp.isfinite(value) & jnp.isfinite(square)
    noise = None if key is None else fold_name(key, "optimizer")
    elsewhere = looks_elsewhere(parts.optimizer)

    def move(old, grads, new_state):
        params, _, memory = old
        updates, memory = parts.optimizer.update(grads, memory, params, value=value, value_fn=value_fn, key=noise)
        new = apply_updates(params, updates), new_state, memory
        if not elsewhere:
            return new, jnp.asarray(True)
        fine = jnp.isfinite(squared_norm(updates))
        return jax.tree.map(lambda a, b: jnp.where(fine, a, b), new, old), fine

    # A branch, not a selection: selecting each number would copy the parameters and both moments in every step.
    # Under vmap it becomes a selection by itself, so each member is guarded alone.
    old = (trained.params, trained.state, trained.optimizer)
    moved, kept = lax.cond(finite, move, lambda old, *_: (old, jnp.asarray(False)), old, grads, seen.state)
    params, state, memory = moved
    bad = guard.alive & ~kept
    in_row = jnp.where(kept, 0, guard.bad_in_row + bad.astype(jnp.int32))
    first = jnp.where(bad & (guard.first_bad < 0), number, guard.first_bad)
    most_bad = jnp.asarray(parts.most_bad, jnp.int32)
    after = Guard(guard.alive & (in_row < most_bad), in_row, guard.skipped + bad.astype(jnp.int32), first)
    return Trained(params, state, memory, after), (value, seen.weight, jnp.sqrt(square), seen.predictions, kept)


def _known(key: Key | None) -> Key:
    if key is None:
        fail("train_step", "key", "given: the augmentation is random", None)
    return key
