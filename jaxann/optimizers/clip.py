"""Clipping of gradients: by value, by the length of a leaf, of a unit, or of everything together."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxann.core.checks import check_range
from jaxann.core.factories import factory
from jaxann.core.patterns import Selection
from jaxann.core.products import Optimizer
from jaxann.core.trees import global_norm, leaf_norm, norm_of_squares, wide_dtype
from jaxann.core.typing import Array, Scalar
from jaxann.optimizers.base import check_given, inner_optimizers, widened
from jaxann.optimizers.masking import check_selection, selected

__all__ = [
    "ClipState",
    "adaptive_grad_clip",
    "clip_by_block_rms",
    "clip_by_global_norm",
    "clip_by_norm",
    "clip_by_value",
    "limits_gradients",
]


class ClipState(NamedTuple):
    """Clipping remembers nothing."""


def _init(params) -> ClipState:
    return ClipState()


def _cut(size: Array, limit: Array) -> Array:
    """min(1, limit / size); NaN where the size is not finite."""
    over = size > limit
    return jnp.where(jnp.isfinite(size), jnp.where(over, limit / jnp.where(over, size, 1), 1), jnp.nan)


def _times(g: Array, factor: Array) -> Array:
    """factor g, multiplied in float32 or better: a small factor has few digits in float16, or none."""
    return (g.astype(factor.dtype) * factor).astype(g.dtype)


@factory(Optimizer, traits=("finite_updates", "limits_gradients"))
def clip_by_value(max_value: Scalar):
    """min(max(g, -max_value), max_value), each number by itself: the direction changes.

    An infinite gradient becomes the limit, NaN stays NaN.

    Peers: as optax's clip, PyTorch's clip_grad_value_ and Keras' clipvalue.

    Raises:
        InputError: max_value is not positive.
    """
    check_range("clip_by_value", "max_value", max_value, 0, open_low=True)

    def update(grads, state, params):
        def one(g):
            limit = jnp.asarray(max_value, g.dtype)
            return jnp.clip(g, -limit, limit)

        return jax.tree.map(one, grads), state

    return _init, update


@factory(Optimizer, traits=("finite_updates", "limits_gradients"))
def clip_by_norm(max_norm: Scalar):
    """g min(1, max_norm / |g|), |g| over each leaf by itself: the length of every leaf is cut.

    The norm is taken in float32 or better; one that is not finite makes its leaf NaN, for the trainer's finite guard.

    Peers: as Keras' clipnorm; optax and PyTorch clip by the norm of all leaves only (`clip_by_global_norm`).

    Raises:
        InputError: max_norm is not positive.
    """
    check_range("clip_by_norm", "max_norm", max_norm, 0, open_low=True)

    def update(grads, state, params):
        def one(g):
            norm = leaf_norm(g)
            return _times(g, _cut(norm, jnp.asarray(max_norm, norm.dtype)))

        return jax.tree.map(one, grads), state

    return _init, update


@factory(Optimizer, traits=("finite_updates", "limits_gradients"))
def clip_by_global_norm(max_norm: Scalar):
    """g min(1, max_norm / |g|), |g| over all leaves together: the length is cut, the direction stays.

    The norm is taken in float32 or better. A norm that is not finite makes every gradient NaN, for the trainer's
    finite guard to see.

    Peers: as optax and Keras' global_clipnorm; PyTorch's clip_grad_norm_ divides by |g| + 1e-6.

    Source: Pascanu et al. 2013.

    Raises:
        InputError: max_norm is not positive.
    """
    check_range("clip_by_global_norm", "max_norm", max_norm, 0, open_low=True)

    def update(grads, state, params):
        norm = global_norm(grads)
        factor = _cut(norm, jnp.asarray(max_norm, norm.dtype))
        return jax.tree.map(lambda g: _times(g, factor), grads), state

    return _init, update


@factory(Optimizer, traits=("finite_updates", "limits_gradients"))
def clip_by_block_rms(threshold: Scalar):
    """g / max(1, rms(g) / threshold), rms(g) = sqrt(mean of g^2) over each leaf by itself.

    Unlike a norm, the root of the mean square does not grow with the size of the leaf.

    Peers: as optax; PyTorch and Keras have none.

    Source: Shazeer and Stern 2018.

    Raises:
        InputError: threshold is not positive.
    """
    check_range("clip_by_block_rms", "threshold", threshold, 0, open_low=True)

    def update(grads, state, params):
        def one(g):
            size = leaf_norm(g) / max(g.size, 1) ** 0.5
            return _times(g, _cut(size, jnp.asarray(threshold, size.dtype)))

        return jax.tree.map(one, grads), state

    return _init, update


def _unit_norms(leaf: Array) -> Array:
    """Length of what leads to each output unit: over all axes but the last, over everything for a vector."""
    axes = tuple(range(leaf.ndim - 1)) if leaf.ndim > 1 else None
    return norm_of_squares(lambda wide: jnp.sum(wide * wide, axes, keepdims=True), widened(leaf))


@factory(Optimizer, traits=("finite_updates", "limits_gradients"))
def adaptive_grad_clip(clipping: Scalar = 0.01, *, eps: Scalar = 1e-3, mask: Selection = None):
    """g min(1, clipping max(|w|, eps) / |g|), both norms over the weights of one output unit.

    A unit's weights are all axes but the last, so a column of a dense weight `(in, out)` and a filter of a kernel
    `(height, width, in, out)`; a bias or another vector is one unit.

    Args:
        clipping: greatest ratio of the two norms.
        eps: least norm a unit is taken to have, so that weights that begin at 0 can move.
        mask: which leaves are clipped, by patterns or a rule `(name, leaf) -> bool`; None for all. The paper leaves
            out the last layer.

    Peers: as optax on matrices, kernels of two or three dimensions and vectors; optax takes a matrix with one row for
    a vector, and norms a leaf of three axes over the first alone. PyTorch and Keras have none.

    Source: Brock et al. 2021.

    Raises:
        InputError: a number is out of range, a pattern means no leaf, or `params` is missing in the update.
    """
    check_range("adaptive_grad_clip", "clipping", clipping, 0, open_low=True)
    check_range("adaptive_grad_clip", "eps", eps, 0, open_low=True)
    check_selection("adaptive_grad_clip", "mask", mask)

    def init(params):
        check_selection("adaptive_grad_clip", "mask", mask, params)
        return ClipState()

    def update(grads, state, params):
        check_given("adaptive_grad_clip", "params", params, "their norms are the measure")

        def one(g, p, clips):
            if not clips:
                return g
            size = jnp.maximum(_unit_norms(p), jnp.asarray(eps, wide_dtype(p.dtype)))
            norm = _unit_norms(g)
            limit = jnp.asarray(clipping, norm.dtype) * size.astype(norm.dtype)
            return _times(g, _cut(norm, limit))

        return jax.tree.map(one, grads, params, selected("adaptive_grad_clip", "mask", mask, grads)), state

    return init, update


def limits_gradients(optimizer: Optimizer) -> bool:
    """Whether a clip comes first, so that a gradient whose squares overflow makes a right step if it is finite."""
    if "limits_gradients" in optimizer.traits:
        return True
    inside = inner_optimizers(list(optimizer.arguments.values())) if optimizer.traits & {"chain", "wrapper"} else []
    return bool(inside) and all(map(limits_gradients, inside[:1] if "chain" in optimizer.traits else inside))
