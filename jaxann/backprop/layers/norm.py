"""Backward rules of the normalizations."""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
from jax import lax

from jaxann import layers, ops
from jaxann.backprop.registry import layer_rule
from jaxann.backprop.step import Call, Cotangents, Step
from jaxann.core.modes import TrainMode
from jaxann.core.padding import real_places
from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array, Params
from jaxann.ops.norm import Standardized, grouped, in_groups, inverse_deviation, inverse_magnitude, standardize

__all__ = ["through_statistics"]


@layer_rule(layers.batch_norm)
def _batch_norm(call: Call) -> Step:
    """y = s u + b, u = (x - m) r, r = (v + eps)^-1/2:  dC/ds = sum u G,  dC/db = sum G,  H = s G = dC/du, and

        dC/dx = r (H - mean(H) - u mean(u H))     m, v the batch's
        dC/dx = r H                               m, v the running ones: constants

    Sums and means run over the n examples (and places) of a channel. All of them meet in m and v:

        dC/dv = sum H (x - m) (-1/2) r^3          = -(n/2) r^2 mean(u H)
        dC/dm = -r sum H                          (v changes with m too, but by sum (x - m) = 0)
        dv/dx = 2 (x - m) / n,  dm/dx = 1 / n

    and r H + dC/dv dv/dx + dC/dm dm/dx is the line above. So the gradient of a batch has mean 0 and is orthogonal to
    u: a shift or a stretch of all examples would change nothing. Padding, of the batch or of a sequence, counts in no
    mean and gets the gradient 0.
    """
    y, state = call.apply()
    settings, old = call.layer.arguments, call.state
    mask = real_places(call.context.example_mask, call.context.sequence_mask)
    resting = not call.train or settings["frozen"] or call.train is TrainMode.NOISE
    x = call.x
    kept = None
    if call.train and mask is not None:
        kept = jnp.broadcast_to(lax.expand_dims(mask.astype(bool), range(mask.ndim, x.ndim)), x.shape)
        x = jnp.where(kept, x, jnp.zeros((), x.dtype))

    def vjp(g: Array) -> Cotangents:
        axes, wide = tuple(range(x.ndim - 1)), wide_dtype(x.dtype)
        mean, variance, count = (old["mean"], old["var"], None) if resting else ops.moments(x, mask)
        wide = mean.dtype if resting else wide
        r = inverse_deviation(variance, settings["eps"])
        scale = call.params["scale"].astype(wide)

        def each(vector: Array) -> Array:
            return jnp.broadcast_to(vector, x.shape)

        u, upper = (x.astype(wide) - each(mean)) * each(r), g.astype(wide)
        if kept is not None and count is not None:  # what is padded comes out as 0
            upper = jnp.where(kept, upper, 0)
        by_scale, by_bias = jnp.sum(u * upper, axes), jnp.sum(upper, axes)
        h = upper * each(scale)
        if count is None:
            below = h * each(r)
        else:
            n = jnp.maximum(count, 1)
            below = (h - each(scale * by_bias / n) - u * each(scale * by_scale / n)) * each(r)
        if kept is not None:
            below = jnp.where(kept, below, 0)
        grads = {"scale": by_scale.astype(scale.dtype), "bias": by_bias}
        grads = {name: value.astype(call.params[name].dtype) for name, value in grads.items()}
        return Cotangents(below.astype(x.dtype), grads)

    return Step(y, state, vjp)


def through_statistics(found: Standardized, h: Array, axes: tuple[int, ...]) -> Array:
    """dC/dx = r (H - mean(H) - u mean(u H)) from H = dC/du, u = (x - m) r, r = (v + eps)^-1/2.

    The line of `_batch_norm`, whose derivation holds for the mean and the variance of any set of numbers: here those
    along the axes. Where nothing counts u is 0 whatever x is, so H must be 0 there.
    """
    u, n = found.values, jnp.maximum(found.count, 1)

    def mean(values: Array) -> Array:
        return jnp.broadcast_to(jnp.sum(values, axes, keepdims=True) / n, u.shape)

    return (h - mean(h) - u * mean(u * h)) * jnp.broadcast_to(found.factor, u.shape)


