"""Backward rules of the layers of Gaussian noise."""

from __future__ import annotations

from jaxann import layers, ops
from jaxann.backprop.layers.dropout import through_noise
from jaxann.backprop.registry import layer_rule
from jaxann.backprop.step import Call, Step

__all__ = []


@layer_rule(layers.gaussian_noise)
def _gaussian_noise(call: Call) -> Step:
    """y = x + n, n drawn:  dC/dx = G."""
    return through_noise(call, lambda g, key, s: g)


@layer_rule(layers.gaussian_dropout)
def _gaussian_dropout(call: Call) -> Step:
    """y = x n, n drawn:  dC/dx = G n."""
    return through_noise(call, lambda g, key, s: ops.gaussian_dropout(g, key, s["rate"]))
