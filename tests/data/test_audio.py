"""Changes of sounds and of spectrograms: exact ratios, places against NumPy, and that padding has no part in it."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxann as ja
from jaxann import data
from jaxann.core import Padded, padded
from tests.contract import assert_input_error
from tests.programs import quick_jit
from tests.tolerances import assert_close

KEY = jax.random.key(3)
LENGTHS = np.array([40, 25, 9, 1, 0])
RANDOM = np.random.default_rng(0)
CLEAN = RANDOM.normal(size=(5, 40)).astype(np.float32) * np.array([[1.0], [0.01], [100.0], [1.0], [1.0]], np.float32)
SPOILED = np.where(np.arange(40) < LENGTHS[:, None], CLEAN, np.nan)
X = padded(SPOILED, LENGTHS)
LABELS = np.arange(5)
AUGMENTS = {
    "noise": data.additive_noise((0.0, 20.0)),
    "gain": data.gain((-6.0, 6.0)),
    "shift": data.time_shift(0.5),
    "roll": data.time_shift(0.5, wrap=True),
    "stretch": data.time_stretch((0.5, 2.0)),
}
every = pytest.mark.parametrize("kind", AUGMENTS)
apply = quick_jit(lambda augment, key, x, y: augment(key, x, y))


@every
def test_nothing_of_the_padding_gets_into_real_places(kind: str):
    augment = AUGMENTS[kind]
    new, labels = apply(augment, KEY, X, LABELS)
    values, mask = map(np.asarray, new)
    np.testing.assert_array_equal(labels, LABELS)
    assert np.isfinite(values[mask]).all()
    if kind != "stretch":
        np.testing.assert_array_equal(mask, X.mask)
        assert np.isnan(values[~mask]).all()  # padding is as it was
    other = Padded(np.where(X.mask, CLEAN, 7.0).astype(np.float32), X.mask)
    again = apply(augment, KEY, other, LABELS)[0]
    np.testing.assert_array_equal(np.asarray(again.values)[mask], values[mask])
    longer = padded(np.concatenate([CLEAN, np.full((5, 60), 3, np.float32)], 1), LENGTHS)
    found = apply(augment, KEY, longer, LABELS)[0]
    real = np.asarray(found.mask)
    for row in range(5):  # as far as there is room
        size = mask[row].sum()
        assert real[row].sum() >= size and (kind == "stretch" or real[row].sum() == size)
        np.testing.assert_allclose(np.asarray(found.values)[row][:size], values[row][:size], rtol=1e-5)
    by_itself = apply(augment, KEY, CLEAN[:1], LABELS[:1])[0]  # a row that fills the array, without a mask
    np.testing.assert_allclose(np.asarray(by_itself)[0][mask[0]], values[0][mask[0]], rtol=1e-5, atol=1e-6)


@every
def test_left_padding_is_taken_as_padding_too(kind: str):
    flipped = Padded(SPOILED[:, ::-1].copy(), X.mask[:, ::-1].copy())
    new = apply(AUGMENTS[kind], KEY, flipped, LABELS)[0]
    assert np.isfinite(np.asarray(new.values)[np.asarray(new.mask)]).all()
    assert (np.asarray(new.mask).sum(1) >= np.minimum(LENGTHS, 1)).all()


@every
def test_channels_are_changed_alike_and_examples_each_in_their_way(kind: str):
    x = np.broadcast_to(CLEAN[:1, :, None], (6, 40, 2)).copy()
    new = np.asarray(apply(AUGMENTS[kind], KEY, x, np.arange(6))[0])
    if kind != "noise":
        np.testing.assert_array_equal(new[..., 0], new[..., 1])
    assert len({row.tobytes() for row in new}) > 3
    half = apply(AUGMENTS[kind], KEY, x.astype(jnp.bfloat16), np.arange(6))[0]
    assert half.dtype == jnp.bfloat16
    assert_input_error(lambda: AUGMENTS[kind](KEY, x.astype(np.int16), LABELS), "x", given="int16")
    assert_input_error(lambda: AUGMENTS[kind](KEY, x[..., None], LABELS), "x", given="(6, 40, 2, 1)")


@pytest.mark.parametrize("snr", [-10.0, 0.0, 13.0])
def test_noise_has_exactly_the_ratio_asked_for(snr: float):
    x = padded(CLEAN, LENGTHS)
    new, _ = apply(data.additive_noise(snr), KEY, x, LABELS)
    for row in range(4):
        size = LENGTHS[row]
        signal = CLEAN[row, :size].astype(np.float64)
        noise = np.asarray(new.values)[row, :size].astype(np.float64) - signal
        found = 10 * np.log10((signal**2).mean() / (noise**2).mean())
        np.testing.assert_allclose(found, snr, atol=1e-4)
    silence, _ = apply(data.additive_noise(snr), KEY, np.zeros((2, 40), np.float32), LABELS[:2])
    assert not np.asarray(silence).any()


def test_noise_is_white_and_its_ratio_drawn_from_the_range():
    x = np.broadcast_to(np.sin(np.arange(4000.0)).astype(np.float32), (50, 4000)).copy()
    new, _ = apply(data.additive_noise((5.0, 15.0)), KEY, x, np.arange(50))
    noise = np.asarray(new) - x
    ratios = 10 * np.log10((x**2).mean(1) / (noise**2).mean(1))
    assert 5 <= ratios.min() < 6.5 and 13.5 < ratios.max() <= 15
    unit = noise / noise.std(1, keepdims=True)
    assert np.abs(unit.mean(1)).max() < 5 / np.sqrt(4000)
    assert np.abs((unit[:, 1:] * unit[:, :-1]).mean(1)).max() < 5 / np.sqrt(4000)


def test_gain_is_in_decibels():
    new, _ = apply(data.gain(20 * np.log10(2)), KEY, CLEAN, LABELS)
    assert_close(new, CLEAN * 2, "elementwise")
    new, _ = apply(data.gain((-6.0, 12.0)), KEY, np.ones((300, 2), np.float32), np.arange(300))
    drawn = 20 * np.log10(np.asarray(new))
    np.testing.assert_array_equal(drawn[:, 0], drawn[:, 1])
    assert -6 <= drawn.min() < -5.5 and 11.5 < drawn.max() <= 12.0001 and abs(drawn.mean() - 3) < 1


@pytest.mark.parametrize("wrap", [False, True])
def test_shifts_are_of_whole_samples_and_as_far_as_asked(wrap: bool):
    x = np.broadcast_to(np.arange(1, 11, dtype=np.float32), (300, 10)).copy()
    new = np.asarray(apply(data.time_shift(0.35, wrap=wrap), KEY, x, np.arange(300))[0])
    shifts = {}
    for s in range(-3, 4):
        moved = np.roll(x[0], s)
        if not wrap:
            moved[: max(s, 0)] = 0
            moved[10 + min(s, 0) :] = 0
        shifts[s] = (new == moved).all(1).sum()
    assert sum(shifts.values()) == 300 and min(shifts.values()) > 20


def test_targets_of_samples_are_shifted_too_or_refused():
    x = padded(CLEAN, LENGTHS)
    new, y = data.time_shift(0.5, targets="same", target_fill=-1)(KEY, x, Padded(CLEAN * 2, x.mask))
    real = np.asarray(y.mask)
    np.testing.assert_array_equal(np.asarray(y.values)[real], np.asarray(new.values)[real] * 2)
    assert (np.asarray(y.values)[np.asarray(x.mask) & ~real] == -1).all() and real.sum() < x.mask.sum()
    plain = data.time_shift(0.5, targets="same", target_fill=-1)(KEY, CLEAN, CLEAN.astype(np.int32))[1]
    assert plain.dtype == jnp.int32 and (np.asarray(plain) == -1).any()
    for augment in (data.time_shift(), data.time_stretch()):
        assert_input_error(lambda a=augment: a(KEY, CLEAN, CLEAN), "y", given="one a position")
    assert_input_error(lambda: data.time_shift(targets="same")(KEY, CLEAN, LABELS), "y", given="(5,)")


@pytest.mark.parametrize("rate", [0.5, 0.8, 1.0, 1.25, 3.0])
def test_stretching_is_interpolation_along_a_line(rate: float):
    x = padded(CLEAN, LENGTHS)
    new, _ = apply(data.time_stretch(rate), KEY, x, LABELS)
    for row, size in enumerate(LENGTHS):
        at = np.arange(40) * np.float64(np.float32(rate))  # the rate as it is held
        inside = at <= size - 1
        np.testing.assert_array_equal(np.asarray(new.mask)[row], inside)
        if size:
            expected = np.interp(at[inside], np.arange(size), CLEAN[row, :size].astype(np.float64))
            np.testing.assert_allclose(
                np.asarray(new.values)[row][inside], expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max()
            )
        assert (np.asarray(new.values)[row][~inside] == 0).all()
    tone = np.sin(2 * np.pi * 5 * np.arange(1000) / 1000).astype(np.float32)[None]
    heard = np.abs(np.fft.rfft(np.asarray(apply(data.time_stretch(2.0), KEY, tone, LABELS[:1])[0])[0, :500]))
    assert heard.argmax() == 5  # five periods in half of the time: an octave higher


SPECTROGRAMS = np.ones((4, 30, 16), np.float32) + np.arange(4)[:, None, None]
FRAMES = np.array([30, 20, 5, 0])


def test_a_long_sound_is_stretched_as_a_short_one():
    rate, time = 128.0, 70_000  # the last of it would come from 8.96 million samples on
    ramp = np.arange(time, dtype=np.float32)[None]
    new, _ = apply(data.time_stretch(rate), KEY, ramp, np.zeros(1))
    places = np.arange(time) * 128
    np.testing.assert_array_equal(new[0], np.where(places < time, places, 0))


def test_masks_of_spectrograms_are_bands():
    keys = jax.random.split(KEY, 100)
    x = padded(np.where(np.arange(30)[:, None] < FRAMES[:, None, None], SPECTROGRAMS, np.nan), FRAMES)
    augment = data.spec_augment(time_masks=1, time_width=10, frequency_masks=1, frequency_width=6, fill=-5.0)
    many = quick_jit(jax.vmap(lambda key: augment(key, x, np.arange(4))[0]))(keys)
    widths = {"time": [], "frequency": []}
    for values in np.asarray(many.values):
        for row, frames in enumerate(FRAMES):
            assert np.isnan(values[row, frames:]).all()  # padding is as it was
            hidden = values[row, :frames] == -5
            assert (hidden | (values[row, :frames] == 1 + row)).all()
            over_time, over_frequency = hidden.all(1), hidden.all(0)
            if frames > 10:  # else a band may hide all of it
                np.testing.assert_array_equal(hidden, over_time[:, None] | over_frequency[None])
                for name, band in (("time", over_time), ("frequency", over_frequency)):
                    assert np.abs(np.diff(band.astype(int))).sum() <= 2  # one piece
                    widths[name].append(band.sum())
    for name, most in (("time", 10), ("frequency", 6)):
        counts = np.bincount(widths[name], minlength=most + 1)
        assert len(counts) == most + 1 and counts.min() > 3
    np.testing.assert_array_equal(many.mask, np.broadcast_to(x.mask, (100, 4, 30)))


def test_a_share_limits_the_bands_of_time():
    augment = data.spec_augment(time_masks=1, time_width=1000, frequency_masks=0, time_share=0.2)
    for seed in range(20):
        new = np.asarray(augment(jax.random.key(seed), padded(SPECTROGRAMS, FRAMES), np.arange(4))[0].values)
        hidden = (new == 0).all(2).sum(1)
        assert (hidden <= 0.2 * FRAMES).all()
    everything = data.spec_augment(time_masks=9, time_width=1000, frequency_width=1000)
    assert np.isfinite(np.asarray(everything(KEY, SPECTROGRAMS, np.arange(4))[0])).all()
    assert_input_error(lambda: everything(KEY, SPECTROGRAMS[0], np.arange(4)), "x", given="(30, 16)")
    assert_input_error(lambda: everything(KEY, SPECTROGRAMS.astype(np.int32), np.arange(4)), "x", given="int32")


def test_a_classifier_of_sounds_trains_with_all_of_them():
    pitch = np.arange(24) % 2
    x = np.sin((pitch[:, None] + 1) * 0.4 * np.arange(64)).astype(np.float32)
    net = ja.layers.sequential({"hidden": ja.layers.dense(16), "act": ja.layers.elementwise("relu"),
                                "out": ja.layers.dense(2)})  # fmt: skip
    chain: Any = (data.gain(), data.time_shift(0.05), data.time_stretch((0.98, 1.02)), data.additive_noise(20.0))
    made = ja.recipe(net, ja.losses.softmax_cross_entropy, ja.optimizers.adam(1e-2), augment=chain, batch_size=8,
                     metrics={"accuracy": ja.metrics.accuracy})  # fmt: skip
    result = ja.fit(made, (x, pitch.astype(np.int32)), key=KEY, epochs=30)
    assert result.history["accuracy"][-1] > 0.9
