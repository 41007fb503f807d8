"""Scaled dot-product attention, who may attend to whom, and positions as rotations, as biases, as distances."""

from __future__ import annotations

import math

import jax.numpy as jnp
from jax import lax

from jaxann.core.checks import check_array, check_integer, fail
from jaxann.core.logits import softmax
from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array, Scalar

__all__ = ["alibi", "attention", "attention_mask", "attention_weights", "relative_buckets", "rotary"]


def attention(
    query: Array,
    key: Array,
    value: Array,
    *,
    mask: Array | None = None,
    bias: Array | None = None,
    scale: Scalar | None = None,
    keep: Array | None = None,
) -> Array:
    """softmax(Q K^T / sqrt(d) + bias) V for each example and head; a query whose mask is all False gives 0.

    Args:
        query: `(batch, queries, heads, d)`.
        key, value: `(batch, keys, groups, d)` and `(batch, keys, groups, features)`. Heads are a multiple of groups:
            each group serves heads / groups heads next to each other. One group is multi-query attention, fewer groups
            than heads are grouped queries.
        mask: of what can be broadcast to `(batch, heads, queries, keys)`; True where a query may attend to a key.
        bias: of the same, added before the softmax.
        scale: in place of 1 / sqrt(d).
        keep: `(batch, heads, queries, keys)`, what the weights are multiplied by after the softmax: dropout.

    Returns:
        `(batch, queries, heads, features)`. Scores and softmax are in float32 or better.

    Peers: as PyTorch's scaled_dot_product_attention, whose arrays have heads before positions and whose boolean mask
    means the same; there a query that may attend to nothing gives NaN. As jax.nn.dot_product_attention.

    Source: Vaswani et al. 2017; Shazeer 2019; Ainslie et al. 2023.

    Raises:
        InputError: shapes do not fit together, or an array is masked.
    """
    for name, array in (("value", value), ("keep", keep)):
        if array is not None:
            check_array("attention", name, array)
    shape = _check_shapes(query, key, mask, bias)
    if keep is not None and keep.shape != shape:
        fail("attention", "keep", f"of shape {shape}", f" shape {keep.shape}")
    if value.ndim != 4 or value.shape[:3] != key.shape[:3]:
        fail("attention", "value", f"of shape {key.shape[:3]} and features, as key", f" shape {value.shape}")
    weights = attention_weights(query, key, mask=mask, bias=bias, scale=scale)
    if keep is not None:
        weights = weights * jnp.asarray(keep, weights.dtype)
    batch, heads, queries, keys = weights.shape
    groups = value.shape[2]
    shared = weights.astype(value.dtype).reshape(batch, groups, heads // groups * queries, keys)
    # (batch, groups, heads of a group x queries, keys) times (batch, keys, groups, features)
    y = lax.dot_general(shared, value, (((3,), (1,)), ((0, 1), (0, 2))), preferred_element_type=wide_dtype(value.dtype))
    y = y.astype(query.dtype).reshape(batch, heads, queries, value.shape[3])
    return jnp.swapaxes(y, 1, 2)


def attention_weights(
    query: Array, key: Array, *, mask: Array | None = None, bias: Array | None = None, scale: Scalar | None = None
) -> Array:
    """softmax(Q K^T / sqrt(d) + bias), `(batch, heads, queries, keys)`: what each query takes of each key.

    Args:
        query, key, mask, bias, scale: as of `attention`.

    Raises:
        InputError: shapes do not fit together, or an array is masked.
    """
    batch, heads, queries, keys = shape = _check_shapes(query, key, mask, bias)
    size, groups = query.shape[3], key.shape[2]
    wide = wide_dtype(query.dtype)
    factor = jnp.asarray(1 / math.sqrt(size) if scale is None else scale, wide)
    turned = jnp.swapaxes(query, 1, 2).reshape(batch, groups, heads // groups * queries, size)
    scores = lax.dot_general(turned, key, (((3,), (3,)), ((0, 1), (0, 2))), preferred_element_type=wide)
    scores = scores.reshape(shape) * factor
    if bias is not None:
        scores = scores + _stretched(bias, shape).astype(wide)
    where = None if mask is None else _stretched(mask, shape).astype(bool)
    return softmax(scores, -1, where)


def _check_shapes(query: Array, key: Array, mask: Array | None, bias: Array | None) -> tuple[int, int, int, int]:
    """`(batch, heads, queries, keys)`, before anything is computed."""
    for name, array in (("query", query), ("key", key), ("mask", mask), ("bias", bias)):
        if array is not None:
            check_array("attention", name, array)
    if query.ndim != 4:
        fail("attention", "query", "of shape (batch, queries, heads, d)", f" shape {query.shape}")
    batch, queries, heads, size = query.shape
    if key.ndim != 4 or key.shape[0] != batch or key.shape[3] != size:
        fail("attention", "key", f"of shape ({batch}, keys, groups, {size})", f" shape {key.shape}")
    keys, groups = key.shape[1:3]
    if groups == 0 or heads % groups:
        fail("attention", "key", f"of groups that divide the {heads} heads", f" {groups} groups")
    shape = (batch, heads, queries, keys)
    for name, array in (("mask", mask), ("bias", bias)):
        if array is not None:
            lengths = (1,) * (4 - array.ndim) + tuple(array.shape)
            if len(lengths) != 4 or any(n not in (1, whole) for n, whole in zip(lengths, shape, strict=True)):
                expected = f"broadcast to (batch, heads, queries, keys) = {shape}"
                fail("attention", name, expected, f" shape {array.shape}")
    return shape


def _stretched(array: Array, shape: tuple[int, ...]) -> Array:
    return jnp.broadcast_to(lax.expand_dims(jnp.asarray(array), range(4 - array.ndim)), shape)


def attention_mask(
    queries: int, keys: int, *, causal: bool = False, window: int | None = None, real: Array | None = None
) -> Array | None:
    """Who may attend to whom, `(batch or 1, 1, queries, keys)`; None where all may to all.

    The last query stands beside the last key: where there are more keys than queries, those before were there first.

    Args:
        queries, keys: how many.
        causal: no key after the query.
        window: no key that is so many positions away or more, itself among the nearest; in both directions where it is
            not causal.
        real: `(batch, keys)`, 0 for a key of padding.

    Raises:
        InputError: a length is none.
    """
    check_integer("attention_mask", "queries", queries)
    check_integer("attention_mask", "keys", keys)
    if window is not None:
        check_integer("attention_mask", "window", window)
    if real is not None:
        check_array("attention_mask", "real", real)
        if real.ndim != 2 or real.shape[1] != keys:
            fail("attention_mask", "real", f"of shape (batch, {keys})", f" shape {real.shape}")
    allowed = None
    ahead = jnp.arange(keys)[None] - jnp.arange(keys - queries, keys)[:, None]  # of the query, by so many positions
    if causal:
        allowed = ahead <= 0
    if window is not None:
        near = jnp.abs(ahead) < window
        allowed = near if allowed is None else allowed & near
    allowed = None if allowed is None else allowed[None, None]
    if real is None:
        return allowed
    there = jnp.asarray(real).astype(bool)[:, None, None]
    shape = (there.shape[0], 1, queries, keys)
    there = jnp.broadcast_to(there, shape)
    return there if allowed is None else there & jnp.broadcast_to(allowed, shape)


def rotary(x: Array, positions: Array, *, base: Scalar = 10_000.0, interleaved: bool = False) -> Array:
    """Pairs of features turned by an angle that grows with the position, so that q k depends on the distance alone.

    With theta_i = base^(-2 i / d) and angle p theta_i, i = 0 to d / 2 - 1:

        (a, b) -> (a cos - b sin,  a sin + b cos)

    Args:
        x: `(batch, time, heads, d)`, d even: queries or keys.
        positions: p, `(time,)` or `(batch, time)`.
        base: the longer, the slower the last pairs turn.
        interleaved: whether pairs are features (0, 1), (2, 3), ... (the paper, GPT-J) and not i and i + d / 2 (Llama).

    Source: Su et al. 2021.

    Raises:
        InputError: d is odd, or shapes do not fit together.
    """
    check_array("rotary", "x", x)
    check_array("rotary", "positions", positions)
    if x.ndim != 4 or x.shape[-1] % 2:
        fail("rotary", "x", "of shape (batch, time, heads, d) with d even", f" shape {x.shape}")
    if positions.shape not in (x.shape[1:2], x.shape[:2]):
        fail("rotary", "positions", f"of shape {x.shape[1:2]} or {x.shape[:2]}", f" shape {positions.shape}")
    wide, half = wide_dtype(x.dtype), x.shape[-1] // 2
    exponents = jnp.arange(half, dtype=wide) / half
    speeds = jnp.exp(-jnp.log(jnp.asarray(base, wide)) * exponents)
    angles = jnp.multiply.outer(jnp.asarray(positions, wide), speeds)
    angles = jnp.broadcast_to(angles.reshape(-1, x.shape[1], 1, half), (*x.shape[:3], half))
    cosine, sine, x_wide = jnp.cos(angles), jnp.sin(angles), x.astype(wide)
    if interleaved:
        a, b = x_wide[..., ::2], x_wide[..., 1::2]
        y = jnp.stack([a * cosine - b * sine, a * sine + b * cosine], -1).reshape(x.shape)
    else:
        a, b = x_wide[..., :half], x_wide[..., half:]
        y = jnp.concatenate([a * cosine - b * sine, a * sine + b * cosine], -1)
    return y.astype(x.dtype)


def alibi(heads: int, queries: int, keys: int) -> Array:
    """-m_h |i - j|, m_h = 2^(-8 h / heads) for head h = 1 to heads: what is further away counts less.

    Args:
        heads, queries, keys: how many; the last query stands beside the last key.

    Returns:
        `(1, heads, queries, keys)`, float32: a bias of `attention`.

    Peers: the slopes of the paper for numbers of heads that are powers of 2. For others the paper's code takes those of
    the power below and every other one of the power above; here the formula is the same for all.

    Source: Press et al. 2022.

    Raises:
        InputError: a number is none.
    """
    for name, number in (("heads", heads), ("queries", queries), ("keys", keys)):
        check_integer("alibi", name, number)
    strength = 2.0 ** (-8 / heads * jnp.arange(1, heads + 1, dtype=jnp.float32))
    apart = jnp.abs(jnp.arange(keys)[None] - jnp.arange(keys - queries, keys)[:, None]).astype(jnp.float32)
    return -(strength[:, None, None] * apart[None])[None]


def relative_buckets(distance: Array, *, causal: bool, buckets: int = 32, furthest: int = 128) -> Array:
    """Which of a few kinds of distance each is: near ones each by itself, further ones more and more together.

    With n of them (half of the buckets, the other half for keys after the query; all where it is causal) and m = n / 2:

        b = d                                                                 where d < m
        b = min(n - 1, m + floor((n - m) log(d / m) / log(furthest / m)))     else

    Args:
        distance: whole numbers, how many positions the key stands before the query; negative after it.
        causal: whether no key after the query is ever seen; those count as 0 away.
        buckets: how many there are.
        furthest: from there on all are one.

    Returns:
        int32, of the distance's shape: a row of a table of biases.

    Source: Raffel et al. 2020 (T5), in whose code the last bucket before n - 1 may begin a position later by float32.

    Raises:
        InputError: buckets are too few, or furthest is not beyond those that are near.
    """
    check_array("relative_buckets", "distance", distance)
    if not jnp.issubdtype(distance.dtype, jnp.integer):
        fail("relative_buckets", "distance", "whole numbers", f" {distance.dtype}")
    check_integer("relative_buckets", "buckets", buckets)
    check_integer("relative_buckets", "furthest", furthest)
    many = buckets if causal else buckets // 2
    near = many // 2
    if near == 0:
        fail("relative_buckets", "buckets", "2 or more, 4 or more where later keys are seen", buckets)
    if furthest <= near:
        fail("relative_buckets", "furthest", f"above the {near} distances that are near", furthest)
    # The first distance of each bucket, exactly: no logarithm of a float decides which bucket it is.
    first = list(range(near))
    for bucket in range(near, many):
        first.append(math.ceil(near * (furthest / near) ** ((bucket - near) / (many - near)) - 1e-9))
    away = jnp.maximum(distance, 0) if causal else jnp.abs(distance)
    found = jnp.searchsorted(jnp.array(first, jnp.int32), away.astype(jnp.int32), side="right") - 1
    return (found if causal else jnp.where(distance < 0, many + found, found)).astype(jnp.int32)
