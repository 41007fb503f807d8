"""What the order of scores is worth, on whole arrays: exact, by ranks."""

from __future__ import annotations

from typing import Any

from jaxann.core.typing import Array
from jaxann.metrics import streaming
from jaxann.metrics.direction import higher_is_better
from jaxann.metrics.streaming.reading import scores_form
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
        targets: labels, or 0 and 1.
        weights: one number an example; a pair weighs the product.
        multi_class: `"ovr"` each class's probability against the rest, or `"ovo"` between the members of each pair of
            classes, both ways.
        average: over more than two classes: `"macro"` evenly; `"weighted"` by how often a class (or pair) is true;
            with `"ovr"` also `"micro"`, all (example, class) pairs pooled, and `"none"`.
        from_logits: whether predictions are logits: classes are then ranked by log(p_k / (1 - p_k)), which tells
            apart probabilities that round to 1.

    Returns:
        One number, or `(classes,)` for `"none"`. NaN where one of the two groups is empty, or a score is NaN.

    Source: Hanley and McNeil 1982; pairs of classes: Hand and Till 2001.

    Peers: as scikit-learn's roc_auc_score, which takes no weights with "ovo" and averages over the last axis of binary
    targets, where all elements are one list here. Keras' AUC adds up 200 thresholds and is 0 for one class.

    Raises:
        InputError: shapes fit no form, the predictions are integers, or a choice is unknown.
    """
    classes, capacity = _sizes("roc_auc", predictions, targets, weights)
    metric = streaming.roc_auc(
        classes, capacity=capacity, multi_class=multi_class, average=average, from_logits=from_logits
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
        average: over more than two classes, each against the rest: `"macro"` evenly, `"weighted"` by how often a class
            is true, `"micro"` all (example, class) pairs pooled, `"none"` each class's.

    Returns:
        One number in [0, 1], or `(classes,)` for `"none"`; 0 where no example is positive; NaN if a score is.

    Peers: as scikit-learn's average_precision_score, but that it averages over the last axis of binary targets, where
    all elements are one list here. Keras' AUC(curve="PR") interpolates between 200 thresholds.

    Raises:
        InputError: as `roc_auc`.
    """
    classes, capacity = _sizes("average_precision", predictions, targets, weights)
    metric = streaming.average_precision(classes, capacity=capacity, average=average, from_logits=from_logits)
    return metric(predictions, targets, weights)


def _sizes(function: str, predictions: Any, targets: Any, weights: Any) -> tuple[int, int]:
    """Number of classes, and room for every example."""
    kind = scores_form(function, predictions, targets)
    check_weights(function, weights, targets.shape)
    return predictions.shape[-1] if kind == "classes" else 2, max(targets.size, 1)
