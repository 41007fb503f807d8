"""What a backward pass leaves to be looked at."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from typing import Any, NamedTuple

import jax

from jaxann.core.typing import Array, Inputs, Params, State

__all__ = ["Forward", "LayerTrace", "Trace"]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class LayerTrace:
    """One layer, forward and backward.

    `delta` is always dC/dz of the `z` beside it. z is the layer's output; where the layer has an activation of its own
    (maxout, gated_dense) z is what that activation is applied to. So for each kind of dense layer the gradient of the
    bias is the sum of the rows of delta. `y` is what the layer gives, whatever stands behind it, and `output_grad` is
    dC/dy: the same as z and delta for all layers but those with an activation of their own.
    """

    kind: str = dataclasses.field(metadata={"static": True})  # name of the layer's factory, to be shown: "dense"
    x: Inputs  # the input
    z: Array  # the output, or the layer's own pre-activation
    a: Array  # what the activation right behind gives for z; z itself where none follows
    delta: Array | None = None  # dC/dz
    grads: Params = dataclasses.field(default_factory=dict)  # dC/d(each parameter of this layer)
    input_grad: Any = None  # dC/dx; None where x holds whole numbers
    y: Array | None = None  # the layer's own output
    output_grad: Array | None = None  # dC/dy
    attention: Array | None = None  # (batch, heads, queries, keys), of a layer that attends: what is taken of each key
    sequence_mask: Array | None = None  # (batch, time), which positions the layer was told to be real; None for all
    drawn: Array | None = None  # the factors of a dropout inside the layer, where its rule names them


class Forward(NamedTuple):
    """A forward pass with everything that was computed on the way."""

    predictions: Any
    state: State  # of the layers, afterwards
    layers: OrderedDict[str, LayerTrace]  # by dotted name, in the order of execution; no gradients yet


class Trace(NamedTuple):
    """A forward and a backward pass with everything that was computed on the way."""

    loss: Array  # (), the cost C
    predictions: Any
    grads: Params  # dC/d(each parameter), with the structure of the parameters
    input_grad: Any  # dC/dx of the whole model; None where x holds whole numbers
    state: State  # of the layers, afterwards
    layers: OrderedDict[str, LayerTrace]  # by dotted name, in the order of execution
