"""Reading pictures between their pixels: against PyTorch, SciPy and NumPy, in float64."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
import torch

from jaxann.data.resampling import at_points, inverse_affine, resized
from tests.programs import quick_jit
from tests.tolerances import assert_close

PICTURE = np.random.default_rng(0).normal(size=(7, 10, 3))


def _read(
    angle: float, shear: tuple[float, float], scale: float, shift: tuple[float, float], fill: float, nearest: bool
):
    numbers = [jnp.float64(a) for a in (angle, *shear, scale, *shift)]

    def read(picture, angle, a, b, scale, down, right):
        points = inverse_affine(7, 10, angle, (a, b), scale, (down, right))
        return at_points(picture, *points, fill, nearest)

    return np.asarray(quick_jit(read)(PICTURE, *numbers))


CASES = {
    "as it is": (0.0, (0.0, 0.0), 1.0, (0.0, 0.0)),
    "turned": (0.7, (0.0, 0.0), 1.0, (0.0, 0.0)),
    "upside down": (np.pi, (0.0, 0.0), 1.0, (0.0, 0.0)),
    "sheared": (0.0, (0.4, -0.2), 1.0, (0.0, 0.0)),
    "smaller": (0.0, (0.0, 0.0), 0.6, (0.3, -0.8)),
    "all": (-2.0, (0.3, 0.1), 1.4, (1.5, -2.25)),
    "far away": (0.1, (0.0, 0.0), 1.0, (1e12, -1e12)),
}


@pytest.mark.parametrize("case", CASES)
def test_affine_reading_is_that_of_torch_and_scipy(case: str, x64):
    angle, (a, b), scale, (down, right) = CASES[case]
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])  # of (right, down)
    inverse = np.linalg.inv(scale * turn @ np.array([[1, a], [b, 1]]))
    origin = -inverse @ [right, down]
    for fill in (0.0, 2.5):
        found = _read(angle, (a, b), scale, (down, right), fill, False)
        centre = np.array([3.0, 4.5])
        matrix, offset = inverse[::-1, ::-1], origin[::-1] + centre - inverse[::-1, ::-1] @ centre  # rows first
        for channel in range(3):
            expected = scipy.ndimage.affine_transform(
                PICTURE[..., channel], matrix, offset, order=1, mode="grid-constant", cval=fill
            )
            assert_close(found[..., channel], expected, "oracle")
    # PyTorch's places run from -1 to 1 over the picture's whole width (align_corners=False): pixels stand inside.
    theta = inverse * [[1, 7 / 10], [10 / 7, 1]]
    theta = np.concatenate([theta, 2 * origin[:, None] / [[10], [7]]], 1)
    images = torch.from_numpy(PICTURE).permute(2, 0, 1)[None]
    grid = torch.nn.functional.affine_grid(torch.from_numpy(theta)[None], [1, 3, 7, 10], align_corners=False)
    expected = torch.nn.functional.grid_sample(images, grid, "bilinear", "zeros", align_corners=False)
    assert_close(_read(angle, (a, b), scale, (down, right), 0.0, False), expected[0].permute(1, 2, 0).numpy(), "oracle")
    if case in ("turned", "all"):  # elsewhere two pixels are as near
        expected = torch.nn.functional.grid_sample(images, grid, "nearest", "zeros", align_corners=False)
        found = _read(angle, (a, b), scale, (down, right), 0.0, True)
        assert_close(found, expected[0].permute(1, 2, 0).numpy(), "oracle")


def test_a_quarter_turn_counterclockwise_is_that_of_numpy(x64):
    picture = np.arange(25.0).reshape(5, 5, 1)
    nothing = jnp.float64(0)
    points = inverse_affine(5, 5, jnp.float64(np.pi / 2), (nothing, nothing), nothing + 1, (nothing, nothing))
    assert_close(at_points(jnp.asarray(picture), *points, 0.0, False), np.rot90(picture), "oracle")
    spoiled = jnp.asarray(np.where(np.arange(5) > 2, np.nan, picture[..., 0]))[..., None]
    still = at_points(
        spoiled, *inverse_affine(5, 5, nothing, (nothing, nothing), nothing + 1, (nothing, nothing)), 0, False
    )
    np.testing.assert_array_equal(still, spoiled)  # a neighbour of weight 0 is left out


@pytest.mark.parametrize("size", [(7, 10), (3, 4), (12, 21), (5, 30), (1, 1)])
def test_resized_is_interpolate_of_torch(size: tuple[int, int], x64):
    read = quick_jit(resized, static_argnums=(3, 4))
    for top, left, tall, broad in ((0, 0, 7, 10), (2, 3, 4, 6), (6, 0, 1, 10), (1, 8, 5, 2)):
        box = np.array([top, left], np.int32), np.array([tall, broad], np.int32)
        crop = torch.from_numpy(PICTURE[top : top + tall, left : left + broad]).permute(2, 0, 1)[None]
        found = read(PICTURE, box[0], box[1], size, False)
        expected = torch.nn.functional.interpolate(crop, size, mode="bilinear", align_corners=False, antialias=True)
        assert_close(found, expected[0].permute(1, 2, 0).numpy(), "oracle")
        found = read(PICTURE, box[0], box[1], size, True)
        expected = torch.nn.functional.interpolate(crop, size, mode="nearest-exact")
        np.testing.assert_array_equal(found, expected[0].permute(1, 2, 0).numpy())
