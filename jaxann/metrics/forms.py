"""From a metric of whole arrays to its streaming form, once the shapes of targets and predictions are known."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

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
from jaxann.metrics.probabilities import brier, expected_calibration_error, log_loss, perplexity
from jaxann.metrics.ranking import average_precision, roc_auc
from jaxann.metrics.regression import explained_variance, mae, mape, median_absolute_error, mse, r2, rmse
from jaxann.metrics.retrieval import f1, f_beta, precision, recall

__all__ = ["Bound", "bound", "form_of"]

_PLAIN = {
    accuracy: streaming.accuracy,
    brier: streaming.brier,
    log_loss: streaming.log_loss,
    mae: streaming.mae,
    mape: streaming.mape,
    mse: streaming.mse,
    perplexity: streaming.perplexity,
    rmse: streaming.rmse,
    top_k_accuracy: streaming.top_k_accuracy,
}
_OUTPUTS = {explained_variance: streaming.explained_variance, r2: streaming.r2}
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


@dataclass(frozen=True)
class Bound:
    """A function with settings that belong to its structure; two of one function and equal settings are equal."""

    function: Callable
    settings: tuple[tuple[str, Any], ...]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The function, with its settings."""
        return self.function(*args, **dict(self.settings), **kwargs)


def bound(metric: functools.partial) -> tuple[Callable, dict[str, Any]]:
    """A partial's function with names, flags and sizes bound as structure, and the numbers left over."""
    known = metric.func in {*_PLAIN, *_OUTPUTS, *_CLASSES, *_RANKS, expected_calibration_error, median_absolute_error}
    fixed = {
        name: value
        for name, value in metric.keywords.items()
        if isinstance(value, str | bool) or value is None or (known and name in _SIZES)
    }
    numbers = {name: value for name, value in metric.keywords.items() if name not in fixed}
    return (Bound(metric.func, tuple(sorted(fixed.items()))) if fixed else metric.func), numbers


def form_of(function: Callable, settings: Mapping[str, Any], targets: Any, predictions: Any = None) -> Metric | None:
    """The streaming form of a metric of whole arrays; None for a function that has none, or if it is not yet known.

    Args:
        function: a metric such as `metrics.f1`, or one `Bound` to settings.
        settings: keywords it is to be called with.
        targets: all the targets, or anything of their shape and dtype: metrics that keep examples have room for these.
        predictions: anything of the predictions' shape; the last axis tells the number of classes. Without, metrics
            that need it have a form only where `classes` is among the settings.
    """
    if isinstance(function, Bound):
        return form_of(function.function, dict(function.settings) | dict(settings), targets, predictions)
    settings = dict(settings)
    outputs = 1 if len(targets.shape) < 2 else targets.shape[-1]
    size = functools.reduce(lambda a, b: a * b, targets.shape, 1)
    if function in _PLAIN:
        return _PLAIN[function](**settings)
    if function in _OUTPUTS:
        return _OUTPUTS[function](outputs, **settings)
    if function is median_absolute_error:
        return streaming.median_absolute_error(max(size // max(outputs, 1), 1), outputs, **settings)
    if function is expected_calibration_error:
        room = {"capacity": max(size, 1)} if settings.get("adaptive") else {}
        return streaming.expected_calibration_error(**settings, **room)
    if function not in _CLASSES and function not in _RANKS:
        return None
    classes = settings.pop("classes", None)
    if classes is None and predictions is not None:
        classes = 2 if tuple(predictions.shape) == tuple(targets.shape) else predictions.shape[-1]
    if classes is None and function in _BINARY and settings.get("average", "binary") == "binary":
        classes = 2
    if classes is None:
        return None
    if function in _CLASSES:
        return _CLASSES[function](classes, **settings)
    return _RANKS[function](classes, capacity=max(size, 1), **settings)