@layer_rule(layers.layer_norm)
def _layer_norm(call: Call) -> Step:
    """y = s u + b, u = (x - m) r:  dC/ds = sum u G,  dC/db = sum G over the examples,  H = s G,  and of each example

        dC/dx = r (H - mean(H) - u mean(u H))

    with the means over the axes that m and v are of. So an example's gradient has mean 0 and is orthogonal to its u.
    With a padded sequence among these axes, padded positions count in no mean and get the gradient 0.
    """
    axes = call.layer.arguments["axes"]
    over = tuple(range(call.x.ndim - axes, call.x.ndim))
    mask = call.context.sequence_mask if axes >= call.x.ndim - 1 else None
    found = standardize(call.x, over, call.layer.arguments["eps"], mask)
    return _own_norm(call, found, over, mask, lambda h: h)


@layer_rule(layers.group_norm)
def _group_norm(call: Call) -> Step:
    """y = s u + b:  as `_layer_norm`, the means over all places and channels of a group, x in groups."""
    settings, mask = call.layer.arguments, call.context.sequence_mask
    groups, over = settings["groups"], (*range(1, call.x.ndim - 1), call.x.ndim)
    found = grouped(call.x, groups, settings["eps"], mask)
    return _own_norm(call, found, over, mask, lambda h: in_groups(h, groups))


@layer_rule(layers.instance_norm)
def _instance_norm(call: Call) -> Step:
    """y = s u + b:  as `_layer_norm`, the means over all places of a channel."""
    over, mask = tuple(range(1, call.x.ndim - 1)), call.context.sequence_mask
    found = standardize(call.x, over, call.layer.arguments["eps"], mask)
    return _own_norm(call, found, over, mask, lambda h: h)


def _own_norm(
    call: Call, found: Standardized, axes: tuple[int, ...], mask: Array | None, shaped: Callable[[Array], Array]
) -> Step:
    """The step of a norm with each example's own statistics; `shaped` gives an array of x's shape that of `found`."""
    y, state = call.apply()
    x = call.x
    u = found.values.reshape(x.shape)

    def vjp(g: Array) -> Cotangents:
        upper = g.astype(u.dtype)
        h = _times_scale(upper, call.params)
        if mask is not None:
            real = jnp.broadcast_to(lax.expand_dims(mask.astype(bool), range(mask.ndim, x.ndim)), x.shape)
            h = jnp.where(real, h, 0)
        below = through_statistics(found, shaped(h), axes).reshape(x.shape)
        if mask is not None:
            below = jnp.where(real, below, 0)
        return Cotangents(below.astype(x.dtype), _of_params(call.params, u, upper))

    return Step(y, state, vjp)


def _times_scale(g: Array, params: Params) -> Array:
    """H = s G."""
    return g if "scale" not in params else g * jnp.broadcast_to(params["scale"].astype(g.dtype), g.shape)


def _of_params(params: Params, u: Array, g: Array) -> Params:
    """dC/ds = sum u G, dC/db = sum G, over the axes that the parameters do not have."""
    by_name = {"scale": u * g, "bias": g}
    return {
        name: jnp.sum(by_name[name], tuple(range(g.ndim - value.ndim))).astype(value.dtype)
        for name, value in params.items()
    }


@layer_rule(layers.rms_norm)
def _rms_norm(call: Call) -> Step:
    """y = s u, u = x r, r = (q + eps)^-1/2, q = mean x^2:  dC/ds = sum u G,  H = s G,  dC/dx = r (H - u mean(u H)).

    dC/dq = sum H x (-1/2) r^3 = -(n/2) r^2 mean(u H) and dq/dx = 2 x / n, so r H + dC/dq dq/dx is the line above: that
    of the other norms, without the mean that is not taken away.
    """
    y, state = call.apply()
    r = inverse_magnitude(call.x, call.layer.arguments["eps"])
    r = jnp.broadcast_to(r, call.x.shape)
    u = call.x.astype(r.dtype) * r

    def vjp(g: Array) -> Cotangents:
        upper = g.astype(u.dtype)
        h = _times_scale(upper, call.params)
        below = (h - u * jnp.broadcast_to(jnp.mean(u * h, -1, keepdims=True), u.shape)) * r
        return Cotangents(below.astype(call.x.dtype), _of_params(call.params, u, upper))

    return Step(y, state, vjp)
