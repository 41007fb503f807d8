"""Figures of merit for numbers, on whole arrays."""

from __future__ import annotations

from jaxann.core.typing import Array
from jaxann.metrics import streaming

__all__ = ["r2", "rmse"]


def rmse(predictions: Array, targets: Array, weights: Array | None = None) -> Array:
    """Root of the mean squared difference, sqrt(sum w (p - y)^2 / sum w), over all elements.

    Args:
        predictions, targets: of the same shape.
        weights: one number an example (the first axis).

    Raises:
        InputError: shapes differ, `(n,)` against `(n, 1)` too.
    """
    return streaming.rmse()(predictions, targets, weights)


def r2(predictions: Array, targets: Array, weights: Array | None = None) -> Array:
    """Share of the spread that is explained, 1 - sum w (y - p)^2 / sum w (y - mean y)^2; at most 1, may be negative.

    Several outputs (the last axis of `(n, outputs)`) are averaged evenly, as scikit-learn does. A constant target
    gives 1 if it is met exactly and else 0.

    Args:
        predictions, targets: `(n,)` or `(..., outputs)`, of the same shape.
        weights: one number an example.

    Raises:
        InputError: shapes differ.
    """
    outputs = 1 if targets.ndim < 2 else targets.shape[-1]
    return streaming.r2(outputs)(predictions, targets, weights)
