"""What predictions and targets mean: labels, scores of classes, or one score of a binary question."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxann.core.checks import check_array, check_int32, check_integer, fail, is_concrete
from jaxann.core.domains import counted_places
from jaxann.core.logits import log_softmax, softmax
from jaxann.core.typing import Array, Scalar
from jaxann.metrics.streaming.sums import check_given, check_weights, real

__all__ = [
    "Labels",
    "check_shares",
    "class_count",
    "clipped",
    "form",
    "is_nan",
    "is_one_of",
    "label_count",
    "log_probabilities",
    "no_class",
    "positives",
    "probabilities",
    "read_labels",
    "scores_form",
]


class Labels(NamedTuple):
    """True and predicted classes, `(n,)` each, and which examples cannot be placed (NaN, or no such class)."""

    true: Array
    predicted: Array
    unknown: Array


def form(function: str, predictions: Array, targets: Array) -> str:
    """`"labels"` (integers), `"classes"` (scores `(..., classes)`) or `"binary"` (one score each).

    Raises:
        InputError: the shapes fit none, entries are masked, or labels are too large for int32.
    """
    for argument, value in (("predictions", predictions), ("targets", targets)):
        check_array(function, argument, value)
        check_int32(function, argument, value)
    if predictions.shape == (*targets.shape, 1):
        expected = f"of shape {predictions.shape}: one logit an example is binary, not one class"
        fail(function, "targets", expected, f" shape {targets.shape}")
    if predictions.shape == targets.shape:
        return "binary" if jnp.issubdtype(predictions.dtype, jnp.floating) else "labels"
    if predictions.ndim == targets.ndim + 1 and predictions.shape[:-1] == targets.shape:
        return "classes"
    expected = f"of shape {predictions.shape[:-1]} (labels) or {predictions.shape} (binary, from logits)"
    fail(function, "targets", expected, f" shape {targets.shape}")


def positives(targets: Array) -> Array:
    """Which targets of a binary question are 1."""
    return targets if targets.dtype == bool else real(targets) > 0.5


def scores_form(function: str, predictions: Array, targets: Array) -> str:
    """`"classes"` or `"binary"`; labels as predictions carry no probability."""
    kind = form(function, predictions, targets)
    if kind == "labels":
        fail(function, "predictions", "scores, floating point", f" {predictions.dtype}")
    return kind


def class_count(function: str, predictions: Any, targets: Any, weights: Any, classes: int | None) -> int:
    """The number of classes: as given, or the last axis of scores, 2 for binary ones, and of labels the greatest + 1.

    Raises:
        InputError: shapes do not fit, it is not that of the scores, or labels are traced and it is not given.
    """
    check_given(function, predictions, targets, weights)
    check_weights(function, weights, targets.shape)
    kind = form(function, predictions, targets)
    if classes is not None:
        check_integer(function, "classes", classes, 2)
        if kind == "classes" and classes != predictions.shape[-1]:
            fail(function, "classes", f"{predictions.shape[-1]}, the last axis of {predictions.shape}", classes)
        return int(classes)
    if kind == "classes":
        return predictions.shape[-1]
    if kind == "binary" or predictions.dtype == bool:
        return 2
    if not (is_concrete(predictions) and is_concrete(targets)):
        hint = "Labels inside a compiled program do not tell how many classes there are."
        fail(function, "classes", "given for predicted labels", None, hint=hint)
    greatest = max(int(np.max(np.asarray(a), initial=0)) for a in (predictions, targets))
    return max(greatest + 1, 2)


def label_count(function: str, predictions: Any, targets: Any, classes: int | None, average: str) -> int | None:
    """How many labels each example has, where each is a question of its own and a figure is averaged over them.

    Scores, flags, or whole numbers 0 and 1 of the targets' shape with more than one axis, the last of them two labels
    or more. None where all elements are one list: one score an example, `(n, 1)`, and whole numbers whose number of
    classes is given. What whole numbers mean is never read off their values: without `classes` others are refused.

    Raises:
        InputError: whole numbers other than 0 and 1 in several columns, without their number of classes.
    """
    check_given(function, predictions, targets)
    if average == "binary" or len(targets.shape) < 2 or tuple(predictions.shape) != tuple(targets.shape):
        return None
    if targets.shape[-1] == 1:
        return None
    if jnp.issubdtype(predictions.dtype, jnp.floating) or predictions.dtype == bool:
        return targets.shape[-1]
    if classes is not None or not (is_concrete(predictions) and is_concrete(targets)):
        return None
    for argument, given in (("predictions", predictions), ("targets", targets)):
        given = np.asarray(given)
        strange = given[~np.isin(given, (0, 1))]
        if strange.size:
            hint = "For labels of several classes, all in one list, give classes."
            expected = f"0 and 1, one for each of {targets.shape[-1]} labels, where classes is not given"
            fail(function, argument, expected, strange[0], hint=hint)
    return targets.shape[-1]


def read_labels(function: str, predictions: Array, targets: Array, classes: int, threshold: Scalar) -> Labels:
    """Classes out of scores or labels, for a given number of classes.

    Raises:
        InputError: shapes fit no form, or scores are of another number of classes.
    """
    kind = form(function, predictions, targets)
    if kind == "classes":
        if predictions.shape[-1] != classes:
            hint = 'A figure of more than two classes has to be averaged: average="macro", "micro" or "weighted".'
            expected = f"{predictions.shape[-1]}, the last axis of {predictions.shape}"
            fail(function, "classes", expected, classes, hint=hint if classes == 2 else None)
        true, predicted = targets.astype(jnp.int32), jnp.argmax(predictions, -1).astype(jnp.int32)
        unknown = jnp.any(jnp.isnan(predictions), -1)
    elif kind == "binary":
        if classes != 2:
            fail(function, "classes", f"2 for predictions of the targets' shape {targets.shape}", classes)
        true = positives(targets).astype(jnp.int32)
        predicted = (real(predictions) > real(threshold)).astype(jnp.int32)
        unknown = jnp.isnan(predictions) | is_nan(targets)
    else:
        true, predicted = targets.astype(jnp.int32), predictions.astype(jnp.int32)
        unknown = (predicted < 0) | (predicted >= classes)
    if kind != "binary":
        unknown = unknown | no_class(targets, classes)
    return Labels(true.reshape(-1), predicted.reshape(-1), unknown.reshape(-1))


def is_nan(targets: Array) -> Array:
    """Which targets are NaN; none of whole numbers and flags."""
    return jnp.isnan(targets) if jnp.issubdtype(targets.dtype, jnp.floating) else jnp.zeros(targets.shape, bool)


def no_class(targets: Array, classes: int) -> Array:
    """Which targets are none of the labels 0..classes-1: too large, below 0, a fraction or NaN."""
    labels = targets.astype(jnp.int32)
    outside = (labels < 0) | (labels >= classes)
    return outside | (real(targets) != real(labels)) if jnp.issubdtype(targets.dtype, jnp.floating) else outside


def is_one_of(labels: Array, classes: int) -> Array:
    """`(..., classes)`: whether the label is this class."""
    numbers = lax.broadcasted_iota(jnp.int32, (*labels.shape, classes), labels.ndim)
    if jnp.issubdtype(labels.dtype, jnp.floating):  # a fraction and NaN are none
        return lax.expand_dims(real(labels), [labels.ndim]) == real(numbers)
    return lax.expand_dims(labels.astype(jnp.int32), [labels.ndim]) == numbers


def log_probabilities(predictions: Array, from_logits: bool) -> Array:
    """Logarithms of the classes' probabilities, `(..., classes)`; given ones are clipped to [eps, 1 - eps]."""
    if from_logits:
        return log_softmax(real(predictions))
    return jnp.log(clipped(predictions))


