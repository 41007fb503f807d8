"""Backward rules of the losses of triplets that are found in the batch."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import lax

from jaxann import losses
from jaxann.backprop.losses.embedding import by_length
from jaxann.backprop.registry import loss_rule
from jaxann.core.typing import Array, Scalar
from jaxann.losses.embedding import length

__all__ = []


@loss_rule(losses.triplet_hard)
def _triplet_hard(g: Array, predictions: Array, targets: Array, *, margin: Scalar = 1.0) -> Array:
    """l_i = max(0, d_ib - d_in + m), b the farthest positive of i, n its nearest negative:

        dC/dd_ib = g_i,   dC/dd_in = -g_i   where it leads; those that tie share it

    and then the rule of the distances.
    """
    like, unlike = _candidates(targets)
    gaps, distances = _gaps(predictions)
    counts = jnp.any(like, -1, keepdims=True) & jnp.any(unlike, -1, keepdims=True)
    positive, negative = jnp.where(like, distances, -jnp.inf), jnp.where(unlike, distances, jnp.inf)
    farthest = jnp.max(positive, -1, keepdims=True, initial=-jnp.inf)
    nearest = jnp.min(negative, -1, keepdims=True, initial=jnp.inf)
    lead = jnp.where(counts, farthest, 0) - jnp.where(counts, nearest, 0) + jnp.asarray(margin, distances.dtype)
    upper = jnp.where(counts & (lead > 0), lax.expand_dims(g, [1]), 0)
    dtype = distances.dtype
    by_distance = upper * (_shared(positive == farthest, like, dtype) - _shared(negative == nearest, unlike, dtype))
    return _by_points(by_distance, gaps)


@loss_rule(losses.triplet_semi_hard)
def _triplet_semi_hard(g: Array, predictions: Array, targets: Array, *, margin: Scalar = 1.0) -> Array:
    """l_i = mean over b of max(0, d_ib - d_in + m), n = n(b) the nearest negative beyond b, or else the farthest:

        dC/dd_ib = g_i / (positives of i),   dC/dd_in = -that   for each pair that leads

    and then the rule of the distances. One anchor at a time, as in the loss.
    """
    like, unlike = _candidates(targets)
    gaps, distances = _gaps(predictions)
    counts = jnp.any(like, -1, keepdims=True) & jnp.any(unlike, -1, keepdims=True)
    m = jnp.asarray(margin, distances.dtype)

    def of_anchor(given: tuple[Array, Array, Array]) -> Array:
        d, positive, negative = given
        across = jnp.broadcast_to(lax.expand_dims(d, [0]), (d.size, d.size))  # row b: all candidates for n(b)
        others = jnp.broadcast_to(lax.expand_dims(negative, [0]), across.shape)
        beyond = others & (across > across.T)
        any_beyond = jnp.any(beyond, -1, keepdims=True)
        nearest = jnp.min(jnp.where(beyond, across, jnp.inf), -1, keepdims=True, initial=jnp.inf)
        farthest = jnp.max(jnp.where(others, across, -jnp.inf), -1, keepdims=True, initial=-jnp.inf)
        other = jnp.where(any_beyond, nearest, farthest)
        chosen = _shared(across == other, jnp.where(any_beyond, beyond, others), d.dtype)
        b = lax.expand_dims(positive, [1])
        leads = b & (across.T[:, :1] - jnp.where(b, other, 0) + m > 0)
        share = leads.astype(d.dtype) / jnp.maximum(jnp.sum(positive, dtype=d.dtype), 1)
        return share[:, 0] - jnp.sum(share * chosen, 0)

    by_distance = lax.map(of_anchor, (distances, like & counts, unlike))
    return _by_points(lax.expand_dims(g, [1]) * by_distance, gaps)


def _candidates(labels: Array) -> tuple[Array, Array]:
    same = lax.expand_dims(labels, [0]) == lax.expand_dims(labels, [1])
    return same & ~jnp.eye(labels.shape[0], dtype=bool), ~same


def _gaps(x: Array) -> tuple[Array, Array]:
    """x_i - x_j, `(batch, batch, features)`, and their lengths d_ij."""
    gaps = lax.expand_dims(x, [1]) - lax.expand_dims(x, [0])
    return gaps, length(gaps)


def _by_points(by_distance: Array, gaps: Array) -> Array:
    """dC/dx_i = sum_j E_ij - sum_j E_ji, E_ij = dC/dd_ij (x_i - x_j) / d_ij: each distance has two ends."""
    ends = lax.expand_dims(by_distance, [2]) * by_length(gaps)
    return jnp.sum(ends, 1) - jnp.sum(ends, 0)


def _shared(chosen: Array, among: Array, dtype: Any) -> Array:
    """1 for what is chosen, divided by how many are."""
    flags = (chosen & among).astype(dtype)
    return flags / jnp.maximum(jnp.sum(flags, -1, keepdims=True), 1)
