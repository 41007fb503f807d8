"""RandAugment and TrivialAugment: each picture is one that the list allows, every operation is drawn alike."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
import scipy.stats
from PIL import Image, ImageEnhance, ImageOps

from jaxann.core.augmentation import Augment
from jaxann.data import rand_augment, trivial_augment
from jaxann.data.image_policies import OPERATIONS
from tests.data.test_image_geometry import changed
from tests.programs import quick_jit

HEIGHT, WIDTH = 20, 24
LEVELS = np.random.default_rng(0).integers(20, 236, (HEIGHT, WIDTH, 3)).astype(np.uint8)


def _moved(matrix: Any, shift: Any, fill: float) -> np.ndarray:
    """By SciPy: from the new (down, right) of the centre to the old one."""
    centre = np.array([(HEIGHT - 1) / 2, (WIDTH - 1) / 2])
    offset = np.asarray(shift) + centre - np.asarray(matrix) @ centre
    channels = [
        scipy.ndimage.affine_transform(
            LEVELS[..., n].astype(float), matrix, offset, order=1, mode="grid-constant", cval=fill
        )
        for n in range(3)
    ]
    return np.stack(channels, -1)


def _candidates(strength: float, fill: float) -> dict[str, list[np.ndarray]]:
    """What each operation makes of the picture, either way."""
    image = Image.fromarray(LEVELS)
    found: dict[str, list[Any]] = {name: [] for name in OPERATIONS}
    for sign in (1, -1):
        shear, turn = 0.3 * sign * strength, np.radians(30 * sign * strength)
        found["shear_right"].append(_moved([[1, 0], [-shear, 1]], [0, 0], fill))
        found["shear_down"].append(_moved([[1, -shear], [0, 1]], [0, 0], fill))
        share = 150 / 331 * sign * strength
        found["translate_down"].append(_moved(np.eye(2), [share * HEIGHT, 0], fill))
        found["translate_right"].append(_moved(np.eye(2), [0, share * WIDTH], fill))
        rotation = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
        found["rotate"].append(_moved(rotation, [0, 0], fill))
        factor = 1 + 0.9 * sign * strength
        for name, enhancer in (
            ("brightness", ImageEnhance.Brightness),
            ("saturation", ImageEnhance.Color),
            ("contrast", ImageEnhance.Contrast),
            ("sharpness", ImageEnhance.Sharpness),
        ):
            found[name].append(enhancer(image).enhance(factor))
    found["identity"] = [LEVELS]
    found["posterize"] = [ImageOps.posterize(image, 8 - int(np.round(4 * strength)))]
    found["solarize"] = [ImageOps.solarize(image, int(np.ceil(256 * (1 - strength))))]
    found["auto_contrast"] = [ImageOps.autocontrast(image)]
    found["equalize"] = [ImageOps.equalize(image)]
    return {name: [np.asarray(one, float) for one in several] for name, several in found.items()}


@pytest.mark.parametrize("magnitude", [3.0, 8.0])
def test_rand_augment_is_one_operation_of_the_list_for_each_picture(magnitude: float):
    count = 1400
    x = np.broadcast_to(LEVELS, (count, *LEVELS.shape))
    augment = rand_augment(1, magnitude, value_range=(0, 255), fill=99.0)
    new = np.asarray(changed(augment, jax.random.key(2), x, np.zeros(count))[0], float)
    candidates = _candidates(magnitude / 10, 99.0)
    distances = np.stack(
        [np.min([np.abs(new - one).max((1, 2, 3)) for one in candidates[name]], axis=0) for name in OPERATIONS]
    )
    assert distances.min(0).max() <= 2.01  # Pillow rounds on the way
    counts = np.bincount(distances.argmin(0), minlength=14)
    assert scipy.stats.chisquare(counts).pvalue > 1e-3
    for name in ("rotate", "brightness", "translate_down"):  # either way as often
        chosen = new[distances.argmin(0) == OPERATIONS.index(name)]
        first = np.abs(chosen - candidates[name][0]).max((1, 2, 3)) <= 2.01
        assert 0.3 < first.mean() < 0.7


def test_rand_augment_at_0_and_of_members():
    x = np.broadcast_to(LEVELS / np.float32(255), (200, *LEVELS.shape)).astype(np.float32)
    y, key = np.zeros(200), jax.random.key(0)
    augment = rand_augment(1, 0.0, value_range=(0, 1))
    still = np.asarray(changed(augment, key, x, y)[0])
    same = (np.abs(still - x) < 1e-6).all((1, 2, 3))
    assert abs(same.mean() - 12 / 14) < 0.1  # all but auto-contrast and equalize

    def made(magnitude: Any) -> jax.Array:
        return augment.replace(magnitude=magnitude, operations=2)(key, x[:20], y[:20])[0]

    many = quick_jit(jax.vmap(made))(jnp.array([0.0, 9.0]))
    alone = changed(augment.replace(magnitude=9.0, operations=2), key, x[:20], y[:20])[0]
    np.testing.assert_allclose(many[1], alone, atol=1e-5)
    two = (np.abs(np.asarray(alone) - x[:20]) > 1e-6).any((1, 2, 3)).mean()
    assert two > 0.8


@pytest.mark.parametrize("policy", [rand_augment(2, 9.0, value_range=(0, 1)), trivial_augment(value_range=(0, 1))])
def test_policies_move_masks_and_keep_the_rest(policy: Augment):
    x = np.ones((300, 12, 12, 3), np.float32) * np.float32(0.5)
    masks = np.ones((300, 12, 12), np.int32)
    _, kept = changed(policy, jax.random.key(0), x, masks)
    np.testing.assert_array_equal(kept, masks)
    _, moved = changed(policy.replace(targets="same", target_fill=7), jax.random.key(0), x, masks)
    moved = np.asarray(moved)
    assert set(np.unique(moved)) == {1, 7}
    some = (moved == 7).any((1, 2)).mean()
    share = 5 / 14 if policy.arguments.get("operations") is None else 1 - (9 / 14) ** 2
    assert abs(some - share) < 0.12


def test_trivial_augment_draws_its_strength():
    x = np.broadcast_to(np.array([0.9, 0.1, 0.1], np.float32), (3000, 2, 2, 3))
    policy = trivial_augment(value_range=(0, 1), fill=0.5)
    new = np.asarray(changed(policy, jax.random.key(0), x, np.zeros(3000))[0], float)
    factors = new[:, 0, 0, 0] / 0.9
    darkened = np.isclose(new, x * factors[:, None, None, None], atol=1e-4).all((1, 2, 3)) & (factors < 0.999)
    assert abs(darkened.mean() - 1 / 28) < 0.015
    assert scipy.stats.kstest(factors[darkened], scipy.stats.uniform(0.01, 0.99).cdf).pvalue > 1e-3
