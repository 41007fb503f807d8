"""Backward rules of the layers that draw: the key of the forward pass draws the same numbers once more.

Given what was drawn, each of these layers multiplies every number by a constant (and adds one). Such a map is its own
transpose: the gradient goes through the same mask and the same scale as the numbers did.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax import lax

from jaxann import ops
from jaxann.backprop.rules import Back, Call, Step
from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array, Key

__all__ = ["alpha_dropout", "drop_block", "dropout", "gaussian_dropout", "gaussian_noise", "spatial_dropout"]

_SATURATED = -1.0507009873554805 * 1.6732632423543772


def _through(call: Call, noise: Callable[[Array, Key, dict[str, Any]], Array]) -> Step:
    """In training G through the noise, in evaluation G itself."""
    y, state = call.apply()
    key, settings = call.key, call.layer.arguments
    if not call.train or key is None:
        return Step(y, state, lambda g: Back(g, {}))
    return Step(y, state, lambda g: Back(noise(g, key, settings), {}))


def dropout(call: Call) -> Step:
    """y = x m / (1 - rate):  dC/dx = G m / (1 - rate). What was dropped gets nothing."""
    return _through(call, lambda g, key, s: ops.dropout(g, key, s["rate"]))


def spatial_dropout(call: Call) -> Step:
    """y = x m / (1 - rate), one m a channel:  dC/dx = G m / (1 - rate)."""
    return _through(call, lambda g, key, s: ops.spatial_dropout(g, key, s["rate"]))


def drop_block(call: Call) -> Step:
    """y = x m n / sum(m):  dC/dx = G m n / sum(m); the squares do not depend on x."""
    return _through(call, lambda g, key, s: ops.drop_block(g, key, s["rate"], s["block"]))


def gaussian_dropout(call: Call) -> Step:
    """y = x n, n drawn:  dC/dx = G n."""
    return _through(call, lambda g, key, s: ops.gaussian_dropout(g, key, s["rate"]))


def gaussian_noise(call: Call) -> Step:
    """y = x + n, n drawn:  dC/dx = G."""
    return _through(call, lambda g, key, s: g)


def alpha_dropout(call: Call) -> Step:
    """y = a (x m + s (1 - m)) + b:  dC/dx = a m G, a = (q + s^2 q (1 - q))^-1/2, q = 1 - rate, s = -1.7581."""

    def noise(g: Array, key: Key, settings: dict[str, Any]) -> Array:
        wide = wide_dtype(g.dtype)
        rate = jnp.asarray(settings["rate"], wide)
        q = jnp.where(rate < 1, 1 - rate, 1)
        a = jnp.where(rate < 1, lax.rsqrt(q + _SATURATED * _SATURATED * q * (1 - q)), 0)
        kept = ops.keep_mask(key, settings["rate"], g.shape)
        return jnp.where(kept, g * a.astype(g.dtype), jnp.zeros((), g.dtype))

    return _through(call, noise)
