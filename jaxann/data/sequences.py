"""What augmentations of sequences share: which positions are real, and targets that go along with them.

x is `(batch, time, ...)` or `Padded`. A draw is an example's own, and no padding after it changes what is drawn.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jaxann.core.checks import check_choice, check_floating, check_host_leaves, fail
from jaxann.core.padding import Padded
from jaxann.core.typing import Array, Inputs, Targets

__all__ = ["as_arrays", "check_along", "first_real", "ranked", "sequence_of", "take_along", "whole_below"]


def sequence_of(
    function: str, x: Any, axes: tuple[int, ...] | None, named: str, kind: str = "any", largest: int = 0
) -> tuple[Array, Array | None]:
    """The values `(batch, time, ...)` and the mask of what is real, as given; None where x is no `Padded`.

    Args:
        function: for the message.
        x: one array, or `Padded`.
        axes: how many axes there may be; None for any number from two up.
        named: the shape in words.
        kind: of its numbers: "floating", "ids" or "any".
        largest: an id that may come in, which has to fit.
    """
    values, mask = x if isinstance(x, Padded) else (x, None)
    check_host_leaves(function, "x", values)
    if not hasattr(values, "ndim"):
        fail(function, "x", f"one array of shape {named}, or Padded", x)
    fits = values.ndim > 1 if axes is None else values.ndim in axes
    if not fits or (mask is not None and mask.shape != values.shape[:2]):
        fail(function, "x", f"of shape {named}", f" shape {values.shape}")
    if kind == "floating":
        check_floating(function, "x", values)
    elif kind == "ids" and not jnp.issubdtype(values.dtype, jnp.integer):
        fail(function, "x", "whole numbers, ids", f" {values.dtype}")
    if kind == "ids" and jnp.iinfo(values.dtype).max < largest:
        fail(function, "x", f"of a dtype that holds the id {largest}", f" {values.dtype}")
    return values, mask


def as_arrays(values: Array, mask: Array | None) -> tuple[Array, Array | None]:
    """What `sequence_of` gave as JAX's arrays, after all checks: outside of a program this may compile something."""
    return jnp.asarray(values), None if mask is None else jnp.asarray(mask).astype(bool)


def check_along(function: str, x: Array, y: Targets, targets: str) -> None:
    """Targets that go along have x's first two axes; those that stay have not, for they would be another position's."""
    check_choice(function, "targets", targets, ("keep", "same"))
    for leaf in jax.tree.leaves(y):
        along = getattr(leaf, "shape", ())[:2] == x.shape[:2]
        if targets == "same" and not along:
            hint = "One target a sequence stays with targets='keep'."
            fail(function, "y", f"of x's shape {x.shape[:2]} in the first axes", f" shape {leaf.shape}", hint=hint)
        if targets == "keep" and along:
            hint = "What each position has moves along with targets='same', where an augmentation takes that."
            fail(function, "y", "one target a sequence", f" shape {leaf.shape}, one a position", hint=hint)


def take_along(tree: Inputs, source: Array) -> Inputs:
    """Each leaf `(batch, time, ...)` as it is at the positions `(batch, new time)`; a mask of `Padded` too."""
    return jax.tree.map(lambda leaf: jax.vmap(lambda a, s: a[s])(leaf, source), tree)


def whole_below(share: Array, count: Array) -> Array:
    """0, 1, ..., count - 1, each as likely for a share uniform in [0, 1); 0 where the count is 0."""
    number = jnp.floor(share * count.astype(share.dtype)).astype(jnp.int32)
    return jnp.clip(number, 0, jnp.maximum(count - 1, 0))


def first_real(real: Array) -> Array:
    """Positions `(time,)` with the real ones first, in their order."""
    rank = jnp.cumsum(real, dtype=jnp.int32) - 1
    place = jnp.where(real, rank, rank[-1] + jnp.cumsum(~real, dtype=jnp.int32))
    here = jnp.arange(len(real), dtype=jnp.int32)
    return jnp.zeros_like(here).at[place].set(here, mode="promise_in_bounds", unique_indices=True)


def ranked(chosen: Array, rank: Array) -> Array:
    """The position of the chosen one with this rank, from 0 up; 0 where there are not so many."""
    return jnp.argmax(chosen & (jnp.cumsum(chosen, dtype=jnp.int32) - 1 == rank)).astype(jnp.int32)
