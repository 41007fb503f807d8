"""How an activation is put together: computed in float32 or better, its slope written down and not left to autodiff.

A slope of one's own is right where the derivative of the formula is not: at a kink it is what the documentation says,
at -inf and inf it is the limit, and at NaN it is NaN, so that a gradient cannot hide what the value shows.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero

from jaxann.core.checks import check_floating
from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array, Scalar

__all__ = ["apply_wide", "nan_or", "smooth"]


def smooth(value: Callable[..., Array], *derivatives: Callable[..., Array]) -> Callable[..., Array]:
    """`value(x, *parameters)` with `derivatives[i](x, *parameters)` for its argument i; scalars broadcast."""
    function = jax.custom_jvp(value)

    def rule(primals, tangents):
        out = function(*primals)
        total = jnp.zeros_like(out)
        for slope, tangent in zip(derivatives, tangents, strict=True):
            if type(tangent) is not SymbolicZero:  # what nobody differentiates by costs nothing
                total = total + slope(*primals) * tangent
        return out, total

    function.defjvp(rule, symbolic_zeros=True)
    return jax.jit(function, inline=True)


def apply_wide(name: str, function: Callable[..., Array], x: Array, *parameters: Scalar) -> Array:
    """`function(x, *parameters)` computed in float32 or better and given back in the dtype of x, which is checked.

    So float16 neither overflows on the way (x^2 at 300) nor loses digits to each step.
    """
    check_floating(name, "x", x)
    x = jnp.asarray(x)
    wide = wide_dtype(x.dtype)
    return function(x.astype(wide), *(jnp.asarray(p, wide) for p in parameters)).astype(x.dtype)


def nan_or(x: Array, slope: Array) -> Array:
    """The slope, and NaN where x is: for derivatives made of comparisons, which NaN would pass unseen."""
    return jnp.where(jnp.isnan(x), x, slope)
