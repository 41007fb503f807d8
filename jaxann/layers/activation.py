"""Activations with parameters of their own: learned slopes, random slopes, and dense layers whose units have pieces."""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np

from jaxann.activations import bilinear, by_name, geglu, glu, reglu, silu, swiglu
from jaxann.activations import maxout as greatest
from jaxann.activations import prelu as leaky
from jaxann.activations import rrelu as randomized
from jaxann.core.checks import check_choice, check_floating, check_integer, check_range, fail, is_concrete
from jaxann.core.factories import factory
from jaxann.core.products import Initializer, Layer
from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array, Scalar, Spec
from jaxann.layers.dense import dense

__all__ = ["GATES", "gated_dense", "maxout", "parametric_activation", "prelu", "rrelu", "swish"]

GATES: dict[str, Callable] = {f.__name__: f for f in (bilinear, geglu, glu, reglu, swiglu)}


def _shape(function: str, per_channel: bool, spec: Spec) -> tuple[int, ...]:
    """Shape of the learned number: (), or one for each of the last axis."""
    check_floating(function, "spec", spec)
    if per_channel and len(spec.shape) == 0:
        fail(function, "spec", "of shape (..., channels)", f" shape {tuple(spec.shape)}")
    return tuple(spec.shape[-1:]) if per_channel else ()


def _flag(function: str, name: str, value: bool) -> None:
    if not isinstance(value, bool):
        fail(function, name, "True or False", value)


@factory(Layer, traits=("positionwise",))
def prelu(alpha: Scalar = 0.25, *, per_channel: bool = False):
    """y = x for x >= 0, else alpha x, alpha learned.

    Args:
        alpha: its first value.
        per_channel: whether each channel (the last axis) has its own, or all share one.

    Parameter: `alpha`, `()` or `(channels,)`; `optimizers.matrices` leaves it out of weight decay, which would make it
    relu. Source: He et al. 2015.

    Peers: as PyTorch's PReLU, shared by default too (its num_parameters is the other choice). Keras begins at 0 and has
    one for each place of the input.

    Raises:
        InputError: alpha is not finite, or x has another number of channels.
    """
    check_range("prelu", "alpha", alpha)
    _flag("prelu", "per_channel", per_channel)

    def init(key, spec):
        return {"alpha": jnp.full(_shape("prelu", per_channel, spec), alpha, spec.dtype)}, {}

    def apply(params, state, x, *, key=None, train=False):
        return leaky(x, params["alpha"]), state

    return init, apply


@factory(Layer, traits=("positionwise",))
def swish(beta: Scalar = 1.0, *, per_channel: bool = False):
    """y = x sigmoid(beta x), beta learned: `silu` between x / 2 and relu.

    Args:
        beta: its first value.
        per_channel: whether each channel (the last axis) has its own, or all share one.

    Parameter: `beta`, `()` or `(channels,)`. Source: Ramachandran et al. 2017.

    Peers: PyTorch, Keras and flax have silu with beta = 1 alone.

    Raises:
        InputError: beta is not finite, or x has another number of channels.
    """
    check_range("swish", "beta", beta)
    _flag("swish", "per_channel", per_channel)

    def init(key, spec):
        return {"beta": jnp.full(_shape("swish", per_channel, spec), beta, spec.dtype)}, {}

    def apply(params, state, x, *, key=None, train=False):
        steepness = params["beta"]
        if steepness.ndim:
            if np.shape(x)[-1:] != steepness.shape:
                fail("swish", "x", f"of shape (..., {steepness.shape[0]})", f" shape {np.shape(x)}")
            steepness = jnp.broadcast_to(steepness, np.shape(x))
        return silu(x, steepness), state

    return init, apply


@factory(Layer, traits=("positionwise",))
def parametric_activation(activation: str | Callable[[Array], Array], *, alpha: Scalar = 1.0):
    """y = x + alpha (f(x) - x), alpha learned for each channel (the last axis): the activation f, or none at alpha = 0.

    Args:
        activation: f, by name or as a function `x -> y` of each number by itself.
        alpha: its first value.

    Parameter: `alpha` `(channels,)`.

    Peers: ParametricActivationLayer of pytabkit; none of PyTorch, Keras and flax has it.

    Source: Holzmüller, Grinsztajn and Steinwart 2024.

    Raises:
        InputError: no activation has that name, alpha is not finite, or x has another number of channels.
    """
    function = by_name(activation)
    check_range("parametric_activation", "alpha", alpha)

    def init(key, spec):
        return {"alpha": jnp.full(_shape("parametric_activation", True, spec), alpha, spec.dtype)}, {}

    def apply(params, state, x, *, key=None, train=False):
        share = params["alpha"]
        if np.shape(x)[-1:] != share.shape:
            fail("parametric_activation", "x", f"of shape (..., {share.shape[0]})", f" shape {np.shape(x)}")
        given = jnp.asarray(x)
        wide = given.astype(wide_dtype(given.dtype))
        y = function(wide)
        if y.shape != wide.shape:
            fail("parametric_activation", "activation", "one that keeps the shape of x", f" {y.shape} of {wide.shape}")
        return (wide + jnp.broadcast_to(share.astype(wide.dtype), wide.shape) * (y - wide)).astype(given.dtype), state

    return init, apply


