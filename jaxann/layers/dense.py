"""The dense (fully connected) layer, and the change of shape before it."""

from __future__ import annotations

import math

from jaxann.core.checks import check_floating, check_integer, fail
from jaxann.core.factories import factory
from jaxann.core.keys import fold_name
from jaxann.core.padding import zero_padding
from jaxann.core.products import Initializer, Layer
from jaxann.initializers import lecun_normal, zeros
from jaxann.ops import dense as dense_map

__all__ = ["dense", "flatten"]


@factory(Layer, static=("units",), traits=("outputs_last", "positionwise"))
def dense(
    units: int,
    *,
    use_bias: bool = True,
    kernel_init: Initializer | None = None,
    bias_init: Initializer | None = None,
):
    """z = x W + b.

    Args:
        units: number of outputs.
        use_bias: whether there is a b; leave it out right before a batch normalization, which cancels it.
        kernel_init: distribution of W, `lecun_normal()` when None; `initializers.init_for` picks one.
        bias_init: distribution of b, zeros when None.

    Parameters: `weight` `(in, units)`, `bias` `(units,)`, in the dtype of the spec. (PyTorch keeps the transpose.)

    Peers: the distributions of flax's Dense. Keras has glorot_uniform for W; PyTorch U(-a, a), a = 1 / sqrt(in), for W
    and b.

    Raises:
        InputError: units is no positive integer, or x has another number of features than the weight.
    """
    check_integer("dense", "units", units)

    def init(key, spec):
        check_floating("dense", "spec", spec)
        if len(spec.shape) == 0 or spec.shape[-1] < 1:
            fail("dense", "spec", "of shape (..., features) with at least one feature", f" shape {tuple(spec.shape)}")
        params = {
            "weight": (kernel_init or lecun_normal())(fold_name(key, "weight"), (spec.shape[-1], units), spec.dtype)
        }
        if use_bias:
            params["bias"] = (bias_init or zeros())(fold_name(key, "bias"), (units,), spec.dtype)
        return params, {}

    def apply(params, state, x, *, key=None, train=False):
        features = params["weight"].shape[0]
        if x.ndim == 0 or x.shape[-1] != features:
            fail("dense", "x", f"of shape (..., {features})", f" shape {x.shape}")
        if x.dtype != params["weight"].dtype:
            fail("dense", "x", f"of the weight's dtype {params['weight'].dtype}", f" {x.dtype}")
        return dense_map(x, params["weight"], params.get("bias")), state

    return init, apply


@factory(Layer, traits=("ends_sequence",))
def flatten():
    """All axes but the first as one: `(batch, a, b, ...) -> (batch, a b ...)`; no parameters.

    Padded positions of a sequence are 0 in it.

    Peers: as Flatten of PyTorch and Keras.

    Raises:
        InputError: x has no axes.
    """

    def init(key, spec):
        return {}, {}

    def apply(params, state, x, *, key=None, train=False, sequence_mask=None):
        if x.ndim == 0:
            fail("flatten", "x", "of shape (batch, ...)", " a scalar")
        if sequence_mask is not None:
            x = zero_padding(x, sequence_mask)
        return x.reshape(x.shape[0], math.prod(x.shape[1:])), state

    return init, apply
