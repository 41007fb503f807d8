"""Squeeze and excitation: each channel is scaled by what all places say together."""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
from jax import lax

from jaxann import ops
from jaxann.activations import by_name
from jaxann.core.checks import check_choice, check_floating, check_integer, fail
from jaxann.core.factories import factory
from jaxann.core.keys import fold_name
from jaxann.core.padding import zero_padding
from jaxann.core.products import Initializer, Layer
from jaxann.core.typing import Array
from jaxann.initializers import lecun_normal, zeros
from jaxann.ops.pool import mean_of_places

__all__ = ["squeeze_excitation"]


@factory(Layer, static=("ratio", "units", "activation", "gate"))
def squeeze_excitation(
    ratio: int = 16,
    *,
    units: int | None = None,
    activation: str | Callable[[Array], Array] = "relu",
    gate: str | Callable[[Array], Array] = "sigmoid",
    kernel_init: Initializer | None = None,
    bias_init: Initializer | None = None,
):
    """y[n, p, c] = s[n, c] x[n, p, c],  s = gate(f(m V + a) W + b),  m = the mean of x over all places.

    Args:
        ratio: the hidden layer has channels / ratio units, one at least.
        units: their number itself, in the place of the ratio.
        activation: f, a name or a function.
        gate: what makes shares of 0 to 1: "sigmoid", "hard_sigmoid" (MobileNetV3), or a function.
        kernel_init: distribution of V and W, `lecun_normal()` when None.
        bias_init: distribution of a and b, zeros when None.

    Input and output `(batch, *places, channels)`. Parameters: `squeeze.weight` `(channels, units)`, `squeeze.bias`,
    `excite.weight` `(units, channels)`, `excite.bias`. Padded positions of sequences count in no mean, and are 0.

    Peers: torchvision's SqueezeExcitation, whose two maps are convolutions of one place; Keras and flax have none.

    Source: Hu, Shen and Sun 2018.

    Raises:
        InputError: an argument is wrong, or x has no axis of places, other channels or another dtype.
    """
    check_integer("squeeze_excitation", "ratio", ratio)
    if units is not None:
        check_integer("squeeze_excitation", "units", units)
    if isinstance(gate, str):
        check_choice("squeeze_excitation", "gate", gate, ("hard_sigmoid", "sigmoid"))
    elif not callable(gate):
        fail("squeeze_excitation", "gate", "a name or a function", gate)
    inner, outer = by_name(activation), by_name(gate)

    def init(key, spec):
        _check("spec", spec)
        channels = spec.shape[-1]
        hidden = units or max(1, channels // ratio)

        def drawn(name: str, shape: tuple[int, int]) -> dict[str, Array]:
            own = fold_name(key, name)
            weight = (kernel_init or lecun_normal())(fold_name(own, "weight"), shape, spec.dtype)
            return {"weight": weight, "bias": (bias_init or zeros())(fold_name(own, "bias"), shape[1:], spec.dtype)}

        return {"squeeze": drawn("squeeze", (channels, hidden)), "excite": drawn("excite", (hidden, channels))}, {}

    def apply(params, state, x, *, key=None, train=False, sequence_mask=None):
        _check("x", x)
        weight = params["squeeze"]["weight"]
        if x.shape[-1] != weight.shape[0]:
            fail("squeeze_excitation", "x", f"of shape (batch, *places, {weight.shape[0]})", f" shape {x.shape}")
        if x.dtype != weight.dtype:
            fail("squeeze_excitation", "x", f"of the weight's dtype {weight.dtype}", f" {x.dtype}")
        if sequence_mask is not None:
            x = zero_padding(x, sequence_mask)
        mean = mean_of_places(x, sequence_mask).astype(x.dtype)
        hidden = inner(ops.dense(mean, weight, params["squeeze"]["bias"]))
        share = outer(ops.dense(hidden, params["excite"]["weight"], params["excite"]["bias"]))
        return x * jnp.broadcast_to(lax.expand_dims(share, range(1, x.ndim - 1)), x.shape), state

    return init, apply


def _check(argument: str, x: Array) -> None:
    check_floating("squeeze_excitation", argument, x)
    if len(x.shape) < 3 or x.shape[-1] < 1:
        expected = "of shape (batch, *places, channels)"
        fail("squeeze_excitation", argument, expected, f" shape {tuple(x.shape)}")
