"""What augmentations of pictures share: checks, draws of each example alone, targets that go along, dtypes.

Each example's draw comes from `fold_in(key, place in the batch)`: it depends neither on how many others there are,
nor on which of them are padding, nor on what they hold.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxann.core.checks import check_choice, check_plain, check_range, fail, is_concrete
from jaxann.core.keys import fold_name
from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array, Key, Scalar, Targets

__all__ = [
    "between",
    "check_between",
    "check_geometry",
    "check_pictures",
    "check_value_range",
    "computed_once",
    "draw_each",
    "from_wide",
    "move_pictures",
    "to_wide",
    "uniforms",
]


def check_pictures(function: str, x: Any, y: Any = None, targets: str = "keep", *, numbers: bool = False) -> None:
    """One array `(batch, height, width, channels)`, and targets that are pictures if they are to go along.

    With `numbers` no array of flags, which have no arithmetic.
    """
    check_plain(function, "x", x)
    if not hasattr(x, "ndim"):
        fail(function, "x", "one array of shape (batch, height, width, channels)", x)
    if x.ndim != 4:
        fail(function, "x", "of shape (batch, height, width, channels)", f" shape {x.shape}")
    if numbers and x.dtype == bool:
        fail(function, "x", "an array of numbers", " bool")
    for leaf in jax.tree.leaves(y) if targets == "same" else ():
        if getattr(leaf, "ndim", 0) not in (3, 4) or leaf.shape[:3] != x.shape[:3]:
            expected = f"of shape {x.shape[:3]}, with or without channels, for targets='same'"
            fail(function, "y", expected, f" shape {getattr(leaf, 'shape', ())}")


def check_geometry(function: str, fill: Any, targets: Any, target_fill: Any) -> None:
    """The arguments that say what comes in from outside, and whether targets that are pictures go along."""
    check_range(function, "fill", fill)
    check_choice(function, "targets", targets, ("keep", "same"))
    check_range(function, "target_fill", target_fill)


def check_between(
    function: str, argument: str, value: Any, low: float | None = None, high: float | None = None, **open_ends: bool
) -> None:
    """A pair of numbers in a range, the first at most the second."""
    if not isinstance(value, tuple | list) or len(value) != 2:
        fail(function, argument, "a pair of numbers, the lower and the upper end", value)
    check_range(function, argument, value[0], low, high, **open_ends)
    check_range(function, argument, value[1], low, high, **open_ends)
    if all(isinstance(end, int | float) for end in value) and value[0] > value[1]:
        fail(function, argument, "a pair of numbers, the lower end first", value)


def check_value_range(function: str, value: Any) -> None:
    """Black and white, which differ."""
    check_between(function, "value_range", value)
    known = all(is_concrete(end) and not np.ndim(end) for end in value)  # one number each, not those of members
    if known and not value[0] < value[1]:
        fail(function, "value_range", "a pair of numbers, black below white", value)


def draw_each(draw: Callable[[Key], Any], key: Key, batch: int) -> Any:
    """`draw(key)` for each example, with a key of its own: a tree of arrays whose leading axis is the batch."""
    keys = jax.vmap(lambda place: jax.random.fold_in(key, place))(jnp.arange(batch, dtype=jnp.uint32))
    return jax.vmap(draw)(keys)


def computed_once(function: Callable[..., Array], *operands: Any) -> Array:
    """`function(*operands)`, the operands and the result computed once each, and whole.

    XLA joins what reads pixels at other places with what made them, and computes each pixel anew as often as it is
    read: four times for a bilinear reading, sixteen times for two in a row. On a CPU neither `optimization_barrier` nor
    a condition under `vmap` keeps them apart; a loop does, here of two rounds, the second of which does nothing.
    """
    shape = jax.eval_shape(function, *operands)
    empty = jnp.zeros(shape.shape, shape.dtype)
    return lax.fori_loop(
        0, 2, lambda number, found: lax.cond(number == 0, lambda: function(*operands), lambda: found), empty
    )


def move_pictures(
    drawn: Any,
    x: Array,
    y: Targets,
    move: Callable[..., Array],
    *,
    fill: Scalar,
    targets: str,
    target_fill: Scalar,
) -> tuple[Array, Targets]:
    """Pictures, and with `targets="same"` targets that are pictures too, moved as drawn for each example.

    Args:
        drawn: what `draw_each` gave.
        x, y: as an augmentation takes them.
        move: `(drawn, picture, fill, nearest) -> picture`; `nearest` where values may not be blended.
        fill, targets, target_fill: as the augmentation was given them.
    """

    def moved(pictures: Array, outside: Scalar, nearest: bool) -> Array:
        each = jax.vmap(lambda one, picture: move(one, picture, outside, nearest))
        return computed_once(each, drawn, pictures)

    def target(leaf: Array) -> Array:
        labels = not jnp.issubdtype(leaf.dtype, jnp.floating)  # there is no class between two classes
        channels = leaf if leaf.ndim == 4 else jnp.expand_dims(leaf, -1)
        new = moved(channels, target_fill, labels)
        return new if leaf.ndim == 4 else jnp.squeeze(new, -1)

    return moved(x, fill, x.dtype == bool), jax.tree.map(target, y) if targets == "same" else y


def uniforms(key: Key, count: int) -> Array:
    """`count` numbers of one example, uniform in [0, 1)."""
    return jax.random.uniform(fold_name(key, "uniforms"), (count,), jnp.result_type(float))


def between(low: Scalar, high: Scalar, share: Array) -> Array:
    """low + (high - low) share."""
    start, end = (jnp.asarray(limit).astype(share.dtype) for limit in (low, high))
    return start + (end - start) * share


def to_wide(picture: Array) -> Array:
    """In the dtype that arithmetic is done in: float32 for 16 bits and for whole numbers."""
    return picture.astype(wide_dtype(picture.dtype) if jnp.issubdtype(picture.dtype, jnp.floating) else jnp.float32)


def from_wide(values: Array, dtype: Any) -> Array:
    """Back in the picture's dtype: whole numbers are rounded to the nearest and cut to what the dtype holds."""
    if jnp.issubdtype(dtype, jnp.floating):
        return values.astype(dtype)
    limits = jnp.iinfo(dtype)
    return jnp.clip(jnp.round(values), float(limits.min), float(limits.max)).astype(dtype)
