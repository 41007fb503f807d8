"""Backward rules of the layers made of layers, and of the activation as a layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax

from jaxann import layers
from jaxann.activations import by_name
from jaxann.backprop.registry import activation_vjp, layer_rule, through_activation
from jaxann.backprop.step import Call, Cotangents, Step
from jaxann.core.checks import fail
from jaxann.core.padding import Padded
from jaxann.core.products import Layer
from jaxann.core.typing import Array

__all__ = ["add_branches", "chain"]


def chain(call: Call) -> Step:
    """y = f_L(... f_2(f_1(x))):  G^(l-1) = (df_l/dA^(l-1))^T G^l for l = L, ..., 1, dC/dx = G^0.

    The chain rule, from the last layer to the first: each layer turns the gradient of its output into that of its
    input, which is the output of the layer before. Every layer is visited once, whatever the number of parameters; from
    the front, a pass would be needed for each parameter.

    It is the rule of every layer with the trait "chain" that has none of its own.
    """
    x, steps, mask, inside = call.x, {}, call.context.sequence_mask, False  # whether the mask arose inside
    for name, layer in call.layer.children.items():
        if isinstance(x, Padded):
            (x, mask), inside = x, True
        steps[name] = call.child(name, x, mask=mask)
        x = steps[name].y
        if "ends_sequence" in layer.traits:
            mask, inside = None, False
    x = Padded(x, mask) if inside and not isinstance(x, Padded) else x

    def vjp(g: Array) -> Cotangents:
        grads, last = {}, ""
        for name in reversed(steps):
            if g is None:  # of ids, or of what is preprocessed: nothing leads further back
                grads[name] = _untouched(last, name, call.params[name])
                continue
            got, last = steps[name].vjp(g), name
            g, grads[name] = got.input_grad, got.grads
        return Cotangents(g, {name: grads[name] for name in steps})

    return Step(x, {name: step.state for name, step in steps.items()}, vjp)


def _untouched(last: str, name: str, params: Any) -> Any:
    """The gradients of a layer that has no parameters.

    Raises:
        InputError: it has some, which what comes back does not reach.
    """
    if jax.tree.leaves(params):
        expected = f"without parameters before {last!r}, whose input has no gradient by hand"
        fail("backprop", f"layer {name!r}", expected, " one with parameters")
    return params


@layer_rule(layers.residual)
def _residual(call: Call) -> Step:
    """y = skip(x) + body(x):  both sides get G itself, and dC/dx is the sum of what they give back.

    With the identity for a skip dC/dx = G + (d body/dx)^T G: the first term reaches the layers below undiminished.
    """
    return add_branches(call, lambda y: y, "residual")


def add_branches(call: Call, scaled: Callable[[Array], Array], function: str) -> Step:
    """skip(x) + scaled(body(x)); `scaled` multiplies each example by a number, so it is its own transpose."""
    body = call.child("body", call.x)
    skip = call.child("skip", call.x) if "skip" in call.layer.children else None
    straight = call.x if skip is None else skip.y
    if body.y.shape != straight.shape:
        hint = "Give skip= a layer that changes the shape, such as dense(units, use_bias=False)."
        expected = f"of the same output shape as the skip, {straight.shape}"
        fail(function, "body", expected, f" {body.y.shape}", hint=hint)

    def vjp(g: Array) -> Cotangents:
        below, beside = body.vjp(scaled(g)), None if skip is None else skip.vjp(g)
        grads = {"body": below.grads}
        if beside is None:
            return Cotangents(g + below.input_grad, grads)
        return Cotangents(beside.input_grad + below.input_grad, {**grads, "skip": beside.grads})

    state = {"body": body.state} if skip is None else {"body": body.state, "skip": skip.state}
    return Step(straight + scaled(body.y), state, vjp)


def _function(layer: Layer) -> Callable:
    return by_name(layer.arguments["activation"])


@layer_rule(layers.elementwise, activation=True, function=_function)
def _elementwise(call: Call) -> Step:
    """A = f(Z):  dC/dZ = G * f'(Z), or J^T G row by row for an f of the whole row (softmax).

    A_ij depends on Z_ij alone, so the chain rule's sum over all units has one term. The derivatives are the rules of
    the activations.
    """
    y, state = call.apply()
    function = _function(call.layer)
    vjp, settings = activation_vjp(function, "backprop.backward", "activation")
    return Step(y, state, lambda g: Cotangents(through_activation(function, vjp, settings, call.x, y, g), {}))
