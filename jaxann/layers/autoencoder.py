"""An encoder and a decoder, with what a loss wants to know of the code between them.

    x - encoder - code - decoder - reconstruction

`sequential` of the two is an autoencoder too, whose output is the reconstruction alone. Here the code comes out beside
it, by name, for the losses of `losses.reconstruction`: a sparse code, a code drawn from a distribution, or one that
changes little with x.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxann.core.checks import check_choice, check_floating, check_integer, fail
from jaxann.core.factories import factory
from jaxann.core.keys import fold_name
from jaxann.core.padding import Padded
from jaxann.core.products import Layer, LayerFunctions
from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array, Key
from jaxann.initializers import init_for
from jaxann.layers.base import as_layer, init_child, output_spec, run_child
from jaxann.layers.dense import dense

__all__ = [
    "contractive_encode_decode",
    "encode_decode",
    "encode_sample_decode",
    "gaussian_sample",
    "halves",
    "slope_of_code",
]


def _layers_of(function: str) -> dict[str, Callable]:
    return {name: lambda v, name=name: as_layer(v, function, name) for name in ("encoder", "decoder")}


@factory(Layer, convert=_layers_of("encode_decode"))
def encode_decode(encoder: Layer, decoder: Layer):
    """y = {"reconstruction": decoder(code), "code": encoder(x)}.

    Args:
        encoder: from x to a code, an array.
        decoder: from the code to what x is compared with.

    Parameters and state: those of the two, under `encoder` and `decoder`.

    Peers: none of PyTorch, Keras and flax has it; there one writes a class.

    Source: Rumelhart, Hinton and Williams 1986; Hinton and Salakhutdinov 2006.

    Raises:
        InputError: an argument is no layer.
    """
    sides = {"encoder": encoder, "decoder": decoder}

    def init(key, spec):
        return _init("encode_decode", sides, key, spec, lambda code: code)

    def apply(params, state, x, **context):
        code, first = run_child(encoder, "encoder", params, state, x, **context)
        found, second = run_child(decoder, "decoder", params, state, code, **context)
        return {"reconstruction": found, "code": code}, {"encoder": first, "decoder": second}

    return LayerFunctions(init, apply, sides)


@factory(Layer, convert=_layers_of("encode_sample_decode"))
def encode_sample_decode(encoder: Layer, decoder: Layer):
    """y = {"reconstruction": decoder(z), "mean": m, "log_variance": s},  [m, s] = encoder(x),  z = m + exp(s / 2) n.

    n ~ N(0, 1) for each number in training; in evaluation z = m, and nothing is drawn. The first half of what the
    encoder gives along the last axis is m, the second s, the logarithm of a variance.

    Args:
        encoder: from x to `(..., 2 k)` numbers, for a code of k.
        decoder: from the code z `(..., k)` to the parameters of a distribution of x: logits, or a mean.

    Parameters and state: those of the two, under `encoder` and `decoder`. New examples are what the decoder makes of
    codes drawn from N(0, 1): `model.children["decoder"].apply(params["decoder"], state["decoder"], z)`.

    Peers: none of PyTorch, Keras and flax has it; there one writes a class.

    Source: Kingma and Welling 2014; Rezende, Mohamed and Wierstra 2014.

    Raises:
        InputError: an argument is no layer, the encoder's last axis is odd, or `train=True` comes without a key.
    """
    sides = {"encoder": encoder, "decoder": decoder}

    def init(key, spec):
        return _init("encode_sample_decode", sides, key, spec, lambda both: halves(both)[0])

    def apply(params, state, x, *, key=None, train=False, **context):
        if train and key is None:
            fail("encode_sample_decode", "key", "given when train=True", None)
        both, first = run_child(encoder, "encoder", params, state, x, key=key, train=train, **context)
        mean, log_variance = halves(both)
        z = gaussian_sample(mean, log_variance, key)[0] if train and key is not None else mean
        found, second = run_child(decoder, "decoder", params, state, z, key=key, train=train, **context)
        y = {"reconstruction": found, "mean": mean, "log_variance": log_variance}
        return y, {"encoder": first, "decoder": second}

    return LayerFunctions(init, apply, sides)


@factory(Layer, static=("units",), convert={"decoder": _layers_of("contractive_encode_decode")["decoder"]})
def contractive_encode_decode(units: int, decoder: Layer, *, activation: str = "sigmoid"):
    """h = f(x W + b);  y = {"reconstruction": decoder(h), "code": h, "contraction": sum over i, j of (dh_j / dx_i)^2}.

    The contraction, the squared Frobenius norm of the code's Jacobian, is sum_j f'(z_j)^2 sum_i W_ij^2 of each example.

    Args:
        units: length of the code h.
        decoder: from the code to what x is compared with.
        activation: f, "sigmoid" or "tanh", whose slope is known by its value: h (1 - h) and 1 - h^2.

    Input `(batch, features)`. Parameters and state: `encoder`, those of `dense(units)`, and `decoder`.

    Peers: none of PyTorch, Keras and flax has it.

    Source: Rifai et al. 2011.

    Raises:
        InputError: an argument is wrong, or x has not two axes.
    """
    name = "contractive_encode_decode"
    check_integer(name, "units", units)
    check_choice(name, "activation", activation, ("sigmoid", "tanh"))
    encoder = dense(units, kernel_init=init_for(activation))
    sides = {"encoder": encoder, "decoder": decoder}

    def init(key, spec):
        if len(spec.shape) != 2:
            fail(name, "spec", "of shape (batch, features)", f" shape {tuple(spec.shape)}")
        return _init(name, sides, key, spec, lambda code: code)

    def apply(params, state, x, **context):
        if x.ndim != 2:
            fail(name, "x", "of shape (batch, features)", f" shape {x.shape}")
        z, first = run_child(encoder, "encoder", params, state, x, **context)
        code = (jax.nn.sigmoid if activation == "sigmoid" else jnp.tanh)(z)
        found, second = run_child(decoder, "decoder", params, state, code, **context)
        weight = params["encoder"]["weight"]
        wide = code.astype(wide_dtype(code.dtype))
        slope = slope_of_code(wide, activation)
        contraction = jnp.dot(slope * slope, jnp.sum(weight.astype(wide.dtype) ** 2, 0))
        y = {"reconstruction": found, "code": code, "contraction": contraction.astype(code.dtype)}
        return y, {"encoder": first, "decoder": second}

    return LayerFunctions(init, apply, sides)


def slope_of_code(h: Array, activation: str) -> Array:
    """f'(z) by h = f(z)."""
    return h * (1 - h) if activation == "sigmoid" else 1 - h * h


