"""Checks of targets against what the loss and the metrics say they take, on the host, before anything is compiled.

Labels against the number of outputs, numbers against the declared domain, and that there is something to measure. What
has weight 0, is padding, or is a label that the loss is told to ignore, may be any finite number: it counts nowhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from jaxann.core.binding import bound
from jaxann.core.checks import fail, is_concrete
from jaxann.core.domains import check_answers, check_classes, counted_places, takes_classes
from jaxann.core.metric_functions import wrapped
from jaxann.core.notices import notify
from jaxann.core.padding import Padded, unpadded
from jaxann.core.products import Metric
from jaxann.losses import labels_to_check
from jaxann.losses.domains import check_domain, domain_of
from jaxann.losses.heads import heads_of
from jaxann.losses.places import keeps_to_places
from jaxann.losses.reduce import counted_targets
from jaxann.metrics.calling import takes_weights
from jaxann.metrics.heads import head_of
from jaxann.train.batches import Batch, example_count
from jaxann.train.measure import streaming_form
from jaxann.train.recipe import Recipe

__all__ = ["check_counted", "check_targets", "leaves_out", "weighs"]


def check_targets(
    function: str, argument: str, data: Batch, predictions: Any, recipe: Recipe, *, compiled: bool = True
) -> None:
    """Targets are what the recipe's loss and metrics take, and some of them count. Traced ones are not looked at.

    Args:
        function, argument: for the message.
        data: whose y and weights are checked.
        predictions: anything of the predictions' shape.
        recipe: whose loss and metrics are asked.
        compiled: whether its metrics are part of a program, where no row can be left out of what they are given.

    Raises:
        InputError: a label is outside of 0..classes-1, a number outside of what the loss or a metric declares (the
            first is named with its row), or nothing counts.
    """
    if not all(map(is_concrete, jax.tree.leaves((data.y, data.weights)))):
        return
    loss, named = recipe.loss, f"{argument} y"
    _check_labels(function, named, data.y, predictions, loss, data.weights)
    check_domain(function, named, loss, data.y, data.weights)
    _tell_of_values(function, argument, data, predictions, loss)
    for name, metric in recipe.metrics.items():
        _check_metric(function, f"{named} for metrics[{name!r}]", metric, data, predictions, loss)
        if compiled and not weighs(metric) and leaves_out(data):
            message = (
                f"{function}: metrics[{name!r}] takes no weights, and some of {argument} has weight 0: it will be NaN. "
                "Let it take weights: (predictions, targets, weights)."
            )
            notify(message, UserWarning)


def weighs(metric: Any) -> bool:
    """Whether a metric, or that of a head, is handed weights."""
    head = head_of(metric)
    return isinstance(metric, Metric) or (takes_weights(metric) if head is None else weighs(head[1]))


def _tell_of_values(function: str, argument: str, data: Batch, predictions: Any, loss: Callable) -> None:
    """A loss that may look at several places of an example is given values of weight 0, too: say so."""
    weights = data.weights
    if weights is None or np.ndim(weights) < 2 or np.all(np.asarray(weights)) or heads_of(loss) is not None:
        return
    rows = example_count(predictions)
    y = jax.tree.map(lambda a: jax.ShapeDtypeStruct((rows, *np.shape(a)[1:]), a.dtype), data.y)
    seen, y = jax.eval_shape(lambda *given: unpadded(*given)[:2], predictions, y)
    if not keeps_to_places(loss, seen, y, (rows, *np.shape(weights)[1:])):
        message = (
            f"{function}: the loss may look at several values of an example, so it is given those of weight 0 in "
            f"{argument}, too: one of them that is not finite makes the gradient NaN."
        )
        notify(message, UserWarning)


def leaves_out(data: Batch) -> bool:
    """Whether something has weight 0 or is padding."""
    masks = [data.weights, *(y.mask for y in jax.tree.leaves(data.y, is_leaf=_is_padded) if _is_padded(y))]
    return not all(mask is None or np.all(np.asarray(mask)) for mask in masks)


def _is_padded(value: Any) -> bool:
    return isinstance(value, Padded)


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
    predictions = predictions.values if isinstance(predictions, Padded) else predictions
    if checked is None or not hasattr(predictions, "ndim"):
        return
    if predictions.ndim - checked.ndim not in (1, 2) or not jax.dtypes.issubdtype(checked.dtype, np.integer):
        return
    classes = predictions.shape[-1]
    check_classes(function, named, checked, classes, counted, hint=f"The model has {classes} outputs")


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


def _check_metric(function: str, named: str, metric: Any, data: Batch, predictions: Any, loss: Callable | None) -> None:
    """Targets are what a metric takes, where the loss (None: nothing is known of it) has not asked as much already."""
    head, inside = head_of(metric), wrapped(metric)
    if head is not None:
        name, inner = head
        if all(isinstance(tree, Mapping) and name in tree for tree in (data.y, predictions)):
            own = None if loss is None else (heads_of(loss) or {}).get(name)
            _check_metric(function, named, inner, data._replace(y=data.y[name]), predictions[name], own)
        return
    y, mask = (data.y.values, data.y.mask) if isinstance(data.y, Padded) else (data.y, None)
    predictions = predictions.values if isinstance(predictions, Padded) else predictions
    if not hasattr(y, "shape") or not hasattr(predictions, "shape"):
        return
    if inside is not None:
        shape = predictions.shape[:1] + predictions.shape[2 if inside.members else 1 :]
        predictions = jax.ShapeDtypeStruct(shape, predictions.dtype)
        _check_metric(function, named, inside.inner, data, predictions, loss)
        return
    rows = jax.ShapeDtypeStruct((y.shape[0], *predictions.shape[1:]), predictions.dtype)
    own, binary = None if loss is None else domain_of(loss), rows.shape == y.shape
    if binary and own is not None and not own.values and (own.low, own.high) == (0, 1):
        return  # what every metric takes
    labels = loss is not None and labels_to_check(loss, np.zeros(0, np.int32)) is not None
    if not binary and (rows.shape[:-1] != y.shape or labels):
        return
    form = streaming_form(metric, y, rows)
    if form is None or not takes_classes(form.traits):
        return
    counted = counted_places(y.shape, data.weights, mask)
    if binary:
        check_answers(function, form.traits, rows, y, counted, named)
    else:
        classes = rows.shape[-1]
        check_classes(function, named, y, classes, counted, hint=f"The model has {classes} outputs")


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
    """Which rows have something that counts, in one head if not in another; None where all have."""
    heads, y = heads_of(loss), data.y
    if heads is not None and isinstance(y, Mapping) and all(name in y for name in heads):
        each = [_rows_that_count(own, data._replace(y=y[name])) for name, own in heads.items()]
        counted = [rows for rows in each if rows is not None]
        return np.any(counted, axis=0) if len(counted) == len(each) else None
    targets: Any = y.values if isinstance(y, Padded) else y
    mask = y.mask if isinstance(y, Padded) else None
    if heads is not None or not hasattr(targets, "dtype"):
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
