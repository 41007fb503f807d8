"""Random changes of sound, `(batch, time)` or `(batch, time, channels)` floating-point samples, plain or `Padded`.

An example's channels are changed alike. Padding stays padding and has no share in anything: powers are those of real
samples, and a shift or a stretch moves nothing in from it. Ranges are `(low, high)`, or one number for both.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxann.core.augmentation import Augment
from jaxann.core.checks import check_choice, check_flag, check_range
from jaxann.core.factories import factory
from jaxann.core.keys import fold_name
from jaxann.core.padding import Padded, is_padded
from jaxann.core.typing import Array, Inputs, Key, Scalar
from jaxann.data.pictures import between, check_between, draw_each, from_wide, to_wide, uniforms
from jaxann.data.sequences import as_arrays, check_along, first_real, sequence_of, whole_below

__all__ = ["additive_noise", "gain", "time_shift", "time_stretch"]

_NAMED = "(batch, time) or (batch, time, channels)"


@factory(Augment)
def additive_noise(snr: Scalar | tuple[Scalar, Scalar] = (5.0, 40.0)):
    """x + noise sqrt(P_s / (P_n 10^(SNR / 10))), noise ~ N(0, 1), SNR ~ U(snr) in dB, P the mean square.

    P_n is that of the noise drawn, so that the signal-to-noise ratio of each example is the one drawn, exactly; silence
    stays silence. White noise, drawn for each channel; P over all of an example's real samples and channels.

    Args:
        snr: signal-to-noise ratio in dB, one number or a range; at 0 the noise is as loud as the signal.

    Takes floating-point x `(batch, time)` or `(batch, time, channels)`, or `Padded`; the targets stay.

    Peers: audiomentations' AddGaussianSNR takes the expected power of the noise; torchaudio's add_noise is given the
    noise; Keras' GaussianNoise has one deviation for all.

    Raises:
        InputError: the ratio is no number or range, or (when called) x is not floating point or has other axes.
    """
    _check_range("additive_noise", "snr", snr)

    def one(key: Key, sound: Array, real: Array | None) -> Array:
        noise = jax.random.normal(fold_name(key, "noise"), sound.shape, sound.dtype)
        signal = sound
        if real is not None:
            noise, signal = (jnp.where(_over(real, a), a, 0) for a in (noise, sound))
        power, own = jnp.sum(signal * signal), jnp.sum(noise * noise)
        ratio = 10 ** (_drawn(snr, key, sound.dtype) / 10)
        some = (power > 0) & (own > 0)
        scale = jnp.sqrt(jnp.where(some, power, 1) / (jnp.where(some, own, 1) * ratio))
        return sound + jnp.where(some, scale, 0) * noise

    return lambda key, x, y, example_mask: (_each("additive_noise", one, key, x), y)


@factory(Augment)
def gain(decibels: Scalar | tuple[Scalar, Scalar] = (-6.0, 6.0)):
    """10^(g / 20) x, g ~ U(decibels): louder or quieter by so many dB.

    Args:
        decibels: one number or a range; 6.02 is twice as much, 0 changes nothing.

    Takes floating-point x `(batch, time)` or `(batch, time, channels)`, or `Padded`; the targets stay. What goes beyond
    [-1, 1] is not cut off.

    Peers: as audiomentations' Gain, from -12 to 12 dB; torchaudio's Vol has one gain, and cuts off at 1.

    Raises:
        InputError: decibels are no number or range, or (when called) x is not floating point or has other axes.
    """
    _check_range("gain", "decibels", decibels)

    def one(key: Key, sound: Array, real: Array | None) -> Array:
        new = sound * 10 ** (_drawn(decibels, key, sound.dtype) / 20)
        return new if real is None else jnp.where(_over(real, sound), new, sound)

    return lambda key, x, y, example_mask: (_each("gain", one, key, x), y)


@factory(Augment)
def time_shift(fraction: Scalar = 0.1, *, wrap: bool = False, targets: str = "keep", target_fill: Scalar = 0.0):
    """x_t -> x_(t - s), s a whole number drawn from -m..m, m = floor(fraction n) of n real samples: later or sooner.

    Args:
        fraction: greatest shift as a share of the sequence, in [0, 1].
        wrap: whether what leaves at one end comes in at the other; else 0 comes in.
        targets: "keep" for one target a sequence; "same" moves targets `(batch, time, ...)` along.
        target_fill: what comes into those without wrap, such as the label to be ignored; padding in `Padded` ones.

    Takes floating-point x `(batch, time)` or `(batch, time, channels)`, or `Padded`.

    Peers: as audiomentations' Shift, by up to half of the sequence, with rollover=True; torchaudio has roll of PyTorch.

    Raises:
        InputError: an argument is out of range, or (when called) x is not floating point or has other axes, or the
            targets are not those that were asked for.
    """
    name = "time_shift"
    check_range(name, "fraction", fraction, 0, 1)
    check_flag(name, "wrap", wrap)
    check_choice(name, "targets", targets, ("keep", "same"))
    check_range(name, "target_fill", target_fill)

    def source_of(key: Key, real: Array) -> tuple[Array, Array]:
        """For each position which one comes there, and whether one does."""
        rank, count = jnp.cumsum(real, dtype=jnp.int32) - 1, jnp.sum(real, dtype=jnp.int32)
        share = uniforms(key, 1)[0]
        most = jnp.floor(jnp.asarray(fraction).astype(share.dtype) * count.astype(share.dtype)).astype(jnp.int32)
        origin = rank - (whole_below(share, 2 * most + 1) - most)
        if wrap:
            origin = jnp.mod(origin, jnp.maximum(count, 1))
        there = real & (origin >= 0) & (origin < count)
        return first_real(real)[jnp.clip(origin, 0, len(real) - 1)], there

    def change(key, x, y, example_mask):
        values, real = _sound(name, x)
        check_along(name, values, y, targets)
        values, real = as_arrays(values, real)
        marked = jnp.ones(values.shape[:2], bool) if real is None else real
        keys = draw_each(lambda own: own, key, values.shape[0])
        source, there = jax.vmap(source_of)(keys, marked)

        def moved(leaf: Array, fill: Scalar) -> Array:
            leaf = jnp.asarray(leaf)
            new = jax.vmap(lambda a, s: a[s])(leaf, source)
            empty = jnp.where(_over(marked, leaf), jnp.asarray(fill).astype(leaf.dtype), leaf)
            return jnp.where(_over(there, leaf), new, empty)

        def along(leaf: Any) -> Any:
            if not is_padded(leaf):
                return moved(leaf, target_fill)
            return Padded(moved(leaf.values, target_fill), moved(jnp.asarray(leaf.mask).astype(bool), False))

        new = moved(values, 0)
        if targets == "same":
            y = jax.tree.map(along, y, is_leaf=is_padded)
        return (Padded(new, x.mask) if isinstance(x, Padded) else new), y

    return change


@factory(Augment)
def time_stretch(rate: Scalar | tuple[Scalar, Scalar] = (0.8, 1.25)):
    """y(t) = x(rate t), rate ~ U(rate), between samples by the straight line: faster above 1, slower below.

    As of a tape at another speed, the pitch changes with it, by 12 log2(rate) semitones. The length of the array stays:
    of a slower one the end is cut off where there is no padding for it, after a faster one 0 follows (padding, where x
    is `Padded`).

    Args:
        rate: speed, above 0, one number or a range.

    Takes floating-point x `(batch, time)` or `(batch, time, channels)`, or `Padded`, whose real samples stand at the
    front afterwards; one target a sequence, which stays.

    Peers: as torchaudio's SpeedPerturbation, whose arrays change their length; librosa's and audiomentations'
    TimeStretch keep the pitch, by a phase vocoder.

    Source: Ko et al. 2015.

    Raises:
        InputError: the rate is no number or range, or (when called) x is not floating point or has other axes, or there
            are targets for each position.
    """
    name = "time_stretch"
    _check_range(name, "rate", rate, 0, open_low=True)

    def one(key: Key, sound: Array, real: Array | None) -> tuple[Array, Array]:
        time = len(sound)
        before, weight = _places(time, _drawn(rate, key, jnp.result_type(float)))
        count = jnp.int32(time) if real is None else jnp.sum(real, dtype=jnp.int32)
        inside = (before < count - 1) | ((before == count - 1) & (weight == 0))
        below = jnp.clip(before, 0, jnp.maximum(count - 1, 0))
        above = jnp.minimum(below + 1, jnp.maximum(count - 1, 0))
        weight = _over(weight.astype(sound.dtype), sound)
        if real is not None:
            order = first_real(real)
            below, above = order[below], order[above]
        low, high = sound[below], sound[above]
        return jnp.where(_over(inside, sound), low + weight * (high - low), 0), inside

    def change(key, x, y, example_mask):
        values, real = _sound(name, x)
        check_along(name, values, y, "keep")
        values, real = as_arrays(values, real)
        keys = draw_each(lambda own: own, key, values.shape[0])
        new, inside = jax.vmap(one)(keys, to_wide(values), real)
        new = from_wide(new, values.dtype)
        return (new if real is None else Padded(new, inside)), y

    return change


def _check_range(function: str, argument: str, value: Any, low: float | None = None, **open_ends: bool) -> None:
    """One number, or a pair of them."""
    if isinstance(value, tuple | list):
        check_between(function, argument, value, low, **open_ends)
    else:
        check_range(function, argument, value, low, **open_ends)


def _drawn(value: Scalar | tuple[Scalar, Scalar], key: Key, dtype: Any) -> Array:
    """A number from the range."""
    low, high = value if isinstance(value, tuple | list) else (value, value)
    return between(low, high, uniforms(fold_name(key, "range"), 1)[0]).astype(dtype)


def _sound(function: str, x: Any) -> tuple[Array, Array | None]:
    return sequence_of(function, x, (2, 3), _NAMED, "floating")


def _each(function: str, one: Any, key: Key, x: Inputs) -> Inputs:
    """Each example changed by `one(key, samples, which are real)`, in a dtype for arithmetic."""
    values, real = as_arrays(*_sound(function, x))
    keys = draw_each(lambda own: own, key, values.shape[0])
    new = from_wide(jax.vmap(one)(keys, to_wide(values), real), values.dtype)
    return Padded(new, x.mask) if isinstance(x, Padded) else new


def _over(each: Array, sound: Array) -> Array:
    """One number a position in the shape of the samples."""
    return jnp.broadcast_to(lax.expand_dims(each, range(each.ndim, sound.ndim)), sound.shape)


def _places(time: int, rate: Array) -> tuple[Array, Array]:
    """The whole part of t rate for each t, and the fraction, made apart, so that long sounds lose nothing."""
    t = jnp.arange(time, dtype=jnp.uint32)
    whole = jnp.floor(rate * 1024)
    each = whole.astype(jnp.uint32)
    product = t % 1024 * each  # and 1024 times t // 1024 * each, which together may be above 2^32
    rest = (product % 1024).astype(rate.dtype) / 1024 + t.astype(rate.dtype) * ((rate * 1024 - whole) / 1024)
    more = jnp.floor(rest)
    return (t // 1024 * each + product // 1024).astype(jnp.int32) + more.astype(jnp.int32), rest - more
