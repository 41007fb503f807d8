"""A learned vector for each of a fixed number of ids."""

from __future__ import annotations

import math

import jax.numpy as jnp

from jaxann import ops
from jaxann.core.checks import check_count, check_flag, check_integer, fail
from jaxann.core.factories import factory
from jaxann.core.keys import fold_name
from jaxann.core.products import Initializer, Layer
from jaxann.initializers import normal

__all__ = ["embedding"]


@factory(Layer, static=("vocabulary", "features", "padding_id", "scale"), traits=("positionwise",))
def embedding(
    vocabulary: int,
    features: int,
    *,
    padding_id: int | None = None,
    scale: bool = False,
    kernel_init: Initializer | None = None,
):
    """y = E[id]: the row of a table that an id names; with scale, times sqrt(features).

    Args:
        vocabulary: number of ids, 0 to vocabulary - 1.
        features: length of a row.
        padding_id: an id that gives 0 and learns nothing; None for no such id.
        scale: whether rows are multiplied by sqrt(features), as where a transformer adds positions to them.
        kernel_init: distribution of E, N(0, 1) when None; GPT and BERT have `initializers.normal(0.02)`.

    Input: whole numbers `(batch, ...)`; output `(batch, ..., features)`. Parameters: `weight` `(vocabulary, features)`
    of JAX's own floating dtype, for ids say nothing of one. Inside a program an id out of range gives NaN, so that the
    loss tells of it.

    Peers: as PyTorch's Embedding, whose padding_idx gives its row as it stands (0 at first); Keras' is drawn from
    U(-0.05, 0.05), flax's Embed from a normal distribution of variance 1 / features.

    Raises:
        InputError: an argument is out of range, or x holds no whole numbers or one that is no id.
    """
    check_integer("embedding", "vocabulary", vocabulary)
    check_integer("embedding", "features", features)
    check_flag("embedding", "scale", scale)
    if padding_id is not None:
        check_count("embedding", "padding_id", padding_id)
        if padding_id >= vocabulary:
            fail("embedding", "padding_id", f"below the vocabulary of {vocabulary}", padding_id)

    def check(argument, x):
        if not jnp.issubdtype(x.dtype, jnp.integer):
            fail("embedding", argument, "whole numbers, the ids", f" {x.dtype}")

    def init(key, spec):
        check("spec", spec)
        draw, dtype = kernel_init or normal(1.0), jnp.result_type(float)
        return {"weight": draw(fold_name(key, "weight"), (vocabulary, features), dtype)}, {}

    def apply(params, state, x, *, key=None, train=False):
        check("x", x)
        y = ops.embed(x, params["weight"], padding_id=padding_id)
        return (y * jnp.asarray(math.sqrt(features), y.dtype) if scale else y), state

    return init, apply
