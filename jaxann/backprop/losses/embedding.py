"""Derivatives of the losses of two or three embeddings.

Two pieces come back in all of them. Of a length |x| the gradient is x / |x|, 0 at 0. Of x^ = x / max(|x|, eps), for
h = dl/dx^,

    dl/dx = (h - x^ (x^ . h)) / |x|     |x| > eps: only what is across x turns it
    dl/dx = h / eps                     |x| < eps
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxann import losses
from jaxann.backprop.registry import loss_derivative
from jaxann.core.checks import is_concrete
from jaxann.core.typing import Array, Scalar
from jaxann.losses.embedding import length, unit

__all__ = ["by_length", "through_unit"]


def through_unit(x: Array, h: Array, eps: Any) -> Array:
    """dl/dx from h = dl/dx^, x^ = unit(x, eps); nothing overflows on the way."""
    scale = jnp.max(jnp.abs(x), -1, keepdims=True, initial=0)
    smallest = jnp.finfo(x.dtype).tiny
    scale = jnp.clip(jnp.where(jnp.all(x == 0, -1, keepdims=True), 1, scale), smallest, 1 / smallest)
    y = x / scale
    size = jnp.sqrt(jnp.sum(y * y, -1, keepdims=True))
    floor = jnp.asarray(eps, x.dtype) / scale
    longer = jnp.where(size > floor, 1, jnp.where(size == floor, 0.5, 0)).astype(x.dtype)
    divisor = jnp.maximum(size, floor)
    direction = y / divisor
    along = jnp.sum(direction * h, -1, keepdims=True)
    return (h - longer * direction / jnp.where(size == 0, 1, size) * along * divisor) / divisor / scale


def by_length(x: Array, p: Any = 2) -> Array:
    """The gradient of (sum |x_i|^p)^(1/p): sign(x_i) (|x_i| / length)^(p - 1), 0 at 0; p = inf: the greatest alone."""
    size = lax.expand_dims(length(x, p), [x.ndim - 1])
    ratio = x / jnp.where(size == 0, 1, size)
    if is_concrete(p) and np.ndim(p) == 0 and p == 2:
        return ratio
    away = jnp.abs(ratio)
    if is_concrete(p) and np.ndim(p) == 0 and np.isinf(p):
        greatest = (jnp.abs(x) == jnp.max(jnp.abs(x), -1, keepdims=True, initial=0)).astype(x.dtype)
        return jnp.sign(x) * greatest / jnp.sum(greatest, -1, keepdims=True)
    none = ratio == 0
    power = jnp.asarray(p, x.dtype) - 1
    return jnp.where(none, 0, jnp.sign(x) * jnp.where(none, 1, away) ** power)


@loss_derivative(losses.cosine_distance)
def _cosine_distance(predictions: Array, targets: Array, *, eps: Scalar = 1e-8) -> Array:
    """l = 1 - a^ . b^:  h = dl/da^ = -b^, and then the rule of a^."""
    return through_unit(predictions, -unit(targets, eps), eps)


@loss_derivative(losses.cosine_embedding)
def _cosine_embedding(predictions: Array, targets: Array, *, margin: Scalar = 0.0, eps: Scalar = 1e-8) -> Array:
    """l = 1 - cos for a pair that belongs together, else max(0, cos - m):  dl/dcos = -1, or 1 where cos > m.

    dcos/da^ = b^ and dcos/db^ = a^, and then the rule of a^ and b^.
    """
    units = unit(predictions, eps)
    cosine = jnp.sum(units[..., 0, :] * units[..., 1, :], -1)
    apart = (cosine - jnp.asarray(margin, cosine.dtype) > 0).astype(cosine.dtype)
    by_cosine = lax.expand_dims(jnp.where(targets > 0.5, -1, apart), [cosine.ndim, cosine.ndim + 1])
    return through_unit(predictions, by_cosine * jnp.flip(units, -2), eps)


@loss_derivative(losses.contrastive)
def _contrastive(predictions: Array, targets: Array, *, margin: Scalar = 1.0) -> Array:
    """l = (y d^2 + (1 - y) k^2) / 2, k = max(0, m - d), d = |e|, e = a - b:

    dl/de = y e - (1 - y) k e / d,   dl/da = dl/de,   dl/db = -dl/de
    """
    gap = predictions[..., 0, :] - predictions[..., 1, :]
    short = jnp.asarray(margin, gap.dtype) - length(gap)
    short = jnp.where(short > 0, short, 0)
    push = lax.expand_dims((1 - targets) * short, [short.ndim])
    by_gap = lax.expand_dims(targets, [targets.ndim]) * gap - push * by_length(gap)
    return jnp.stack([by_gap, -by_gap], -2)


@loss_derivative(losses.triplet)
def _triplet(
    predictions: Array,
    targets: Array,
    *,
    margin: Scalar = 1.0,
    p: Scalar = 2.0,
    eps: Scalar = 1e-6,
    swap: bool = False,
) -> Array:
    """l = max(0, d(a, b) - d(a, n) + m), d(x, y) = |x - y + eps|:  where it leads, u the gradients of the lengths,

        dl/da = u_ab - u_an,   dl/db = -u_ab,   dl/dn = u_an

    With swap and d(b, n) < d(a, n), u_bn in the place of u_an, and dl/db gets it; at equality each half.
    """
    a, b, n = (predictions[..., i, :] for i in range(3))
    offset = jnp.asarray(eps, predictions.dtype)
    far, near = length(a - n + offset, p), length(a - b + offset, p)
    own = jnp.ones_like(far)
    if swap:
        other = length(b - n + offset, p)
        own = jnp.where(far < other, 1, jnp.where(far == other, 0.5, 0)).astype(far.dtype)
        far = jnp.minimum(far, other)
    leads = lax.expand_dims((near - far + jnp.asarray(margin, near.dtype) > 0).astype(near.dtype), [near.ndim])
    own = lax.expand_dims(own, [own.ndim])
    u_ab, u_an = by_length(a - b + offset, p), own * by_length(a - n + offset, p)
    u_bn = (1 - own) * by_length(b - n + offset, p) if swap else jnp.zeros_like(u_an)
    return jnp.stack([leads * (u_ab - u_an), leads * (-u_ab - u_bn), leads * (u_an + u_bn)], -2)
