"""Backward rules of the activations of a whole axis, in `activations/vector.py`: dC/dx = J^T G, J the Jacobian.

No Jacobian is ever formed: each product costs as much as the function itself.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

from jaxann import activations
from jaxann.backprop.registry import activation_rule
from jaxann.core.logits import softmax
from jaxann.core.typing import Array, Key, Scalar

__all__ = []


@activation_rule(activations.softmax)
def _softmax(
    g: Array, x: Array, y: Array, *, axis: int = -1, temperature: Scalar = 1.0, where: Array | None = None
) -> Array:
    """y = p = softmax(x / T):  dp_i/dx_j = p_i (1[i=j] - p_j) / T, so dx = p (G - sum_i p_i G_i) / T.

    An entry that is masked has p = 0 and gets 0.
    """
    mean = jnp.sum(y * g, axis, keepdims=True)
    return y * (g - mean) / jnp.asarray(temperature, x.dtype)


@activation_rule(activations.log_softmax)
def _log_softmax(g: Array, x: Array, y: Array, *, axis: int = -1) -> Array:
    """y = x - log sum e^x:  dy_i/dx_j = 1[i=j] - p_j, so dx = G - p sum_i G_i, p = e^y."""
    return g - jnp.exp(y) * jnp.sum(g, axis, keepdims=True)


@activation_rule(activations.log_sum_exp)
def _log_sum_exp(g: Array, x: Array, y: Array, *, axis: int = -1, where: Array | None = None) -> Array:
    """y = log sum e^x:  dy/dx_i = e^(x_i - y) = p_i, so dx = p G; 0 for what is masked and in a row of -inf."""
    level, g = lax.expand_dims(y, [axis % x.ndim]), lax.expand_dims(g, [axis % x.ndim])
    counts = jnp.broadcast_to(~jnp.isneginf(level), x.shape)
    if where is not None:
        counts = counts & jnp.broadcast_to(jnp.asarray(where, bool), x.shape)
    return jnp.where(counts, g * jnp.exp(jnp.where(counts, x, 0) - jnp.where(jnp.isneginf(level), 0, level)), 0)


@activation_rule(activations.hard_max)
def _hard_max(g: Array, x: Array, y: Array, *, axis: int = -1) -> Array:
    """y = one-hot of the greatest:  constant between ties, dx = 0."""
    return jnp.zeros_like(x)


@activation_rule(activations.maxout)
def _maxout(g: Array, x: Array, y: Array, *, k: int = 2, axis: int = -1) -> Array:
    """y = the greatest of k neighbours:  dy/dx_j = 1 for the greatest and 0 for the rest; equals share it evenly."""
    axis = axis % x.ndim
    pieces = x.reshape(*x.shape[:axis], x.shape[axis] // k, k, *x.shape[axis + 1 :])
    chosen = (pieces == lax.expand_dims(y, [axis + 1])).astype(x.dtype)
    share = lax.expand_dims(g, [axis + 1]) / jnp.sum(chosen, axis + 1, keepdims=True)
    return (chosen * share).reshape(x.shape)


@activation_rule(activations.sparsemax)
def _sparsemax(g: Array, x: Array, y: Array, *, axis: int = -1) -> Array:
    """y = max(x - t, 0) on the simplex:  t = (sum of x over the support S - 1) / |S|, so dy_i/dx_j = 1[i=j] - 1/|S|

    on S and 0 elsewhere: dx = G - (mean of G over S) on S, else 0.
    """
    support = y > 0
    size = jnp.maximum(jnp.sum(support, axis, keepdims=True), 1).astype(x.dtype)
    mean = jnp.sum(jnp.where(support, g, 0), axis, keepdims=True) / size
    return jnp.where(support, g - mean, 0)


@activation_rule(activations.gumbel_softmax)
def _gumbel_softmax(
    g: Array, x: Array, y: Array, *, key: Key, temperature: Scalar = 1.0, hard: bool = False, axis: int = -1
) -> Array:
    """y = softmax((x + n) / T), n the noise the key draws:  dx as for softmax, hard or not: the soft one's slope."""
    soft = softmax(x + jax.random.gumbel(key, x.shape, x.dtype), axis, temperature=temperature) if hard else y
    return _softmax(g, x, soft, axis=axis, temperature=temperature)
