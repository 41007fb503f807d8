"""Losses of the overlap of two sets, for segmentation."""

from __future__ import annotations

import jax.numpy as jnp
from jax import lax

from jaxann.core.checks import check_range
from jaxann.core.domains import UNIT
from jaxann.core.tables import named_functions
from jaxann.core.typing import Array, Scalar
from jaxann.losses.domains import targets_in
from jaxann.losses.inputs import over_classes
from jaxann.losses.terms import quotient

__all__ = ["dice"]


@targets_in(UNIT)
@over_classes
def dice(predictions: Array, targets: Array, *, smooth: Scalar = 1.0) -> Array:
    """1 - (2 sum_i p_i y_i + s) / (sum_i p_i + sum_i y_i + s), p = sigmoid(z), sums over the last axis.

    The overlap counts, not the number of places: an object of few pixels weighs as much as one of many.

    Args:
        predictions: logits z, `(..., places)`; an image's pixels are one axis: `z.reshape(batch, -1)`.
        targets: y in [0, 1], same shape.
        smooth: s >= 0; with s = 0 an empty target and an empty prediction have the loss 0.

    Returns:
        `(...)`, in [0, 1].

    Peers: as optax's binary_dice_loss with smooth = s / 2; Keras's Dice takes probabilities and one sum over
        all axes; PyTorch has none.

    Source: Milletari, Navab and Ahmadi 2016.

    Raises:
        InputError: shapes differ, smooth < 0, or the logits are not floating point.
    """
    check_range("dice", "smooth", smooth, 0)
    s = jnp.asarray(smooth, predictions.dtype)
    p = lax.logistic(predictions)
    # What is in one set alone over both: 1 - (2 p y + s) / (p + y + s), but a sum of terms that are at least 0.
    alone = jnp.sum(p * (1 - targets) + targets * lax.logistic(-predictions), -1)
    total = jnp.sum(p, -1) + jnp.sum(targets, -1) + s
    nothing = total == 0
    return jnp.where(nothing, 0, quotient(jnp.where(nothing, 0, alone), jnp.where(nothing, 1, total)))


named_functions(dice)
