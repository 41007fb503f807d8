"""What the body of a metric's factory returns when there is more to say than init, update and compute."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from jaxann.core.factories import Product

__all__ = ["MetricFunctions", "wrapped"]


class MetricFunctions(NamedTuple):
    """The functions of a metric, and of which other one it is made, where it hands on what it is given.

    By that what has to be known of the inner metric is found from outside: the targets it takes, and which of several
    losses is told what to ignore.
    """

    init: Callable
    update: Callable
    compute: Callable
    inner: Product | None = None  # the metric that does the counting
    head: str | None = None  # it is given predictions[head] and targets[head]
    members: bool = False  # it is given predictions without axis 1, and the targets as they are
    traits: Iterable[str] = ()


def wrapped(metric: Any) -> MetricFunctions | None:
    """What a streaming metric says of the one inside it; None for any other metric."""
    functions = metric.functions if isinstance(metric, Product) else None
    return functions if isinstance(functions, MetricFunctions) and functions.inner is not None else None
