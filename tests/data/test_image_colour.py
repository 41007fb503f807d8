"""Colours, noise and histograms of pictures: against Python's colorsys, Pillow and formulas, and how they are drawn."""

from __future__ import annotations

import colorsys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from jaxann.data import brightness, color_jitter, contrast, gaussian_noise, hue, saturation
from jaxann.data.colours import adjust_hue, grey_of
from jaxann.data.histogram import auto_contrast, blurred, equalize, posterize, solarize
from tests.contract import assert_input_error
from tests.data.test_image_geometry import changed, uniform
from tests.programs import quick_jit
from tests.tolerances import assert_close

RANGE = (-1.0, 3.0)
RANDOM = np.random.default_rng(0)
X = RANDOM.uniform(0.5, 1.5, (500, 3, 4, 3)).astype(np.float32)  # in the middle of the range: little is cut
LUMA = np.array([0.299, 0.587, 0.114])


def _bases(x: np.ndarray) -> dict[str, np.ndarray]:
    grey = (x @ LUMA)[..., None] if x.shape[-1] == 3 else x.mean(-1, keepdims=True)
    return {
        "brightness": np.full_like(x, RANGE[0]),
        "contrast": np.broadcast_to(grey.mean((1, 2, 3), keepdims=True), x.shape),
        "saturation": np.broadcast_to(grey, x.shape),
    }


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
def test_blends_are_with_one_base_and_a_uniform_factor(name: str):
    augment: Any = {"brightness": brightness, "contrast": contrast, "saturation": saturation}[name]
    for channels in (3, 2):
        x = X[..., :channels]
        new, _ = changed(augment(0.4, value_range=RANGE), jax.random.key(1), x, np.zeros(500))
        base = _bases(x)[name]
        far = x - base
        factor = ((np.asarray(new) - base) * far).sum((1, 2, 3)) / (far**2).sum((1, 2, 3))
        np.testing.assert_allclose(new, base + factor[:, None, None, None] * far, atol=2e-5)
        uniform(factor, 0.6, 1.4)
    wild, _ = changed(augment(9.0, value_range=RANGE), jax.random.key(1), X, np.zeros(500))
    assert np.asarray(wild).max() <= RANGE[1] and np.asarray(wild).min() >= RANGE[0]
    assert (np.asarray(wild) == RANGE[1]).any()
    still, _ = changed(augment(0.0, value_range=RANGE), jax.random.key(1), X, np.zeros(500))
    np.testing.assert_allclose(still, X, atol=1e-6)


def test_hue_is_that_of_colorsys(x64):
    picture = np.concatenate([RANDOM.uniform(size=(5, 4, 3)), np.eye(4, 3)[None], np.full((1, 4, 3), 0.3)])
    adjust = quick_jit(adjust_hue)
    for shift in (0.0, 0.13, -0.4, 0.5):
        found = np.asarray(adjust(picture, jnp.float64(shift)))
        for pixel, new in zip(picture.reshape(-1, 3), found.reshape(-1, 3), strict=True):
            h, s, v = colorsys.rgb_to_hsv(*pixel)
            np.testing.assert_allclose(new, colorsys.hsv_to_rgb((h + shift) % 1, s, v), rtol=1e-12, atol=1e-12)


def test_hue_draws_a_uniform_shift():
    x = np.broadcast_to(np.array([3.0, -1.0, -1.0], np.float32), (500, 1, 1, 3))  # red
    new, _ = changed(hue(0.2, value_range=RANGE), jax.random.key(0), x, np.zeros(500))
    scaled = (np.asarray(new)[:, 0, 0] + 1) / 4
    shifts = np.array([colorsys.rgb_to_hsv(*np.clip(pixel, 0, 1))[0] for pixel in scaled])
    uniform((shifts + 0.5) % 1 - 0.5, -0.2, 0.2)
    assert_input_error(lambda: hue(value_range=RANGE)(jax.random.key(0), X[..., :2], X), "x", given="(500, 3, 4, 2)")


def test_color_jitter_is_one_after_the_other():
    key, y = jax.random.key(3), np.zeros(500)
    whole, _ = changed(color_jitter(0.3, 0.4, 0.5, 0.1, value_range=RANGE), key, X, y)
    one = X
    for augment in (
        brightness(0.3, value_range=RANGE),
        contrast(0.4, value_range=RANGE),
        saturation(0.5, value_range=RANGE),
        hue(0.1, value_range=RANGE),
    ):
        one, _ = changed(augment, key, one, y)
    np.testing.assert_allclose(whole, one, atol=1e-5)
    single, _ = changed(color_jitter(0.3, 0.0, 0.0, value_range=RANGE), key, X[..., :1], y)
    np.testing.assert_allclose(single, changed(brightness(0.3, value_range=RANGE), key, X[..., :1], y)[0], atol=1e-5)


