"""Figures of merit for classes, on whole arrays."""

from __future__ import annotations

from jaxann.core.typing import Array
from jaxann.metrics import streaming

__all__ = ["accuracy"]


def accuracy(predictions: Array, targets: Array, weights: Array | None = None) -> Array:
    """Weighted share of examples whose predicted class is the target; 0 for no examples.

    Args:
        predictions: logits or probabilities `(..., classes)` for integer labels `(...)`, the class being the first
            greatest entry; or binary logits of the targets' shape, positive above 0.
        targets: labels, or 0 and 1.
        weights: one number an example.

    Raises:
        InputError: shapes fit neither form.
    """
    return streaming.accuracy()(predictions, targets, weights)
