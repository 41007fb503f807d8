"""Masks and permutations by arithmetic: rates, independence, and every order equally often."""

from __future__ import annotations

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxann.ops import keep_mask, shuffled_positions, word_at

LEAST = 1e-5  # probability of a false alarm, for each test of a fixed key: nothing here is drawn anew


@functools.partial(jax.jit, static_argnums=2)
def permute(key: jax.Array, size: int | jax.Array, length: int) -> jax.Array:
    """The images of 0..length-1."""
    return shuffled_positions(key, jnp.arange(length, dtype=jnp.int32), size)


permutations = jax.jit(jax.vmap(lambda key, n, size: permute(key, size, n), in_axes=(0, None, None)), static_argnums=1)


def _fair(counts: np.ndarray) -> None:
    assert stats.chisquare(counts.ravel()).pvalue > LEAST


@pytest.mark.parametrize("rate", [0.01, 0.25, 0.5, 0.9])
def test_mask_keeps_the_stated_share(rate: float):
    mask = np.asarray(keep_mask(jax.random.key(1), rate, (1000, 1000)))
    assert abs(mask.mean() - (1 - rate)) < 4.5 * np.sqrt(rate * (1 - rate) / mask.size)
    for axis in (0, 1):  # no row and no column stands out
        shares = mask.mean(axis)
        z = (shares - (1 - rate)) / np.sqrt(rate * (1 - rate) / 1000)
        assert abs(z.std() - 1) < 0.12 and np.abs(z).max() < 5


def test_mask_at_its_ends():
    assert keep_mask(jax.random.key(1), 0.0, (100_000,)).all()
    assert np.asarray(keep_mask(jax.random.key(1), 1.0, (100_000,))).sum() <= 1
    assert keep_mask(jax.random.key(1), 0.5, ()).shape == () and keep_mask(jax.random.key(1), 0.5, (0, 3)).shape == (
        0,
        3,
    )


