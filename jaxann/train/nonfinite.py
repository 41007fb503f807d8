"""Where numbers first stopped being finite in a step: forward through the layers, at the loss, back through them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxann.train.probing import BY_LAYER
from jaxann.train.taps import Place

__all__ = ["NonfinitePlace", "nonfinite_place"]

_OUTPUT, _GRADIENT, _UPDATE = (
    BY_LAYER.index(f"layer_{name}") for name in ("nonfinite", "gradient_norm", "update_ratio")
)


class NonfinitePlace(NamedTuple):
    """The first place of a step that is not finite.

    Attributes:
        layer: its name; "(input)" for what the model is given, "(loss)" for the loss.
        what: "output", "loss", "gradient" (in its parameters, or too long to be squared) or "update" (the step).
    """

    layer: str
    what: str

    def __str__(self) -> str:
        if self.what == "loss":
            return "the loss, of outputs that are finite"
        return f"{'the ' if self.what != 'output' else ''}{self.what} of {self.layer}"


def nonfinite_place(places: Sequence[Place], by_layer: np.ndarray, loss: float) -> NonfinitePlace | None:
    """The first that is not finite in the order of the computation; None where all is finite.

    A gradient comes to the last layer first. Where it is finite in all layers, it is the rule that makes the step.

    Args:
        places: the layers, in the order in which they run.
        by_layer: figures of a probe, `(layers, figures)`.
        loss: the objective.
    """
    for place, share in zip(places, by_layer[:, _OUTPUT], strict=True):
        if share > 0:
            return NonfinitePlace(place.name, "output")
    if not np.isfinite(loss):
        return NonfinitePlace("(loss)", "loss")
    own = [number for number, place in enumerate(places) if place.parameters]
    for what, column, order in (("gradient", _GRADIENT, own[::-1]), ("update", _UPDATE, own)):
        for number in order:
            if not np.isfinite(by_layer[number, column]):
                return NonfinitePlace(places[number].name, what)
    return None
