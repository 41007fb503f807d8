"""Losses for numbers: one value an element, never averaged. r = prediction - target throughout."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxann.core.checks import check_range, fail
from jaxann.core.tables import named_functions
from jaxann.core.typing import Array, Scalar
from jaxann.losses.inputs import elementwise

__all__ = ["absolute_error", "half_squared_error", "huber", "log_cosh", "quantile", "squared_error"]


@elementwise
def absolute_error(predictions: Array, targets: Array) -> Array:
    """|r|, r = prediction - target; slope sign(r), 0 at r = 0.

    Minimized by any median. Its mean is the mean absolute error.

    Args:
        predictions: floating point, any shape.
        targets: the same shape.

    Returns:
        The same shape.

    Peers: PyTorch's L1Loss and Keras's MeanAbsoluteError are its mean; jnp.abs would have the slope 1 at 0.

    Source: Laplace 1774.

    Raises:
        InputError: shapes differ (also `(n,)` against `(n, 1)`), or the predictions are not floating point.
    """
    r = predictions - targets
    return r * lax.stop_gradient(jnp.sign(r))


@elementwise
def squared_error(predictions: Array, targets: Array) -> Array:
    """r^2, r = prediction - target, without the factor 1/2; slope 2 r.

    Args:
        predictions: floating point, any shape.
        targets: the same shape.

    Returns:
        The same shape.

    Peers: as optax's squared_error; PyTorch's MSELoss and Keras's MeanSquaredError are its mean.

    Source: Legendre 1805.

    Raises:
        InputError: shapes differ (also `(n,)` against `(n, 1)`), or the predictions are not floating point.
    """
    r = predictions - targets
    return r * r


@elementwise
def half_squared_error(predictions: Array, targets: Array) -> Array:
    """r^2 / 2, r = prediction - target; slope r.

    The negative log likelihood of a normal distribution of variance 1, less its constant.

    Args:
        predictions: floating point, any shape.
        targets: the same shape.

    Returns:
        The same shape.

    Peers: as optax's l2_loss; PyTorch and Keras have no form with the 1/2.

    Source: Gauss 1809.

    Raises:
        InputError: shapes differ (also `(n,)` against `(n, 1)`), or the predictions are not floating point.
    """
    r = predictions - targets
    return r * (r / 2)


@elementwise
def huber(predictions: Array, targets: Array, *, delta: Scalar = 1.0) -> Array:
    """r^2 / 2 for |r| <= d, else d (|r| - d / 2), r = prediction - target; slope clip(r, -d, d).

    Squared near the target and absolute far from it: a single outlier pulls with d at most.

    Args:
        predictions: floating point, any shape.
        targets: the same shape.
        delta: d > 0, where the parabola turns into a line.

    Returns:
        The same shape.

    Peers: as PyTorch's HuberLoss, Keras's Huber and optax's huber_loss; PyTorch's SmoothL1Loss(beta) is this with
        delta=beta, divided by beta.

    Source: Huber 1964.

    Raises:
        InputError: shapes differ (also `(n,)` against `(n, 1)`), delta <= 0, or the predictions are not floating point.
    """
    check_range("huber", "delta", delta, 0, open_low=True)
    d = jnp.asarray(delta, predictions.dtype)
    r = predictions - targets
    size = r * lax.stop_gradient(jnp.sign(r))
    near = jnp.where(size > d, 0, r)  # the square of a far one may overflow
    return jnp.where(size > d, d * (size - d / 2), near * near / 2)


@elementwise
def log_cosh(predictions: Array, targets: Array) -> Array:
    """log cosh r = |r| + log(1 + exp(-2 |r|)) - log 2, r = prediction - target; slope tanh(r).

    About r^2 / 2 near the target and |r| - log 2 far from it, smooth in between.

    Args:
        predictions: floating point, any shape.
        targets: the same shape.

    Returns:
        The same shape, precise to the last digits for small r too.

    Peers: as Keras's LogCosh (its mean) and optax's log_cosh, whose small values are rounded off; PyTorch has none.

    Source: Green 1990.

    Raises:
        InputError: shapes differ (also `(n,)` against `(n, 1)`), or the predictions are not floating point.
    """
    r = predictions - targets
    size = r * lax.stop_gradient(jnp.sign(r))
    far = size > 1
    sinh = jnp.sinh(jnp.where(far, 0, r))
    outside = jnp.where(far, size, 1)
    return jnp.where(far, outside + jnp.log1p(jnp.exp(-2 * outside)) - math.log(2), jnp.log1p(sinh * sinh) / 2)


def quantile(predictions: Array, targets: Array, *, q: Array | Sequence[float] | float = 0.5) -> Array:
    """q e for e > 0 and (q - 1) e for e < 0, e = target - prediction; slope -q above, 1 - q below, 0 at e = 0.

    Minimized by the q-quantile of the targets; with q = 0.5, half the absolute error.

    Args:
        predictions: floating point, any shape; with several q, `(..., quantiles)`, one output for each.
        targets: the same shape; with several q, `(...)`.
        q: in (0, 1), a number or a vector of them (array, list or tuple).

    Returns:
        The shape of the predictions.

    Peers: as scikit-learn's pinball loss (mean_pinball_loss is its mean); PyTorch, Keras and optax have none.

    Source: Koenker and Bassett 1978.

    Raises:
        InputError: shapes do not fit, q is outside (0, 1) or no vector, or the predictions are not floating point.
    """
    several = isinstance(q, list | tuple) or np.ndim(q) > 0
    for level in q if isinstance(q, list | tuple) else [q]:
        check_range("quantile", "q", level, 0, 1, open_low=True, open_high=True, arrays=True)
    if not several:
        return _pinball(predictions, targets, q=q)
    levels = jnp.stack([jnp.asarray(level) for level in q]) if isinstance(q, list | tuple) else q
    if np.ndim(levels) != 1:
        fail("quantile", "q", "a number or a vector", q)
    expected = (*np.shape(targets), np.shape(levels)[0])
    if np.shape(predictions) != expected:
        got = f" shape {np.shape(targets)} for predictions {np.shape(predictions)} and {expected[-1]} quantiles"
        fail("quantile", "targets", "of the predictions' shape without its last axis, the quantiles", got)
    wanted = jnp.broadcast_to(lax.expand_dims(targets, [len(expected) - 1]), expected)
    return _pinball(predictions, wanted, q=jnp.broadcast_to(jnp.asarray(levels), expected))


def _pinball_formula(predictions: Array, targets: Array, *, q: Any) -> Array:
    q = jnp.asarray(q, predictions.dtype)
    e = targets - predictions
    return e * jnp.where(e > 0, q, jnp.where(e < 0, q - 1, 0))


_pinball_formula.__name__ = "quantile"
_pinball = elementwise(_pinball_formula)
named_functions(absolute_error, half_squared_error, huber, log_cosh, quantile, squared_error)
