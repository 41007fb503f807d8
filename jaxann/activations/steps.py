"""Steps: the threshold unit's activation and the sign, both without a slope, and the estimator that lends them one."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxann.activations.rules import apply_wide
from jaxann.core.checks import check_range, fail, is_concrete
from jaxann.core.typing import Array, Scalar

__all__ = ["check_real", "heaviside", "sign"]


def check_real(name: str, x: Array) -> None:
    """A floating-point or integer array: what is compared and not differentiated."""
    dtype = jnp.result_type(x)
    if not (jnp.issubdtype(dtype, jnp.floating) or jnp.issubdtype(dtype, jnp.integer)):
        fail(name, "x", "a floating-point or integer array", f" {dtype}")


def heaviside(x: Array, value_at_zero: Scalar = 0.0) -> Array:
    """f(x) = 1 for x > 0, 0 for x < 0, value_at_zero at 0; slope 0 everywhere.

    The activation of the threshold unit. No gradient descends through it: train with the perceptron rule, or with
    `straight_through`. Source: McCulloch and Pitts 1943.

    Args:
        x: any shape, floating-point or integer.
        value_at_zero: 0 does not fire at the threshold; 0 or 1 where x is integer.

    Peers: the heaviside of PyTorch, NumPy and Keras demands the value at 0.

    Raises:
        InputError: x is boolean or complex, or integer with a value at zero that is not.
    """
    check_real("heaviside", x)
    check_range("heaviside", "value_at_zero", value_at_zero, arrays=True)
    dtype = jnp.result_type(x)
    if not jnp.issubdtype(dtype, jnp.floating) and is_concrete(value_at_zero):
        if np.any(np.asarray(value_at_zero) != np.round(np.asarray(value_at_zero))):
            fail("heaviside", "value_at_zero", f"a whole number for {dtype}", value_at_zero)
    x = jnp.asarray(x)
    middle = jnp.where(x == 0, jnp.asarray(value_at_zero, x.dtype), lax.stop_gradient(x))  # NaN stays NaN
    return jnp.where(x > 0, 1, jnp.where(x < 0, 0, middle)).astype(x.dtype)


def sign(x: Array) -> Array:
    """f(x) = -1 for x < 0, 0 at 0, 1 for x > 0; slope 0 everywhere.

    Peers: as jax.numpy, PyTorch and Keras.

    Raises:
        InputError: x is not floating-point.
    """
    return apply_wide("sign", lax.sign, x)
