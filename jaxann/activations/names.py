"""Activations by name, and the estimator that joins two of them."""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
from jax import lax

from jaxann.activations.gated import bilinear, geglu, glu, reglu, swiglu
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
from jaxann.core.checks import check_choice, check_floating, fail
from jaxann.core.factories import is_product
from jaxann.core.tables import named_functions
from jaxann.core.typing import Array

__all__ = ["by_name", "straight_through"]


def straight_through(
    x: Array,
    forward: str | Callable[[Array], Array] = "heaviside",
    surrogate: str | Callable[[Array], Array] = "hard_tanh",
) -> Array:
    """f(x) = forward(x), with the slope of surrogate(x): forward a step, backward as if it were a smooth function.

    The default is the threshold unit with the slope 1[|x| <= 1]; `straight_through(x, "hard_max", "softmax")` is a
    trainable argmax. Source: Bengio et al. 2013; Hubara et al. 2016.

    Args:
        x: any shape that both functions take.
        forward: name or function that gives the value.
        surrogate: name or function that gives the slope; of the same output shape.

    Peers: none of PyTorch, Keras and jax.nn has it; PyTorch's gumbel_softmax(hard=True) does it inside.

    Raises:
        InputError: a name is unknown, x is not floating-point, or the two shapes differ.
    """
    check_floating("straight_through", "x", x)
    hard, soft = by_name(forward)(x), by_name(surrogate)(x)
    if hard.shape != soft.shape:
        fail("straight_through", "surrogate", f"of forward's output shape {hard.shape}", f" {soft.shape}")
    finite = jnp.isfinite(soft)
    slope_alone = jnp.where(finite, soft, 0)
    return lax.stop_gradient(hard) + (slope_alone - lax.stop_gradient(slope_alone)).astype(hard.dtype)


_BY_NAME: dict[str, Callable[..., Array]] = {
    f.__name__: f
    for f in (
        bilinear, celu, elu, geglu, gelu, glu, hard_max, hard_sigmoid, hard_swish, hard_tanh, heaviside, identity,
        leaky_relu, log_sigmoid, log_softmax, log_sum_exp, maxout, mish, reglu, relu, relu6, relu_squared, rrelu, selu,
        sigmoid, sign, silu, softmax, softplus, softsign, sparsemax, squareplus, straight_through, swiglu, tanh,
    )
}  # fmt: skip
_HINTS = {
    "gumbel_softmax": "It needs a key: activations.gumbel_softmax(x, key=key).",
    "linear": "It is called identity here.",
    "prelu": "It learns a slope, so it is a layer: layers.prelu().",
    "step": "It is called heaviside here; straight_through lends it a slope.",
    "swish": "It is called silu here; layers.swish() learns its beta.",
}
named_functions(gumbel_softmax, prelu, *_BY_NAME.values())


def by_name(activation: str | Callable[[Array], Array]) -> Callable[[Array], Array]:
    """The activation of that name with its default parameters; a function is handed back as it is.

    Those that need more than x are not among the names: `gumbel_softmax` wants a key, `prelu` an alpha.

    Peers: keras.activations.get; PyTorch has classes in its place.

    Raises:
        InputError: no activation has that name (the message lists them), or it is neither a name nor a function.
    """
    if isinstance(activation, str):
        if activation in _HINTS:
            fail("activations.by_name", "activation", "one of its names", activation, hint=_HINTS[activation])
        check_choice("activations.by_name", "activation", activation, _BY_NAME)
        return _BY_NAME[activation]
    if not callable(activation) and not is_product(activation):
        fail("activations.by_name", "activation", "a name or a function", activation)
    return activation
