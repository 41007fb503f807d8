"""Attention of one sequence to another: what a decoder reads of what an encoder wrote."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxann import ops
from jaxann.core.checks import check_flag, check_floating, fail
from jaxann.core.factories import factory
from jaxann.core.products import Initializer, Layer, LayerFunctions
from jaxann.core.typing import Array, Scalar
from jaxann.layers.attention import checked_heads
from jaxann.layers.base import init_child, run_child
from jaxann.layers.branches import refuse_mask
from jaxann.layers.dense import dense
from jaxann.layers.dropout import keep_factor
from jaxann.layers.source import reading, sequence_of

__all__ = ["CrossAttentionCarry", "cross_attention"]


class CrossAttentionCarry(NamedTuple):
    """What `cross_attention` has of its source, the same at every position."""

    keys: Array  # (batch, time of the source, groups, d)
    values: Array
    real: Array  # bool (batch, time of the source), False for padding


@factory(Layer, static=("features", "heads", "groups", "head_features", "use_bias"), traits=("reads_source",))
def cross_attention(
    features: int,
    heads: int = 1,
    *,
    groups: int | None = None,
    head_features: int | None = None,
    dropout: Scalar | None = None,
    use_bias: bool = True,
    kernel_init: Initializer | None = None,
    out_init: Initializer | None = None,
):
    """Each position takes of a second sequence M what its keys say to the query: y = softmax(Q K^T / sqrt(d)) V W_o.

    Q is x W + b, K and V are M W + b, one product for all heads. See `ops.attention`.

    Args:
        features: of the output.
        heads: number of heads.
        groups: number of heads of keys and values, which divides heads; heads when None.
        head_features: d, of a head; features / heads when None.
        dropout: probability of dropping a weight after the softmax, in [0, 1); None for no dropout.
        use_bias: whether the maps have biases.
        kernel_init, out_init: distributions of the weights of `query` and `key_value`, and of `out`, `lecun_normal()`
            when None.

    Input: `{"x": (batch, time, any), "source": (batch, other time, any)}`, either of them `Padded` where it has
    padding; padding of the source is seen by none. Output: `(batch, time, features)`, `Padded` where x is. Parameters:
    `query`; `key_value`, the keys' outputs first, then the values'; `out`: dense layers. One position at a time, keys
    and values are computed once, by `start(params, batch, source=...)`, and x is an array.

    Peers: as PyTorch's MultiheadAttention given another key and value than the query; Keras' MultiHeadAttention.

    Source: Bahdanau et al. 2015; Vaswani et al. 2017.

    Raises:
        InputError: an argument is out of range, heads do not divide features, x is none of these or a mask is given
            beside it, or `train=True` comes without a key where there is dropout.
    """
    function = "cross_attention"
    shared, size = checked_heads(function, features, heads, groups, head_features, dropout)
    check_flag(function, "use_bias", use_bias)
    children = {
        "query": dense(heads * size, use_bias=use_bias, kernel_init=kernel_init),
        "key_value": dense(2 * shared * size, use_bias=use_bias, kernel_init=kernel_init),
        "out": dense(features, use_bias=use_bias, kernel_init=out_init),
    }

    def init(key, spec):
        given = reading(function, "spec", spec)
        check_floating(function, "spec", given.x)
        check_floating(function, "spec", given.source)
        inside = jax.ShapeDtypeStruct((*given.x.shape[:2], heads * size), given.x.dtype)
        made = {
            name: init_child(children[name], name, key, one)
            for name, one in (("query", given.x), ("key_value", given.source), ("out", inside))
        }
        return tuple({name: pair[i] for name, pair in made.items()} for i in (0, 1))

    def read(params, state, source, context):
        mixed, _ = run_child(children["key_value"], "key_value", params, state, source, **context)
        split = mixed.reshape(*source.shape[:2], 2, shared, size)
        return split[:, :, 0], split[:, :, 1]

    def apply(params, state, x, *, key=None, train=False, sequence_mask=None, **context):
        refuse_mask(function, sequence_mask)
        given, context = reading(function, "x", x), {"train": train, **context}
        (batch, time), other = given.x.shape[:2], given.source.shape[1]
        mixed, _ = run_child(children["query"], "query", params, state, given.x, **context)
        keys, values = read(params, state, given.source, context)
        y = ops.attention(
            mixed.reshape(batch, time, heads, size),
            keys,
            values,
            mask=ops.attention_mask(time, other, real=given.real) if time and other else None,
            keep=keep_factor(function, dropout, (batch, heads, time, other), key, train, given.x.dtype),
        )
        y, _ = run_child(children["out"], "out", params, state, y.reshape(batch, time, heads * size), **context)
        return given.like(y), state

    def start(params, batch, *, source):
        values, real = sequence_of(source)
        if len(values.shape) != 3 or values.shape[0] != batch:
            shape = f" shape {tuple(values.shape)}"
            fail(f"{function}.start", "source", f"of shape ({batch}, time, features)", shape)
        if real is None:
            real = jnp.ones(values.shape[:2], bool)
        return CrossAttentionCarry(*read(params, _NOTHING, values, {}), jnp.asarray(real).astype(bool))

    def step(params, carry, x):
        if x.ndim != 2:
            fail(function, "x", "of shape (batch, features)", f" shape {x.shape}")
        query = run_child(children["query"], "query", params, _NOTHING, x[:, None])[0]
        query = query.reshape(x.shape[0], 1, heads, size)
        y = ops.attention(query, carry.keys, carry.values, mask=carry.real[:, None, None])
        y = run_child(children["out"], "out", params, _NOTHING, y.reshape(x.shape[0], heads * size))[0]
        return y, carry

    return LayerFunctions(init, apply, children, start, step)


_NOTHING = {"query": {}, "key_value": {}, "out": {}}  # the state of the maps
