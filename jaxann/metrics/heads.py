"""The metric of one of several outputs."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from jaxann.core.binding import as_partial, bound
from jaxann.core.checks import fail
from jaxann.core.factories import factory
from jaxann.core.metric_functions import MetricFunctions, wrapped
from jaxann.core.padding import unpadded
from jaxann.core.products import Metric
from jaxann.metrics.calling import figure_of

__all__ = ["head_of", "of_head", "one_head"]


def of_head(name: str, metric: Metric | Callable) -> Metric | Callable:
    """The metric of the head called `name`: of predictions[name] and targets[name], which are dicts.

        metrics={"digit": of_head("digit", accuracy), "size": of_head("size", streaming.rmse())}

    Args:
        name: of the head, as in `layers.branch` and `losses.by_head`.
        metric: a function `(predictions, targets, weights) -> figure`, settings bound to it or not, or a streaming
            metric.

    Returns:
        A function, or a streaming metric, as `metric` is one. Targets that are `Padded` count at their real positions.

    Raises:
        InputError: the metric is neither; or, when called, the head is missing: the message names it.
    """
    if not isinstance(name, str):
        fail("of_head", "name", "a string", name)
    if isinstance(metric, Metric):
        return one_head(name, metric)
    if isinstance(metric, str) or not callable(metric):
        fail("of_head", "metric", "a function (predictions, targets, weights) -> figure, or a streaming metric", metric)
    return as_partial(functools.partial(_figure, name=name, metric=metric))


@factory(Metric)
def one_head(name: str, metric: Metric):
    """What `of_head` makes of a streaming metric."""

    def update(sums, predictions, targets, weights):
        return metric.update(sums, *_taken(name, predictions, targets, weights))

    return MetricFunctions(metric.init, update, metric.compute, metric, head=name)


def head_of(metric: Any) -> tuple[str, Any] | None:
    """The head and the metric that `of_head` was given; None for any other metric."""
    if isinstance(metric, Metric):
        found = wrapped(metric)
        return None if found is None or found.head is None else (found.head, found.inner)
    function, _, settings = bound(metric)
    return (settings["name"], settings["metric"]) if function is _figure else None


def _figure(predictions: Any, targets: Any, weights: Any = None, *, name: str, metric: Callable) -> Any:
    predictions, targets, weights = _taken(name, predictions, targets, weights)
    return figure_of(metric, predictions, targets, weights)


def _taken(name: str, predictions: Any, targets: Any, weights: Any) -> tuple[Any, Any, Any]:
    for argument, tree in (("predictions", predictions), ("targets", targets)):
        if not isinstance(tree, Mapping) or name not in tree:
            shape = getattr(tree, "shape", None)
            given: Any = tree if shape is None else f" shape {shape}"
            if isinstance(tree, Mapping):
                given = f" the names {', '.join(map(repr, tree)) or 'of nothing'}"
            fail("of_head", f"{argument}[{name!r}]", "there", given)
    return unpadded(predictions[name], targets[name], weights)
