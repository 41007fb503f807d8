"""Losses for numbers: one value an element, never averaged."""

from __future__ import annotations

from jaxann.core.checks import check_floating, check_same_shape
from jaxann.core.factories import named_functions
from jaxann.core.typing import Array

__all__ = ["squared_error"]


def squared_error(predictions: Array, targets: Array) -> Array:
    """(prediction - target)^2, without the factor 1/2; slope 2 (prediction - target).

    Args:
        predictions, targets: floating point, of the same shape.

    Returns:
        The same shape. (optax's `squared_error`; its `l2_loss` has the 1/2. Averaged, PyTorch's MSELoss.)

    Raises:
        InputError: shapes differ (also `(n,)` against `(n, 1)`), or the predictions are not floating point.
    """
    check_floating("squared_error", "predictions", predictions)
    check_same_shape("squared_error", predictions, targets)
    difference = predictions - targets.astype(predictions.dtype)
    return difference * difference


named_functions(squared_error)