@pytest.mark.parametrize("step", [1, 2, 3, 7, 64, 256, 1024, 65536])
def test_mask_of_neighbours_is_independent(step: int):
    mask = np.asarray(keep_mask(jax.random.key(2), 0.5, (1 << 19,)))
    pairs = mask[:-step] * 2 + mask[step:]
    _fair(
        np.bincount(pairs[:: 2 * step] if step == 1 else pairs[(np.arange(pairs.size) // step) % 2 == 0], minlength=4)
    )


def test_masks_of_other_keys_are_independent():
    keys = [jax.random.key(3), jax.random.key(4), jax.random.fold_in(jax.random.key(3), 1)]
    masks = [np.asarray(keep_mask(key, 0.5, (200_000,))) for key in keys]
    for a, b in itertools.combinations(masks, 2):
        _fair(np.bincount(a * 2 + b, minlength=4))
    many = np.asarray(jax.jit(jax.vmap(lambda k: keep_mask(k, 0.5, (256,))))(jax.random.split(jax.random.key(5), 2000)))
    correlation = np.corrcoef(many.T.astype(float))
    off = correlation[~np.eye(256, dtype=bool)]
    assert np.abs(off).max() < 6 / np.sqrt(2000)
    _fair(np.bincount(many[:, 0] * 8 + many[:, 1] * 4 + many[:, 7] * 2 + many[:, 255], minlength=16))


def test_mask_runs_have_geometric_lengths():
    mask = np.asarray(keep_mask(jax.random.key(6), 0.5, (400_000,)))
    lengths = np.diff(np.flatnonzero(np.diff(mask.astype(int)) != 0))
    counts = np.bincount(np.minimum(lengths, 10), minlength=11)[1:]
    shares = 0.5 ** np.arange(1, 11)
    shares[-1] *= 2
    assert stats.chisquare(counts, shares * counts.sum()).pvalue > LEAST


def test_words_fill_all_their_bits():
    words = np.asarray(word_at(jnp.arange(1 << 16, dtype=jnp.uint32), jnp.array([1, 2], jnp.uint32)))
    bits = (words[:, None] >> np.arange(32, dtype=np.uint32)) & 1
    assert np.abs(bits.mean(0) - 0.5).max() < 4.5 * 0.5 / 256
    flips = (
        np.asarray(word_at(jnp.arange(1 << 16, dtype=jnp.uint32) ^ jnp.uint32(1), jnp.array([1, 2], jnp.uint32)))
        ^ words
    )
    assert abs(np.bitwise_count(flips).mean() - 16) < 0.1  # one bit in, half the bits out


def test_words_of_two_seeds_are_not_one_row_shifted():
    positions, golden = jnp.arange(10_000, dtype=jnp.uint32), jnp.uint32(0x9E3779B9)
    first = jnp.uint32(12345)
    a = word_at(positions + jnp.uint32(5), jnp.stack([first, jnp.uint32(1)]))
    b = word_at(positions, jnp.stack([first + jnp.uint32(5) * golden, jnp.uint32(2)]))  # the same start of the hash
    assert (np.asarray(a) == np.asarray(b)).sum() <= 1


def test_every_size_gives_a_permutation():
    for first in range(1, 301, 60):
        sizes = jnp.arange(first, first + 60)
        images = jax.jit(jax.vmap(lambda n: permute(jax.random.key(7), n, 360)))(sizes)
        for size, image in zip(np.asarray(sizes), np.asarray(images), strict=True):
            np.testing.assert_array_equal(np.sort(image[:size]), np.arange(size))
    image = np.asarray(permute(jax.random.key(7), 60_000, 60_000))
    assert image.dtype == np.int32
    np.testing.assert_array_equal(np.sort(image), np.arange(60_000))


@pytest.mark.parametrize("size", [2, 3, 4, 5])
def test_all_orders_come_equally_often(size: int):
    orders = np.asarray(permutations(jax.random.split(jax.random.key(8), 60_000), size, size))
    table = {order: i for i, order in enumerate(itertools.permutations(range(size)))}
    counts = np.bincount([table[tuple(order)] for order in orders.tolist()], minlength=len(table))
    _fair(counts)


def test_every_position_takes_every_place_equally_often():
    orders = np.asarray(permutations(jax.random.split(jax.random.key(9), 20_000), 50, 50))
    counts = np.stack([np.bincount(orders[:, i], minlength=50) for i in range(50)])
    expected = 20_000 / 50
    statistic = ((counts - expected) ** 2 / expected).sum()
    assert LEAST < stats.chi2.sf(statistic, 49 * 49) < 1 - LEAST
    _fair(np.bincount((orders[:, 1] - orders[:, 0]) % 50, minlength=50)[1:])  # neighbours part


def test_long_permutations_have_no_serial_correlation():
    orders = np.asarray(permutations(jax.random.split(jax.random.key(10), 20), 10_000, 10_000)).astype(float)
    for lag in (1, 2, 100, 5000):
        a, b = orders[:, :-lag] - 4999.5, orders[:, lag:] - 4999.5
        correlation = (a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum())
        assert abs(correlation) < 4.5 / np.sqrt(a.size)
    rank = np.corrcoef(np.arange(10_000), orders)[0, 1:]
    assert np.abs(rank).max() < 5 / np.sqrt(10_000)
    fixed = (orders == np.arange(10_000)).sum()
    assert stats.poisson.sf(fixed - 1, 20) > LEAST and stats.poisson.cdf(fixed, 20) > LEAST


def test_traced_size_equals_static_size_and_vmap_equals_a_loop():
    key, positions = jax.random.key(11), jnp.arange(40, dtype=jnp.int32)
    shuffle = jax.jit(shuffled_positions)
    static = jax.jit(lambda k: shuffled_positions(k, positions, 40))(key)
    np.testing.assert_array_equal(shuffle(key, positions, jnp.int32(40)), static)
    np.testing.assert_array_equal(shuffle(key, positions.reshape(8, 5)[3], 40), static.reshape(8, 5)[3])
    keys = jax.random.split(key, 3)
    many = jax.jit(jax.vmap(lambda k: shuffled_positions(k, positions, 40)))(keys)
    for image, k in zip(many, keys, strict=True):
        np.testing.assert_array_equal(image, shuffle(k, positions, 40))
    assert (np.asarray(many[0]) != np.asarray(many[1])).any()
