"""From a metric of whole arrays to its streaming form, once the shapes of targets and predictions are known."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from jaxann.core.binding import bound
from jaxann.core.padding import Padded
from jaxann.core.products import Metric
from jaxann.metrics import streaming
from jaxann.metrics.classification import (
    accuracy,
    balanced_accuracy,
    cohen_kappa,
    confusion_matrix,
    matthews_correlation,
    top_k_accuracy,
)
from jaxann.metrics.heads import head_of, one_head
from jaxann.metrics.probabilities import brier, expected_calibration_error, log_loss, perplexity
from jaxann.metrics.ranking import average_precision, roc_auc
from jaxann.metrics.regression import explained_variance, mae, mape, median_absolute_error, mse, r2, rmse
from jaxann.metrics.retrieval import f1, f_beta, precision, recall
from jaxann.metrics.sequences import token_error_rate
from jaxann.metrics.streaming.reading import label_count

__all__ = ["form_of", "is_known", "sizes_of"]

_PLAIN = {
    accuracy: streaming.accuracy,
    brier: streaming.brier,
    log_loss: streaming.log_loss,
    mae: streaming.mae,
    mape: streaming.mape,
    mse: streaming.mse,
    perplexity: streaming.perplexity,
    rmse: streaming.rmse,
    token_error_rate: streaming.token_error_rate,
    top_k_accuracy: streaming.top_k_accuracy,
}
_COLUMNS = {explained_variance: streaming.explained_variance, r2: streaming.r2}
_CLASSES = {
    balanced_accuracy: streaming.balanced_accuracy,
    cohen_kappa: streaming.cohen_kappa,
    confusion_matrix: streaming.confusion_matrix,
    f1: streaming.f1,
    f_beta: streaming.f_beta,
    matthews_correlation: streaming.matthews_correlation,
    precision: streaming.precision,
    recall: streaming.recall,
}
_BINARY = (f1, f_beta, precision, recall)  # of two classes unless told
_RANKS = {average_precision: streaming.average_precision, roc_auc: streaming.roc_auc}
_SIZES = ("bins", "classes")
_KNOWN = {*_PLAIN, *_COLUMNS, *_CLASSES, *_RANKS, expected_calibration_error, median_absolute_error}


def is_known(metric: Callable) -> bool:
    """Whether a metric is one of this room's, of a head or not."""
    head = head_of(metric)
    if head is not None:
        return isinstance(head[1], Metric) or is_known(head[1])
    return bound(metric)[0] in _KNOWN


def sizes_of(metric: Callable) -> tuple[str, ...]:
    """Keywords of a metric of this room that decide shapes."""
    return _SIZES if bound(metric)[0] in _KNOWN else ()


def _values(leaf: Any) -> Any:
    return leaf.values if isinstance(leaf, Padded) else leaf


def form_of(metric: Callable, targets: Any, predictions: Any = None) -> Metric | None:
    """The streaming form of a metric of whole arrays; None for a function that has none, or if it is not yet known.

    Args:
        metric: such as `metrics.f1`, keywords perhaps bound to it.
        targets: all the targets, or anything of their shape and dtype: metrics that keep examples have room for these.
        predictions: anything of the predictions' shape; the last axis tells the number of classes. Without, metrics
            that need it have a form only where `classes` is among the settings.
    """
    function, args, settings = bound(metric)
    head = head_of(metric)
    if head is not None:
        name, inner = head
        inside = None if predictions is None else predictions[name]
        form = form_of(inner, _values(targets[name]), inside if inside is None else _values(inside))
        return None if form is None else one_head(name, form)
    if args or not hasattr(targets, "shape"):  # several heads have a figure each: `of_head`
        return None
    columns = 1 if len(targets.shape) < 2 else targets.shape[-1]
    size = functools.reduce(lambda a, b: a * b, targets.shape, 1)
    if function in _PLAIN:
        return _PLAIN[function](**settings)
    if function in _COLUMNS:
        return _COLUMNS[function](columns, **settings)
    if function is median_absolute_error:
        return streaming.median_absolute_error(max(size // max(columns, 1), 1), columns, **settings)
    if function is expected_calibration_error:
        room = {"capacity": max(size, 1)} if settings.get("adaptive") else {}
        return streaming.expected_calibration_error(**settings, **room)
    if function not in _CLASSES and function not in _RANKS:
        return None
    classes = settings.pop("classes", None)
    average = settings.get("average", "binary" if function in _BINARY else "macro")
    if (function in _BINARY or function in _RANKS) and average != "binary" and len(targets.shape) > 1:
        if predictions is None:  # which may be of several labels an example
            return None
        settings["labels"] = label_count(function.__name__, predictions, targets, 2, average)
        size //= max(settings["labels"] or 1, 1)
    if classes is None and predictions is not None:
        classes = 2 if tuple(predictions.shape) == tuple(targets.shape) else predictions.shape[-1]
    if classes is None and average == "binary":
        classes = 2
    if classes is None:
        return None
    if function in _CLASSES:
        return _CLASSES[function](classes, **settings)
    return _RANKS[function](classes, capacity=max(size, 1), **settings)
