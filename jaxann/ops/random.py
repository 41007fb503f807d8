"""Cheap pseudo-random numbers by position: a mask and a permutation as pure arithmetic.

`jax.random` spends about 20 rounds of Threefry on a word, and a permutation by sorting. Both are too dear for a small
training step on a CPU (a quarter and more of its time), so dropout masks and the order of examples come from a hash of
the position, seeded by words drawn once from the key with `jax.random`. Each is elementwise arithmetic on 32-bit
integers: the same under jit, vmap and sharding, the same on every device, and different for every key.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxann.core.typing import Array, Key, Scalar

__all__ = ["keep_mask", "shuffled_positions", "word_at"]

_GOLDEN = np.uint32(0x9E3779B9)
_ROUNDS = 24


def word_at(positions: Array, hash_key: Array) -> Array:
    """A pseudo-random 32-bit word for each position (uint32), by two rounds of a multiply-xorshift hash.

    Args:
        positions: uint32, any shape.
        hash_key: uint32 of shape (2,), drawn from a key: the first shifts the positions, the second enters between the
            rounds, so that two of them do not give two orders of the same words.

    The multipliers are those of the hash found by Wellons 2018 (avalanche bias 0.17 for one round).
    """
    x = positions * _GOLDEN + hash_key[0]
    for between in (hash_key[1], None):
        x = x ^ (x >> np.uint32(16))
        x = x * np.uint32(0x7FEB352D)
        x = x ^ (x >> np.uint32(15))
        x = x * np.uint32(0x846CA68B)
        x = x ^ (x >> np.uint32(16))
        x = x if between is None else x ^ between
    return x


def keep_mask(key: Key, rate: Scalar, shape: tuple[int, ...]) -> Array:
    """True with probability 1 - rate, independently for each place: what dropout keeps.

    The rate is resolved to 2^-32; at 0 all is kept, and at 1 all but one place in 2^32.
    """
    hash_key = jax.random.bits(key, (2,), jnp.uint32)
    words = word_at(jnp.arange(math.prod(shape), dtype=jnp.uint32), hash_key)
    limit = jnp.clip(jnp.asarray(rate, jnp.float32), 0.0, 1.0) * np.float32(2**32)
    limit = jnp.minimum(limit, np.float32(2**32 - 256))  # the greatest float32 below 2^32
    return (words >= limit.astype(jnp.uint32)).reshape(shape)


def shuffled_positions(key: Key, positions: Array, size: Scalar) -> Array:
    """The image of each position under a pseudo-random permutation of 0..size-1, by the swap-or-not shuffle.

    In each of 24 rounds the position i has one partner, (K - i) mod size, and a hash of the pair decides whether the
    two swap. Every round is a permutation, so the whole is one: no sort, no memory, exact for every size. Source:
    Hoang, Morris and Rogaway 2012.

    Args:
        key: one key a permutation.
        positions: int32, any shape, each in 0..size-1.
        size: number of examples, at least 1; may be traced.
    """
    n = jnp.asarray(size, jnp.uint32)
    hash_key = jax.random.bits(key, (2,), jnp.uint32)
    words = word_at(jnp.arange(3 * _ROUNDS, dtype=jnp.uint32), hash_key).reshape(3, _ROUNDS)
    pivots, factors, offsets = words[0] % n, words[1] | np.uint32(1), words[2]

    def one_round(turn, i):
        pivot = pivots[turn]
        partner = jnp.where(i > pivot, pivot + n - i, pivot - i)
        decider = jnp.maximum(i, partner) * factors[turn] + offsets[turn]
        decider = (decider ^ (decider >> np.uint32(15))) * np.uint32(0x846CA68B)
        return jnp.where((decider >> np.uint32(31)) == 1, partner, i)

    # A loop, so that XLA holds the result in memory: fused into a gather it would be computed for every number read,
    # and several rounds fused into one pass are computed several times over.
    i = lax.fori_loop(0, _ROUNDS, one_round, positions.astype(jnp.uint32))
    return i.astype(jnp.int32)
