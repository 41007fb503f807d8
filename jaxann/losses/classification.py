"""Losses for classes, from logits: finite value and gradient for every finite logit."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

from jaxann.core.checks import check_floating, check_range, check_same_shape, fail
from jaxann.core.factories import named_functions
from jaxann.core.typing import Array, Scalar

__all__ = ["sigmoid_cross_entropy", "softmax_cross_entropy", "softmax_cross_entropy_dense"]


def sigmoid_cross_entropy(predictions: Array, targets: Array, *, positive_weight: Scalar = 1.0) -> Array:
    """-w y log sigmoid(z) - (1 - y) log(1 - sigmoid(z)) = w y softplus(-z) + (1 - y) softplus(z); slope sigmoid(z) - y.

    Args:
        predictions: logits z of any shape.
        targets: y in [0, 1], same shape; integers or floating point.
        positive_weight: w, what a positive example counts for.

    Returns:
        The same shape; sum it yourself over the labels of a multi-label example. (PyTorch's BCEWithLogitsLoss.)

    Raises:
        InputError: shapes differ (also `(n,)` against `(n, 1)`), or the logits are not floating point.
    """
    check_floating("sigmoid_cross_entropy", "predictions", predictions)
    check_same_shape("sigmoid_cross_entropy", predictions, targets)
    check_range("sigmoid_cross_entropy", "positive_weight", positive_weight, 0)
    y = targets.astype(predictions.dtype)
    weight = jnp.asarray(positive_weight, predictions.dtype)
    return weight * y * jax.nn.softplus(-predictions) + (1 - y) * jax.nn.softplus(predictions)


def softmax_cross_entropy(predictions: Array, targets: Array, *, label_smoothing: Scalar = 0.0) -> Array:
    """-log softmax(z)_y = log sum_k exp(z_k) - z_y; slope softmax(z) - onehot(y).

    Args:
        predictions: logits z, `(..., classes)`.
        targets: integer labels y, `(...)`, each in 0..classes-1.
        label_smoothing: e in [0, 1): the target is (1 - e) onehot(y) + e / classes.

    Returns:
        `(...)`. A label outside 0..classes-1 gives NaN: optax wraps -1 to the last class without a word.

    Raises:
        InputError: shapes do not fit, labels are not integers, or the logits are not floating point.
    """
    check_floating("softmax_cross_entropy", "predictions", predictions)
    check_range("softmax_cross_entropy", "label_smoothing", label_smoothing, 0, 1, open_high=True)
    if not jnp.issubdtype(targets.dtype, jnp.integer):
        fail("softmax_cross_entropy", "targets", "integer labels", f" {targets.dtype}",
             hint="For distributions use softmax_cross_entropy_dense.")  # fmt: skip
    if predictions.ndim == 0 or predictions.shape[:-1] != targets.shape:
        expected = f"of shape {predictions.shape[:-1]}, one label for each row of logits {predictions.shape}"
        fail("softmax_cross_entropy", "targets", expected, f" shape {targets.shape}")
    classes = predictions.shape[-1]
    targets = targets.astype(jnp.int32) if targets.dtype.itemsize < 4 else targets  # int8 cannot count 300 classes
    shifted, log_sum = _shifted(predictions)
    # A comparison with the class numbers, not a gather: it fuses with the sums around it, and so does its gradient.
    hit = lax.expand_dims(targets, [targets.ndim]) == lax.broadcasted_iota(
        targets.dtype, (1,) * targets.ndim + (classes,), targets.ndim
    )
    values = log_sum - jnp.sum(jnp.where(hit, shifted, 0), -1)
    if not (isinstance(label_smoothing, float | int) and label_smoothing == 0):
        smoothing = jnp.asarray(label_smoothing, predictions.dtype)
        values = (1 - smoothing) * values + smoothing * (log_sum - jnp.mean(shifted, -1))
    known = (targets >= 0) & (targets < classes)
    return jnp.where(known, values, jnp.nan)


def softmax_cross_entropy_dense(predictions: Array, targets: Array) -> Array:
    """-sum_k y_k log softmax(z)_k; slope softmax(z) sum(y) - y.

    Args:
        predictions: logits z, `(..., classes)`.
        targets: distributions y over the classes, same shape.

    Returns:
        `(...)`. A class of weight 0 adds 0 whatever its logit.

    Raises:
        InputError: shapes differ, or the logits are not floating point.
    """
    check_floating("softmax_cross_entropy_dense", "predictions", predictions)
    check_same_shape("softmax_cross_entropy_dense", predictions, targets)
    y = targets.astype(predictions.dtype)
    shifted, log_sum = _shifted(predictions)
    surprise = lax.expand_dims(log_sum, [log_sum.ndim]) - shifted
    return jnp.sum(jnp.where(y == 0, 0, y * jnp.where(y == 0, 0, surprise)), -1)


def _shifted(logits: Array) -> tuple[Array, Array]:
    """Logits less their greatest, and the logarithm of the sum of their exponentials."""
    greatest = lax.stop_gradient(jnp.max(logits, -1, keepdims=True))
    shifted = logits - greatest
    return shifted, jnp.log(jnp.sum(jnp.exp(shifted), -1))


named_functions(sigmoid_cross_entropy, softmax_cross_entropy, softmax_cross_entropy_dense)
