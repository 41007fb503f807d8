"""An array that several readers read as it is, and none computes again.

On a CPU XLA writes what is cheap to compute into every loop that reads it, however long the chain of sums and maxima
behind it has become: each block of a residual net would begin with all blocks before it. It does not do so with a
division, which it takes for dear. So on a CPU each number is divided by 1: by what XLA does not know to be 1, and the
compiler of the loops, which comes after it, does, so that no division is left. Elsewhere nothing is done.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from jaxann.core.typing import Array

__all__ = ["computed_once", "gradient_once"]

_WORDS = {2: jnp.uint16, 4: jnp.uint32, 8: jnp.uint64}


def computed_once(x: Array) -> Array:
    """x, with the derivative 1."""
    if not jnp.issubdtype(x.dtype, jnp.floating) or x.dtype.itemsize not in _WORDS or x.ndim == 0 or x.size == 0:
        return x
    return _once.bind(x)


def gradient_once(x: Array) -> Array:
    """x as it is; its gradient is computed once, for the several that read it."""
    return _returned.bind(x)


def _divided(x: Array) -> Array:
    """x / 1, exact for whatever x holds."""
    bits = lax.bitcast_convert_type(x, _WORDS[x.dtype.itemsize])
    half = jnp.full(x.shape, 4 * x.dtype.itemsize, bits.dtype)
    nothing = lax.shift_right_logical(lax.shift_right_logical(bits, half), half)  # by all of its bits
    return x / (1 + nothing.astype(x.dtype))


_once = Primitive("computed_once")
_once.def_impl(lambda x: x)
_once.def_abstract_eval(lambda x: x if isinstance(x, ShapedArray) else jax.typeof(x))
mlir.register_lowering(_once, lambda context, x: [x])
mlir.register_lowering(_once, mlir.lower_fun(_divided, multiple_results=False), platform="cpu")
ad.deflinear(_once, lambda cotangent: [computed_once(cotangent)])
batching.defvectorized(_once)

_returned = Primitive("gradient_once")
_returned.def_impl(lambda x: x)
_returned.def_abstract_eval(lambda x: x if isinstance(x, ShapedArray) else jax.typeof(x))
mlir.register_lowering(_returned, lambda context, x: [x])
ad.deflinear(_returned, lambda cotangent: [computed_once(cotangent)])
batching.defvectorized(_returned)
