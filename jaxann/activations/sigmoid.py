"""Activations that saturate on both sides, smooth or made of straight pieces, and the identity."""

from __future__ import annotations

import jax.numpy as jnp
from jax import lax

from jaxann.activations.precise import tanh_value
from jaxann.activations.rules import apply_wide, nan_or, smooth
from jaxann.core.checks import check_floating
from jaxann.core.typing import Array, Scalar

__all__ = ["hard_sigmoid", "hard_tanh", "identity", "log_sigmoid", "sigmoid", "softsign", "tanh"]


def identity(x: Array) -> Array:
    """f(x) = x; slope 1.

    The output of a regression network.

    Peers: as jax.nn.identity; Keras calls it linear, PyTorch has the module Identity.

    Raises:
        InputError: x is not floating-point.
    """
    check_floating("identity", "x", x)
    return jnp.asarray(x)


def sigmoid(x: Array, beta: Scalar = 1.0) -> Array:
    """f(x) = 1 / (1 + exp(-beta x)), in (0, 1); slope beta f (1 - f), at most beta / 4.

    Finite value and slope for every finite x: in float32 it is exactly 1 from x = 17 on, and its slope there 0.
    On logits use a loss from logits instead: the sigmoid's slope vanishes where the prediction is wrong.

    Args:
        x: any shape.
        beta: steepness; 1 gives the logistic function.

    Peers: at beta = 1 as jax.nn, PyTorch and Keras, which have no beta.

    Raises:
        InputError: x is not floating-point.
    """
    return apply_wide("sigmoid", lambda x, beta: lax.logistic(x * beta), x, beta)


_log_sigmoid = smooth(lambda x: jnp.minimum(x, 0) - jnp.log1p(jnp.exp(-jnp.abs(x))), lambda x: lax.logistic(-x))


def log_sigmoid(x: Array) -> Array:
    """f(x) = log sigmoid(x) = -log(1 + exp(-x)), at most 0; slope sigmoid(-x).

    Never the logarithm of a rounded sigmoid: it is x, and not -inf, far to the left.

    Peers: as jax.nn, PyTorch and Keras.

    Raises:
        InputError: x is not floating-point.
    """
    return apply_wide("log_sigmoid", _log_sigmoid, x)


_hard_sigmoid = smooth(
    lambda x: jnp.clip(x + 3, 0, 6) / 6, lambda x: nan_or(x, jnp.where(jnp.abs(x) < 3, 1 / 6, 0).astype(x.dtype))
)


def hard_sigmoid(x: Array) -> Array:
    """f(x) = min(max(x + 3, 0), 6) / 6, in [0, 1]; slope 1/6 for |x| < 3, else 0, at the kinks too.

    Peers: as jax.nn, PyTorch and Keras 3; Keras 2 had 0.2 x + 0.5, cut to [0, 1]. At NaN the peers' slope is 0, ours
    NaN.

    Raises:
        InputError: x is not floating-point.
    """
    return apply_wide("hard_sigmoid", _hard_sigmoid, x)


def _tanh_slope(x: Array) -> Array:
    y = _tanh(x)
    return 1 - y * y


_tanh = smooth(tanh_value, _tanh_slope)


def tanh(x: Array) -> Array:
    """f(x) = (e^x - e^-x) / (e^x + e^-x) = 2 sigmoid(2x) - 1, in (-1, 1); slope 1 - f^2.

    Peers: as jax.numpy, PyTorch and Keras; in float32 within two units of the last place, where XLA's own tanh errs by
    up to 4.3.

    Raises:
        InputError: x is not floating-point.
    """
    return apply_wide("tanh", _tanh, x)


_hard_tanh = smooth(
    lambda x, low, high: jnp.where(x < low, low, jnp.where(x > high, high, x)),
    lambda x, low, high: nan_or(x, jnp.where((x < low) | (x > high), 0, 1).astype(x.dtype)),
    lambda x, low, high: jnp.where(x < low, 1, 0).astype(x.dtype),
    lambda x, low, high: jnp.where(x > high, 1, 0).astype(x.dtype),
)


def hard_tanh(x: Array, low: Scalar = -1.0, high: Scalar = 1.0) -> Array:
    """f(x) = min(max(x, low), high); slope 1 for low <= x <= high, at the kinks too, else 0.

    Args:
        x: any shape.
        low, high: the least and the greatest value.

    Peers: jax.nn has the slope 1 at the kinks as here, PyTorch 0; Keras has the same values. jax.nn and Keras have no
    low and high. At NaN the peers' slope is 1, ours NaN.

    Raises:
        InputError: x is not floating-point.
    """
    return apply_wide("hard_tanh", _hard_tanh, x, low, high)


def _softsign_value(x: Array) -> Array:
    far = jnp.isinf(x)
    return jnp.where(far, lax.sign(x), x / (1 + jnp.abs(jnp.where(far, 0, x))))


def _softsign_slope(x: Array) -> Array:
    once = 1 / (1 + jnp.abs(x))
    return once * once


_softsign = smooth(_softsign_value, _softsign_slope)


def softsign(x: Array) -> Array:
    """f(x) = x / (1 + |x|), in (-1, 1); slope 1 / (1 + |x|)^2.

    Peers: as jax.nn.soft_sign, PyTorch and Keras, which give NaN at -inf and inf, where this gives -1 and 1.

    Raises:
        InputError: x is not floating-point.
    """
    return apply_wide("softsign", _softsign, x)
