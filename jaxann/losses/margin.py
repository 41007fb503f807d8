"""Losses that ask for a margin: nothing is paid for a score that is right by enough."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxann.core.checks import check_choice, check_range
from jaxann.core.tables import named_functions
from jaxann.core.typing import Array, Scalar
from jaxann.losses.domains import SIGNS, targets_in
from jaxann.losses.inputs import elementwise, hits, labelled

__all__ = ["hinge", "multiclass_hinge", "perceptron", "squared_hinge"]


@targets_in(SIGNS)
@elementwise
def hinge(predictions: Array, targets: Array) -> Array:
    """max(0, 1 - y s), s the score, y in {-1, 1}; slope -y where y s < 1, else 0 (at y s = 1 too).

    Args:
        predictions: scores s of any shape.
        targets: y, -1 or 1, the same shape. (0 for the negative class would give the loss 1 whatever the score.)

    Returns:
        The same shape.

    Peers: as optax's hinge_loss but for the slope at y s = 1, there -y / 2; Keras's Hinge also takes 0 for -1;
        PyTorch's HingeEmbeddingLoss is another loss.

    Source: Cortes and Vapnik 1995.

    Raises:
        InputError: shapes differ (also `(n,)` against `(n, 1)`), or the predictions are not floating point.
    """
    return jax.nn.relu(1 - predictions * targets)


@targets_in(SIGNS)
@elementwise
def squared_hinge(predictions: Array, targets: Array) -> Array:
    """max(0, 1 - y s)^2, s the score, y in {-1, 1}; slope -2 y max(0, 1 - y s), without a kink.

    Args:
        predictions: scores s of any shape.
        targets: y, -1 or 1, the same shape.

    Returns:
        The same shape.

    Peers: as Keras's SquaredHinge, which also takes 0 for -1; PyTorch and optax have none.

    Source: Chang, Hsieh and Lin 2008.

    Raises:
        InputError: shapes differ (also `(n,)` against `(n, 1)`), or the predictions are not floating point.
    """
    short = jax.nn.relu(1 - predictions * targets)
    return short * short


@targets_in(SIGNS)
@elementwise
def perceptron(predictions: Array, targets: Array) -> Array:
    """max(0, -y s), s the score, y in {-1, 1}; slope -y where y s <= 0, else 0.

    A step of plain gradient descent on it is the perceptron rule. A score of exactly 0 is a mistake and has the slope
    -y: training may start from zero weights.

    Args:
        predictions: scores s of any shape.
        targets: y, -1 or 1, the same shape.

    Returns:
        The same shape.

    Peers: as optax's perceptron_loss but for the slope at 0, there -y / 2; PyTorch and Keras have none.

    Source: Rosenblatt 1958.

    Raises:
        InputError: shapes differ (also `(n,)` against `(n, 1)`), or the predictions are not floating point.
    """
    wrong_by = -predictions * targets
    return jnp.where(wrong_by < 0, 0, wrong_by)


@labelled()
def multiclass_hinge(
    predictions: Array, targets: Array, *, margin: Scalar = 1.0, kind: str = "crammer_singer"
) -> Array:
    """max_{k != y} max(0, m + s_k - s_y), or with kind "weston_watkins" sum_{k != y} max(0, m + s_k - s_y).

    Args:
        predictions: scores s, `(..., classes)`.
        targets: integer labels y, `(...)`, each in 0..classes-1.
        margin: m >= 0, by how much the label's score must lead.
        kind: "crammer_singer", the worst rival counts, or "weston_watkins", every rival counts.

    Returns:
        `(...)`. Slope 0 where a lead is exactly m; rivals that tie share it. A label outside 0..classes-1 gives NaN.

    Peers: crammer_singer as optax's multiclass_hinge_loss; weston_watkins is PyTorch's MultiMarginLoss times the
        number of classes; Keras's CategoricalHinge is crammer_singer with a best rival of at least 0.

    Source: Crammer and Singer 2001; Weston and Watkins 1999.

    Raises:
        InputError: shapes do not fit, labels are not integers, margin < 0, or kind is unknown.
    """
    check_range("multiclass_hinge", "margin", margin, 0)
    check_choice("multiclass_hinge", "kind", kind, ("crammer_singer", "weston_watkins"))
    own = hits(targets, predictions.shape[-1])
    score = jnp.sum(jnp.where(own, predictions, 0), -1, keepdims=True)
    lead = jnp.asarray(margin, predictions.dtype) + _apart(predictions, score)
    if kind == "crammer_singer":
        values = jax.nn.relu(jnp.max(jnp.where(own, -jnp.inf, lead), -1, initial=-jnp.inf))
    else:
        values = jnp.sum(jnp.where(own, 0, jax.nn.relu(lead)), -1)
    known = jnp.any(own, -1) & ~jnp.any(jnp.isnan(predictions), -1)  # a maximum of many may lose a NaN
    return jnp.where(known, values, jnp.nan)


def _apart(scores: Array, score: Array) -> Array:
    """s_k - s_y, exactly 0 of two that are equal: a product beside a subtraction may be fused with it on one side."""
    return (jnp.where(scores > score, scores, score) - score) + (jnp.where(scores > score, score, scores) - score)


named_functions(hinge, multiclass_hinge, perceptron, squared_hinge)
