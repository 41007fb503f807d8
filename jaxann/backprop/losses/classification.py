"""Derivatives of the losses of classes, from logits z: finite for every finite logit, never through log(0).

The loss and the squashing of its logits are one formula, so that the derivative of the one cancels that of the other:

    sigmoid and cross entropy      dl/dz = sigmoid(z) - y
    softmax and cross entropy      dl/dz = p - onehot(y)

A prediction that is wrong and sure has the derivative 1, where that of (sigmoid(z) - y)^2 has vanished.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxann import losses
from jaxann.backprop.registry import loss_derivative
from jaxann.core.logits import softmax
from jaxann.core.typing import Array, Scalar
from jaxann.losses.inputs import hits

__all__ = []


@loss_derivative(losses.sigmoid_cross_entropy)
def _sigmoid_cross_entropy(predictions: Array, targets: Array, *, positive_weight: Scalar = 1.0) -> Array:
    """l = w y softplus(-z) + (1 - y) softplus(z):  dl/dz = (1 - y) s(z) - w y s(-z), s the sigmoid: s(z) - y for w = 1.

    Written so, nothing cancels where the prediction is right: s(-z), and not s(z) - 1.
    """
    w = jnp.broadcast_to(jnp.asarray(positive_weight, predictions.dtype), predictions.shape)
    return (1 - targets) * lax.logistic(predictions) - w * targets * lax.logistic(-predictions)


@loss_derivative(losses.softmax_cross_entropy)
def _softmax_cross_entropy(
    predictions: Array,
    targets: Array,
    *,
    ignore_index: Any = None,
    class_weights: Any = None,
    label_smoothing: Scalar = 0.0,
) -> Array:
    """l = log sum_k e^(z_k) - z_y:  dl/dz = p - onehot(y), p = softmax(z), for dlog sum e^z / dz_k = p_k.

    With class weights w, smoothing e and K classes l = sum_k t_k (log sum e^z - z_k), and

        dl/dz = p sum(t) - t,   t = (1 - e) w_y onehot(y) + (e / K) w

    0 for a label that is ignored, or is no class.
    """
    classes, dtype = predictions.shape[-1], predictions.dtype
    own = hits(targets, classes)
    counts = (targets >= 0) & (targets < classes)
    if ignore_index is not None:
        counts = counts & ~_same(targets, ignore_index)
    counts = lax.expand_dims(counts, [targets.ndim])
    p = softmax(jnp.where(counts, predictions, 0))
    hot = own.astype(dtype)
    if class_weights is None and isinstance(label_smoothing, float | int) and label_smoothing == 0:
        return jnp.where(counts, p - hot, 0)
    weights = _row(1.0 if class_weights is None else class_weights, predictions)
    smoothing = jnp.asarray(label_smoothing, dtype)
    wanted = (1 - smoothing) * weights * hot + smoothing / classes * weights
    return jnp.where(counts, p * jnp.sum(wanted, -1, keepdims=True) - wanted, 0)


@loss_derivative(losses.softmax_cross_entropy_dense)
def _softmax_cross_entropy_dense(
    predictions: Array, targets: Array, *, class_weights: Any = None, label_smoothing: Scalar = 0.0
) -> Array:
    """l = sum_k t_k (log sum e^z - z_k), t = w ((1 - e) y + e / K):  dl/dz = p sum(t) - t: p - y for sum(y) = 1."""
    smoothing = jnp.asarray(label_smoothing, predictions.dtype)
    wanted = (1 - smoothing) * targets + smoothing / max(predictions.shape[-1], 1)
    if class_weights is not None:
        wanted = wanted * _row(class_weights, predictions)
    return softmax(predictions) * jnp.sum(wanted, -1, keepdims=True) - wanted


def _row(weights: Any, like: Array) -> Array:
    """One number for each class, for every row."""
    return jnp.broadcast_to(jnp.asarray(weights, like.dtype), like.shape)


def _same(targets: Array, number: Any) -> Array:
    """Where labels of any integer type equal a number of any size."""
    span = jnp.iinfo(targets.dtype)
    if isinstance(number, int | np.integer) and not span.min <= int(number) <= span.max:
        return jnp.zeros(targets.shape, bool)
    return targets == jnp.asarray(number).astype(targets.dtype)
