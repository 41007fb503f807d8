"""Flips, crops, rotations and affine maps of pictures: against NumPy, SciPy and PyTorch, and how they are drawn."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
import scipy.stats

from jaxann.core.augmentation import Augment
from jaxann.data import affine, horizontal_flip, pad_and_crop, random_resized_crop, rotate, vertical_flip
from tests.contract import assert_input_error
from tests.programs import quick_jit

FAR = 1e6  # a fill that no pixel comes near to
changed = quick_jit(lambda augment, key, x, y: augment(key, x, y))


def ramps(batch: int, height: int, width: int) -> np.ndarray:
    """Every pixel says its row, its column and a random number, by which what was done to the picture is known."""
    rows, columns = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    noise = np.random.default_rng(3).normal(size=(batch, height, width))
    places = np.broadcast_to(np.stack([rows, columns], -1), (batch, height, width, 2))
    return np.concatenate([places, noise[..., None]], -1).astype(np.float32)


def uniform(draws: Any, low: float, high: float, slack: float = 1e-3) -> None:
    draws = np.ravel(draws)
    assert draws.min() >= low - slack * (high - low) and draws.max() <= high + slack * (high - low)
    distance = scipy.stats.kstest(draws, scipy.stats.uniform(low, high - low).cdf).statistic
    assert distance < 1.95 / np.sqrt(draws.size)  # one in a thousand is further off


@pytest.mark.parametrize(("flip", "axis"), [(horizontal_flip, 2), (vertical_flip, 1)])
def test_flips_turn_some_pictures_and_their_labels(flip: Any, axis: int):
    x, y = ramps(4000, 2, 3), (np.arange(4000) % 5).astype(np.int32)
    for probability in (0.5, 0.1):
        new, labels = changed(flip(probability, swap=((0, 3), (4, 1))), jax.random.key(0), x, y)
        flipped = (np.asarray(new) != x).any((1, 2, 3))
        np.testing.assert_array_equal(new, np.where(flipped[:, None, None, None], np.flip(x, axis), x))
        assert abs(flipped.mean() - probability) < 4 * np.sqrt(probability * (1 - probability) / 4000)
        np.testing.assert_array_equal(labels, np.where(flipped, np.array([3, 4, 2, 0, 1])[y], y))
    once, labels = changed(flip(1.0, swap=((0, 3),)), jax.random.key(0), x, y)
    again = changed(flip(1.0, swap=((0, 3),)), jax.random.key(1), once, labels)
    np.testing.assert_array_equal(again[0], x)
    np.testing.assert_array_equal(again[1], y)
    assert_input_error(lambda: flip(swap=((0, 1),))(jax.random.key(0), x, y.astype(np.float32)), "y", given="float32")


def _shifts(new: Any, x: np.ndarray, padding: int, **pad: Any) -> np.ndarray:
    """How far each picture was moved, found by trying all crops of `numpy.pad`."""
    height, width = x.shape[1:3]
    around = np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)), **pad)
    found = np.full((len(x), 2), -1)
    for row in range(2 * padding + 1):
        for column in range(2 * padding + 1):
            crop = around[:, row : row + height, column : column + width]
            found[(crop == np.asarray(new)).all((1, 2, 3))] = row, column
    assert (found >= 0).all()
    return found - padding


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "symmetric"])
def test_pad_and_crop_is_a_crop_of_numpy_pad(mode: str):
    x = np.random.default_rng(0).integers(0, 256, (60, 4, 5, 2)).astype(np.uint8)
    for padding in (2, 6):  # six is more than the picture has
        new, _ = changed(pad_and_crop(padding, fill=9, mode=mode), jax.random.key(padding), x, np.zeros(60))
        assert new.dtype == np.uint8
        pad: dict[str, Any] = {"constant_values": 9} if mode == "constant" else {}
        _shifts(new, x, padding, mode=mode, **pad)


def test_pad_and_crop_draws_every_shift_alike():
    x = np.random.default_rng(0).normal(size=(4000, 4, 5, 1)).astype(np.float32)
    new, _ = changed(pad_and_crop(1, mode="edge"), jax.random.key(0), x, np.zeros(4000))
    counts = np.unique(_shifts(new, x, 1, mode="edge"), axis=0, return_counts=True)[1]
    assert len(counts) == 9 and scipy.stats.chisquare(counts).pvalue > 1e-3


def _inside(augment: Augment, key: Any, x: np.ndarray) -> np.ndarray:
    """Pixels that no fill has come into."""
    if "fill" not in augment.arguments:
        return np.asarray(True)
    new, other = (np.asarray(changed(augment.replace(fill=fill), key, x, x)[0]) for fill in (FAR, -FAR))
    return (new == other).all(-1)


def _maps(new: Any, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The matrix of each picture from (right, down) of the new one to the old one, and the old place of its centre."""
    _, height, width, _ = new.shape
    down, right = np.meshgrid(np.arange(height) - (height - 1) / 2, np.arange(width) - (width - 1) / 2, indexing="ij")
    found = []
    for picture, inside in zip(np.asarray(new, np.float64), pixels, strict=True):
        known = np.stack([right[inside], down[inside], np.ones(inside.sum())], 1)
        solved, rest, _, _ = np.linalg.lstsq(known, picture[inside][:, [1, 0]], rcond=None)
        assert (rest < 1e-6).all()  # an affine map, and nothing else
        found.append(solved)
    found = np.stack(found)
    return found[:, :2].swapaxes(1, 2), found[:, 2] - [(width - 1) / 2, (height - 1) / 2]


