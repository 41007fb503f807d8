"""Whether more of a figure is better, declared at the metric: what early stopping and searches go by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeVar

from jaxann.core.binding import bound
from jaxann.core.factories import some_declares
from jaxann.core.products import Metric

__all__ = ["direction_of", "higher_is_better", "lower_is_better"]

F = TypeVar("F", bound=Callable[..., Any])


def higher_is_better(metric: F) -> F:
    """Decorate a metric `(predictions, targets, weights) -> figure` of your own of which more is better."""
    metric.__dict__["direction"] = "max"
    return metric


def lower_is_better(metric: F) -> F:
    """Decorate a metric `(predictions, targets, weights) -> figure` of your own of which less is better."""
    metric.__dict__["direction"] = "min"
    return metric


def direction_of(metric: Metric | Callable) -> Literal["max", "min"] | None:
    """`"max"` where more is better, `"min"` where less is, None for a metric that does not say.

    Args:
        metric: a streaming metric, which declares the trait "higher_is_better" or "lower_is_better", itself or by the
            metric inside it; or a function with one of the two decorators, settings bound to it or not.
    """
    if isinstance(metric, Metric):
        higher, lower = (some_declares(metric, trait) for trait in ("higher_is_better", "lower_is_better"))
        return None if higher == lower else "max" if higher else "min"
    function, _, settings = bound(metric)
    declared = getattr(function, "direction", None)
    if declared is None and callable(settings.get("metric")):  # a metric made of another one
        return direction_of(settings["metric"])
    return declared if declared in ("max", "min") else None
