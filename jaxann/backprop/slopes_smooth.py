"""Slopes of the smooth activations, `slope(x, y, **settings)` with y = f(x).

Where the slope is a formula of y (the sigmoid, tanh) the forward pass has done the work. Where x multiplies a factor
that goes to 0 faster, x is held at +-40: there the factor is 0 or 1 to the last digit, and inf times 0 does not occur.
"""

from __future__ import annotations

import math

import jax.numpy as jnp
from jax import lax

from jaxann.core.typing import Array, Scalar

__all__ = ["SLOPES", "gelu", "silu"]

_FAR = 40.0
_GELU_A = 2 * math.sqrt(2 / math.pi)
_GELU_B = _GELU_A * 0.044715


def _near(x: Array) -> Array:
    return jnp.clip(x, -_FAR, _FAR)


def _finite(x: Array) -> Array:
    return jnp.where(jnp.isinf(x), 0, x)


def _sigmoid(x: Array, y: Array, *, beta: Scalar = 1.0) -> Array:
    """f = 1 / (1 + e^(-b x)):  f' = b e^(-b x) / (1 + e^(-b x))^2 = b f (1 - f)."""
    return jnp.asarray(beta, x.dtype) * y * (1 - y)


def _tanh(x: Array, y: Array) -> Array:
    """f = sinh / cosh:  f' = (cosh^2 - sinh^2) / cosh^2 = 1 - f^2."""
    return 1 - y * y


def _log_sigmoid(x: Array, y: Array) -> Array:
    """f = -log(1 + e^-x):  f' = e^-x / (1 + e^-x) = sigmoid(-x)."""
    return lax.logistic(-x)


def _softsign(x: Array, y: Array) -> Array:
    """f = x / (1 + |x|):  f' = (1 + |x| - |x|) / (1 + |x|)^2 = 1 / (1 + |x|)^2."""
    once = 1 / (1 + jnp.abs(x))
    return once * once


def gelu(x: Array, y: Array, *, approximate: bool = True) -> Array:
    """f = x P(x):  f' = P + x P'. P the normal law: P' = e^(-x^2/2) / sqrt(2 pi); or the sigmoid s of u = a x + b x^3:

    P' = s (1 - s) (a + 3 b x^2), a = 2 sqrt(2 / pi), b = 0.044715 a.
    """
    near = _near(x)
    if not approximate:
        density = jnp.exp(-0.5 * near * near) / math.sqrt(2 * math.pi)
        return 0.5 * lax.erfc(x * -math.sqrt(0.5)) + near * density
    s = lax.logistic(near * (_GELU_A + _GELU_B * near * near))
    return s + near * s * (1 - s) * (_GELU_A + 3 * _GELU_B * near * near)


def silu(x: Array, y: Array, *, beta: Scalar = 1.0) -> Array:
    """f = x s, s = sigmoid(b x):  f' = s + b x s (1 - s) = b f + s (1 - b f)."""
    z = x * jnp.asarray(beta, x.dtype)
    s = lax.logistic(z)
    return s + _finite(z) * s * (1 - s)


def _mish(x: Array, y: Array) -> Array:
    """f = x t, t = tanh(log(1 + e^x)):  f' = t + x (1 - t^2) sigmoid(x).

    With n = e^2x + 2 e^x: t = n / (n + 2), 1 - t^2 = 4 (n + 1) / (n + 2)^2.
    """
    power = jnp.exp(jnp.minimum(x, 20))
    n = power * power + 2 * power
    rest = 4 * (n + 1) / (n + 2) / (n + 2)
    return n / (n + 2) + _near(x) * lax.logistic(x) * rest


def _softplus(x: Array, y: Array, *, beta: Scalar = 1.0) -> Array:
    """f = log(1 + e^(b x)) / b:  f' = e^(b x) / (1 + e^(b x)) = sigmoid(b x)."""
    return lax.logistic(jnp.asarray(beta, x.dtype) * x)


def _squareplus(x: Array, y: Array, *, b: Scalar = 4.0) -> Array:
    """f = (x + r) / 2, r = sqrt(x^2 + b):  f' = (1 + x / r) / 2; 1/2 at 0 for b = 0."""
    root = jnp.hypot(x, jnp.sqrt(jnp.asarray(b, x.dtype)))
    safe = (root > 0) & ~jnp.isinf(root)
    return (1 + jnp.where(safe, x, lax.sign(x)) / jnp.where(safe, root, 1)) / 2


SLOPES = {
    "gelu": gelu,
    "log_sigmoid": _log_sigmoid,
    "mish": _mish,
    "sigmoid": _sigmoid,
    "silu": silu,
    "softplus": _softplus,
    "softsign": _softsign,
    "squareplus": _squareplus,
    "tanh": _tanh,
}
