"""Backpropagation written out: gradients by hand, every number on the way by name, no automatic differentiation."""

from jaxann.backprop.deltas import loss_rule
from jaxann.backprop.passes import backward, forward, value_and_grad
from jaxann.backprop.rules import Back, Call, Step
from jaxann.backprop.slopes import activation_rule
from jaxann.backprop.table import layer_rule
from jaxann.backprop.trace import Forward, LayerTrace, Trace

__all__ = [
    "Back",
    "Call",
    "Forward",
    "LayerTrace",
    "Step",
    "Trace",
    "activation_rule",
    "backward",
    "forward",
    "layer_rule",
    "loss_rule",
    "value_and_grad",
]
