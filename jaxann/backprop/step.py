"""What a rule of a layer is given and what it gives back.

A rule runs a layer forward and hands back the function that runs it backward, so that a formula and its derivative
stand side by side. In the notation of all docstrings of this room, for a batch of B examples,

    A^0 = X,  Z^l = A^(l-1) W^l + b^l,  A^l = f_l(Z^l),  C = the cost,  G^l = dC/dA^l,  D^l = dC/dZ^l

every array has its examples in rows, and all factors 1/B sit in the G of the output. Of one layer alone: x is what goes
in, y = A^l or Z^l what comes out, G = dC/dy. The function from G to dC/dx and the gradients of the parameters is the
vector-Jacobian product of the layer, `vjp` for short.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxann.core.modes import TrainMode
from jaxann.core.products import Layer
from jaxann.core.typing import Array, Inputs, Key, Params, State

__all__ = ["Call", "Context", "Cotangents", "Step"]


class Cotangents(NamedTuple):
    """What a layer's backward pass gives."""

    input_grad: Any  # dC/dx; None where x holds whole numbers
    grads: Params  # dC/d(each parameter), with the structure of the parameters
    delta: Array | None = None  # dC/dz for a layer that names its z; G is taken where it names none


class Step(NamedTuple):
    """What a layer's forward pass gives."""

    y: Any  # the output; where a mask arises inside, `Padded`, whose G is that of its values
    state: State  # the new state
    vjp: Callable[[Any], Cotangents]  # from G = dC/dy
    z: Array | None = None  # the pre-activation of a layer with an activation of its own
    attention: Array | None = None  # (batch, heads, queries, keys), of a layer that attends: what is taken of each key
    drawn: Array | None = None  # what was drawn inside, for one who looks at the trace: the factors of dropout


class Context(NamedTuple):
    """What is the same for all layers of a call; its fields are keywords of `Layer.apply`, handed down as one."""

    train: bool | TrainMode
    example_mask: Array | None = None  # (batch,), 0 for padding
    sequence_mask: Array | None = None  # (batch, time), 0 for padding


class Call(NamedTuple):
    """What a rule is given: a layer, and what its `apply` is called with."""

    layer: Layer
    params: Params
    state: State
    x: Inputs
    key: Key | None
    context: Context
    # Runs the layer inside that goes by this name on an x; ended=True after a sequence, flipped=True from the end
    # to the beginning, mask= of a sequence that has another one than the call's, block=l for one of a stack, given=
    # other parameters, which leaves it out of the trace.
    child: Callable[..., Step]

    @property
    def train(self) -> bool | TrainMode:
        """The mode of the call."""
        return self.context.train

    def apply(self) -> tuple[Any, State]:
        """The layer's own output and new state: with the same key the same draw as everywhere else."""
        return self.layer.apply(self.params, self.state, self.x, key=self.key, **self.context._asdict())
