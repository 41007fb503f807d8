"""Figures of merit for classes, on whole arrays: shares of hits, and what the confusion matrix tells."""

from __future__ import annotations

from jaxann.core.typing import Array, Scalar
from jaxann.metrics import streaming
from jaxann.metrics.direction import higher_is_better
from jaxann.metrics.streaming.reading import class_count

__all__ = [
    "accuracy",
    "balanced_accuracy",
    "cohen_kappa",
    "confusion_matrix",
    "matthews_correlation",
    "top_k_accuracy",
]


@higher_is_better
def accuracy(predictions: Array, targets: Array, weights: Array | None = None) -> Array:
    """sum w 1[argmax p = y] / sum w, the weighted share of examples whose predicted class is the target.

    Args:
        predictions: logits or probabilities `(..., classes)` for integer labels `(...)`, the class being the first
            greatest entry; or binary logits of the targets' shape, positive above 0; or predicted labels, integers.
        targets: labels, or 0 and 1.
        weights: one number an example, or one for each place of the targets.

    Returns:
        One number; NaN for no examples, or if a score is.

    Peers: as scikit-learn's accuracy_score of the labels, and as Keras but for its threshold of 0.5 on probabilities
    in BinaryAccuracy.

    Raises:
        InputError: shapes fit no form.
    """
    return streaming.accuracy()(predictions, targets, weights)


@higher_is_better
def top_k_accuracy(predictions: Array, targets: Array, weights: Array | None = None, *, k: Scalar = 5) -> Array:
    """sum w 1[y among the k greatest of p] / sum w; equal scores rank by index, the lower first.

    Args:
        predictions: scores `(..., classes)`, logits or probabilities.
        targets: labels `(...)`.
        weights: one number an example, or one for each place of the targets.
        k: at least 1; with 1 it is `accuracy`, from the number of classes on it is 1.

    Returns:
        One number; NaN for no examples, or if a score is.

    Peers: as Keras' SparseTopKCategoricalAccuracy, k = 5, but among equal scores: scikit-learn's top_k_accuracy_score
    (k = 2) ranks the higher index first, Keras counts a tie as a hit.

    Raises:
        InputError: shapes do not fit, or k is below 1.
    """
    return streaming.top_k_accuracy(k)(predictions, targets, weights)


def confusion_matrix(
    predictions: Array,
    targets: Array,
    weights: Array | None = None,
    *,
    classes: int | None = None,
    threshold: Scalar = 0.0,
) -> Array:
    """C[i, j] = sum w 1[true class i, predicted class j]: rows are true, columns predicted.

    Args:
        predictions: scores `(..., classes)`, the class being the first greatest; or binary scores of the targets'
            shape; or predicted labels, integers of the targets' shape.
        targets: labels, or 0 and 1.
        weights: one number an example, or one for each place of the targets.
        classes: how many; of scores it is known, of labels it is the greatest one + 1 unless given. Labels inside a
            compiled program need it.
        threshold: a binary score above it is positive: 0 for logits, 0.5 for probabilities.

    Returns:
        `(classes, classes)`, floating point: exact up to 2^24 a cell in float32. NaN everywhere if a score is NaN, or
        a label is no class, in an example that has weight.

    Peers: as scikit-learn's confusion_matrix with labels=range(classes).

    Raises:
        InputError: shapes fit no form, or the number of classes is not known.
    """
    classes = class_count("confusion_matrix", predictions, targets, weights, classes)
    return streaming.confusion_matrix(classes, threshold=threshold)(predictions, targets, weights)


@higher_is_better
def balanced_accuracy(
    predictions: Array,
    targets: Array,
    weights: Array | None = None,
    *,
    classes: int | None = None,
    threshold: Scalar = 0.0,
) -> Array:
    """mean_i C[i, i] / sum_j C[i, j], the mean recall over the classes i that occur among the targets.

    Args:
        predictions, targets, weights, classes, threshold: as in `confusion_matrix`.

    Returns:
        One number; NaN for no examples.

    Peers: as scikit-learn's balanced_accuracy_score (adjusted=False).

    Raises:
        InputError: as `confusion_matrix`.
    """
    classes = class_count("balanced_accuracy", predictions, targets, weights, classes)
    return streaming.balanced_accuracy(classes, threshold=threshold)(predictions, targets, weights)


@higher_is_better
def matthews_correlation(
    predictions: Array,
    targets: Array,
    weights: Array | None = None,
    *,
    classes: int | None = None,
    threshold: Scalar = 0.0,
) -> Array:
    """(c s - sum_k p_k t_k) / sqrt((s^2 - sum p_k^2) (s^2 - sum t_k^2)): c hits among s, class k predicted p_k and
    true t_k times.

    Args:
        predictions, targets, weights, classes, threshold: as in `confusion_matrix`.

    Returns:
        One number in [-1, 1]; 0 if a single class was predicted, or true.

    Source: Gorodkin 2004 (two classes: Matthews 1975).

    Peers: as scikit-learn's matthews_corrcoef.

    Raises:
        InputError: as `confusion_matrix`.
    """
    classes = class_count("matthews_correlation", predictions, targets, weights, classes)
    return streaming.matthews_correlation(classes, threshold=threshold)(predictions, targets, weights)


@higher_is_better
def cohen_kappa(
    predictions: Array,
    targets: Array,
    weights: Array | None = None,
    *,
    weighting: str = "none",
    classes: int | None = None,
    threshold: Scalar = 0.0,
) -> Array:
    """1 - sum_ij d_ij C_ij / sum_ij d_ij E_ij with E_ij = t_i p_j / s, what chance would give.

    Args:
        predictions, targets, weights, classes, threshold: as in `confusion_matrix`.
        weighting: the cost d_ij of a mistake: `"none"` 1[i != j], `"linear"` |i - j|, `"quadratic"` (i - j)^2.

    Returns:
        One number, at most 1; NaN if all is of one class, true and predicted, or there are no examples.

    Source: Cohen 1960, 1968.

    Peers: as scikit-learn's cohen_kappa_score with labels=range(classes); its weights=None is "none", and without
    labels it counts the distance between the classes that occur.

    Raises:
        InputError: as `confusion_matrix`, or the weighting is unknown.
    """
    classes = class_count("cohen_kappa", predictions, targets, weights, classes)
    metric = streaming.cohen_kappa(classes, weighting=weighting, threshold=threshold)
    return metric(predictions, targets, weights)
