"""Layers whose weight is made of another one at each use: standardized, of a length of its own, of spectral norm 1.

    sequential({"conv": weight_standardized(conv(64, 3, use_bias=False)), "norm": group_norm(32), ...})

The layer inside goes by the name "layer": its `weight` is what is trained, and the one that it works with is made of
it. Every layer that says where its weight has its outputs (the traits "outputs_last" and "outputs_before_last") can be
inside; a layer of your own says so too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jaxann import ops
from jaxann.core.checks import check_integer, check_range, fail
from jaxann.core.factories import factory
from jaxann.core.keys import fold_name
from jaxann.core.modes import TrainMode
from jaxann.core.products import Layer, LayerFunctions
from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array, Key, Params, Scalar, Spec, State
from jaxann.layers.base import as_layer, composite, init_child, run_child, step_child
from jaxann.ops.weight_norm import row_length

__all__ = ["output_axis", "spectral_norm", "weight_norm", "weight_standardized"]

_FIRST_STEPS = 15  # of the power iteration, when a layer is made


def _inside(name: str) -> dict[str, Callable]:
    """How the argument `layer` is taken in."""

    def convert(value: Any) -> Layer:
        layer = as_layer(value, name, "layer")
        if not layer.traits & {"outputs_last", "outputs_before_last"}:
            hint = (
                'Such a layer has a parameter `weight` and declares traits=("outputs_last",) or "outputs_before_last".'
            )
            fail(name, "layer", "one that says where its weight has its outputs", layer, hint=hint)
        return layer

    return {"layer": convert}


def output_axis(layer: Layer) -> int:
    """The axis of a layer's weight that its outputs are on, by what it declares."""
    return -2 if "outputs_before_last" in layer.traits else -1


@factory(Layer, convert=_inside("weight_standardized"))
def weight_standardized(layer: Layer, *, eps: Scalar = 1e-5, use_scale: bool = False):
    """The layer with (W - mean) / sqrt(variance + eps) for its weight W, mean and variance of all that an output reads.

    Args:
        layer: `dense`, a convolution, or any that says where its weight has its outputs.
        eps: added to the variance; with 0 an output that reads equal weights reads zeros.
        use_scale: whether each output's weights are multiplied by a number of their own (the gain of NF-nets).

    Parameters and state: `layer`, those of the layer, W being its `weight`; `scale` (ones), `(outputs,)`. An output
    that reads one number has the weight 0.

    Peers: none of PyTorch, Keras and flax has it. In papers it goes with `group_norm`; some divide by the deviation
    plus eps, or by sqrt(fan_in) too.

    Source: Qiao et al. 2019; Brock, De and Smith 2021 (the scale).

    Raises:
        InputError: eps is out of range, or the layer does not say where its weight has its outputs.
    """
    check_range("weight_standardized", "eps", eps, 0)
    axis = output_axis(layer)

    def begin(weight, key):
        return ({"scale": jnp.ones(weight.shape[axis], weight.dtype)} if use_scale else {}), {}

    def make(params, state, weight, train):
        return ops.weight_standardized(weight, params.get("scale"), axis=axis, eps=eps), {}

    return _wrapped("weight_standardized", layer, begin, make)


@factory(Layer, convert=_inside("weight_norm"))
def weight_norm(layer: Layer, *, eps: Scalar = 1e-12):
    """The layer with scale v / |v| for its weight: length and direction of what each output reads are learned apart.

    Args:
        layer: `dense`, a convolution, or any that says where its weight has its outputs.
        eps: the length below which v is divided by eps itself, above 0.

    Parameters and state: `layer`, those of the layer, v being its `weight`; `scale` `(outputs,)`, at first the lengths
    |v|, with which the layer is the one inside. Outputs of a transposed convolution with groups share a length where
    they share a place in the weight.

    Peers: PyTorch's parametrizations.weight_norm, whose dim=0 is the axis of the outputs but for transposed
    convolutions, where that is dim=1, and which has no eps; flax's WeightNorm starts with a scale of ones.

    Source: Salimans and Kingma 2016.

    Raises:
        InputError: eps is out of range, or the layer does not say where its weight has its outputs.
    """
    check_range("weight_norm", "eps", eps, 0, open_low=True)
    axis = output_axis(layer)

    def begin(weight, key):
        wide = weight.astype(wide_dtype(weight.dtype))
        return {"scale": row_length(wide, axis % weight.ndim, eps).astype(weight.dtype)}, {}

    def make(params, state, weight, train):
        return ops.weight_norm(weight, params["scale"], axis=axis, eps=eps), {}

    return _wrapped("weight_norm", layer, begin, make)


