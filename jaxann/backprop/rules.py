"""What a rule of a layer is given and what it gives back.

A rule runs a layer forward and hands back the function that runs it backward, so that a formula and its derivative
stand side by side. In the notation of all docstrings of this room, for a batch of B examples,

    A^0 = X,  Z^l = A^(l-1) W^l + b^l,  A^l = f_l(Z^l),  C = the cost,  G^l = dC/dA^l,  D^l = dC/dZ^l

every array has its examples in rows, and all factors 1/B sit in the G of the output. Of one layer alone: x is what goes
in, y = A^l or Z^l what comes out, G = dC/dy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxann.core.products import Layer
from jaxann.core.typing import Array, Key, Params, State

__all__ = ["Back", "Call", "Step"]


class Back(NamedTuple):
    """What a layer's backward pass gives."""

    input_grad: Any  # dC/dx; None where x holds whole numbers
    grads: Params  # dC/d(each parameter), with the structure of the parameters
    delta: Array | None = None  # dC/dz for a layer that names its z; G is taken where it names none


class Step(NamedTuple):
    """What a layer's forward pass gives."""

    y: Array  # the output
    state: State  # the new state
    back: Callable[[Array], Back]  # from G = dC/dy
    z: Array | None = None  # the pre-activation of a layer with an activation of its own


class Call(NamedTuple):
    """What a rule is given: a layer, and what its `apply` is called with."""

    layer: Layer
    params: Params
    state: State
    x: Array
    key: Key | None
    train: bool | str
    mask: Array | None  # (batch,), 0 for padding
    child: Callable[[str, Layer, Array], Step]  # runs the layer inside that goes by this name on an x

    def apply(self) -> tuple[Array, State]:
        """The layer's own output and new state: with the same key the same draw as everywhere else."""
        layer = self.layer
        return layer.apply(self.params, self.state, self.x, key=self.key, train=self.train, mask=self.mask)
