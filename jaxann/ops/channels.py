"""Sums over all places of each channel, and one number for each channel at all places: each the other's derivative.

On a CPU XLA takes the sum of a tall array of few channels one row after the other, and is slow at it: 0.8 ms for 65,536
rows of 16. Of rows laid side by side, here several to a wider one, it makes several sums at once and adds these up:
0.2 ms. What is laid out in the same way when a channel's number is spread has such a sum for its derivative.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax.sharding import AxisType

from jaxann.core.typing import Array

__all__ = ["at_all_places", "channel_sums"]

_LANES, _ROWS = 128, 4  # numbers of a wide row, and rows in it, at least
_FEW = 4096  # numbers below which nothing is gained


def channel_sums(x: Array) -> Array:
    """The sum over all axes but the last, `(..., channels) -> (channels,)`, in the dtype of x."""
    side = _side_by_side(x)
    if side == 1:
        return jnp.sum(x, tuple(range(x.ndim - 1)))
    wide = jnp.sum(x.reshape(-1, side * x.shape[-1]), 0)
    return jnp.sum(wide.reshape(side, x.shape[-1]), 0)


def at_all_places(vector: Array, like: Array) -> Array:
    """A number for each channel, `(channels,)`, at every place of an array `(..., channels)`."""
    side = _side_by_side(like)
    if side == 1:
        return jnp.broadcast_to(vector, like.shape)
    wide = jnp.broadcast_to(vector, (side, vector.shape[0])).reshape(-1)
    return jnp.broadcast_to(wide, (like.size // wide.size, wide.size)).reshape(like.shape)


def _side_by_side(x: Array) -> int:
    """How many places of an example become one row; 1 for what is small, or is laid out over devices by its type.

    Examples stay apart, so that a batch that lies on several devices stays where it is.
    """
    places = math.prod(x.shape[1:-1])
    if x.ndim < 3 or x.size < _FEW or AxisType.Explicit in jax.typeof(x).sharding.mesh.axis_types:
        return 1
    wanted = max(_ROWS, _LANES // x.shape[-1])
    enough = (side for side in range(wanted, min(4 * wanted, places) + 1) if places % side == 0)
    return next(enough, 1)
