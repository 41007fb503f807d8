"""Backward rules of the losses that tell each example of a batch from the others."""

from __future__ import annotations

import jax.numpy as jnp
from jax import lax

from jaxann import losses
from jaxann.backprop.losses.embedding import through_unit
from jaxann.backprop.registry import loss_rule
from jaxann.core.logits import softmax
from jaxann.core.typing import Array, Scalar
from jaxann.losses.embedding import unit

__all__ = []


_EPS = 1e-8


@loss_rule(losses.info_nce)
def _info_nce(
    g: Array, predictions: Array, targets: Array, *, temperature: Scalar = 0.07, symmetric: bool = False
) -> Array:
    """l_i = -log P_ii, P = the softmax of each row of S, S_ij = a^_i . b^_j / t:  it is a cross entropy, so

        dC/dS_ij = g_i (P_ij - 1[i=j]),   dC/da^ = dC/dS b^ / t,   dC/db^ = dC/dS^T a^ / t

    and then the rule of a^ and b^. Symmetric: half of it, and half with Q, the softmax of each column, and g_j.
    """
    t = jnp.asarray(temperature, predictions.dtype)
    units = unit(predictions, _EPS)
    a, b = units[:, 0], units[:, 1]
    scores = _product(a, b.T) / t
    hot = jnp.eye(scores.shape[0], dtype=scores.dtype)
    by_score = lax.expand_dims(g, [1]) * (softmax(scores, 1) - hot)
    if symmetric:
        by_score = (by_score + lax.expand_dims(g, [0]) * (softmax(scores, 0) - hot)) / 2
    h = jnp.stack([_product(by_score, b), _product(by_score.T, a)], 1) / t
    return through_unit(predictions, h, _EPS)


@loss_rule(losses.nt_xent)
def _nt_xent(g: Array, predictions: Array, targets: Array, *, temperature: Scalar = 0.07) -> Array:
    """l = the mean of -log P_ij over both views i of a pair (i, j), P the softmax of S_ik over k != i:

        dC/dS_ik = g_i / 2 (P_ik - 1[k is i's partner]),   dC/dv^ = (dC/dS + dC/dS^T) v^ / t

    for S = v^ v^T / t holds every view twice.
    """
    t, batch = jnp.asarray(temperature, predictions.dtype), predictions.shape[0]
    units = unit(predictions, _EPS)
    views = jnp.concatenate([units[:, 0], units[:, 1]])
    scores = jnp.where(jnp.eye(2 * batch, dtype=bool), -jnp.inf, _product(views, views.T) / t)
    partner = jnp.roll(jnp.eye(2 * batch, dtype=scores.dtype), batch, 1)
    by_score = lax.expand_dims(jnp.concatenate([g, g]) / 2, [1]) * (softmax(scores, 1) - partner)
    h = _product(by_score + by_score.T, views) / t
    return through_unit(predictions, jnp.stack([h[:batch], h[batch:]], 1), _EPS)


def _product(a: Array, b: Array) -> Array:
    return jnp.matmul(a, b, precision="highest")
