"""Activations of a whole axis: distributions over it, its greatest entry, and their differentiable stand-ins."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxann.activations.rules import apply_wide
from jaxann.activations.steps import check_real
from jaxann.core import logits
from jaxann.core.checks import check_flag, check_floating, check_integer, check_key, check_range, fail
from jaxann.core.typing import Array, Key, Scalar

__all__ = ["gumbel_softmax", "hard_max", "log_softmax", "log_sum_exp", "maxout", "softmax", "sparsemax"]


def _position(name: str, x: Array, axis: int) -> int:
    """The axis counted from the front."""
    rank = np.ndim(x)
    if isinstance(axis, bool) or not isinstance(axis, int) or not -rank <= axis < rank:
        fail(name, "axis", f"an axis of x, which has {rank}", axis)
    return axis % rank


def _floating(name: str, x: Array, axis: int) -> int:
    check_floating(name, "x", x)
    return _position(name, x, axis)


def _mask(name: str, where: Array | None, x: Array) -> Array | None:
    if where is None:
        return None
    shape, whole = np.shape(where), np.shape(x)
    if len(shape) > len(whole) or any(n not in (1, m) for n, m in zip(shape[::-1], whole[::-1], strict=False)):
        fail(name, "where", f"of a shape that broadcasts to {whole}", f" shape {shape}")
    return jnp.broadcast_to(jnp.asarray(where, bool), whole)


def softmax(x: Array, axis: int = -1, temperature: Scalar = 1.0, where: Array | None = None) -> Array:
    """p_i = exp(x_i / T) / sum_j exp(x_j / T) along an axis; positive, sums to 1, unchanged by a shift of x.

    The greatest entry is taken off first, so that no finite input overflows. Jacobian p_i (1[i=j] - p_j) / T. A row
    that holds +inf, or only -inf, gives NaN.

    Args:
        x: logits.
        axis: the axis of the classes.
        temperature: positive; the greater, the more even.
        where: flags of a shape that broadcasts to x; only entries with True take part, the others get 0, and a row
            without any is 0.

    Peers: as jax.nn, PyTorch and Keras, which have no temperature; of the functions jax.nn's alone has where. Here
    16-bit floats are summed in float32.

    Raises:
        InputError: x is not floating-point, the axis is none of x, or the temperature is not positive.
    """
    axis = _floating("softmax", x, axis)
    check_range("softmax", "temperature", temperature, 0, open_low=True)
    mask = _mask("softmax", where, x)
    scale = None if isinstance(temperature, float | int) and temperature == 1 else temperature
    return apply_wide("softmax", lambda x: logits.softmax(x, axis, mask, scale), x)


def log_softmax(x: Array, axis: int = -1) -> Array:
    """log softmax(x) = x - max - log sum exp(x - max) along an axis, never the logarithm of a rounded probability.

    Jacobian 1[i=j] - p_j.

    Args:
        x: logits.
        axis: the axis of the classes.

    Peers: as jax.nn, PyTorch and Keras.

    Raises:
        InputError: x is not floating-point, or the axis is none of x.
    """
    axis, most = _floating("log_softmax", x, axis), float(jnp.finfo(x.dtype).max)

    def compute(wide: Array) -> Array:
        found = logits.log_softmax(wide, axis)
        if wide.dtype == x.dtype:
            return found
        # What float32 holds and half precision does not: its greatest number, with the slope that it has anyway.
        return found + lax.stop_gradient(jnp.where(jnp.isneginf(found), 0, jnp.maximum(-most - found, 0)))

    return apply_wide("log_softmax", compute, x)


def log_sum_exp(x: Array, axis: int = -1, where: Array | None = None) -> Array:
    """y = log sum_i exp(x_i) along an axis, which is gone from the result: a smooth maximum; gradient softmax(x).

    Args:
        x: logits.
        axis: the axis summed over.
        where: flags of a shape that broadcasts to x; only entries with True take part. Without any, -inf.

    Peers: as jax.nn.logsumexp, torch.logsumexp and keras.ops.logsumexp. A row of -inf has the gradient 0 here.

    Raises:
        InputError: x is not floating-point, or the axis is none of x.
    """
    axis = _floating("log_sum_exp", x, axis)
    mask = _mask("log_sum_exp", where, x)

    def compute(x: Array) -> Array:
        return logits.log_sum_exp(x if mask is None else jnp.where(mask, x, -jnp.inf), axis)

    return apply_wide("log_sum_exp", compute, x)


def hard_max(x: Array, axis: int = -1) -> Array:
    """y_i = 1 at the greatest entry along an axis, else 0: argmax as a one-hot vector; slope 0.

    Of equal entries the first counts. A row that holds NaN is NaN (of integers there is none). Not differentiable:
    `straight_through(x, "hard_max", "softmax")` lends it softmax's slope.

    Args:
        x: any shape with that axis, floating-point or integer.
        axis: the axis of the classes.

    Peers: jax.nn.one_hot(argmax); torch.nn.functional.one_hot gives integers.

    Raises:
        InputError: x is boolean or complex, or the axis is none of x.
    """
    check_real("hard_max", x)
    axis = _position("hard_max", x, axis)
    x = lax.stop_gradient(jnp.asarray(x))
    if not x.size:
        return x
    places = lax.broadcasted_iota(jnp.int32, x.shape, axis)
    greatest = jnp.argmax(x, axis, keepdims=True).astype(jnp.int32)
    hot = (places == jnp.broadcast_to(greatest, x.shape)).astype(x.dtype)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        return hot
    holds_nan = jnp.any(jnp.isnan(x), axis, keepdims=True)
    return jnp.where(jnp.broadcast_to(holds_nan, x.shape), jnp.nan, hot).astype(x.dtype)


def maxout(x: Array, k: int = 2, axis: int = -1) -> Array:
    """y_i = max(x_{ik}, ..., x_{ik + k - 1}): of every k neighbours along an axis the greatest; (..., n k) -> (..., n).

    Piecewise linear and convex in x; the slope is 1 for the greatest, shared evenly by equals, and 0 for the rest.
    `layers.maxout` is the dense layer with k pieces a unit. Source: Goodfellow et al. 2013.

    Args:
        x: its axis is n k long.
        k: pieces a unit.
        axis: the axis of the pieces.

    Peers: none of PyTorch, Keras and jax.nn has it; the pieces of one unit lie side by side.

    Raises:
        InputError: x is not floating-point, k is no positive integer, or does not divide the axis.
    """
    axis = _floating("maxout", x, axis)
    check_integer("maxout", "k", k)
    shape = np.shape(x)
    if shape[axis] % k:
        fail("maxout", "x", f"of a length that {k} divides along axis {axis}", f" shape {shape}")
    return jnp.max(jnp.reshape(x, (*shape[:axis], shape[axis] // k, k, *shape[axis + 1 :])), axis + 1)


def sparsemax(x: Array, axis: int = -1) -> Array:
    """p = the point of the probability simplex nearest to x: p_i = max(x_i - t, 0), with t such that p sums to 1.

    Unlike softmax it gives exact zeros. Jacobian 1[i=j] - 1/|S| on the support S, 0 elsewhere. A row that holds +inf,
    or only -inf, gives NaN. Source: Martins and Astudillo 2016.

    Args:
        x: scores.
        axis: the axis of the classes.

    Peers: neither PyTorch nor jax.nn has it; that of Keras 3.15 on JAX does not sum to 1 where more than one entry is
    in the support.

    Raises:
        InputError: x is not floating-point, or the axis is none of x.
    """
    axis = _floating("sparsemax", x, axis)
    if not np.size(x):
        return jnp.asarray(x)

    def compute(x: Array) -> Array:
        z = logits.below_greatest(jnp.moveaxis(x, axis, -1))
        # Below -1 nothing is in the support: cut there, the sums stay small and exact.
        ordered = -jnp.sort(-jnp.maximum(lax.stop_gradient(z), -1), -1)
        ranks = jnp.broadcast_to(jnp.arange(1, z.shape[-1] + 1, dtype=z.dtype), z.shape)
        inside = 1 + ranks * ordered > jnp.cumsum(ordered, -1)
        size = jnp.sum(inside, -1, keepdims=True).astype(z.dtype)
        kept = jnp.where(inside, ordered, 0)
        support = lax.stop_gradient(z) > jnp.broadcast_to((jnp.sum(kept, -1, keepdims=True) - 1) / size, z.shape)
        size = jnp.sum(support, -1, keepdims=True).astype(z.dtype)
        level = (jnp.sum(jnp.where(support, z, 0), -1, keepdims=True) - 1) / size
        p = jnp.where(support, jnp.maximum(z - jnp.broadcast_to(level, z.shape), 0), 0)
        nothing = jnp.broadcast_to(size == 0, z.shape)  # a row with NaN
        return jnp.moveaxis(jnp.where(nothing, jnp.nan, p), -1, axis)

    return apply_wide("sparsemax", compute, x)


def gumbel_softmax(x: Array, *, key: Key, temperature: Scalar = 1.0, hard: bool = False, axis: int = -1) -> Array:
    """p = softmax((x + g) / T), g = -log(-log u) for uniform u: a sample near a one-hot vector, differentiable in x.

    Entry i is the greatest with probability softmax(x)_i, whatever the temperature. Source: Jang et al. 2017; Maddison
    et al. 2017.

    Args:
        x: logits.
        key: randomness.
        temperature: positive; towards 0 the sample becomes one-hot and the gradient's variance grows.
        hard: whether to give the one-hot vector itself, with the slope of the soft sample (straight-through).
        axis: the axis of the classes.

    Peers: as PyTorch, whose tau is the temperature; its noise is drawn from an exponential distribution.

    Raises:
        InputError: x is not floating-point, the key is not one typed key, the axis is none of x, or the temperature is
            not positive.
    """
    axis = _floating("gumbel_softmax", x, axis)
    check_key("gumbel_softmax", key)
    check_range("gumbel_softmax", "temperature", temperature, 0, open_low=True)
    check_flag("gumbel_softmax", "hard", hard)

    def compute(x: Array, t: Array) -> Array:
        soft = logits.softmax(x + jax.random.gumbel(key, x.shape, x.dtype), axis, temperature=t)
        return hard_max(soft, axis) + (soft - lax.stop_gradient(soft)) if hard else soft

    return apply_wide("gumbel_softmax", compute, x, temperature)
