"""Checks of targets against what the loss and the metrics say they take, on the host, before anything is compiled.

Labels against the number of outputs, numbers against the declared domain, and that there is something to measure. What
has weight 0, is padding, or is a label that the loss is told to ignore, may hold anything: it counts for nothing.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from jaxann.core.binding import bound
from jaxann.core.checks import fail, is_concrete
from jaxann.core.domains import binary_domain, check_binary, counted_places
from jaxann.core.padding import Padded
from jaxann.core.products import Metric
from jaxann.losses import labels_to_check
from jaxann.losses.domains import check_domain, domain_of
from jaxann.losses.heads import heads_of
from jaxann.losses.reduce import counted_targets
from jaxann.metrics.calling import takes_weights
from jaxann.train.batches import Batch, example_count
from jaxann.train.measure import streaming_form
from jaxann.train.recipe import Recipe

__all__ = ["check_counted", "check_targets"]


def check_targets(function: str, argument: str, data: Batch, predictions: Any, recipe: Recipe) -> None:
    """Targets are what the recipe's loss and metrics take, and some of them count. Traced ones are not looked at.

    Args:
        function, argument: for the message.
        data: whose y and weights are checked.
        predictions: anything of the predictions' shape.
        recipe: whose loss and metrics are asked.

    Raises:
        InputError: a label is outside of 0..classes-1, a number outside of what the loss or a metric declares (the
            first is named with its row), or nothing counts.
    """
    if not all(map(is_concrete, jax.tree.leaves((data.y, data.weights)))):
        return
    loss, named = recipe.loss, f"{argument} y"
    _check_labels(function, named, data.y, predictions, loss, data.weights)
    check_domain(function, named, loss, data.y, data.weights)
    for name, metric in recipe.metrics.items():
        _check_metric(function, f"{named} for metrics[{name!r}]", metric, data, predictions, loss)
        if not isinstance(metric, Metric) and not takes_weights(metric) and _leaves_out(data.weights):
            message = f"{function}: metrics[{name!r}] takes no weights; what has weight 0 in {argument} is zeros to it."
            warnings.warn(message, UserWarning, stacklevel=5)


def _leaves_out(weights: Any) -> bool:
    return weights is not None and not np.all(np.asarray(weights))


def _check_labels(function: str, named: str, targets: Any, predictions: Any, loss: Callable, weights: Any) -> None:
    """Integer labels are in 0..classes-1 where the predictions have the classes as one more axis, and some count.

    The predictions of several members have another axis, for these.
    """
    heads = heads_of(loss)
    if heads is not None:
        for name, own in heads.items():
            if isinstance(targets, Mapping) and isinstance(predictions, Mapping):
                _check_labels(function, f"{named}[{name!r}]", targets[name], predictions[name], own, weights)
        return
    mask = None
    if isinstance(targets, Padded):
        targets, mask = targets.values, np.asarray(targets.mask)
        if not mask.any():
            fail(function, named, "of at least one real position", " only padding")
    if not hasattr(targets, "dtype"):
        return
    counted = counted_places(np.shape(targets), weights, mask)
    _check_some(function, named, targets, counted, loss)
    checked = labels_to_check(loss, targets)
    if checked is None or not hasattr(predictions, "ndim"):
        return
    if predictions.ndim - checked.ndim not in (1, 2) or not jax.dtypes.issubdtype(checked.dtype, np.integer):
        return
    _check_range(function, named, np.asarray(checked), predictions.shape[-1], counted)


def _check_range(function: str, named: str, host: np.ndarray, classes: int, counted: np.ndarray | None) -> None:
    if host.size == 0 or (host.min() >= 0 and host.max() < classes):
        return
    strange = (host < 0) | (host >= classes)
    if counted is not None:
        strange &= counted.reshape(*counted.shape, *(1,) * (host.ndim - counted.ndim))
    if strange.any():
        place = tuple(np.argwhere(strange)[0])
        hint = f"The model has {classes} outputs; labels start at 0."
        if host[strange].min() < 0:
            hint += " Labels to be left out: functools.partial(loss, ignore_index=...)."
        fail(function, named, f"labels in 0..{classes - 1}", f" {host[place]} at row {place[0]}", hint=hint)


def _check_some(function: str, named: str, targets: Any, counted: np.ndarray | None, loss: Callable) -> None:
    """Something counts: not all labels are ignored or of classes of weight 0, nor all the others of weight 0."""
    own = counted_targets(loss, targets)
    if own is None:
        if counted is not None and counted.size and not counted.any():
            fail(function, named, "targets that count somewhere", " only padding and those of weight 0")
        return
    if not own.size or _both(own, counted).any():
        return
    ignored = bound(loss)[2].get("ignore_index")
    if ignored is not None and not np.any(np.asarray(targets) != np.asarray(ignored)):
        fail(function, named, f"labels other than ignore_index={int(ignored)} somewhere", " no other")
    fail(function, named, "labels that count somewhere", " only ignored ones and those of weight 0")


def _both(own: np.ndarray, counted: np.ndarray | None) -> np.ndarray:
    return own if counted is None else own & counted.reshape(*counted.shape, *(1,) * (own.ndim - counted.ndim))


def _check_metric(function: str, named: str, metric: Any, data: Batch, predictions: Any, loss: Callable) -> None:
    """Targets are what a metric takes, where the loss has not asked as much already."""
    y, mask = (data.y.values, data.y.mask) if isinstance(data.y, Padded) else (data.y, None)
    if not hasattr(y, "shape") or not hasattr(predictions, "shape"):
        return
    rows = jax.ShapeDtypeStruct((y.shape[0], *predictions.shape[1:]), predictions.dtype)
    own, binary = domain_of(loss), rows.shape == y.shape
    if binary and own is not None and not own.values and (own.low, own.high) == (0, 1):
        return  # what every metric takes
    if not binary and (rows.shape[:-1] != y.shape or labels_to_check(loss, np.zeros(0, np.int32)) is not None):
        return
    form = streaming_form(metric, y, rows)
    if form is None or binary_domain(form.traits) is None:
        return
    counted = counted_places(y.shape, data.weights, mask)
    if binary:
        check_binary(function, form.traits, rows, y, counted, named)
    elif jax.dtypes.issubdtype(y.dtype, np.integer):
        _check_range(function, named, np.asarray(y), rows.shape[-1], counted)


def check_counted(
    function: str, argument: str, data: Batch, groups: Sequence[np.ndarray], loss: Callable, side: str
) -> None:
    """Something counts in each of several groups of rows (folds, data sets), where the loss ignores labels.

    Args:
        function, argument: for the message.
        data: all of them.
        groups: the rows of each.
        loss: which says what counts.
        side: what they are called, such as "held-out".

    Raises:
        InputError: one has nothing; the message gives its number.
    """
    counts = _rows_that_count(loss, data)
    if counts is None:
        return
    for number, rows in enumerate(groups):
        if not counts[rows].any():
            expected = f"such that some {side} rows count: labels that are not ignored, weights above 0"
            fail(function, argument, expected, f" none in number {number}")


def _rows_that_count(loss: Callable, data: Batch) -> np.ndarray | None:
    """Which rows have something that counts; None where all have."""
    targets, mask = (data.y.values, data.y.mask) if isinstance(data.y, Padded) else (data.y, None)
    if heads_of(loss) is not None or not hasattr(targets, "dtype"):
        targets = np.zeros(example_count(data.y), bool)
        own = None
    else:
        own = counted_targets(loss, targets)
    counted = counted_places(np.shape(targets), data.weights, mask)
    if own is None and counted is None:
        return None
    both = counted if own is None else _both(own, counted)
    assert both is not None
    return np.any(both.reshape(both.shape[0], -1), axis=1)
