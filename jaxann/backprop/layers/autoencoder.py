"""Backward rules of an encoder and a decoder with their code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from jax import lax

from jaxann import layers
from jaxann.backprop.registry import layer_rule
from jaxann.backprop.step import Call, Cotangents, Step
from jaxann.core.checks import fail
from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array
from jaxann.layers.autoencoder import gaussian_sample, halves, slope_of_code

__all__ = []


def _step(y: Any, encoder: Step, decoder: Step, by_code: Any) -> Step:
    """The step of both; `by_code(g, what the decoder gives)` is what the encoder gets, and more for its weights."""

    def vjp(g: Mapping[str, Any]) -> Cotangents:
        second = decoder.vjp(g["reconstruction"])
        upper, more = by_code(g, second.input_grad)
        first = encoder.vjp(upper)
        grads = {name: value + more[name] if name in more else value for name, value in first.grads.items()}
        return Cotangents(first.input_grad, {"encoder": grads, "decoder": second.grads})

    return Step(y, {"encoder": encoder.state, "decoder": decoder.state}, vjp)


@layer_rule(layers.encode_decode)
def _encode_decode(call: Call) -> Step:
    """The code h goes into the decoder and out beside it:  dC/dh = (what the decoder gives back) + G_code."""
    encoder = call.child("encoder", call.x)
    decoder = call.child("decoder", encoder.y)
    y = {"reconstruction": decoder.y, "code": encoder.y}
    return _step(y, encoder, decoder, lambda g, below: (below + g["code"], {}))


@layer_rule(layers.encode_sample_decode)
def _encode_sample_decode(call: Call) -> Step:
    """z = m + exp(s / 2) n, n drawn:  with D = dC/dz, what the decoder gives back,

        dC/dm = D + G_m,    dC/ds = D exp(s / 2) n / 2 + G_s

    The draw is a constant, and m and s go through it as through any function: that is the reparametrization. In
    evaluation z = m, and s meets the cost by itself alone.
    """
    encoder = call.child("encoder", call.x)
    mean, log_variance = halves(encoder.y)
    z, shift = mean, jnp.zeros(mean.shape, wide_dtype(mean.dtype))
    if call.train:
        if call.key is None:
            fail("encode_sample_decode", "key", "given when train=True", None)
        z, shift = gaussian_sample(mean, log_variance, call.key)
    decoder = call.child("decoder", z)

    def by_code(g: Mapping[str, Array], below: Array) -> tuple[Array, dict]:
        by_log_variance = (below.astype(shift.dtype) * shift / 2).astype(below.dtype) + g["log_variance"]
        return jnp.concatenate((below + g["mean"], by_log_variance), -1), {}

    y = {"reconstruction": decoder.y, "mean": mean, "log_variance": log_variance}
    return _step(y, encoder, decoder, by_code)


@layer_rule(layers.contractive_encode_decode)
def _contractive_encode_decode(call: Call) -> Step:
    """c = sum_j f'(z_j)^2 n_j,  n_j = sum_i W_ij^2; W meets the cost through z and through n:

        dC/dW_ij += 2 W_ij sum over the examples of  G_c f'(z_j)^2
        dC/dz_j  = (D_j + G_code) f'(z_j) + 2 G_c f'(z_j) f''(z_j) n_j

    with D = dC/dh by the decoder; f'' = f' (1 - 2 h) of a sigmoid and -2 h f' of tanh.
    """
    y, _ = call.apply()
    encoder = call.child("encoder", call.x)
    decoder = call.child("decoder", y["code"])
    weight, activation = call.params["encoder"]["weight"], call.layer.arguments["activation"]
    wide = wide_dtype(weight.dtype)

    def by_code(g: Mapping[str, Array], below: Array) -> tuple[Array, dict]:
        h, w, by_contraction = y["code"].astype(wide), weight.astype(wide), g["contraction"].astype(wide)
        slope = slope_of_code(h, activation)
        second = slope * (1 - 2 * h) if activation == "sigmoid" else -2 * h * slope
        squares = jnp.broadcast_to(lax.expand_dims(jnp.sum(w * w, 0), [0]), h.shape)
        through_n = 2 * w * lax.expand_dims(jnp.dot(by_contraction, slope * slope), [0])
        upper = (below + g["code"]).astype(wide) * slope
        upper += 2 * lax.expand_dims(by_contraction, [1]) * slope * second * squares
        return upper.astype(below.dtype), {"weight": through_n.astype(weight.dtype)}

    return _step(y, encoder, decoder, by_code)
