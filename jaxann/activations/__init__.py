"""Activations: functions `x -> y`, elementwise or along one axis, in the dtype of `x`.

All of them take floating-point arrays and raise `InputError` for complex numbers, and for integers too but for
`heaviside` and `hard_max`. NaN stays NaN in the value of all, and in the slope of the elementwise ones that bend; at
-inf and inf their value and slope are the limits. What the slope is at a kink is stated for each. Values are computed
in float32 or better, the elementwise ones within four units of the last place of float32. Parameters may be traced and
differentiated.
"""

from jaxann.activations.gated import bilinear, geglu, glu, reglu, swiglu
from jaxann.activations.names import by_name, straight_through
from jaxann.activations.rectifiers import celu, elu, leaky_relu, prelu, relu, relu6, relu_squared, rrelu, selu
from jaxann.activations.sigmoid import hard_sigmoid, hard_tanh, identity, log_sigmoid, sigmoid, softsign, tanh
from jaxann.activations.smooth import gelu, hard_swish, mish, silu, softplus, squareplus
from jaxann.activations.steps import heaviside, sign
from jaxann.activations.vector import (
    gumbel_softmax,
    hard_max,
    log_softmax,
    log_sum_exp,
    maxout,
    softmax,
    sparsemax,
)

__all__ = [
    "bilinear",
    "by_name",
    "celu",
    "elu",
    "geglu",
    "gelu",
    "glu",
    "gumbel_softmax",
    "hard_max",
    "hard_sigmoid",
    "hard_swish",
    "hard_tanh",
    "heaviside",
    "identity",
    "leaky_relu",
    "log_sigmoid",
    "log_softmax",
    "log_sum_exp",
    "maxout",
    "mish",
    "prelu",
    "reglu",
    "relu",
    "relu6",
    "relu_squared",
    "rrelu",
    "selu",
    "sigmoid",
    "sign",
    "silu",
    "softmax",
    "softplus",
    "softsign",
    "sparsemax",
    "squareplus",
    "straight_through",
    "swiglu",
    "tanh",
]
