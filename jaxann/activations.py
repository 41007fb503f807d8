"""Activations: elementwise functions and softmax, `x -> y` with the shape and dtype of `x`.

All of them take floating-point arrays and raise `InputError` for integers and complex numbers. NaN stays NaN. What
the derivative is at a kink is stated for each; formulas and limits follow the conventions of `jax.nn`.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from jaxann.core.checks import check_choice, check_floating, fail
from jaxann.core.factories import is_product, named_functions
from jaxann.core.typing import Array, Scalar

__all__ = ["by_name", "identity", "log_softmax", "relu", "sigmoid", "softmax", "tanh"]


def identity(x: Array) -> Array:
    """f(x) = x; slope 1. The output of a regression network."""
    check_floating("identity", "x", x)
    return jnp.asarray(x)


def sigmoid(x: Array, beta: Scalar = 1.0) -> Array:
    """f(x) = 1 / (1 + exp(-beta x)), in (0, 1); slope beta f (1 - f), at most beta / 4.

    Finite value and slope for every finite x: in float32 it is exactly 1 from x = 17 on, and its slope there 0.
    On logits use a loss from logits instead: the sigmoid's slope vanishes where the prediction is wrong.
    """
    check_floating("sigmoid", "x", x)
    x = jnp.asarray(x)
    return lax.logistic(x * jnp.asarray(beta, x.dtype))


def tanh(x: Array) -> Array:
    """f(x) = (e^x - e^-x) / (e^x + e^-x) = 2 sigmoid(2x) - 1, in (-1, 1); slope 1 - f^2."""
    check_floating("tanh", "x", x)
    return jnp.tanh(x)


def relu(x: Array) -> Array:
    """f(x) = max(0, x); slope 1 for x > 0 and 0 for x <= 0, at the kink too (as PyTorch and jax.nn).

    `jnp.maximum(x, 0)` would give the slope 1/2 at 0. NaN stays NaN, where a comparison alone would give 0.
    Source: Nair and Hinton 2010.
    """
    check_floating("relu", "x", x)
    return jax.nn.relu(x)


def softmax(x: Array, axis: int = -1, temperature: Scalar = 1.0) -> Array:
    """p_i = exp(x_i / T) / sum_j exp(x_j / T) along an axis; positive, sums to 1, unchanged by a shift of x.

    The greatest entry is taken off first, so that no finite input overflows. Jacobian p_i (1[i=j] - p_j) / T. A row
    that holds +inf, or only -inf, gives NaN.
    """
    check_floating("softmax", "x", x)
    x = jnp.asarray(x)
    return jax.nn.softmax(x / jnp.asarray(temperature, x.dtype), axis)


def log_softmax(x: Array, axis: int = -1) -> Array:
    """log softmax(x) = x - max - log sum exp(x - max), never the logarithm of a rounded probability."""
    check_floating("log_softmax", "x", x)
    return jax.nn.log_softmax(x, axis)


_BY_NAME: dict[str, Callable[[Array], Array]] = {
    f.__name__: f for f in (identity, log_softmax, relu, sigmoid, softmax, tanh)
}
named_functions(*_BY_NAME.values())


def by_name(activation: str | Callable[[Array], Array]) -> Callable[[Array], Array]:
    """The activation of that name; a function is handed back as it is.

    Raises:
        InputError: no activation has that name (the message lists them), or it is neither a name nor a function.
    """
    if isinstance(activation, str):
        check_choice("activations.by_name", "activation", activation, _BY_NAME)
        return _BY_NAME[activation]
    if not callable(activation) and not is_product(activation):
        fail("activations.by_name", "activation", "a name or a function", activation)
    return activation