@factory(Layer, static=("n_steps",), convert=_inside("spectral_norm"))
def spectral_norm(layer: Layer, *, n_steps: int = 1, eps: Scalar = 1e-12):
    """The layer with W / sigma for its weight W, sigma being W's greatest singular value.

    sigma = u W v, W as a matrix of outputs and all that they read; u and v come to its vectors by the power iteration,
    u = W v / |W v|, v = W' u / |W' u|, in training alone. A dense layer then stretches no input; a convolution, whose
    windows overlap, may.

    Args:
        layer: `dense`, a convolution, or any that says where its weight has its outputs.
        n_steps: of the power iteration, in each step of training.
        eps: what is shorter than this is divided by eps itself, above 0.

    Parameters: `layer`, those of the layer, W being its `weight`. State: `layer`, that of the layer; `u` `(outputs,)`
    and `v`, of the weight's shape without the axis of the outputs, float32 or better, at first what 15 steps make of
    random ones. u and v are constants to gradients, which go through W / sigma. `TrainMode.NOISE` leaves them as they
    are.

    Peers: as PyTorch's parametrizations.spectral_norm; flax's SpectralNorm and Keras' SpectralNormalization keep u (and
    sigma) alone and start from a random one.

    Source: Miyato et al. 2018.

    Raises:
        InputError: an argument is out of range, or the layer does not say where its weight has its outputs.
    """
    check_integer("spectral_norm", "n_steps", n_steps)
    check_range("spectral_norm", "eps", eps, 0, open_low=True)
    axis = output_axis(layer)

    def begin(weight, key):
        wide = wide_dtype(weight.dtype)
        place = axis % weight.ndim
        u = jax.random.normal(fold_name(key, "u"), weight.shape[place : place + 1], wide)
        v = jax.random.normal(fold_name(key, "v"), weight.shape[:place] + weight.shape[place + 1 :], wide)
        u, v = ops.power_iteration(weight, u, v, axis=axis, n_steps=_FIRST_STEPS, eps=eps)
        return {}, {"u": u, "v": v}

    def make(params, state, weight, train):
        u, v = state["u"], state["v"]
        if train and train is not TrainMode.NOISE:
            u, v = ops.power_iteration(weight, u, v, axis=axis, n_steps=n_steps, eps=eps)
        return ops.spectral_norm(weight, u, v, axis=axis), {"u": u, "v": v}

    return _wrapped("spectral_norm", layer, begin, make)


def _wrapped(
    name: str,
    layer: Layer,
    begin: Callable[[Array, Key], tuple[Params, State]],
    make: Callable[[Params, State, Array, Any], tuple[Array, State]],
) -> LayerFunctions:
    """The functions of a layer whose weight is made.

    Args:
        name: for messages.
        layer: the one inside.
        begin: parameters and state of its own for the weight of the layer inside.
        make: the weight to work with, and the state after.
    """

    def init(key: Key, spec: Spec) -> tuple[Params, State]:
        params, state = init_child(layer, "layer", key, spec)
        own, kept = begin(_weight(name, params), key)
        return {"layer": params, **own}, {"layer": state, **kept}

    def made(params: Params, state: State, train: Any) -> tuple[Params, State]:
        weight, kept = make(params, state, _weight(name, params["layer"]), train)
        return {"layer": {**params["layer"], "weight": weight}}, kept

    def apply(params, state, x, *, key=None, train=False, **context):
        given, kept = made(params, state, train)
        y, after = run_child(layer, "layer", given, state, x, key=key, train=train, **context)
        return y, {"layer": after, **kept}

    def step(params, carry, x, *, state=None):
        if state is None:
            fail(f"{name}.step", "state", "given, for it may have a part in the weight", None)
        given, _ = made(params, state, False)
        return step_child(f"{name}.step", layer, "layer", given, carry, x, state)

    ends = ("ends_sequence",) if "ends_sequence" in layer.traits else ()
    return composite(name, init, apply, {"layer": layer}, step, ends)


def _weight(name: str, params: Any) -> Array:
    """The weight of the layer inside."""
    weight = params.get("weight") if isinstance(params, Mapping) else None
    if weight is None:
        fail(name, "the layer", "one with a parameter `weight`", f" the parameters {params}")
    if weight.ndim < 2:
        fail(name, "the layer", "one whose weight has at least two axes", f" shape {weight.shape}")
    return weight
