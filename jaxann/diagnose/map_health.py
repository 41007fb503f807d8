"""Whether a layer's figures are healthy: a level, and what is wrong in words. Spec 12.2 has the limits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxann.train.probing import BY_LAYER

__all__ = ["LEVELS", "REASONS", "Health", "health_of", "loss_health"]

LEVELS = ("healthy", "watch", "warning", "severe", "not measured")

# What is said of a layer, by a short name: what it is called, and why.
REASONS = {
    "nonfinite": ("not finite", "Some of its numbers are infinite or not a number."),
    "vanishing": (
        "vanishing",
        "On its way down to the first layer the gradient falls below 1/1000 of the last one.",
    ),
    "exploding": (
        "exploding",
        "On its way down to the first layer the gradient grows beyond 1000 times the last.",
    ),
    "stalled": ("stalled", "A step changes its parameters by less than 1/100,000 of their length."),
    "unstable": ("unstable", "A step changes its parameters by more than 1/10 of their length."),
    "collapsed": ("collapsed", "The standard deviation of its output is below 0.01: all numbers are nearly the same."),
    "blow_up": ("blown up", "The standard deviation of its output is above 100."),
    "dead": ("dead units", "More than 10 % of its units give 0 for all examples; more than 50 % is severe."),
    "saturated": ("saturated", "More than 50 % of its values stand at a limit of the activation."),
    "some_saturated": ("nearing limits", "25 to 50 % of its values stand at a limit of the activation."),
    "far_gradient": ("uneven gradient", "Its gradient is not within 10 times that of the last layer."),
    "far_std": ("scale", "The standard deviation of its output is outside of 0.3 to 3."),
    "still": ("still", "A step leaves its parameters where they are: they are frozen, or have no gradient."),
    "jump": ("gradient jumps", "The gradient of all parameters is more than 1000 times its median so far."),
    "wrong_loss": ("not finite", "The loss is not finite."),
}


class Health(NamedTuple):
    """How a layer does: the position of its level in LEVELS, and names of REASONS, the worst first."""

    level: int
    reasons: tuple[str, ...]


def health_of(parameters: Sequence[int], by_layer: np.ndarray) -> tuple[Health, ...]:
    """The health of each layer.

    Args:
        parameters: their number in each layer.
        by_layer: figures of a probe, `(layers, len(BY_LAYER))`, in the order of the computation.
    """
    norms = _column(by_layer, "gradient_norm")
    own = [number for number, count in enumerate(parameters) if count and np.isfinite(norms[number])]
    first, last = (norms[own[0]], norms[own[-1]]) if own else (np.nan, np.nan)
    return tuple(_one(row, first, last) for row in by_layer)


def loss_health(loss: float, norm: float, before: Sequence[float]) -> Health:
    """That of the loss, and of the gradient of all parameters, whose norms `before` are those of earlier epochs."""
    if not np.isfinite(loss):
        return Health(3, ("wrong_loss",))
    known = [one for one in before if np.isfinite(one)]
    jumps = bool(known) and norm > 1e3 * float(np.median(known))
    return Health(3, ("jump",)) if jumps else Health(0, ())


def _column(by_layer: np.ndarray, name: str) -> np.ndarray:
    return by_layer[..., BY_LAYER.index(f"layer_{name}")]


def _one(row: np.ndarray, first: float, last: float) -> Health:
    norm, ratio, std, dead, saturated, nonfinite = (
        float(_column(row, name)) for name in ("gradient_norm", "update_ratio", "std", "dead", "saturated", "nonfinite")
    )
    if np.isnan([norm, ratio, std, nonfinite]).all():
        return Health(4, ())
    found: list[tuple[int, str]] = []
    if nonfinite > 0 or np.isinf(norm):
        found.append((3, "nonfinite"))
    if np.isfinite(norm) and last > 0:
        if norm < 1e-3 * last and first < 1e-3 * last:
            found.append((3, "vanishing"))
        elif norm > 1e3 * last and first > 1e3 * last:
            found.append((3, "exploding"))
        elif not 0.1 <= norm / last <= 10:
            found.append((1, "far_gradient"))
    if ratio == 0:
        found.append((1, "still"))
    elif ratio < 1e-5:
        found.append((2, "stalled"))
    elif ratio > 1e-1:
        found.append((2, "unstable"))
    if std < 1e-2:
        found.append((2, "collapsed"))
    elif std > 1e2:
        found.append((2, "blow_up"))
    elif not 0.3 <= std <= 3 and np.isfinite(std):
        found.append((1, "far_std"))
    if dead > 0.1:
        found.append((3 if dead > 0.5 else 2, "dead"))
    if saturated > 0.5:
        found.append((2, "saturated"))
    elif saturated > 0.25:
        found.append((1, "some_saturated"))
    found.sort(key=lambda one: -one[0])
    return Health(found[0][0] if found else 0, tuple(name for _, name in found))
