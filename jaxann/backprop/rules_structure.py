"""Backward rules of the layers made of layers."""

from __future__ import annotations

from collections.abc import Callable

from jaxann import ops
from jaxann.backprop.rules import Back, Call, Step
from jaxann.core.checks import fail
from jaxann.core.keys import fold_name
from jaxann.core.typing import Array

__all__ = ["residual", "sequential", "stochastic_depth"]


def sequential(call: Call) -> Step:
    """y = f_L(... f_2(f_1(x))):  G^(l-1) = (df_l/dA^(l-1))^T G^l for l = L, ..., 1, dC/dx = G^0.

    The chain rule, from the last layer to the first: each layer turns the gradient of its output into that of its
    input, which is the output of the layer before. Every layer is walked once, whatever the number of parameters; from
    the front, a pass would be needed for each parameter.
    """
    x, steps = call.x, {}
    for name, layer in call.layer.functions.layers.items():
        steps[name] = call.child(name, layer, x)
        x = steps[name].y

    def back(g: Array) -> Back:
        grads = {}
        for name in reversed(steps):
            got = steps[name].back(g)
            g, grads[name] = got.input_grad, got.grads
        return Back(g, {name: grads[name] for name in steps})

    return Step(x, {name: step.state for name, step in steps.items()}, back)


def residual(call: Call) -> Step:
    """y = skip(x) + body(x):  both sides get G itself, and dC/dx is the sum of what they give back.

    With the identity for a skip dC/dx = G + (d body/dx)^T G: the first term reaches the layers below undiminished.
    """
    return _two_sides(call, lambda y: y, "residual")


def stochastic_depth(call: Call) -> Step:
    """y = skip(x) + s * body(x), s_i = b_i / (1 - rate) of each example:  the body gets s * G.

    A branch that is left out of an example (s_i = 0) learns nothing from it. In evaluation s = 1.
    """
    rate, key = call.layer.arguments["rate"], call.key
    if not call.train:
        return residual(call)
    if key is None:
        fail("stochastic_depth", "key", "given when train=True", None)
    return _two_sides(call, lambda y: ops.stochastic_depth(y, fold_name(key, "depth"), rate), "stochastic_depth")


def _two_sides(call: Call, scaled: Callable[[Array], Array], function: str) -> Step:
    """skip(x) + scaled(body(x)); `scaled` multiplies each example by a number, so it is its own transpose."""
    settings = call.layer.arguments
    body = call.child("body", settings["body"], call.x)
    skip = None if settings["skip"] is None else call.child("skip", settings["skip"], call.x)
    straight = call.x if skip is None else skip.y
    if body.y.shape != straight.shape:
        hint = "Give skip= a layer that changes the shape, such as dense(units, use_bias=False)."
        expected = f"of the same output shape as the skip, {straight.shape}"
        fail(function, "body", expected, f" {body.y.shape}", hint=hint)

    def back(g: Array) -> Back:
        below, beside = body.back(scaled(g)), None if skip is None else skip.back(g)
        grads = {"body": below.grads}
        if beside is None:
            return Back(g + below.input_grad, grads)
        return Back(beside.input_grad + below.input_grad, {**grads, "skip": beside.grads})

    state = {"body": body.state} if skip is None else {"body": body.state, "skip": skip.state}
    return Step(straight + scaled(body.y), state, back)
