"""A learned position in front of a sequence, which gathers what is to be said of the whole, and taking it out again."""

from __future__ import annotations

import jax.numpy as jnp

from jaxann.core.checks import check_floating, fail
from jaxann.core.factories import factory
from jaxann.core.keys import fold_name
from jaxann.core.padding import Padded, check_positions, zero_padding
from jaxann.core.products import Initializer, Layer
from jaxann.initializers import normal

__all__ = ["class_token", "first_position"]


@factory(Layer, traits=("ends_sequence",))
def class_token(*, kernel_init: Initializer | None = None):
    """y = (c, x_1, ..., x_T): a learned vector as one more position before all others.

    Args:
        kernel_init: distribution of c, N(0, 0.02^2) when None.

    Input: `(batch, time, features)`; output `(batch, time + 1, features)`, `Padded` where there is padding. Parameters:
    `weight` `(features,)`.

    Peers: none of PyTorch, Keras and flax has it as a layer; torchvision's VisionTransformer begins with zeros.

    Source: Devlin et al. 2019; Dosovitskiy et al. 2021.

    Raises:
        InputError: x is no `(batch, time, features)`.
    """

    def init(key, spec):
        check_floating("class_token", "spec", spec)
        check_positions("class_token", "spec", spec)
        draw = kernel_init or normal(0.02)
        return {"weight": draw(fold_name(key, "weight"), spec.shape[2:], spec.dtype)}, {}

    def apply(params, state, x, *, key=None, train=False, sequence_mask=None):
        check_floating("class_token", "x", x)
        check_positions("class_token", "x", x)
        if x.shape[2:] != params["weight"].shape:
            fail("class_token", "x", f"of {params['weight'].shape[0]} features", f" shape {x.shape}")
        token = jnp.broadcast_to(params["weight"].astype(x.dtype), (x.shape[0], 1, x.shape[2]))
        y = jnp.concatenate([token, x], 1)
        if sequence_mask is None:
            return y, state
        there = jnp.ones((x.shape[0], 1), sequence_mask.dtype)
        return Padded(y, jnp.concatenate([there, sequence_mask], 1)), state

    return init, apply


@factory(Layer, traits=("ends_sequence",))
def first_position():
    """The first position of each sequence, `(batch, time, ...) -> (batch, ...)`; no parameters.

    It is the first one that is real; of a sequence of padding alone it is 0.

    Peers: what BERT and vision transformers classify by; none of PyTorch, Keras and flax has it as a layer.

    Raises:
        InputError: x has no positions, or holds no floating numbers.
    """

    def init(key, spec):
        return {}, {}

    def apply(params, state, x, *, key=None, train=False, sequence_mask=None):
        check_floating("first_position", "x", x)
        if x.ndim < 2 or x.shape[1] == 0:
            fail("first_position", "x", "of shape (batch, time, ...), with at least one position", f" shape {x.shape}")
        if sequence_mask is None:
            return x[:, 0], state
        place = jnp.argmax(sequence_mask.astype(bool), 1)
        return jnp.take_along_axis(zero_padding(x, sequence_mask), place.reshape(-1, *(1,) * (x.ndim - 1)), 1)[
            :, 0
        ], state

    return init, apply