def check_shares(function: str, predictions: Array, targets: Array, weights: Array | None, from_logits: bool) -> None:
    """Known predictions that are said to be probabilities are in [0, 1], and those of classes sum to 1.

    NaN passes, which makes the figure NaN, and so does what has weight 0.
    """
    if from_logits or not is_concrete(predictions):
        return
    shares = np.asarray(predictions).astype(np.float64)
    counted = counted_places(np.shape(targets), weights)
    if counted is not None:
        shares = shares[counted]
    slack = 16 * float(jnp.finfo(predictions.dtype).eps)
    hint = "from_logits=True is for scores of any size."
    outside = shares[(shares < -slack) | (shares > 1 + slack)]
    if outside.size:
        fail(function, "predictions", "probabilities in [0, 1]", f" {outside[0]:g}", hint=hint)
    if predictions.ndim > targets.ndim:
        totals = shares.sum(-1)
        other = totals[np.abs(totals - 1) > max(1e-3, slack * shares.shape[-1])]
        if other.size:
            fail(function, "predictions", "probabilities that sum to 1", f" a row of sum {other[0]:g}", hint=hint)


def clipped(p: Array) -> Array:
    """Probabilities within [eps, 1 - eps] of the default float."""
    p = real(p)
    eps = jnp.finfo(p.dtype).eps
    return jnp.clip(p, eps, 1 - eps)


def probabilities(kind: str, predictions: Array, from_logits: bool) -> Array:
    """Probabilities of the classes, or of the positive one."""
    z = real(predictions)
    if not from_logits:
        return z
    return softmax(z) if kind == "classes" else jax.nn.sigmoid(z)
