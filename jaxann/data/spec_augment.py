"""Masks over spectrograms `(batch, time, frequency)`, plain or `Padded`."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxann.core.augmentation import Augment
from jaxann.core.checks import check_count, check_integer, check_range
from jaxann.core.factories import factory
from jaxann.core.keys import fold_name
from jaxann.core.padding import Padded
from jaxann.core.typing import Array, Key, Scalar
from jaxann.data.pictures import draw_each, uniforms
from jaxann.data.sequences import as_arrays, sequence_of, whole_below

__all__ = ["spec_augment"]


@factory(Augment, static=("time_masks", "frequency_masks"))
def spec_augment(
    *,
    time_masks: int = 2,
    time_width: Scalar = 100,
    frequency_masks: int = 2,
    frequency_width: Scalar = 27,
    time_share: Scalar = 1.0,
    fill: Scalar = 0.0,
):
    """x with bands of time and of frequency filled: width ~ U{0, ..., greatest}, start ~ U{0, ..., size - width}.

    Args:
        time_masks, frequency_masks: how many bands of each; they may lie over each other.
        time_width, frequency_width: greatest width of one, in frames and in channels of frequency; at most all of them.
        time_share: no band of time is wider than this share of the real frames, in [0, 1].
        fill: what stands in the bands; 0 is the mean of normalized features.

    Takes floating-point x `(batch, time, frequency)` or `Padded`, whose bands of time lie in the real frames; the
    targets stay. The defaults are the paper's of LibriSpeech's double policy, of 80 channels and frames of 10 ms,
    without its time warping, which it found to bring the least.

    Peers: torchaudio's TimeMasking and FrequencyMasking are one band each, the same one for all examples unless
    iid_masks=True, and have the share as p; Keras itself has none.

    Source: Park et al. 2019.

    Raises:
        InputError: an argument is out of range, or (when called) x is not floating point or has not three axes.
    """
    name = "spec_augment"
    for argument, number in (("time_masks", time_masks), ("frequency_masks", frequency_masks)):
        check_integer(name, argument, number, 0)
    for argument, width in (("time_width", time_width), ("frequency_width", frequency_width)):
        check_count(name, argument, width, 0)
    check_range(name, "time_share", time_share, 0, 1)
    check_range(name, "fill", fill)

    def one(key: Key, real: Array, frequencies: int) -> Array:
        frames = jnp.sum(real, dtype=jnp.int32)
        share = jnp.asarray(time_share).astype(jnp.result_type(float))
        most = jnp.floor(share * frames.astype(share.dtype)).astype(jnp.int32)
        most = jnp.minimum(jnp.asarray(time_width).astype(jnp.int32), most)
        rank = jnp.cumsum(real, dtype=jnp.int32) - 1  # bands are of real frames, wherever those stand
        over_time = _bands(fold_name(key, "time"), time_masks, most, frames, rank) & real
        size = jnp.int32(frequencies)
        most = jnp.minimum(jnp.asarray(frequency_width).astype(jnp.int32), size)
        here = jnp.arange(frequencies, dtype=jnp.int32)
        over_frequency = _bands(fold_name(key, "frequency"), frequency_masks, most, size, here)
        shape = (len(real), frequencies)
        hidden = jnp.broadcast_to(over_time[:, None], shape) | jnp.broadcast_to(over_frequency[None], shape)
        return hidden & jnp.broadcast_to(real[:, None], shape)

    def change(key, x, y, example_mask):
        values, real = sequence_of(name, x, (3,), "(batch, time, frequency)", "floating")
        values, real = as_arrays(values, real)
        marked = jnp.ones(values.shape[:2], bool) if real is None else real
        keys = draw_each(lambda own: own, key, values.shape[0])
        hidden = jax.vmap(lambda k, r: one(k, r, values.shape[2]))(keys, marked)
        new = jnp.where(hidden, jnp.asarray(fill).astype(values.dtype), values)
        return (Padded(new, x.mask) if isinstance(x, Padded) else new), y

    return change


def _bands(key: Key, count: int, most: Array, size: Array, place: Array) -> Array:
    """Which places lie in one of several bands, each at most so wide, within 0..size-1."""
    share = uniforms(key, 2 * count).reshape(count, 2)
    inside = jnp.zeros(place.shape, bool)
    for number in range(count):
        width = whole_below(share[number, 0], most + 1)
        first = whole_below(share[number, 1], size - width + 1)
        inside = inside | ((place >= first) & (place < first + width))
    return inside
