"""A learned vector for each of a fixed number of ids, and for each of a few segments."""

from __future__ import annotations

import math
from collections.abc import Mapping

import jax.numpy as jnp

from jaxann import ops
from jaxann.core.checks import check_count, check_flag, check_integer, fail
from jaxann.core.factories import factory
from jaxann.core.keys import fold_name
from jaxann.core.padding import Padded
from jaxann.core.products import Initializer, Layer
from jaxann.initializers import normal
from jaxann.layers.branches import check_names, refuse_mask
from jaxann.layers.source import sequence_of

__all__ = ["embedding", "segment_embedding"]


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


@factory(Layer, static=("vocabulary", "features", "segments"))
def segment_embedding(vocabulary: int, features: int, *, segments: int = 2, kernel_init: Initializer | None = None):
    """y = E[id] + S[segment]: what stands there, and which of a few texts it belongs to.

    Args:
        vocabulary: number of ids.
        features: length of a row.
        segments: number of texts that may follow each other.
        kernel_init: distribution of E and S, N(0, 0.02^2) when None.

    Input: ids `(batch, time)`, all of segment 0, or `{"ids": ..., "segments": ...}` of that shape, in which either may
    be `Padded`; output `(batch, time, features)`, `Padded` where the ids in such a dict are. Parameters: `weight`
    `(vocabulary, features)` and `segments` `(segments, features)`.

    Peers: the first half of what BERT begins with; its code counts positions there too (`learned_positions`).

    Source: Devlin et al. 2019.

    Raises:
        InputError: an argument is out of range, or x holds no whole numbers or one that is no id.
    """
    for name, number in (("vocabulary", vocabulary), ("features", features), ("segments", segments)):
        check_integer("segment_embedding", name, number)

    def split(argument, x):
        if not isinstance(x, Mapping):
            return x, None
        check_names("segment_embedding", ("ids", "segments"), x, argument)
        return x["ids"], x["segments"]

    def check(argument, x):
        for one in split(argument, x):
            values = one.values if isinstance(one, Padded) else one
            if values is not None and not jnp.issubdtype(values.dtype, jnp.integer):
                fail("segment_embedding", argument, "whole numbers, the ids", f" {values.dtype}")

    def init(key, spec):
        check("spec", spec)
        draw, dtype = kernel_init or normal(0.02), jnp.result_type(float)
        shapes = {"weight": (vocabulary, features), "segments": (segments, features)}
        return {name: draw(fold_name(key, name), shape, dtype) for name, shape in shapes.items()}, {}

    def apply(params, state, x, *, key=None, train=False, sequence_mask=None):
        check("x", x)
        ids, places = split("x", x)
        if isinstance(x, Mapping):
            refuse_mask("segment_embedding", sequence_mask)
        ids, mask = sequence_of(ids)
        y = ops.embed(ids, params["weight"])
        if places is None:
            return y + jnp.broadcast_to(params["segments"][0], y.shape), state
        places, other = sequence_of(places)
        if places.shape != ids.shape or (other is not None and mask is None):
            given = f" shape {places.shape}" if places.shape != ids.shape else " a mask on the segments alone"
            fail("segment_embedding", "x['segments']", f"of the shape of the ids, {ids.shape}", given)
        y = y + ops.embed(places, params["segments"])
        return (y if mask is None else Padded(y, mask)), state

    return init, apply
