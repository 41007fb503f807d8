"""Where in a sequence something stands, added to what stands there."""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp

from jaxann.core.checks import check_floating, check_integer, fail
from jaxann.core.factories import factory
from jaxann.core.keys import fold_name
from jaxann.core.padding import check_positions
from jaxann.core.products import Initializer, Layer, LayerFunctions
from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array
from jaxann.initializers import normal

__all__ = ["learned_positions", "real_positions", "sinusoidal_positions"]


@factory(Layer, static=("length",))
def learned_positions(length: int, *, kernel_init: Initializer | None = None):
    """y_t = x_t + P_t: a learned vector for each position.

    Args:
        length: number of positions there are vectors for; a longer sequence is refused.
        kernel_init: distribution of P, N(0, 0.02^2) when None, as of GPT and BERT.

    Input: `(batch, time, features)`; positions of padding are not counted. Parameters: `weight` `(length, features)`.
    One position at a time it counts them: the vector of one beyond the last is NaN, so that nothing goes on unseen.

    Peers: none of PyTorch, Keras and flax has it as a layer.

    Source: Vaswani et al. 2017; Radford et al. 2018.

    Raises:
        InputError: length is no positive integer, or x is no `(batch, time, features)` of so many positions.
    """
    check_integer("learned_positions", "length", length)

    def init(key, spec):
        check_floating("learned_positions", "spec", spec)
        check_positions("learned_positions", "spec", spec)
        draw = kernel_init or normal(0.02)
        return {"weight": draw(fold_name(key, "weight"), (length, spec.shape[-1]), spec.dtype)}, {}

    def apply(params, state, x, *, key=None, train=False, sequence_mask=None):
        check_positions("learned_positions", "x", x)
        if x.shape[1] > length or x.shape[2] != params["weight"].shape[1]:
            expected = f"of at most {length} positions of {params['weight'].shape[1]} features"
            fail("learned_positions", "x", expected, f" shape {x.shape}")
        check_floating("learned_positions", "x", x)
        return x + jnp.broadcast_to(
            jnp.asarray(params["weight"])[real_positions(x, sequence_mask)].astype(x.dtype), x.shape
        ), state

    def start(params, batch):
        return jnp.int32(0)

    def step(params, carry, x):
        row = jnp.asarray(params["weight"]).at[carry].get(mode="fill", fill_value=jnp.nan)
        return x + jnp.broadcast_to(row.astype(x.dtype), x.shape), carry + 1

    return LayerFunctions(init, apply, start=start, step=step)


@factory(Layer)
def sinusoidal_positions():
    """y_t = x_t + P_t, P[t, 2i] = sin(t / 10000^(2i / D)), P[t, 2i + 1] = cos of the same; D is the number of features.

    No parameters. For sequences of any length; positions of padding are not counted.

    Peers: none of PyTorch, Keras and flax has it as a layer.

    Source: Vaswani et al. 2017.

    Raises:
        InputError: x is no `(batch, time, features)`.
    """

    def init(key, spec):
        check_floating("sinusoidal_positions", "spec", spec)
        check_positions("sinusoidal_positions", "spec", spec)
        return {}, {}

    def apply(params, state, x, *, key=None, train=False, sequence_mask=None):
        check_positions("sinusoidal_positions", "x", x)
        check_floating("sinusoidal_positions", "x", x)
        waves = _waves(real_positions(x, sequence_mask), x.shape[2], wide_dtype(x.dtype))
        return x + jnp.broadcast_to(waves.astype(x.dtype), x.shape), state

    def start(params, batch):
        return jnp.int32(0)

    def step(params, carry, x):
        waves = _waves(carry[None], x.shape[1], wide_dtype(x.dtype))
        return x + jnp.broadcast_to(waves.astype(x.dtype), x.shape), carry + 1

    return LayerFunctions(init, apply, start=start, step=step)


def _waves(positions: Array, features: int, dtype: Any) -> Array:
    place = jnp.arange(features)
    exponents = (place - place % 2).astype(dtype) / features
    angles = jnp.multiply.outer(positions.astype(dtype), jnp.exp(-math.log(10_000.0) * exponents))
    return jnp.where(jnp.broadcast_to(place % 2 == 0, angles.shape), jnp.sin(angles), jnp.cos(angles))


def real_positions(x: Array, mask: Array | None) -> Array:
    """The number of each position, `(batch or 1, time)`: how many real ones stand before it; for padding any."""
    if mask is None:
        return jnp.arange(x.shape[1])[None]
    return jnp.maximum(jnp.cumsum(mask.astype(jnp.int32), 1) - 1, 0)
