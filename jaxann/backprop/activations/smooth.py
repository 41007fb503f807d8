"""Derivatives of the activations in `activations/smooth.py`, `derivative(x, y, **settings)` with y = f(x).

Where x multiplies a factor that goes to 0 faster, x is held at +-40: there the factor is 0 or 1 to the last digit, and
inf times 0 does not occur.
"""

from __future__ import annotations

import math

import jax.numpy as jnp
from jax import lax

from jaxann import activations
from jaxann.backprop.registry import activation_derivative
from jaxann.core.typing import Array, Scalar

__all__ = ["gelu_derivative", "silu_derivative"]


_FAR = 40.0
_GELU_A = 2 * math.sqrt(2 / math.pi)
_GELU_B = _GELU_A * 0.044715


@activation_derivative(activations.gelu)
def gelu_derivative(x: Array, y: Array, *, approximate: bool = True) -> Array:
    """f = x P(x):  f' = P + x P'. P the normal distribution's: P' = e^(-x^2/2) / sqrt(2 pi).

    Or P = s, the sigmoid of u = a x + b x^3: P' = s (1 - s) (a + 3 b x^2), a = 2 sqrt(2 / pi), b = 0.044715 a.
    """
    near = _near(x)
    if not approximate:
        density = jnp.exp(-0.5 * near * near) / math.sqrt(2 * math.pi)
        return 0.5 * lax.erfc(x * -math.sqrt(0.5)) + near * density
    s = lax.logistic(near * (_GELU_A + _GELU_B * near * near))
    return s + near * s * (1 - s) * (_GELU_A + 3 * _GELU_B * near * near)


@activation_derivative(activations.silu)
def silu_derivative(x: Array, y: Array, *, beta: Scalar = 1.0) -> Array:
    """f = x s, s = sigmoid(b x):  f' = s + b x s (1 - s) = b f + s (1 - b f)."""
    z = x * jnp.asarray(beta, x.dtype)
    s = lax.logistic(z)
    return s + _finite(z) * s * (1 - s)


@activation_derivative(activations.hard_swish)
def _hard_swish(x: Array, y: Array) -> Array:
    """f = x min(max(x + 3, 0), 6) / 6:  f' = (2x + 3) / 6 for |x| < 3, 0 below, 1 above; 0 at -3, 1 at 3."""
    inside = (2 * jnp.clip(x, -3, 3) + 3) / 6
    return jnp.where(x <= -3, 0, jnp.where(x >= 3, 1, inside))


@activation_derivative(activations.mish)
def _mish(x: Array, y: Array) -> Array:
    """f = x t, t = tanh(log(1 + e^x)):  f' = t + x (1 - t^2) sigmoid(x).

    With n = e^2x + 2 e^x: t = n / (n + 2), 1 - t^2 = 4 (n + 1) / (n + 2)^2.
    """
    power = jnp.exp(jnp.minimum(x, 20))
    n = power * power + 2 * power
    rest = 4 * (n + 1) / (n + 2) / (n + 2)
    return n / (n + 2) + _near(x) * lax.logistic(x) * rest


@activation_derivative(activations.softplus)
def _softplus(x: Array, y: Array, *, beta: Scalar = 1.0) -> Array:
    """f = log(1 + e^(b x)) / b:  f' = e^(b x) / (1 + e^(b x)) = sigmoid(b x)."""
    return lax.logistic(jnp.asarray(beta, x.dtype) * x)


@activation_derivative(activations.squareplus)
def _squareplus(x: Array, y: Array, *, b: Scalar = 4.0) -> Array:
    """f = (x + r) / 2, r = sqrt(x^2 + b):  f' = (1 + x / r) / 2; 1/2 at 0 for b = 0."""
    radius = jnp.hypot(x, jnp.sqrt(jnp.asarray(b, x.dtype)))
    safe = (radius > 0) & ~jnp.isinf(radius)
    return (1 + jnp.where(safe, x, lax.sign(x)) / jnp.where(safe, radius, 1)) / 2


def _near(x: Array) -> Array:
    return jnp.clip(x, -_FAR, _FAR)


def _finite(x: Array) -> Array:
    return jnp.where(jnp.isinf(x), 0, x)
