"""What a task hands to the rest: the end of the net, its loss, its figures, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from jaxann.advice.facts import Facts
from jaxann.advice.recommendation import Reason
from jaxann.core.products import Layer
from jaxann.core.typing import Loss
from jaxann.layers import reshape

__all__ = ["Head", "shaped"]


class Head(NamedTuple):
    """All that follows from the task."""

    layers: Mapping[str, Layer]  # after the net
    loss: Loss
    metrics: Mapping[str, Any]
    reasons: tuple[Reason, ...]


def shaped(facts: Facts, shape: tuple[int, ...]) -> dict[str, Layer]:
    """What brings the net's numbers into the shape of the loss."""
    return {} if facts.places or shape == (facts.units,) else {"shape": reshape(shape)}
