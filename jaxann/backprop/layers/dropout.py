"""Backward rules of the layers that draw: the key of the forward pass draws the same numbers once more.

Given what was drawn, each of these layers multiplies every number by a constant (and adds one). Such a map is its own
transpose: the gradient goes through the same mask and the same scale as the numbers did.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax import lax

from jaxann import layers, ops
from jaxann.backprop.registry import layer_rule
from jaxann.backprop.step import Call, Cotangents, Step
from jaxann.core.padding import real_places
from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array, Key

__all__ = ["through_noise"]

_SATURATED = -1.0507009873554805 * 1.6732632423543772


def through_noise(call: Call, noise: Callable[[Array, Key, dict[str, Any]], Array]) -> Step:
    """In training G through the noise, in evaluation G itself."""
    y, state = call.apply()
    key, settings = call.key, call.layer.arguments
    if not call.train or key is None:
        return Step(y, state, lambda g: Cotangents(g, {}))
    return Step(y, state, lambda g: Cotangents(noise(g, key, settings), {}))


@layer_rule(layers.dropout)
def _dropout(call: Call) -> Step:
    """y = x m / (1 - rate):  dC/dx = G m / (1 - rate). What was dropped gets nothing."""
    return through_noise(call, lambda g, key, s: ops.dropout(g, key, s["rate"]))


@layer_rule(layers.spatial_dropout)
def _spatial_dropout(call: Call) -> Step:
    """y = x m / (1 - rate), one m a channel:  dC/dx = G m / (1 - rate)."""
    return through_noise(call, lambda g, key, s: ops.spatial_dropout(g, key, s["rate"]))


@layer_rule(layers.drop_block)
def _drop_block(call: Call) -> Step:
    """y = x m n / sum(m):  dC/dx = G m n / sum(m); the squares do not depend on x."""
    real = real_places(call.context.example_mask, call.context.sequence_mask)
    return through_noise(call, lambda g, key, s: ops.drop_block(g, key, s["rate"], s["block"], real))


@layer_rule(layers.alpha_dropout)
def _alpha_dropout(call: Call) -> Step:
    """y = a (x m + s (1 - m)) + b:  dC/dx = a m G, a = (q + s^2 q (1 - q))^-1/2, q = 1 - rate, s = -1.7581."""

    def noise(g: Array, key: Key, settings: dict[str, Any]) -> Array:
        wide = wide_dtype(g.dtype)
        rate = jnp.asarray(settings["rate"], wide)
        q = jnp.where(rate < 1, 1 - rate, 1)
        a = jnp.where(rate < 1, lax.rsqrt(q + _SATURATED * _SATURATED * q * (1 - q)), 0)
        kept = ops.keep_mask(key, settings["rate"], g.shape)
        return jnp.where(kept, g * a.astype(g.dtype), jnp.zeros((), g.dtype))

    return through_noise(call, noise)
