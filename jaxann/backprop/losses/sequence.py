"""The derivative of the loss of a sequence without an alignment: a softmax less each label's share of the paths."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxann import losses
from jaxann.backprop.registry import loss_derivative
from jaxann.core.logits import log_softmax, log_sum_exp, softmax
from jaxann.core.typing import Array

__all__ = []


@loss_derivative(losses.ctc)
def _ctc(
    predictions: Array, targets: Array, *, blank: int = 0, lengths: Any = None, zero_infinity: bool = False
) -> Array:
    """l = -log sum over paths of prod_t p_t(path_t), p_t = softmax(z_t):  dl/dz_tk = p_tk - q_tk,

    q_tk the share of the paths' probability that goes through label k at time t. The loss sums forward: a_t(s), over
    all paths that are in state s at time t, is p_t(s) (a_(t-1)(s) + a_(t-1)(s - 1) + a_(t-1)(s - 2)). The shares go
    back the ways the sums came by, each state dividing its own among the three it was made of,

        Q_T(s) = a_T(s) / sum of the last states     Q_(t-1)(r) = sum_s Q_t(s) a_(t-1)(r) / (the bracket of s)

    and q_tk is the sum of Q_t over the states of label k. 0 where no path fits, for a label that is no class, and for
    frames after a sequence's end.
    """
    if not predictions.size:
        return jnp.zeros_like(predictions)
    classes, labels = predictions.shape[-1], jnp.asarray(targets).astype(jnp.int32)
    logs = log_softmax(predictions)
    if lengths is not None:
        sure = lax.broadcasted_iota(jnp.int32, logs.shape, logs.ndim - 1) == blank
        logs = jnp.where(_counted(logs, jnp.asarray(lengths)), logs, jnp.where(sure, 0, -jnp.inf))
    path, last = _states(labels, blank, classes)
    index = jnp.broadcast_to(lax.expand_dims(path, [-2]), (*logs.shape[:-1], path.shape[-1]))
    shares = _shares(jnp.moveaxis(jnp.take_along_axis(logs, index, -1), -2, 0), path, last, blank)
    q = jnp.einsum("t...s,...sk->...tk", shares, jax.nn.one_hot(path, classes, dtype=logs.dtype))
    known = jnp.any(shares[0] > 0, -1) & ~jnp.any(labels >= classes, -1)
    fits = lax.expand_dims(known, [known.ndim, known.ndim + 1])
    if lengths is not None:
        fits = fits & _counted(logs, jnp.asarray(lengths))
    return jnp.where(fits, softmax(predictions) - q, 0)


def _counted(like: Array, lengths: Array) -> Array:
    time = lax.broadcasted_iota(jnp.int32, like.shape, like.ndim - 2)
    return time < jnp.broadcast_to(lax.expand_dims(lengths.astype(jnp.int32), [-2, -1]), like.shape)


def _states(labels: Array, blank: int, classes: int) -> tuple[Array, Array]:
    """The states blank, label 1, blank, label 2, ..., blank, and which of them a path may end in."""
    absent = (labels < 0) | (labels == blank)
    names = jnp.where(absent, blank, jnp.minimum(labels, classes - 1))
    path = jnp.full((*labels.shape[:-1], 2 * labels.shape[-1] + 1), blank, jnp.int32).at[..., 1::2].set(names)
    end = 2 * jnp.sum(~absent, -1, keepdims=True, dtype=jnp.int32)
    place = lax.broadcasted_iota(jnp.int32, path.shape, path.ndim - 1)
    return path, (place == end) | (place == end - 1)


def _shares(heights: Array, path: Array, last: Array, blank: int) -> Array:
    """Q, `(frames, ..., states)`; zeros where no path fits."""
    skips = (path != blank) & (path != _moved(path, 2, blank))
    place = lax.broadcasted_iota(jnp.int32, path.shape, path.ndim - 1)

    def ways(a: Array) -> Array:
        two = jnp.where(skips, _moved(a, 2, -jnp.inf), -jnp.inf)
        return jnp.stack([a, _moved(a, 1, -jnp.inf), two])

    def forth(a: Array, height: Array) -> tuple[Array, Array]:
        return height + log_sum_exp(ways(a), 0), a

    def back(q: Array, a: Array) -> tuple[Array, Array]:
        stay, one, two = lax.expand_dims(q, [0]) * _softmax(ways(a), 0)
        return stay + _moved(one, -1, 0) + _moved(two, -2, 0), q

    start = jnp.where(place == 0, jnp.zeros((), heights.dtype), -jnp.inf)
    end, before = lax.scan(forth, start, heights)
    return lax.scan(back, _softmax(jnp.where(last, end, -jnp.inf), -1), before, reverse=True)[1]


def _softmax(logs: Array, axis: int) -> Array:
    """softmax, 0 where all are -inf."""
    none = jnp.all(jnp.isneginf(logs), axis, keepdims=True)
    return jnp.where(none, 0, softmax(jnp.where(none, 0, logs), axis))


def _moved(x: Array, by: int, fill: Any) -> Array:
    """Entries along the last axis moved to the right, or to the left for by < 0."""
    return lax.pad(x, jnp.asarray(fill, x.dtype), [(0, 0, 0)] * (x.ndim - 1) + [(by, -by, 0)])
