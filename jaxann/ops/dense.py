"""The dense (fully connected) map."""

from __future__ import annotations

import jax.numpy as jnp
from jax import lax

from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array

__all__ = ["dense"]


def dense(x: Array, weight: Array, bias: Array | None = None) -> Array:
    """z = x W + b.

    Args:
        x: `(..., in)`.
        weight: `(in, out)` of the same dtype.
        bias: `(out,)`, or None.

    Returns:
        `(..., out)`; the products of 16-bit floats are summed in float32.
    """
    wide = wide_dtype(x.dtype)
    z = lax.dot_general(x, weight, (((x.ndim - 1,), (0,)), ((), ())), preferred_element_type=wide).astype(x.dtype)
    return z if bias is None else z + jnp.broadcast_to(bias, z.shape)
