"""The backward rule of a layer that keeps nothing on the way forward."""

from __future__ import annotations

from jaxann import layers
from jaxann.backprop.layers.base import chain
from jaxann.backprop.registry import layer_rule, rule_of
from jaxann.backprop.step import Call, Step

__all__ = []


@layer_rule(layers.remat)
def _remat(call: Call) -> Step:
    """y = f(x):  dC/dx = (df/dx)^T G, by the rule of the layer inside.

    What is computed does not depend on whether a number is kept or computed again.
    """
    inside = call.layer.arguments["layer"]
    rule = rule_of("backprop.backward", inside)
    return (chain if rule is None else rule.run)(call._replace(layer=inside))
