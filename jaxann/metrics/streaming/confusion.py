"""Metrics that need nothing but the confusion matrix: which class was taken for which, how often."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxann.core.checks import check_choice, check_integer, check_range, fail, is_concrete
from jaxann.core.factories import factory
from jaxann.core.products import Metric
from jaxann.core.typing import Array, Scalar
from jaxann.metrics.streaming.reading import read_labels
from jaxann.metrics.streaming.sums import added, broadcast_weights, check_weights, real, summed_by, totals, zeros

__all__ = [
    "ConfusionSums",
    "balanced_accuracy",
    "cohen_kappa",
    "confusion_matrix",
    "f1",
    "f_beta",
    "matthews_correlation",
    "precision",
    "recall",
]


class ConfusionSums(NamedTuple):
    """The weight of the examples of true class i that were taken for class j, `(classes, classes)`.

    Of several labels an example a matrix for each, `(labels, 2, 2)`.
    """

    counts: Array
    rest: Any = 0.0  # what rounding has left out

    combined = added


def _counted(
    function: str, classes: int, threshold: Scalar, figure: Callable[[Array], Array], labels: int | None = None
) -> tuple[Callable, Callable, Callable]:
    """A metric that is a figure of the matrix, or of those of the labels; NaN of no examples."""
    check_integer(function, "classes", classes, 2)
    check_range(function, "threshold", threshold)
    if labels is not None:
        check_integer(function, "labels", labels)
        if classes != 2:
            fail(function, "classes", "2 where an example has several labels", classes)
    shape = (classes, classes) if labels is None else (labels, 2, 2)

    def init():
        return ConfusionSums(zeros(*shape), zeros(*shape))

    def update(sums, predictions, targets, weights):
        check_weights(function, weights, targets.shape)
        if labels is not None and (predictions.shape != targets.shape or targets.shape[-1:] != (labels,)):
            expected = f"of shape (..., {labels}), one for each label, as the targets {targets.shape}"
            fail(function, "predictions", expected, f" shape {predictions.shape}")
        true, predicted, unknown = read_labels(function, predictions, targets, classes, threshold)
        w = broadcast_weights(weights, targets.shape).reshape(-1)
        cell = jnp.where(unknown, 0, true * classes + predicted)
        if labels is not None:
            cell = cell + 4 * (jnp.arange(cell.shape[0], dtype=cell.dtype) % labels)
        found = summed_by(cell, jnp.where(unknown, 0, w), math.prod(shape))
        counts, rest = (a.reshape(shape) for a in found)
        # what fits no cell must not be lost: it makes all of them NaN
        lost = jnp.where(jnp.any(unknown & (w != 0)), jnp.nan, 0).astype(w.dtype)
        return sums.combined(ConfusionSums(counts + lost, rest))

    def compute(sums):
        counts = totals(sums)[0]
        return jnp.where(jnp.all(counts == 0), jnp.nan, figure(counts))

    return init, update, compute


def _ratio(above: Array, below: Array, otherwise: Any = 0) -> Array:
    return jnp.where(below == 0, otherwise, above / jnp.where(below == 0, 1, below))


def _others(values: Array, axis: int) -> Array:
    """The sum along an axis of all entries but this one, nothing subtracted."""
    count = values.shape[axis]
    before = jnp.cumsum(lax.slice_in_dim(values, 0, count - 1, axis=axis), axis)
    after = lax.cumsum(lax.slice_in_dim(values, 1, count, axis=axis), axis, reverse=True)
    nothing = jnp.zeros_like(lax.slice_in_dim(values, 0, 1, axis=axis))
    return jnp.concatenate([nothing, before], axis) + jnp.concatenate([after, nothing], axis)


def _is_nan(value: Any) -> bool:
    return (
        is_concrete(value)
        and isinstance(value, float | np.number | np.ndarray | jax.Array)
        and bool(np.any(np.isnan(value)))
    )


def _averaged(
    function: str,
    classes: int,
    average: str,
    zero_division: Scalar,
    absent: str,
    fraction: Callable[[Array, Array, Array], tuple[Array, Array]],
    threshold: Scalar,
    labels: int | None,
) -> tuple[Callable, Callable, Callable]:
    """A ratio of hits, true and predicted counts of each class, averaged over the classes; or of each label."""
    check_choice(function, "average", average, ("binary", "macro", "micro", "weighted", "none"))
    check_choice(function, "absent", absent, ("skip", "count"))
    if average == "binary" and labels is not None:
        hint = "Choose macro, micro, weighted or none for several labels an example."
        fail(function, "average", "another than 'binary' with labels", average, hint=hint)
    if average == "binary" and classes != 2:
        hint = "Choose macro, micro, weighted or none for more than two classes."
        fail(function, "classes", "2 for average='binary'", classes, hint=hint)
    if not _is_nan(zero_division):
        check_range(function, "zero_division", zero_division, 0, 1)

    def figure(counts):
        empty = real(zero_division)
        if labels is None:
            hits, true, predicted = jnp.diagonal(counts), jnp.sum(counts, 1), jnp.sum(counts, 0)
        else:
            hits, true, predicted = counts[:, 1, 1], jnp.sum(counts[:, 1], 1), jnp.sum(counts[:, :, 1], 1)
        if average == "binary":
            return _ratio(*fraction(hits[1], true[1], predicted[1]), empty)
        if average == "micro":
            return _ratio(*fraction(jnp.sum(hits), jnp.sum(true), jnp.sum(predicted)), empty)
        above, below = fraction(hits, true, predicted)
        values = _ratio(above, below, empty)
        if average == "none":
            return values
        counted = (below != 0) | ~jnp.isnan(empty)  # a NaN for "undefined" leaves the class out of the mean
        if absent == "skip" and labels is None:  # a label is there whether it is ever true or not
            counted = counted & ((true != 0) | (predicted != 0))
        even = real(counted)
        share = even if average == "macro" else even * true
        share = jnp.where(jnp.sum(share) == 0, even, share)
        return _ratio(jnp.sum(jnp.where(counted, share * values, 0)), jnp.sum(share), empty)

    return _counted(function, classes, threshold, figure, labels)


def _precision(hits, true, predicted):
    return hits, predicted


def _recall(hits, true, predicted):
    return hits, true


def _f_beta(hits, true, predicted, beta: Scalar):
    # beta^2 / (1 + beta^2) weighs recall, the rest precision: the denominator is 0 where both counts are. The square is
    # taken of what is at most 1, beta or 1 / beta: it cannot overflow.
    large = real(beta) > 1
    small = jnp.where(large, 1 / jnp.where(large, real(beta), 1), real(beta))
    more, less = jnp.where(large, true, predicted), jnp.where(large, predicted, true)
    return hits, (more + small * small * less) / (1 + small * small)


@factory(Metric, static=("classes",), traits=("takes_labels",))
def confusion_matrix(classes: int = 2, *, threshold: Scalar = 0.0):
    """Streaming form of `metrics.confusion_matrix` for this many classes."""
    init, update, _ = _counted("confusion_matrix", classes, threshold, lambda counts: counts)
    return init, update, lambda sums: totals(sums)[0]  # of no examples it is zeros, which is no figure of merit


@factory(Metric, static=("classes", "labels"), traits=("higher_is_better", "takes_labels"))
def precision(
    classes: int = 2,
    *,
    average: str = "binary",
    zero_division: Scalar = 0.0,
    absent: str = "skip",
    threshold: Scalar = 0.0,
    labels: int | None = None,
):
    """Streaming form of `metrics.precision` for this many classes, or several `labels` an example."""
    return _averaged("precision", classes, average, zero_division, absent, _precision, threshold, labels)


@factory(Metric, static=("classes", "labels"), traits=("higher_is_better", "takes_labels"))
def recall(
    classes: int = 2,
    *,
    average: str = "binary",
    zero_division: Scalar = 0.0,
    absent: str = "skip",
    threshold: Scalar = 0.0,
    labels: int | None = None,
):
    """Streaming form of `metrics.recall` for this many classes, or several `labels` an example."""
    return _averaged("recall", classes, average, zero_division, absent, _recall, threshold, labels)


@factory(Metric, static=("classes", "labels"), traits=("higher_is_better", "takes_labels"))
def f1(
    classes: int = 2,
    *,
    average: str = "binary",
    zero_division: Scalar = 0.0,
    absent: str = "skip",
    threshold: Scalar = 0.0,
    labels: int | None = None,
):
    """Streaming form of `metrics.f1` for this many classes, or several `labels` an example."""
    fraction = functools.partial(_f_beta, beta=1.0)
    return _averaged("f1", classes, average, zero_division, absent, fraction, threshold, labels)


@factory(Metric, static=("classes", "labels"), traits=("higher_is_better", "takes_labels"))
def f_beta(
    classes: int = 2,
    *,
    beta: Scalar = 1.0,
    average: str = "binary",
    zero_division: Scalar = 0.0,
    absent: str = "skip",
    threshold: Scalar = 0.0,
    labels: int | None = None,
):
    """Streaming form of `metrics.f_beta` for this many classes, or several `labels` an example."""
    check_range("f_beta", "beta", beta, 0)
    fraction = functools.partial(_f_beta, beta=beta)
    return _averaged("f_beta", classes, average, zero_division, absent, fraction, threshold, labels)


@factory(Metric, static=("classes",), traits=("higher_is_better", "takes_labels"))
def balanced_accuracy(classes: int = 2, *, threshold: Scalar = 0.0):
    """Streaming form of `metrics.balanced_accuracy` for this many classes."""

    def figure(counts):
        true = jnp.sum(counts, 1)
        return _ratio(jnp.sum(_ratio(jnp.diagonal(counts), true)), jnp.sum(real(true != 0)))

    return _counted("balanced_accuracy", classes, threshold, figure)


@factory(Metric, static=("classes",), traits=("higher_is_better", "takes_labels"))
def matthews_correlation(classes: int = 2, *, threshold: Scalar = 0.0):
    """Streaming form of `metrics.matthews_correlation` for this many classes."""

    def figure(counts):
        # Shares, not counts: squares of counts leave float32's range. s - p_k is summed from the other classes: 1 less
        # a share of nearly 1 would keep no digit of what is rare. c s - sum_k p_k t_k is, class by class, the product
        # of the hits and all that has nothing to do with the class, less that of its two kinds of mistakes.
        shares = _ratio(counts, jnp.sum(counts))
        missed, falsely = _others(shares, 1), _others(shares, 0)  # by row and by column, the cell itself left out
        p, t = jnp.sum(shares, 0), jnp.sum(shares, 1)
        hits, elsewhere = jnp.diagonal(shares), jnp.diagonal(_others(missed, 0))
        both = jnp.sum(hits * elsewhere - jnp.diagonal(missed) * jnp.diagonal(falsely))
        variances = jnp.sum(p * _others(p, 0)), jnp.sum(t * _others(t, 0))
        flat = (variances[0] <= 0) | (variances[1] <= 0)
        scale = jnp.sqrt(jnp.where(flat, 1, variances[0])) * jnp.sqrt(jnp.where(flat, 1, variances[1]))
        return jnp.where(flat, 0, both / scale)

    return _counted("matthews_correlation", classes, threshold, figure)


@factory(Metric, static=("classes",), traits=("higher_is_better", "takes_labels"))
def cohen_kappa(classes: int = 2, *, weighting: str = "none", threshold: Scalar = 0.0):
    """Streaming form of `metrics.cohen_kappa` for this many classes."""
    check_integer("cohen_kappa", "classes", classes, 2)
    check_choice("cohen_kappa", "weighting", weighting, ("none", "linear", "quadratic"))
    apart = np.abs(np.subtract.outer(np.arange(classes), np.arange(classes)))
    cost = {"none": apart > 0, "linear": apart, "quadratic": apart**2}[weighting] / max(classes - 1, 1) ** 2

    def figure(counts):
        true, predicted = jnp.sum(counts, 1), jnp.sum(counts, 0)
        expected = jnp.outer(_ratio(true, jnp.sum(true)), predicted)
        return 1 - _ratio(jnp.sum(real(cost) * counts), jnp.sum(real(cost) * expected), jnp.nan)

    return _counted("cohen_kappa", classes, threshold, figure)