def _check_reading(new: np.ndarray, x: np.ndarray, fill: float, matrices: np.ndarray, centres: np.ndarray) -> None:
    """The third channel is what SciPy reads at the places that the map says, from pixels and fill alike."""
    _, height, width, _ = x.shape
    down, right = np.meshgrid(np.arange(height) - (height - 1) / 2, np.arange(width) - (width - 1) / 2, indexing="ij")
    for n in range(len(x)):
        columns = matrices[n, 0, 0] * right + matrices[n, 0, 1] * down + centres[n, 0] + (width - 1) / 2
        rows = matrices[n, 1, 0] * right + matrices[n, 1, 1] * down + centres[n, 1] + (height - 1) / 2
        expected = scipy.ndimage.map_coordinates(
            x[n, ..., 2].astype(np.float64), [rows, columns], order=1, mode="grid-constant", cval=fill
        )
        np.testing.assert_allclose(new[n, ..., 2], expected, atol=1e-4)  # the map is known to so much


def test_rotate_reads_what_scipy_reads():
    x = ramps(300, 9, 12)
    augment, key = rotate(30.0, fill=0.5), jax.random.key(0)
    new, _ = changed(augment, key, x, x)
    matrices, centres = _maps(new, _inside(augment, key, x))
    np.testing.assert_allclose(centres, 0, atol=1e-4)
    np.testing.assert_allclose(matrices @ matrices.swapaxes(1, 2), np.broadcast_to(np.eye(2), (300, 2, 2)), atol=1e-5)
    assert (np.linalg.det(matrices) > 0).all()
    # Counterclockwise: what is to the right of the centre comes from lower down to the right, for a clock has its
    # hours clockwise.
    uniform(np.degrees(np.arctan2(matrices[:, 1, 0], matrices[:, 0, 0])), -30, 30)
    _check_reading(np.asarray(new)[:40], x[:40], 0.5, matrices, centres)


def test_affine_draws_four_numbers_within_their_bounds():
    x = ramps(400, 15, 12)
    augment = affine(20.0, translate=(0.1, 0.25), scale=(0.8, 1.5), shear=25.0, fill=0.5)
    key = jax.random.key(1)
    new, _ = changed(augment, key, x, x)
    matrices, centres = _maps(new, _inside(augment, key, x))
    forward = np.linalg.inv(matrices)
    scale = np.linalg.norm(forward[:, :, 0], axis=1)
    uniform(scale, 0.8, 1.5)
    angle = np.arctan2(-forward[:, 1, 0], forward[:, 0, 0])
    uniform(np.degrees(angle), -20, 20)
    cos, sin = np.cos(angle), np.sin(angle)
    back = np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], -2)  # the inverse of the rotation
    sheared = (back @ forward) / scale[:, None, None]
    np.testing.assert_allclose(sheared[:, 1], np.broadcast_to([0, 1], (400, 2)), atol=1e-4)
    uniform(np.degrees(np.arctan(sheared[:, 0, 1])), -25, 25)
    shift = -(forward @ centres[:, :, None])[:, :, 0]
    uniform(shift[:, 0], -0.25 * 12, 0.25 * 12)
    uniform(shift[:, 1], -0.1 * 15, 0.1 * 15)
    _check_reading(np.asarray(new)[:40], x[:40], 0.5, matrices, centres)


