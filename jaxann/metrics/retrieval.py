"""Precision, recall and their means, on whole arrays."""

from __future__ import annotations

from jaxann.core.typing import Array, Scalar
from jaxann.metrics import streaming
from jaxann.metrics.direction import higher_is_better
from jaxann.metrics.streaming.reading import class_count, label_count

__all__ = ["f1", "f_beta", "precision", "recall"]


@higher_is_better
def precision(
    predictions: Array,
    targets: Array,
    weights: Array | None = None,
    *,
    average: str = "binary",
    zero_division: Scalar = 0.0,
    absent: str = "skip",
    classes: int | None = None,
    threshold: Scalar = 0.0,
) -> Array:
    """TP / (TP + FP), the share of the examples taken for a class that are of it.

    Args:
        predictions, targets, weights, classes, threshold: as in `confusion_matrix`.
        average: `"binary"` the figure of class 1 of two; `"macro"` the even mean over classes; `"weighted"` the mean
            weighted by how often a class is true; `"micro"` the figure of the pooled counts; `"none"` each class's. Of
            binary scores `(n, labels)` `"binary"` takes all elements as one list, the others are over the labels; flags
            and whole numbers 0 and 1 alike, but with `classes` whole numbers are one list, as `(n, 1)` always is.
        zero_division: what 0 / 0 gives, in [0, 1]; NaN leaves the class out of the mean. Of no examples all is NaN.
        absent: `"skip"` leaves a class that is neither true nor predicted out of the mean, `"count"` counts it; labels
            are always counted.

    Returns:
        One number, or `(classes,)` for `"none"`. NaN if a score is NaN in an example that has weight.

    Peers: as scikit-learn's precision_score; its average=None is "none", and absent="count" is its
    labels=range(classes). Keras' Precision is the binary one.

    Raises:
        InputError: as `confusion_matrix`, `"binary"` for more than two classes, or an unknown choice.
    """
    labels = label_count("precision", predictions, targets, classes, average)
    classes = class_count("precision", predictions, targets, weights, classes)
    metric = streaming.precision(
        classes, average=average, zero_division=zero_division, absent=absent, threshold=threshold, labels=labels
    )
    return metric(predictions, targets, weights)


@higher_is_better
def recall(
    predictions: Array,
    targets: Array,
    weights: Array | None = None,
    *,
    average: str = "binary",
    zero_division: Scalar = 0.0,
    absent: str = "skip",
    classes: int | None = None,
    threshold: Scalar = 0.0,
) -> Array:
    """TP / (TP + FN), the share of a class's examples that are found.

    Args:
        predictions, targets, weights, classes, threshold: as in `confusion_matrix`.
        average, zero_division, absent: as in `precision`.

    Returns:
        One number, or `(classes,)` for `average="none"`. NaN if a score is NaN in an example that has weight.

    Peers: as scikit-learn's recall_score; its average=None is "none", and absent="count" is its
    labels=range(classes). Keras' Recall is the binary one.

    Raises:
        InputError: as `precision`.
    """
    labels = label_count("recall", predictions, targets, classes, average)
    classes = class_count("recall", predictions, targets, weights, classes)
    metric = streaming.recall(
        classes, average=average, zero_division=zero_division, absent=absent, threshold=threshold, labels=labels
    )
    return metric(predictions, targets, weights)


@higher_is_better
def f1(
    predictions: Array,
    targets: Array,
    weights: Array | None = None,
    *,
    average: str = "binary",
    zero_division: Scalar = 0.0,
    absent: str = "skip",
    classes: int | None = None,
    threshold: Scalar = 0.0,
) -> Array:
    """2 TP / (2 TP + FN + FP), the harmonic mean of precision and recall.

    Args:
        predictions, targets, weights, classes, threshold: as in `confusion_matrix`.
        average, zero_division, absent: as in `precision`; a mean over classes is that of their figures.

    Returns:
        One number, or `(classes,)` for `average="none"`. NaN if a score is NaN in an example that has weight.

    Peers: as scikit-learn's f1_score. Keras' F1Score gives each class's figure unless told, and its macro mean counts
    absent classes as 0: absent="count".

    Raises:
        InputError: as `precision`.
    """
    labels = label_count("f1", predictions, targets, classes, average)
    classes = class_count("f1", predictions, targets, weights, classes)
    metric = streaming.f1(
        classes, average=average, zero_division=zero_division, absent=absent, threshold=threshold, labels=labels
    )
    return metric(predictions, targets, weights)


@higher_is_better
def f_beta(
    predictions: Array,
    targets: Array,
    weights: Array | None = None,
    *,
    beta: Scalar = 1.0,
    average: str = "binary",
    zero_division: Scalar = 0.0,
    absent: str = "skip",
    classes: int | None = None,
    threshold: Scalar = 0.0,
) -> Array:
    """(1 + b^2) TP / ((1 + b^2) TP + b^2 FN + FP): recall counts b times as much as precision.

    Args:
        predictions, targets, weights, classes, threshold: as in `confusion_matrix`.
        beta: b, at least 0; 0 is precision, 1 is `f1`, and recall is the limit.
        average, zero_division, absent: as in `precision`.

    Returns:
        One number, or `(classes,)` for `average="none"`. NaN if a score is NaN in an example that has weight.

    Source: van Rijsbergen 1979.

    Peers: as scikit-learn's fbeta_score, which has no default for beta.

    Raises:
        InputError: as `precision`, or beta is below 0.
    """
    labels = label_count("f_beta", predictions, targets, classes, average)
    classes = class_count("f_beta", predictions, targets, weights, classes)
    metric = streaming.f_beta(
        classes,
        beta=beta,
        average=average,
        zero_division=zero_division,
        absent=absent,
        threshold=threshold,
        labels=labels,
    )
    return metric(predictions, targets, weights)