def halves(both: Array) -> tuple[Array, Array]:
    """Mean and log variance, side by side on the last axis.

    Raises:
        InputError: they are none of equal length.
    """
    if isinstance(both, Padded) or not hasattr(both, "ndim"):
        fail("encode_sample_decode", "what the encoder gives", "an array", f" {type(both).__name__}")
    check_floating("encode_sample_decode", "what the encoder gives", both)
    if both.ndim == 0 or both.shape[-1] % 2 or not both.shape[-1]:
        expected = "of an even last axis, the mean and the log variance"
        fail("encode_sample_decode", "what the encoder gives", expected, f" shape {both.shape}")
    k = both.shape[-1] // 2
    return both[..., :k], both[..., k:]


def gaussian_sample(mean: Array, log_variance: Array, key: Key) -> tuple[Array, Array]:
    """z = mean + exp(log_variance / 2) n, and the second term, n ~ N(0, 1) drawn by the key of the layer."""
    wide = wide_dtype(mean.dtype)
    noise = jax.random.normal(fold_name(key, "sample"), mean.shape, wide)
    shift = jnp.exp(log_variance.astype(wide) / 2) * noise
    return (mean.astype(wide) + shift).astype(mean.dtype), shift


def _init(function: str, sides: dict[str, Layer], key: Key, spec: Any, code_of: Callable[[Any], Any]) -> tuple:
    params, state = {}, {}
    params["encoder"], state["encoder"] = init_child(sides["encoder"], "encoder", key, spec)
    found = output_spec(sides["encoder"], params["encoder"], state["encoder"], spec)
    code = jax.eval_shape(code_of, found)
    params["decoder"], state["decoder"] = init_child(sides["decoder"], "decoder", key, code)
    return params, state
