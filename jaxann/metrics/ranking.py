"""What the order of scores is worth, on whole arrays: exact, by ranks."""

from __future__ import annotations

from typing import Any

from jaxann.core.typing import Array
from jaxann.metrics import streaming
from jaxann.metrics.direction import higher_is_better
from jaxann.metrics.streaming.reading import label_count, scores_form
from jaxann.metrics.streaming.sums import check_weights

__all__ = ["average_precision", "roc_auc"]


@higher_is_better
def roc_auc(
    predictions: Array,
    targets: Array,
    weights: Array | None = None,
    *,
    multi_class: str = "ovr",
    average: str = "macro",
    from_logits: bool = True,
) -> Array:
    """P(s+ > s-) + P(s+ = s-) / 2, how often a positive example scores above a negative one.

    Args:
        predictions: binary scores of the targets' shape, or `(..., classes)` for labels `(...)`: logits, or with
            `from_logits=False` probabilities or whatever else ranks. Of two classes the second is the positive one.
        targets: labels, or 0 and 1; of binary targets `(..., labels)` the last axis is the labels of an example.
        weights: one number an example; a pair weighs the product.
        multi_class: `"ovr"` each class's probability against the rest, or `"ovo"` between the members of each pair of
            classes, both ways.
        average: over more than two classes, or over labels, each a binary question: `"macro"` evenly; `"weighted"`
            by how often a class, label or pair is true; with `"ovr"` also `"micro"`, all (example, class) pairs, or
            all labels, as one list, and `"none"`.
        from_logits: whether predictions are logits: classes are then ranked by log(p_k / (1 - p_k)), which tells
            apart probabilities that round to 1.

    Returns:
        One number, or `(classes,)` or `(labels,)` for `"none"`. NaN where one of the two groups is empty, or a score is
        NaN.

    Source: Hanley and McNeil 1982; pairs of classes: Hand and Till 2001.

    Peers: as scikit-learn's roc_auc_score, which takes no weights with "ovo"; its average=None is "none". Keras' AUC
    adds up 200 thresholds and is 0 for one class.

    Raises:
        InputError: shapes fit no form, the predictions are integers, or a choice is unknown.
    """
    classes, capacity, labels = _sizes("roc_auc", predictions, targets, weights, average)
    metric = streaming.roc_auc(
        classes,
        capacity=capacity,
        multi_class=multi_class,
        average=average,
        from_logits=from_logits,
        labels=labels,
    )
    return metric(predictions, targets, weights)


@higher_is_better
def average_precision(
    predictions: Array,
    targets: Array,
    weights: Array | None = None,
    *,
    average: str = "macro",
    from_logits: bool = True,
) -> Array:
    """sum_n (R_n - R_(n-1)) P_n over the distinct scores from high to low: steps, not trapezoids.

    Args:
        predictions, targets, weights, from_logits: as in `roc_auc`.
        average: over more than two classes, each against the rest, or over labels: `"macro"` evenly, `"weighted"` by
            how often a class or label is true, `"micro"` all of an example's classes or labels as one list, `"none"`
            each one's.

    Returns:
        One number in [0, 1], or `(classes,)` or `(labels,)` for `"none"`; 0 where no example is positive; NaN of no
        examples, or if a score is.

    Peers: as scikit-learn's average_precision_score. Keras' AUC(curve="PR") interpolates between 200 thresholds.

    Raises:
        InputError: as `roc_auc`.
    """
    classes, capacity, labels = _sizes("average_precision", predictions, targets, weights, average)
    metric = streaming.average_precision(
        classes, capacity=capacity, average=average, from_logits=from_logits, labels=labels
    )
    return metric(predictions, targets, weights)


def _sizes(function: str, predictions: Any, targets: Any, weights: Any, average: str) -> tuple[int, int, int | None]:
    """Number of classes, room for every example, and how many labels each has where it has several."""
    kind = scores_form(function, predictions, targets)
    check_weights(function, weights, targets.shape)
    labels = label_count(function, predictions, targets, None, average)
    return predictions.shape[-1] if kind == "classes" else 2, max(targets.size // max(labels or 1, 1), 1), labels
