"""Metrics that need nothing but the confusion matrix: which class was taken for which, how often."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxann.core.checks import check_choice, check_integer, check_range, fail, is_concrete
from jaxann.core.factories import factory
from jaxann.core.products import Metric
from jaxann.core.typing import Array, Scalar
from jaxann.metrics.streaming.reading import read_labels
from jaxann.metrics.streaming.sums import added, broadcast_weights, check_weights, real

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
    """The weight of the examples of true class i that were taken for class j, `(classes, classes)`."""

    counts: Array

    combined = added


def _counted(
    function: str, classes: int, threshold: Scalar, figure: Callable[[Array], Array]
) -> tuple[Callable, Callable, Callable]:
    """A metric that is a figure of the matrix."""
    check_integer(function, "classes", classes, 2)
    check_range(function, "threshold", threshold)

    def init():
        return ConfusionSums(jnp.zeros((classes, classes), jnp.result_type(float)))

    def update(sums, predictions, targets, weights):
        check_weights(function, weights, targets.shape)
        true, predicted, unknown = read_labels(function, predictions, targets, classes, threshold)
        w = broadcast_weights(weights, targets.shape).reshape(-1)
        cell = jnp.where(unknown, 0, true * classes + predicted)
        counts = jnp.zeros(classes * classes, w.dtype).at[cell].add(jnp.where(unknown, 0, w))
        # what fits no cell must not be lost: it makes all of them NaN
        lost = jnp.where(jnp.any(unknown & (w != 0)), jnp.nan, 0).astype(w.dtype)
        return ConfusionSums(sums.counts + counts.reshape(classes, classes) + lost)

    return init, update, lambda sums: figure(sums.counts)


def _ratio(above: Array, below: Array, otherwise: Any = 0) -> Array:
    return jnp.where(below == 0, otherwise, above / jnp.where(below == 0, 1, below))


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
) -> tuple[Callable, Callable, Callable]:
    """A ratio of hits, true and predicted counts of each class, averaged over the classes."""
    check_choice(function, "average", average, ("binary", "macro", "micro", "weighted", "none"))
    check_choice(function, "absent", absent, ("skip", "count"))
    if average == "binary" and classes != 2:
        hint = "Choose macro, micro, weighted or none for more than two classes."
        fail(function, "classes", "2 for average='binary'", classes, hint=hint)
    if not _is_nan(zero_division):
        check_range(function, "zero_division", zero_division, 0, 1)

    def figure(counts):
        empty = real(zero_division)
        hits, true, predicted = jnp.diagonal(counts), jnp.sum(counts, 1), jnp.sum(counts, 0)
        if average == "binary":
            return _ratio(*fraction(hits[1], true[1], predicted[1]), empty)
        if average == "micro":
            return _ratio(*fraction(jnp.sum(hits), jnp.sum(true), jnp.sum(predicted)), empty)
        above, below = fraction(hits, true, predicted)
        values = _ratio(above, below, empty)
        if average == "none":
            return values
        counted = (below != 0) | ~jnp.isnan(empty)  # a NaN for "undefined" leaves the class out of the mean
        if absent == "skip":
            counted = counted & ((true != 0) | (predicted != 0))
        even = real(counted)
        share = even if average == "macro" else even * true
        share = jnp.where(jnp.sum(share) == 0, even, share)
        return _ratio(jnp.sum(jnp.where(counted, share * values, 0)), jnp.sum(share), empty)

    return _counted(function, classes, threshold, figure)


def _precision(hits, true, predicted):
    return hits, predicted


def _recall(hits, true, predicted):
    return hits, true


def _f_beta(hits, true, predicted, beta: Scalar):
    # beta^2 / (1 + beta^2) weighs recall: no overflow, and the denominator is 0 where both counts are
    square = real(beta) * real(beta)
    return hits, (square * true + predicted) / (1 + square)


@factory(Metric, static=("classes",))
def confusion_matrix(classes: int = 2, *, threshold: Scalar = 0.0):
    """Streaming form of `metrics.confusion_matrix` for this many classes."""
    return _counted("confusion_matrix", classes, threshold, lambda counts: counts)


@factory(Metric, static=("classes",), traits=("higher_is_better",))
def precision(
    classes: int = 2,
    *,
    average: str = "binary",
    zero_division: Scalar = 0.0,
    absent: str = "skip",
    threshold: Scalar = 0.0,
):
    """Streaming form of `metrics.precision` for this many classes."""
    return _averaged("precision", classes, average, zero_division, absent, _precision, threshold)


@factory(Metric, static=("classes",), traits=("higher_is_better",))
def recall(
    classes: int = 2,
    *,
    average: str = "binary",
    zero_division: Scalar = 0.0,
    absent: str = "skip",
    threshold: Scalar = 0.0,
):
    """Streaming form of `metrics.recall` for this many classes."""
    return _averaged("recall", classes, average, zero_division, absent, _recall, threshold)


@factory(Metric, static=("classes",), traits=("higher_is_better",))
def f1(
    classes: int = 2,
    *,
    average: str = "binary",
    zero_division: Scalar = 0.0,
    absent: str = "skip",
    threshold: Scalar = 0.0,
):
    """Streaming form of `metrics.f1` for this many classes."""
    fraction = functools.partial(_f_beta, beta=1.0)
    return _averaged("f1", classes, average, zero_division, absent, fraction, threshold)


@factory(Metric, static=("classes",), traits=("higher_is_better",))
def f_beta(
    classes: int = 2,
    *,
    beta: Scalar = 1.0,
    average: str = "binary",
    zero_division: Scalar = 0.0,
    absent: str = "skip",
    threshold: Scalar = 0.0,
):
    """Streaming form of `metrics.f_beta` for this many classes."""
    check_range("f_beta", "beta", beta, 0)
    fraction = functools.partial(_f_beta, beta=beta)
    return _averaged("f_beta", classes, average, zero_division, absent, fraction, threshold)


@factory(Metric, static=("classes",), traits=("higher_is_better",))
def balanced_accuracy(classes: int = 2, *, threshold: Scalar = 0.0):
    """Streaming form of `metrics.balanced_accuracy` for this many classes."""

    def figure(counts):
        true = jnp.sum(counts, 1)
        return _ratio(jnp.sum(_ratio(jnp.diagonal(counts), true)), jnp.sum(real(true != 0)))

    return _counted("balanced_accuracy", classes, threshold, figure)


@factory(Metric, static=("classes",), traits=("higher_is_better",))
def matthews_correlation(classes: int = 2, *, threshold: Scalar = 0.0):
    """Streaming form of `metrics.matthews_correlation` for this many classes."""

    def figure(counts):
        true, predicted = jnp.sum(counts, 1), jnp.sum(counts, 0)
        # shares, not counts: squares of counts leave float32's range, and each has its own total, so that a lone
        # class has share 1 to the last bit
        p, t = _ratio(predicted, jnp.sum(predicted)), _ratio(true, jnp.sum(true))
        both = jnp.sum(_ratio(jnp.diagonal(counts), jnp.sum(counts)) - p * t)
        variances = jnp.sum(p * (1 - p)), jnp.sum(t * (1 - t))
        flat = (variances[0] <= 0) | (variances[1] <= 0)
        scale = jnp.sqrt(jnp.where(flat, 1, variances[0])) * jnp.sqrt(jnp.where(flat, 1, variances[1]))
        return jnp.where(flat, 0, both / scale)

    return _counted("matthews_correlation", classes, threshold, figure)


@factory(Metric, static=("classes",), traits=("higher_is_better",))
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