@factory(Layer, traits=("positionwise",))
def rrelu(lower: Scalar = 1 / 8, upper: Scalar = 1 / 3):
    """y = x for x >= 0, else a x: a ~ U(lower, upper) for each number in training, a = (lower + upper) / 2 else.

    No parameters. Source: Xu et al. 2015.

    Args:
        lower, upper: least and greatest slope on the negative side.

    Peers: as PyTorch's RReLU; Keras and flax have none.

    Raises:
        InputError: lower is above upper, or `train=True` comes without a key.
    """
    check_range("rrelu", "lower", lower)
    lowest = float(lower) if is_concrete(lower) and np.ndim(lower) == 0 else None
    check_range("rrelu", "upper", upper, lowest)

    def init(key, spec):
        return {}, {}

    def apply(params, state, x, *, key=None, train=False):
        check_floating("rrelu", "x", x)
        if train and key is None:
            fail("rrelu", "key", "given when train=True", None)
        return randomized(x, lower, upper, key=key if train else None), state

    return init, apply


@factory(Layer, static=("units", "k"), traits=("outputs_last", "positionwise"))
def maxout(
    units: int,
    *,
    k: int = 2,
    use_bias: bool = True,
    kernel_init: Initializer | None = None,
    bias_init: Initializer | None = None,
):
    """y_i = max_j (x W_ij + b_ij), j = 1..k: the greatest of k linear pieces, a learned convex activation.

    Args:
        units: number of outputs.
        k: pieces a unit; k times the parameters of a dense layer.
        use_bias: whether there is a b.
        kernel_init: distribution of W, `lecun_normal()` when None, which keeps the second moment for k = 2.
        bias_init: distribution of b, zeros when None.

    Parameters: `weight` `(in, units k)`, `bias` `(units k,)`, the pieces of a unit side by side. Source: Goodfellow et
    al. 2013.

    Peers: none of PyTorch, Keras 3 and flax has it.

    Raises:
        InputError: units or k is no positive integer, or x has another number of features than the weight.
    """
    check_integer("maxout", "units", units)
    check_integer("maxout", "k", k)
    inner = dense(units * k, use_bias=use_bias, kernel_init=kernel_init, bias_init=bias_init)

    def apply(params, state, x, *, key=None, train=False):
        z, _ = inner.apply(params, state, x)
        return greatest(z, k), state

    return inner.init, apply


@factory(Layer, static=("units",), traits=("outputs_last", "positionwise"))
def gated_dense(
    units: int,
    *,
    gate: str = "swiglu",
    gate_first: bool = False,
    use_bias: bool = True,
    kernel_init: Initializer | None = None,
    bias_init: Initializer | None = None,
):
    """y = a g(b), (a, b) = halves of x W + c: a dense layer with a gated linear unit.

    The first half of a feed-forward block.

    Args:
        units: number of outputs, half of those of W. 2/3 of the units of an ungated block keeps its parameters.
        gate: "glu", "reglu", "geglu", "swiglu" or "bilinear".
        gate_first: whether the gate b is the first half.
        use_bias: whether there is a c.
        kernel_init: distribution of W, `lecun_normal()` when None: on both halves alike.
        bias_init: distribution of c, zeros when None.

    Parameters: `weight` `(in, 2 units)`, `bias` `(2 units,)`. Source: Shazeer 2020.

    Peers: PyTorch, Keras and flax have glu as a function alone.

    Raises:
        InputError: units is no positive integer, the gate is unknown, or x has another number of features than the
            weight.
    """
    check_integer("gated_dense", "units", units)
    check_choice("gated_dense", "gate", gate, GATES)
    _flag("gated_dense", "gate_first", gate_first)
    inner = dense(2 * units, use_bias=use_bias, kernel_init=kernel_init, bias_init=bias_init)

    def apply(params, state, x, *, key=None, train=False) -> tuple[Array, dict]:
        z, _ = inner.apply(params, state, x)
        return GATES[gate](z, gate_first=gate_first), state

    return inner.init, apply
