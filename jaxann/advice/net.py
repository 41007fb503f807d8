"""What a kind of inputs hands to the rest: the net, how it is trained, what it was chosen for."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from jaxann.advice.facts import Facts
from jaxann.advice.recommendation import Reason
from jaxann.core.augmentation import Augment
from jaxann.core.products import Layer

__all__ = ["KEPT_PAIRS", "Net", "Style", "preparation"]

KEPT_PAIRS = 0.95  # correlation of two columns from which on they say nearly the same


class Style(NamedTuple):
    """How a family of nets is trained."""

    optimizer: str  # "adamw", "adam" or "sgd"
    learning_rate: float
    cosine: bool  # whether the rate falls to 0 by a cosine, after a warmup, over the whole run
    clip: bool  # whether the gradient's length is cut at 1
    updates: int  # about how many
    why: str
    source: str


class Net(NamedTuple):
    """A net for a kind of inputs.

    Attributes:
        build: `dropout rate or None -> layer` that gives the numbers asked for.
        style: how it is trained.
        reasons: for the preparation, the net and its activation.
        drops: whether `build` heeds the rate.
        augment: changes of the training examples.
        notes: what to know besides.
    """

    build: Callable[[float | None], Layer]
    style: Style
    reasons: tuple[Reason, ...]
    drops: bool = True
    augment: tuple[Augment, ...] = ()
    notes: tuple[str, ...] = ()


def preparation(facts: Facts, value: str) -> Reason:
    """Why numbers are scaled."""
    why = "Numbers of one size, mean 0: so steps of one size suit all weights. Learned by each run from its own rows."
    if facts.correlation > KEPT_PAIRS:
        why += (
            f" Two columns correlate by {facts.correlation:.3f}: a matter of conditioning, which scaling and whitening "
        )
        why += "(preprocessing.pca) help; it does not choose the optimizer (erratum E56)."
    return Reason("preparation", value, why, "LeCun et al. 1998 (Efficient BackProp), 4.3")
