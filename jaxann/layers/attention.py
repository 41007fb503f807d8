"""Self-attention with several heads, over whole sequences and one position at a time."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxann import ops
from jaxann.core.checks import check_choice, check_flag, check_floating, check_integer, check_range, fail
from jaxann.core.factories import factory
from jaxann.core.padding import check_positions, zero_padding
from jaxann.core.products import Initializer, Layer, LayerFunctions
from jaxann.core.typing import Array, Params, Scalar
from jaxann.layers.base import init_child, run_child
from jaxann.layers.dense import dense
from jaxann.layers.dropout import keep_factor

__all__ = [
    "AttentionCarry",
    "attention_heads",
    "checked_heads",
    "distance_buckets",
    "multi_head_attention",
    "position_bias",
]


class AttentionCarry(NamedTuple):
    """What `multi_head_attention` remembers of the positions before."""

    keys: Array  # (batch, context, groups, d), position p at place p modulo context
    values: Array
    position: Array  # int32 (), of the next one


@factory(
    Layer,
    static=("features", "heads", "groups", "head_features", "causal", "window", "positions", "context", "use_bias"),
)
def multi_head_attention(
    features: int,
    heads: int,
    *,
    groups: int | None = None,
    head_features: int | None = None,
    causal: bool = False,
    window: int | None = None,
    positions: str | None = None,
    dropout: Scalar | None = None,
    context: int | None = None,
    use_bias: bool = True,
    kernel_init: Initializer | None = None,
    out_init: Initializer | None = None,
):
    """Each position takes of all others what their keys say to its query: y = softmax(Q K^T / sqrt(d)) V W_o.

    Q, K and V are x W + b, one product for all heads. See `ops.attention`.

    Args:
        features: of the output.
        heads: number of heads.
        groups: number of heads of keys and values, which divides heads; heads when None. 1 is multi-query attention.
        head_features: d, of a head; features / heads when None.
        causal: whether no position sees a later one.
        window: positions that are so far away, or further, are not seen; None sees all.
        positions: "rotary" turns queries and keys by their positions (`ops.rotary`), "alibi" takes off what is far away
            (`ops.alibi`), "relative" adds a learned number for each head and kind of distance, 32 kinds up to 128
            positions (`ops.relative_buckets`); None knows no order.
        dropout: probability of dropping a weight after the softmax, in [0, 1); None for no dropout.
        context: how many positions `step` remembers, the last ones; None where nothing goes position by position.
        use_bias: whether the maps have biases.
        kernel_init, out_init: distributions of the weights of `qkv` and of `out`, `lecun_normal()` when None.

    Input: `(batch, time, any)`; output `(batch, time, features)`. Positions of padding are seen by none. Parameters:
    `qkv`, a dense layer of (heads + 2 groups) d outputs, those of the queries first, then keys, then values; `out`, a
    dense layer; `distances` `(32, heads)`, zeros at first, with relative positions.

    Peers: as PyTorch's MultiheadAttention with batch_first=True for one input, and the attention of GPT and Llama;
    PyTorch draws weights by xavier_uniform and has no groups, windows or positions. Keras' MultiHeadAttention.

    Source: Vaswani et al. 2017; relative positions as in Raffel et al. 2020, where all layers share them.

    Raises:
        InputError: an argument is out of range, heads do not divide features, x is no `(batch, time, features)`, or
            `train=True` comes without a key where there is dropout.
    """
    function = "multi_head_attention"
    shared, size = checked_heads(function, features, heads, groups, head_features, dropout)
    for name, number in (("window", window), ("context", context)):
        if number is not None:
            check_integer(function, name, number)
    check_flag(function, "causal", causal)
    check_flag(function, "use_bias", use_bias)
    if positions is not None:
        check_choice(function, "positions", positions, ("rotary", "alibi", "relative"))
    if positions == "rotary" and size % 2:
        fail(function, "head_features", "even for rotary positions", size)
    if context is not None and not causal:
        fail(function, "context", "None where later positions are seen", context)
    children = {
        "qkv": dense((heads + 2 * shared) * size, use_bias=use_bias, kernel_init=kernel_init),
        "out": dense(features, use_bias=use_bias, kernel_init=out_init),
    }

    def init(key, spec):
        check_floating(function, "spec", spec)
        check_positions(function, "spec", spec)
        inside = jax.ShapeDtypeStruct((*spec.shape[:2], heads * size), spec.dtype)
        made = {"qkv": init_child(children["qkv"], "qkv", key, spec)}
        made["out"] = init_child(children["out"], "out", key, inside)
        params, state = ({name: pair[i] for name, pair in made.items()} for i in (0, 1))
        if positions == "relative":
            params["distances"] = jnp.zeros((_BUCKETS, heads), spec.dtype)
        return params, state

    def apply(params, state, x, *, key=None, train=False, sequence_mask=None, **context):
        check_positions(function, "x", x)
        if sequence_mask is not None:
            x = zero_padding(x, sequence_mask)
        mixed, _ = run_child(children["qkv"], "qkv", params, state, x, train=train, **context)
        query, keys, values = attention_heads(mixed, heads, shared, positions)
        time = x.shape[1]
        y = ops.attention(
            query,
            keys,
            values,
            mask=ops.attention_mask(time, time, causal=causal, window=window, real=sequence_mask) if time else None,
            bias=position_bias(positions, params, heads, time, causal),
            keep=keep_factor(function, dropout, (x.shape[0], heads, time, time), key, train, x.dtype),
        )
        y, _ = run_child(
            children["out"], "out", params, state, y.reshape(*x.shape[:2], heads * size), train=train, **context
        )
        return y, state

    if not causal:
        return LayerFunctions(init, apply, children)

    def start(params, batch):
        if context is None:
            fail(f"{function}.start", "context", "a number of positions to remember, given to the layer", None)
        empty = jnp.zeros((batch, context, shared, size), params["qkv"]["weight"].dtype)
        return AttentionCarry(empty, empty, jnp.int32(0))

    def step(params, carry, x):
        if x.ndim != 2:
            fail(function, "x", "of shape (batch, features)", f" shape {x.shape}")
        mixed = run_child(children["qkv"], "qkv", params, _NOTHING, x[:, None])[0]
        now = carry.position
        query, key, value = attention_heads(mixed, heads, shared, positions, now[None])
        place = now % context
        keys, values = (
            lax.dynamic_update_slice_in_dim(held, new, place, 1)
            for held, new in ((carry.keys, key), (carry.values, value))
        )
        age = (place - jnp.arange(context, dtype=now.dtype)) % context  # of what stands at each place
        seen = age <= now if window is None else (age <= now) & (age < window)
        bias = None
        if positions == "alibi":
            bias = ops.alibi(heads, 1, carry.keys.shape[1])[:, :, :, ::-1][..., age]  # of age a: -m a
        elif positions == "relative":
            bias = jnp.asarray(params["distances"])[distance_buckets(age, causal)].T[None, :, None]
        y = ops.attention(query, keys, values, mask=seen[None, None, None], bias=bias)
        y = run_child(children["out"], "out", params, _NOTHING, y.reshape(x.shape[0], heads * size))[0]
        return y, AttentionCarry(keys, values, now + 1)

    return LayerFunctions(init, apply, children, start, step)


def checked_heads(
    function: str,
    features: int,
    heads: int,
    groups: int | None,
    head_features: int | None,
    dropout: Scalar | None,
) -> tuple[int, int]:
    """`(groups, d)` of attention with these arguments.

    Raises:
        InputError: one is out of range, or they do not divide each other.
    """
    for name, number in (("features", features), ("heads", heads)):
        check_integer(function, name, number)
    for name, number in (("groups", groups), ("head_features", head_features)):
        if number is not None:
            check_integer(function, name, number)
    if dropout is not None:
        check_range(function, "dropout", dropout, 0, 1, open_high=True)
    shared = heads if groups is None else groups
    if heads % shared:
        fail(function, "groups", f"a divisor of the {heads} heads", groups)
    if head_features is None and features % heads:
        fail(function, "heads", f"a divisor of the {features} features", heads)
    return shared, features // heads if head_features is None else head_features


_BUCKETS = 32  # kinds of distance


def distance_buckets(distance: Array, causal: bool) -> Array:
    """The row of `distances` for a key that stands so many positions before the query."""
    return ops.relative_buckets(distance, causal=causal, buckets=_BUCKETS)


def position_bias(positions: str | None, params: Params, heads: int, time: int, causal: bool) -> Array | None:
    """What is added to the scores of a whole sequence, `(1, heads, time, time)`; None where nothing is."""
    if positions == "alibi" and time:
        return ops.alibi(heads, time, time)
    if positions == "relative" and time:
        before = jnp.arange(time)[:, None] - jnp.arange(time)[None]
        return jnp.moveaxis(jnp.asarray(params["distances"])[distance_buckets(before, causal)], 2, 0)[None]
    return None


_NOTHING = {"qkv": {}, "out": {}}  # the state of both maps


def attention_heads(
    mixed: Array, heads: int, groups: int, positions: str | None, places: Array | None = None
) -> tuple[Array, Array, Array]:
    """Queries `(batch, time, heads, d)`, keys and values `(batch, time, groups, d)` of what all heads are made of.

    Args:
        mixed: `(batch, time, (heads + 2 groups) d)`.
        heads, groups: how many.
        positions: "rotary" turns queries and keys.
        places: `(time,)`, by how much; 0, 1, ... when None.
    """
    batch, time, width = mixed.shape
    split = mixed.reshape(batch, time, heads + 2 * groups, width // (heads + 2 * groups))
    query, key, value = split[:, :, :heads], split[:, :, heads : heads + groups], split[:, :, heads + groups :]
    if positions == "rotary":
        places = jnp.arange(time) if places is None else places
        query, key = ops.rotary(query, places), ops.rotary(key, places)
    return query, key, value
