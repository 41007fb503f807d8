"""What a row of the errata is, and the worked net that many of them are checked on."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxann.backprop import backward
from jaxann.core.typing import Params
from jaxann.teach.examples import example

__all__ = ["Check", "Erratum", "Figure", "check", "moved", "worked"]


class Figure(NamedTuple):
    """A number or an array that a check computed, and what it is."""

    what: str
    value: Any


class Check(NamedTuple):
    """What a check found: its figures, and whether they bear out what is said to be right."""

    figures: tuple[Figure, ...]
    holds: bool


class Erratum(NamedTuple):
    """A mistake that is commonly printed in textbooks and notes.

    Attributes:
        number: "E1", "E2", ...
        severity: "S" a wrong result for whoever programs it, "I" imprecise or claimed too widely, "N" notation.
        printed: what is commonly printed.
        right: what is right.
        check: computes the figures that show it; None where it is a matter of words alone.
    """

    number: str
    severity: str
    printed: str
    right: str
    check: Callable[[], Check] | None = None

    def run(self) -> Check | None:
        """Run the check now, in double precision; None where there is none."""
        if self.check is None:
            return None
        with jax.enable_x64(True):
            return self.check()


def check(holds: Any, *figures: tuple[str, Any]) -> Check:
    """A check from what it found: whether it holds, and pairs of a name and a number or array."""
    return Check(tuple(Figure(what, np.asarray(value)[()]) for what, value in figures), bool(holds))


@functools.cache
def _program(name: str) -> Callable:
    recipe, _, _, y = example(name)

    def run(params: Params, x: Any) -> Any:
        return backward(
            recipe.model, params, {layer: {} for layer in params}, x, y.astype(x.dtype), recipe.loss, train=True
        )

    return jax.jit(run)


def worked(params: Params | None = None, *, name: str = "2-2-1") -> Any:
    """The trace of the worked net, forward and backward by hand, in numpy float64; at other parameters if given."""
    chosen = example(name)
    with jax.enable_x64(True):
        trace = _program(name)(chosen.params if params is None else params, chosen.x)
        return jax.tree.map(np.asarray, trace)


def moved(rate: float, *, name: str = "2-2-1") -> Params:
    """The worked net's parameters less `rate` times the gradient: a step of descent, of ascent below 0."""
    grads = worked(name=name).grads
    return jax.tree.map(lambda w, g: w - rate * g, example(name).params, grads)
