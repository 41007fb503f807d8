"""Losses for classes, from logits: finite value and gradient for every finite logit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxann.core.checks import check_count, check_range, fail, is_concrete
from jaxann.core.domains import UNIT
from jaxann.core.logits import below_greatest, log_softmax, log_total_and_chosen
from jaxann.core.tables import named_functions
from jaxann.core.typing import Array, Scalar
from jaxann.losses.domains import targets_in
from jaxann.losses.inputs import elementwise, hits, labelled, over_classes
from jaxann.losses.reduce import weighed_by

__all__ = ["sigmoid_cross_entropy", "softmax_cross_entropy", "softmax_cross_entropy_dense"]


@targets_in(UNIT)
@elementwise
def sigmoid_cross_entropy(predictions: Array, targets: Array, *, positive_weight: Scalar = 1.0) -> Array:
    """-w y log sigmoid(z) - (1 - y) log(1 - sigmoid(z)) = w y softplus(-z) + (1 - y) softplus(z); slope sigmoid(z) - y.

    Args:
        predictions: logits z of any shape.
        targets: y in [0, 1], same shape; integers or floating point.
        positive_weight: w >= 0, what a positive example counts for; a number, or one for each label of a multi-label
            example, `(labels,)`.

    Returns:
        The same shape; sum it yourself over the labels of a multi-label example.

    Peers: as PyTorch's BCEWithLogitsLoss (pos_weight too) and optax's sigmoid_binary_cross_entropy; Keras's
        BinaryCrossentropy(from_logits=True) takes the mean over the last axis.

    Source: Cox 1958.

    Raises:
        InputError: shapes differ (also `(n,)` against `(n, 1)`), or the logits are not floating point.
    """
    check_range("sigmoid_cross_entropy", "positive_weight", positive_weight, 0, arrays=True)
    weight = _per_class("sigmoid_cross_entropy", "positive_weight", positive_weight, predictions)
    return weight * targets * jax.nn.softplus(-predictions) + (1 - targets) * jax.nn.softplus(predictions)


def _label_weights(
    targets: Array,
    *,
    ignore_index: Any = None,
    class_weights: Any = None,
    label_smoothing: Any = 0.0,
) -> Array | None:
    """What each label counts for in a mean: 0 where it is ignored, else the weight of its class."""
    targets = jnp.asarray(targets)
    ignored = None if ignore_index is None else _same_number(targets, ignore_index)
    if class_weights is None:
        return None if ignored is None else (~ignored).astype(jnp.result_type(float))
    table = jnp.asarray(class_weights)
    table = table if jnp.issubdtype(table.dtype, jnp.floating) else table.astype(jnp.result_type(float))
    weights = _of_label(hits(_wide_labels(targets), table.shape[0]), table)
    return weights if ignored is None else jnp.where(ignored, 0, weights)


def _checkable_labels(targets: Any, *, ignore_index: Any = None, **others: Any) -> Any:
    """The labels with those that are ignored put to 0, for a check of their range."""
    if ignore_index is None:
        return targets
    host = np.asarray(targets)
    return np.where(host == np.asarray(ignore_index), 0, host)


def _ignored_labels(targets: Array, *, ignore_index: Any = None, **others: Any) -> Array | None:
    """Where a label is the one to be ignored."""
    return None if ignore_index is None else _same_number(jnp.asarray(targets), ignore_index)


def _counted_labels(
    targets: Any, *, ignore_index: Any = None, class_weights: Any = None, **others: Any
) -> np.ndarray | None:
    """Where a known label is neither ignored nor of a class of weight 0."""
    host, counted = np.asarray(targets), None
    if ignore_index is not None and is_concrete(ignore_index):
        counted = host != np.asarray(ignore_index)
    if class_weights is not None and is_concrete(class_weights) and not np.all(table := np.asarray(class_weights)):
        known = table[np.clip(host, 0, len(table) - 1)] != 0
        counted = known if counted is None else counted & known
    return counted


@weighed_by(_label_weights, labels=_checkable_labels, ignored=_ignored_labels, counted=_counted_labels)
@labelled("softmax_cross_entropy_dense")
def softmax_cross_entropy(
    predictions: Array,
    targets: Array,
    *,
    ignore_index: Scalar | None = None,
    class_weights: Array | Sequence[float] | None = None,
    label_smoothing: Scalar = 0.0,
) -> Array:
    """-log softmax(z)_y = log sum_k exp(z_k) - z_y; slope softmax(z) - onehot(y).

    With class weights w and smoothing e: (1 - e) w_y (-log p_y) + (e / classes) sum_k w_k (-log p_k).

    Args:
        predictions: logits z, `(..., classes)`.
        targets: integer labels y, `(...)`, each in 0..classes-1.
        ignore_index: a label whose places do not count, any integer (-100, 255): value and gradient are 0 there,
            whatever the logits are.
        class_weights: w >= 0, `(classes,)`.
        label_smoothing: e in [0, 1): the target is (1 - e) onehot(y) + e / classes.

    Returns:
        `(...)`. Any other label outside 0..classes-1 gives NaN. The trainer divides the sum of the values by the sum
        of w_y over the places that count; `target_weights` gives it.

    Peers: as PyTorch's CrossEntropyLoss, which ignores -100 by default and gives NaN for a batch without a label that
        counts, here 0; as optax's softmax_cross_entropy_with_integer_labels, which wraps the label -1 to the last
        class; Keras's SparseCategoricalCrossentropy(from_logits=True) has neither smoothing nor class weights.

    Source: Bridle 1990; smoothing: Szegedy and others 2016.

    Raises:
        InputError: shapes do not fit, labels are not integers, a number is out of range, or the logits are not
            floating point.
    """
    name, classes = "softmax_cross_entropy", predictions.shape[-1]
    check_range(name, "label_smoothing", label_smoothing, 0, 1, open_high=True)
    weights = None if class_weights is None else _class_weights(name, class_weights, predictions)
    if ignore_index is not None:
        check_count(name, "ignore_index", ignore_index, -(2**63))
        ignored = _same_number(targets, ignore_index)
        targets = jnp.where(ignored, 0, targets)
        predictions = jnp.where(lax.expand_dims(ignored, [targets.ndim]), 0, predictions)
    own = hits(targets, classes)
    log_sum, chosen = log_total_and_chosen(predictions, own)
    values = log_sum - chosen
    if weights is not None:
        values = _times(_of_label(own, weights), values)
    if not (isinstance(label_smoothing, float | int) and label_smoothing == 0):
        smoothing = jnp.asarray(label_smoothing, predictions.dtype)
        shifted = below_greatest(predictions)
        if weights is None:
            even = log_sum - jnp.sum(shifted / classes, -1)
        else:
            surprise = lax.expand_dims(log_sum, [log_sum.ndim]) - shifted
            even = jnp.sum(_times(_broadcast(weights / classes, shifted), surprise), -1)
        values = (1 - smoothing) * values + smoothing * even
    known = (targets >= 0) & (targets < classes)
    values = jnp.where(known, values, jnp.nan)
    return values if ignore_index is None else jnp.where(ignored, 0, values)


def _counted_shares(targets: Any, *, class_weights: Any = None, **others: Any) -> np.ndarray | None:
    """Which known rows of targets have something that counts; None where that cannot be known."""
    if not is_concrete((targets, class_weights)):
        return None
    found = np.asarray(targets) != 0
    return np.any(found if class_weights is None else found & (np.asarray(class_weights) != 0), -1)


@targets_in(low=0)
@weighed_by(counted=_counted_shares)
@over_classes
def softmax_cross_entropy_dense(
    predictions: Array,
    targets: Array,
    *,
    class_weights: Array | Sequence[float] | None = None,
    label_smoothing: Scalar = 0.0,
) -> Array:
    """-sum_k w_k y_k log softmax(z)_k, w = 1 when not given; slope softmax(z) sum(y) - y without weights.

    Args:
        predictions: logits z, `(..., classes)`.
        targets: distributions y over the classes, same shape.
        class_weights: w >= 0, `(classes,)`.
        label_smoothing: e in [0, 1): the target is (1 - e) y + e / classes.

    Returns:
        `(...)`. A class of weight 0 adds 0 whatever its logit. (Class weights do not change what the mean is divided
        by: the number of examples.)

    Peers: as optax's softmax_cross_entropy and PyTorch's CrossEntropyLoss with probabilities as targets, class
        weights and smoothing too; Keras's CategoricalCrossentropy(from_logits=True) has no class weights.

    Source: Bridle 1990; smoothing: Szegedy and others 2016.

    Raises:
        InputError: shapes differ, a number is out of range, or the logits are not floating point.
    """
    name, classes = "softmax_cross_entropy_dense", predictions.shape[-1]
    check_range(name, "label_smoothing", label_smoothing, 0, 1, open_high=True)
    y = targets
    if not (isinstance(label_smoothing, float | int) and label_smoothing == 0):
        smoothing = jnp.asarray(label_smoothing, predictions.dtype)
        y = (1 - smoothing) * y + smoothing / max(classes, 1)
    if class_weights is not None:
        y = y * _broadcast(_class_weights(name, class_weights, predictions), y)
    surprise = -log_softmax(predictions)
    return jnp.sum(jnp.where(y == 0, 0, y * jnp.where(y == 0, 0, surprise)), -1)


def _class_weights(function: str, weights: Any, predictions: Array) -> Array:
    several = isinstance(weights, list | tuple)
    for weight in weights if several else [weights]:
        check_range(function, "class_weights", weight, 0, arrays=not several)
    shape = (len(weights),) if several else np.shape(weights)
    if shape != predictions.shape[-1:]:
        fail(function, "class_weights", f"one for each class, of shape {predictions.shape[-1:]}", f" shape {shape}")
    return jnp.asarray(weights, predictions.dtype)


def _per_class(function: str, argument: str, value: Any, predictions: Array) -> Array:
    shape = np.shape(value)
    if shape and (not predictions.ndim or shape != predictions.shape[-1:]):
        fail(function, argument, f"a number, or of shape {predictions.shape[-1:]}", f" shape {shape}")
    value = jnp.asarray(value, predictions.dtype)
    return _broadcast(value, predictions) if shape else value


def _broadcast(vector: Array, like: Array) -> Array:
    return jnp.broadcast_to(lax.expand_dims(vector, tuple(range(like.ndim - 1))), like.shape)


def _of_label(own: Array, table: Array) -> Array:
    """The entry of a table of classes that is the label's."""
    wide = jnp.broadcast_to(lax.expand_dims(table, tuple(range(own.ndim - 1))), own.shape)
    return jnp.sum(jnp.where(own, wide, 0), -1)


def _times(weights: Array, values: Array) -> Array:
    """The product, 0 where the weight is 0: also of an infinite value and in its gradient."""
    return weights * jnp.where(weights == 0, 0, values)


def _wide_labels(targets: Array) -> Array:
    return targets.astype(jnp.int32) if targets.dtype.itemsize < 4 else targets


def _same_number(targets: Array, number: Any) -> Array:
    """Where labels of any integer type equal a number of any size."""
    span = jnp.iinfo(targets.dtype)
    if is_concrete(number):
        fits = span.min <= int(number) <= span.max
        return targets == jnp.asarray(int(number), targets.dtype) if fits else jnp.zeros(targets.shape, bool)
    signed = jnp.int64 if targets.dtype.itemsize == 8 else jnp.int32
    same = targets.astype(signed) == jnp.asarray(number).astype(signed)
    return same & (targets <= jnp.iinfo(signed).max) if span.max > jnp.iinfo(signed).max else same


named_functions(sigmoid_cross_entropy, softmax_cross_entropy, softmax_cross_entropy_dense)
