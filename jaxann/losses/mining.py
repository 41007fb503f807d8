"""Triplets found inside the batch: each example is an anchor, its label says who is like it.

    d_ij = |x_i - x_j|;  positives of i: the other examples of its label;  negatives: the examples of any other label

The values belong to a whole batch: all its examples are candidates, a padded one too unless `where` tells which are
real. Choose a batch size that divides the number of examples, and one that brings several examples of a label together.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxann.core.checks import check_range
from jaxann.core.padding import zero_padding
from jaxann.core.tables import named_functions
from jaxann.core.typing import Array, Scalar
from jaxann.losses.embedding import length
from jaxann.losses.inputs import real_rows, structured
from jaxann.losses.reduce import weighed_by
from jaxann.losses.terms import difference

__all__ = ["triplet_hard", "triplet_semi_hard"]


def _anchors(targets: Any, where: Any = None, **others: Any) -> Array:
    """1 for an example that has a positive and a negative in the batch, else 0."""
    like, unlike = _candidates(jnp.asarray(targets), where)
    return (jnp.any(like, -1) & jnp.any(unlike, -1)).astype(jnp.result_type(float))


def _no_classes(targets: Any, **others: Any) -> None:
    """Labels of which no output is the score."""


@weighed_by(_anchors, labels=_no_classes)
@structured("features", integers=True, batch=True)
def triplet_hard(predictions: Array, targets: Array, *, margin: Scalar = 1.0, where: Array | None = None) -> Array:
    """max(0, max_b d(a, b) - min_n d(a, n) + m) for each anchor a: its farthest positive, its nearest negative.

    Args:
        predictions: embeddings of a batch, `(batch, features)`.
        targets: integer labels, `(batch,)`; any integers.
        margin: m > 0.
        where: `(batch,)`, 0 or False for padding, which is no candidate and has the value 0; None for none.

    Returns:
        `(batch,)`, 0 for an example without a positive or without a negative, which `target_weights` leaves out of
        the mean. Candidates that tie share the slope; at distance 0 the slope is 0.

    Peers: PyTorch, Keras and optax have none; as "batch hard" of the paper.

    Source: Hermans, Beyer and Leibe 2017.

    Raises:
        InputError: shapes do not fit, labels are not integers, margin <= 0, or the predictions are not floating point.
    """
    check_range("triplet_hard", "margin", margin, 0, open_low=True)
    real = real_rows("triplet_hard", where, predictions)
    predictions = predictions if where is None else zero_padding(predictions, real)
    like, unlike = _candidates(targets, where)
    distances = _distances(predictions)
    farthest = jnp.max(jnp.where(like, distances, -jnp.inf), -1, initial=-jnp.inf)
    nearest = jnp.min(jnp.where(unlike, distances, jnp.inf), -1, initial=jnp.inf)
    counts = jnp.any(like, -1) & jnp.any(unlike, -1)
    lead = jnp.where(counts, farthest, 0) - jnp.where(counts, nearest, 0)
    values = jnp.where(counts, jax.nn.relu(lead + jnp.asarray(margin, lead.dtype)), 0)
    return _with_nan(values, distances)


@weighed_by(_anchors, labels=_no_classes)
@structured("features", integers=True, batch=True)
def triplet_semi_hard(predictions: Array, targets: Array, *, margin: Scalar = 1.0, where: Array | None = None) -> Array:
    """mean_b max(0, d(a, b) - d(a, n_b) + m), n_b the nearest negative farther than b, or the farthest if none is.

    Args:
        predictions: embeddings of a batch, `(batch, features)`.
        targets: integer labels, `(batch,)`; any integers.
        margin: m > 0.
        where: `(batch,)`, 0 or False for padding, which is no candidate and has the value 0; None for none.

    Returns:
        `(batch,)`, for each anchor a the mean over its positives b; 0 for an example without a positive or without a
        negative, which `target_weights` leaves out of the mean.

    Peers: PyTorch, Keras and optax have none.

    Source: Schroff, Kalenichenko and Philbin 2015.

    Raises:
        InputError: shapes do not fit, labels are not integers, margin <= 0, or the predictions are not floating point.
    """
    check_range("triplet_semi_hard", "margin", margin, 0, open_low=True)
    real = real_rows("triplet_semi_hard", where, predictions)
    predictions = predictions if where is None else zero_padding(predictions, real)
    like, unlike = _candidates(targets, where)
    distances = _distances(predictions)
    counts = jnp.any(like, -1) & jnp.any(unlike, -1)
    m = jnp.asarray(margin, distances.dtype)

    def of_anchor(given: tuple[Array, Array, Array]) -> Array:
        d, positive, negative = given
        beyond = lax.expand_dims(negative, [0]) & (lax.expand_dims(d, [0]) > lax.expand_dims(d, [1]))
        nearest = jnp.min(jnp.where(beyond, lax.expand_dims(d, [0]), jnp.inf), -1, initial=jnp.inf)
        farthest = jnp.max(jnp.where(negative, d, -jnp.inf), initial=-jnp.inf)
        other = jnp.where(jnp.any(beyond, -1), nearest, farthest)
        pairs = jax.nn.relu(d - jnp.where(positive, other, 0) + m)
        return jnp.sum(jnp.where(positive, pairs, 0)) / jnp.maximum(jnp.sum(positive, dtype=d.dtype), 1)

    # One anchor at a time: all at once would be batch^3 numbers.
    safe = like & lax.expand_dims(counts, [1])
    return _with_nan(lax.map(jax.checkpoint(of_anchor), (distances, safe, unlike)), distances)


def _candidates(labels: Array, where: Any) -> tuple[Array, Array]:
    """Positives and negatives of each example, `(batch, batch)`; padding has none and is none."""
    same = lax.expand_dims(labels, [0]) == lax.expand_dims(labels, [1])
    like, unlike = same & ~jnp.eye(labels.shape[0], dtype=bool), ~same
    if where is None:
        return like, unlike
    real = jnp.asarray(where).astype(bool)
    both = lax.expand_dims(real, [0]) & lax.expand_dims(real, [1])
    return like & both, unlike & both


def _with_nan(values: Array, distances: Array) -> Array:
    """NaN where a distance is: a maximum of many, and any comparison, may lose it."""
    return jnp.where(jnp.any(jnp.isnan(distances), -1), jnp.nan, values)


@jax.checkpoint
def _distances(x: Array) -> Array:
    """|x_i - x_j|, from the differences: x_i . x_j would cancel where two are close."""
    return length(difference(lax.expand_dims(x, [1]), lax.expand_dims(x, [0])))


named_functions(triplet_hard, triplet_semi_hard)
