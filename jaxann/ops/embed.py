"""The rows of a table that ids name."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from jaxann.core.checks import check_array, fail, is_concrete
from jaxann.core.typing import Array

__all__ = ["embed"]


def embed(ids: Array, weight: Array, *, padding_id: int | None = None) -> Array:
    """y = E[id] for each id: the gradient of a row is the sum of the gradients of all places that name it.

    Args:
        ids: whole numbers in 0..rows - 1, of any shape.
        weight: E, `(rows, features)`.
        padding_id: gives 0, whatever its row holds, which gets no gradient; None for no such id.

    Returns:
        `(*shape of ids, features)`. Inside a program, where ids cannot be looked at, one out of range gives NaN.

    Peers: as PyTorch's embedding, whose padding_idx gives its row as it stands. JAX's own indexing takes the last row
    for all ids beyond it, and counts negative ones from the end.

    Raises:
        InputError: ids are no whole numbers or one is out of range, or an array is masked.
    """
    check_array("embed", "ids", ids)
    check_array("embed", "weight", weight)
    rows = weight.shape[0]
    if not jnp.issubdtype(ids.dtype, jnp.integer):
        fail("embed", "ids", "whole numbers", f" {ids.dtype}")
    if is_concrete(ids) and ids.size:
        host = np.asarray(ids)
        wrong = (host < 0) | (host >= rows)
        if wrong.any():
            fail("embed", "ids", f"in 0..{rows - 1}, the rows of the table", f" {host[wrong].flat[0]}")
    number = jnp.asarray(ids, jnp.int32)
    within = jnp.where(number < 0, rows, number)  # JAX counts negative ones from the end
    y = jnp.asarray(weight).at[within].get(mode="fill", fill_value=jnp.nan)
    if padding_id is None:
        return y
    return jnp.where(jnp.broadcast_to((number == padding_id)[..., None], y.shape), jnp.zeros((), y.dtype), y)
