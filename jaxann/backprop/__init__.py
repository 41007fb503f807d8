"""Backpropagation written out: gradients by hand, every number on the way by name, no automatic differentiation."""

from jaxann.backprop import activations, layers, losses  # noqa: F401  each rule enters itself when it is imported
from jaxann.backprop.passes import backward, forward, value_and_grad
from jaxann.backprop.registry import activation_derivative, activation_rule, layer_rule, loss_derivative, loss_rule
from jaxann.backprop.step import Call, Context, Cotangents, Step
from jaxann.backprop.trace import Forward, LayerTrace, Trace

__all__ = [
    "Call",
    "Context",
    "Cotangents",
    "Forward",
    "LayerTrace",
    "Step",
    "Trace",
    "activation_derivative",
    "activation_rule",
    "backward",
    "forward",
    "layer_rule",
    "loss_derivative",
    "loss_rule",
    "value_and_grad",
]