def test_whole_numbers_keep_their_dtype():
    x = RANDOM.integers(0, 256, (50, 3, 4, 3)).astype(np.uint8)
    for augment in (color_jitter(0.4, 0.4, 0.4, 0.2, value_range=(0, 255)), gaussian_noise(20.0)):
        new, _ = changed(augment, jax.random.key(0), x, np.zeros(50))
        exact, _ = changed(
            augment if augment.arguments["value_range"] else augment.replace(value_range=(0, 255)),
            jax.random.key(0), x.astype(np.float32), np.zeros(50),
        )  # fmt: skip
        assert new.dtype == np.uint8
        np.testing.assert_allclose(np.asarray(new, np.float32), exact, atol=0.501)
    assert_input_error(lambda: gaussian_noise()(jax.random.key(0), x > 3, x), "x", given="bool")


def test_gaussian_noise_is_normal_and_new_everywhere():
    new, _ = changed(gaussian_noise(0.3), jax.random.key(0), X, np.zeros(500))
    noise = (np.asarray(new) - X) / 0.3
    assert scipy.stats.kstest(noise.ravel(), scipy.stats.norm().cdf).statistic < 1.95 / np.sqrt(noise.size)
    flat = noise.reshape(500, -1)
    assert np.abs(np.corrcoef(flat.T) - np.eye(36)).max() < 0.25
    cut, _ = changed(gaussian_noise(0.3, value_range=(0.9, 1.1)), jax.random.key(0), X, np.zeros(500))
    np.testing.assert_array_equal(cut, np.clip(new, np.float32(0.9), np.float32(1.1)))


PICTURES = {
    "any": RANDOM.integers(0, 256, (9, 8, 3)),
    "dark": RANDOM.integers(3, 40, (30, 20, 3)),
    "few levels": RANDOM.integers(0, 3, (30, 20, 3)) * 90,
    "one value": np.full((20, 20, 3), 77),
    "large": np.minimum(RANDOM.poisson(60, (50, 60, 3)), 255),
    "two": np.where(np.arange(400).reshape(20, 20, 1) < 399, 10, 200) * np.ones((1, 1, 3), int),
}


@pytest.mark.parametrize("name", PICTURES)
def test_histogram_operations_are_those_of_pillow(name: str):
    levels = PICTURES[name].astype(np.uint8)
    image, x = Image.fromarray(levels), jnp.asarray(levels / 255, jnp.float32)

    def every(x, levels):
        kept = [posterize(levels, jnp.float32(bits)) for bits in range(7)]
        turned = [solarize(x, jnp.float32(1 - threshold / 256)) for threshold in (0, 64, 200, 256)]
        return kept, turned, equalize(levels), auto_contrast(x), blurred(x), grey_of(x)

    kept, turned, equal, stretched, smooth, grey = quick_jit(every)(x, levels.astype(np.int32))

    def same(found: Any, expected: Any, off: float = 1e-4) -> None:
        np.testing.assert_allclose(np.asarray(found) * 255, np.asarray(expected), atol=off)

    for bits, found in enumerate(kept):
        same(found, ImageOps.posterize(image, 8 - bits))
    for threshold, found in zip((0, 64, 200, 256), turned, strict=True):
        same(found, ImageOps.solarize(image, threshold))
    same(equal, ImageOps.equalize(image))
    same(stretched, ImageOps.autocontrast(image), 1.0)  # Pillow cuts to whole levels
    same(smooth, image.filter(ImageFilter.SMOOTH), 0.51)  # and rounds here
    same(grey, np.asarray(image.convert("L"))[..., None] * np.ones(3), 0.51)
    sharp = ImageEnhance.Sharpness(image).enhance(0.0)
    same(smooth, sharp, 0.51)


def test_small_pictures_are_not_blurred():
    x = jnp.asarray(RANDOM.uniform(size=(2, 9, 3)), jnp.float32)
    np.testing.assert_array_equal(blurred(x), x)
    assert_close(blurred(jnp.ones((3, 3, 1)) * 0.5), np.full((3, 3, 1), 0.5), "elementwise")
