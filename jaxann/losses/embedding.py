"""Losses of two or three embeddings: the like drawn together, the unlike pushed apart.

The prediction holds the embeddings of one example side by side, `(..., 2, features)` or `(..., 3, features)`: what a
network gives that was applied to each of them.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxann.core.checks import check_flag, check_range, is_concrete
from jaxann.core.domains import UNIT
from jaxann.core.tables import named_functions
from jaxann.core.typing import Array, Scalar
from jaxann.losses.domains import targets_in
from jaxann.losses.inputs import over_classes, structured
from jaxann.losses.terms import difference

__all__ = ["contrastive", "cosine_distance", "cosine_embedding", "length", "triplet", "unit"]


@over_classes
def cosine_distance(predictions: Array, targets: Array, *, eps: Scalar = 1e-8) -> Array:
    """1 - a . b / (max(|a|, eps) max(|b|, eps)), the angle alone counts; finite value and slope at 0.

    Args:
        predictions: a, `(..., features)`.
        targets: b, the same shape.
        eps: > 0, the least length a vector is divided by.

    Returns:
        `(...)`, from 0 for one direction to 2 for opposite ones; 1 for a vector of zeros.

    Peers: 1 less PyTorch's CosineSimilarity; optax's cosine_distance has eps 0; Keras's CosineSimilarity is this
        less 1, with lengths held at 1e-7 at least.

    Source: Salton, Wong and Yang 1975.

    Raises:
        InputError: shapes differ, eps <= 0, or the predictions are not floating point.
    """
    check_range("cosine_distance", "eps", eps, 0, open_low=True)
    return _one_less_cosine(unit(predictions, eps), unit(targets, eps))


@targets_in(values=(-1, 0, 1))
@structured(2, "features")
def cosine_embedding(predictions: Array, targets: Array, *, margin: Scalar = 0.0, eps: Scalar = 1e-8) -> Array:
    """1 - cos(a, b) for a pair that belongs together, max(0, cos(a, b) - m) for one that does not.

    Args:
        predictions: pairs of embeddings a, b: `(..., 2, features)`.
        targets: `(...)`, 1 for a pair that belongs together, -1 (or 0) for one that does not.
        margin: m in [-1, 1], the cosine up to which strangers are left alone; slope 0 there.
        eps: > 0, the least length a vector is divided by.

    Returns:
        `(...)`.

    Peers: as PyTorch's CosineEmbeddingLoss, which adds 1e-12 to the sums of squares; Keras and optax have none.

    Source: PyTorch.

    Raises:
        InputError: shapes do not fit, a number is out of range, or the predictions are not floating point.
    """
    check_range("cosine_embedding", "margin", margin, -1, 1)
    check_range("cosine_embedding", "eps", eps, 0, open_low=True)
    units = unit(predictions, eps)
    a, b = units[..., 0, :], units[..., 1, :]
    over = jnp.sum(a * b, -1) - jnp.asarray(margin, a.dtype)
    return jnp.where(targets > 0.5, _one_less_cosine(a, b), jax.nn.relu(over))


@targets_in(UNIT)
@structured(2, "features")
def contrastive(predictions: Array, targets: Array, *, margin: Scalar = 1.0) -> Array:
    """y d^2 / 2 + (1 - y) max(0, m - d)^2 / 2, d = |a - b|, y = 1 for a pair that belongs together, else 0.

    Args:
        predictions: pairs of embeddings a, b: `(..., 2, features)`.
        targets: y in [0, 1], `(...)`.
        margin: m > 0, the distance from which strangers are left alone.

    Returns:
        `(...)`. At d = 0 the distance has the slope 0.

    Peers: PyTorch, Keras and optax have none.

    Source: Hadsell, Chopra and LeCun 2006.

    Raises:
        InputError: shapes do not fit, margin <= 0, or the predictions are not floating point.
    """
    check_range("contrastive", "margin", margin, 0, open_low=True)
    gap = difference(predictions[..., 0, :], predictions[..., 1, :])
    short = jax.nn.relu(jnp.asarray(margin, gap.dtype) - length(gap))
    half = jnp.sum(gap * (gap / 2), -1)
    return jnp.where(targets == 0, 0, targets * half) + (1 - targets) * short * (short / 2)


@structured(3, "features")
def triplet(
    predictions: Array,
    targets: Array,
    *,
    margin: Scalar = 1.0,
    p: Scalar = 2.0,
    eps: Scalar = 1e-6,
    swap: bool = False,
) -> Array:
    """max(0, d(a, b) - d(a, n) + m), d(x, y) = (sum_i |x_i - y_i + eps|^p)^(1/p), b like the anchor a, n unlike it.

    Args:
        predictions: anchor a, positive b and negative n: `(..., 3, features)`.
        targets: `(...)`, not looked at: the order of the three says it all. (Ones will do.)
        margin: m > 0, by how much the negative must be farther.
        p: >= 1, the norm; infinity only as a Python number.
        eps: >= 0, added to every difference.
        swap: whether d(b, n) counts in the place of d(a, n) where it is smaller. Fixed when the program is traced.

    Returns:
        `(...)`; slope 0 where the lead is exactly m.

    Peers: as PyTorch's TripletMarginLoss (margin, p, eps, swap); optax's triplet_margin_loss takes no absolute value,
        which is wrong for odd p, and adds eps to the sum; Keras has none.

    Source: Schroff, Kalenichenko and Philbin 2015; swap: Balntas and others 2016.

    Raises:
        InputError: shapes do not fit, a number is out of range, or the predictions are not floating point.
    """
    check_range("triplet", "margin", margin, 0, open_low=True)
    if not (isinstance(p, float) and p == np.inf):
        check_range("triplet", "p", p, 1)
    check_range("triplet", "eps", eps, 0)
    check_flag("triplet", "swap", swap)
    anchor, positive, negative = (predictions[..., i, :] for i in range(3))
    offset = jnp.asarray(eps, predictions.dtype)
    far = length(difference(anchor, negative) + offset, p)
    if swap:
        far = jnp.minimum(far, length(difference(positive, negative) + offset, p))
    near = length(difference(anchor, positive) + offset, p)
    return jax.nn.relu(near - far + jnp.asarray(margin, near.dtype))


def length(x: Array, p: Any = 2) -> Array:
    """(sum_i |x_i|^p)^(1/p) over the last axis, slope 0 at 0; nothing overflows on the way."""
    greatest = lax.stop_gradient(jnp.max(jnp.abs(x), -1, initial=0))
    zero = jnp.all(x == 0, -1)  # not greatest == 0: a maximum of many may lose a NaN
    scale = _with_reciprocal(jnp.where(zero, 1, greatest))
    x = x / lax.expand_dims(scale, [scale.ndim])
    if is_concrete(p) and np.ndim(p) == 0 and p == 2:
        return _held(jnp.where(zero, 0, scale * jnp.sqrt(jnp.where(zero, 1, jnp.sum(x * x, -1)))), greatest)
    ratio = x * lax.stop_gradient(jnp.sign(x))
    if is_concrete(p) and np.ndim(p) == 0 and np.isinf(p):
        return _held(jnp.where(zero, 0, scale * jnp.max(ratio, -1, initial=0)), greatest)
    power = jnp.asarray(p, x.dtype)
    none = ratio == 0
    total = jnp.sum(jnp.where(none, 0, jnp.where(none, 1, ratio) ** power), -1)
    return _held(jnp.where(zero, 0, scale * jnp.where(zero, 1, total) ** (1 / power)), greatest)


def _with_reciprocal(scale: Array) -> Array:
    """The scale, no greater than has a normal number for its reciprocal, which a compiler multiplies by."""
    smallest = jnp.finfo(scale.dtype).tiny
    return jnp.clip(scale, smallest, 1 / smallest)


def _held(found: Array, greatest: Array) -> Array:
    """The greatest number for a length beyond it: of two of them the difference is no NaN."""
    return jnp.where(jnp.isposinf(found) & jnp.isfinite(greatest), jnp.finfo(found.dtype).max, found)


@jax.custom_jvp
def _one_less_cosine(a: Array, b: Array) -> Array:
    """1 - a . b for vectors of length 1, or less where they were held at eps: in [0, 2], precise at both ends.

    |a - b|^2 / 2 is the same for length 1, and does not cancel; 2 - |a + b|^2 / 2 for those that point apart.
    """
    cosine = jnp.sum(a * b, -1)
    short = _shortage(a) + _shortage(b)
    near, far = (jnp.sum((a + sign * b) ** 2, -1) for sign in (-1, 1))
    return jnp.where(cosine > 0, near + short, 4 - (far + short)) / 2


def _shortage(a: Array) -> Array:
    """1 - |a|^2, 0 but for rounding where a was divided by its length."""
    rest = 1 - jnp.sum(a * a, -1)
    return jnp.where(rest > 64 * jnp.finfo(a.dtype).eps, rest, 0)


@_one_less_cosine.defjvp
def _one_less_cosine_slope(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    (a, b), (by_a, by_b) = primals, tangents
    return _one_less_cosine(a, b), -jnp.sum(by_a * b + a * by_b, -1)


def unit(x: Array, eps: Any) -> Array:
    """x / max(|x|, eps) over the last axis, slope 1 / eps at 0; nothing overflows on the way."""
    greatest = lax.stop_gradient(jnp.max(jnp.abs(x), -1, keepdims=True, initial=0))
    zero = jnp.all(x == 0, -1, keepdims=True)
    scale = _with_reciprocal(jnp.where(zero, 1, greatest))
    x = x / scale
    norm = jnp.sqrt(jnp.where(zero, 1, jnp.sum(x * x, -1, keepdims=True)))
    return x / jnp.maximum(jnp.where(zero, 0, norm), jnp.asarray(eps, x.dtype) / scale)


named_functions(contrastive, cosine_distance, cosine_embedding, triplet)
