"""The backward rule of the residual block that is sometimes left out."""

from __future__ import annotations

from jaxann import layers, ops
from jaxann.backprop.layers.base import add_branches
from jaxann.backprop.registry import layer_rule
from jaxann.backprop.step import Call, Step
from jaxann.core.checks import fail
from jaxann.core.keys import fold_name

__all__ = []


@layer_rule(layers.stochastic_depth)
def _stochastic_depth(call: Call) -> Step:
    """y = skip(x) + s * body(x), s_i = b_i / (1 - rate) of each example:  the body gets s * G.

    A branch that is left out of an example (s_i = 0) learns nothing from it. In evaluation s = 1.
    """
    rate, key = call.layer.arguments["rate"], call.key
    if not call.train:
        return add_branches(call, lambda y: y, "residual")
    if key is None:
        fail("stochastic_depth", "key", "given when train=True", None)
    return add_branches(call, lambda y: ops.stochastic_depth(y, fold_name(key, "depth"), rate), "stochastic_depth")