def test_random_resized_crop_draws_area_shape_and_place():
    x = ramps(2000, 40, 50)
    augment = random_resized_crop(scale=(0.1, 0.4), ratio=(0.5, 2.0))
    new, _ = changed(augment, jax.random.key(0), x, np.zeros(2000))
    new = np.asarray(new, np.float64)
    row, column = new[:, :, 0, 0], new[:, 0, :, 1]
    tall, broad = (row[:, 25] - row[:, 15]) * 4, (column[:, 30] - column[:, 20]) * 5
    top, left = row[:, 20] - 20.5 * tall / 40 + 0.5, column[:, 25] - 25.5 * broad / 50 + 0.5
    for whole in (tall, broad, top, left):
        np.testing.assert_allclose(whole, np.round(whole), atol=1e-3)
    assert (top > -0.01).all() and (top + tall < 40.01).all() and (left > -0.01).all() and (left + broad < 50.01).all()
    uniform(tall * broad / 2000, 0.1, 0.4, slack=0.05)  # of whole pixels
    ratio = np.log(broad / tall)
    assert abs(ratio.mean()) < 0.05 and ratio.min() > np.log(0.45) and ratio.max() < np.log(2.2)
    uniform((top + np.random.default_rng(1).uniform(0, 1, 2000)) / (41 - tall), 0, 1)
    # What never fits: the greatest box in the middle whose shape is allowed.
    thin, _ = changed(
        random_resized_crop(scale=(1, 1), ratio=(1, 1), method="nearest"),
        jax.random.key(0),
        ramps(3, 4, 40),
        np.zeros(3),
    )
    np.testing.assert_array_equal(np.unique(thin[..., 1]), [18, 19, 20, 21])
    np.testing.assert_array_equal(thin[:, :, 0, 0], np.broadcast_to(np.arange(4), (3, 4)))


MOVES = {
    "horizontal_flip": horizontal_flip(),
    "vertical_flip": vertical_flip(),
    "pad_and_crop": pad_and_crop(2, fill=FAR),
    "reflect": pad_and_crop(2, mode="reflect"),
    "random_resized_crop": random_resized_crop((6, 4)),
    "rotate": rotate(40.0, fill=FAR),
    "affine": affine(20.0, shear=10.0, fill=FAR),
}


@pytest.mark.parametrize("name", MOVES)
def test_targets_that_are_pictures_go_along(name: str):
    augment = MOVES[name]
    x, key = ramps(6, 8, 9), jax.random.key(5)
    same = augment.replace(targets="same")
    if "target_fill" in same.arguments:
        same = same.replace(target_fill=FAR)
    new, kept = changed(augment, key, x, x)
    np.testing.assert_array_equal(kept, x)
    moved, targets = changed(same, key, x, {"clean": x, "depth": x[..., 2]})
    np.testing.assert_array_equal(moved, new)
    np.testing.assert_array_equal(targets["clean"], new)
    np.testing.assert_array_equal(targets["depth"], new[..., 2])
    labels = np.asarray(x[..., 1] // 3, np.int32)
    found = np.asarray(changed(same, key, x, labels)[1])
    assert found.dtype == np.int32 and set(np.unique(found)) <= {0, 1, 2, int(FAR)}
    inside = _inside(augment, key, x)
    column = np.round(np.asarray(new)[..., 1])  # of the pixel that is nearest
    sure = inside & (np.abs(np.asarray(new)[..., 1] - column) < 0.49)
    np.testing.assert_array_equal(found[sure], (column // 3)[sure])
    assert_input_error(lambda: same(key, x, labels[:, :3]), "y", given="(6, 3, 9)")


def test_whole_numbers_and_flags_are_moved_without_fractions():
    x = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 3)).astype(np.uint8)
    for augment in (rotate(30.0, fill=255), random_resized_crop()):
        exact, _ = changed(augment, jax.random.key(0), x.astype(np.float32), np.zeros(20))
        new, _ = changed(augment, jax.random.key(0), x, np.zeros(20))
        assert new.dtype == np.uint8 and np.abs(np.asarray(new) - np.asarray(exact)).max() <= 0.501
        flags, _ = changed(augment, jax.random.key(0), x > 100, np.zeros(20))
        assert flags.dtype == bool


def test_numbers_of_members_are_theirs():
    x, y = ramps(50, 9, 9), jnp.zeros(50)

    def build(number: Any) -> list[Augment]:
        return [
            horizontal_flip(number / 40),
            pad_and_crop(jnp.floor(number / 10).astype(jnp.int32)),
            rotate(number),
            affine(number, translate=(number / 100, 0.0), scale=(1.0, 1.0 + number / 100)),
            random_resized_crop(scale=(1 - number / 100, 1.0)),
        ]

    def every(number: Any) -> list[jax.Array]:
        return [augment(jax.random.key(0), x, y)[0] for augment in build(number)]

    many, one = quick_jit(jax.vmap(every))(jnp.array([0.0, 20.0, 40.0])), quick_jit(every)
    for member, number in enumerate((0.0, 20.0, 40.0)):
        for found, expected in zip(many, one(jnp.float32(number)), strict=True):
            np.testing.assert_allclose(found[member], expected, rtol=1e-4, atol=1e-4)
    for found in many[:4]:
        np.testing.assert_array_equal(found[0], x)
