"""Padding, cropping and pixel shuffles against PyTorch and NumPy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from jaxann import ops
from tests.contract import assert_input_error

X = np.random.default_rng(0).normal(size=(2, 5, 6, 12)).astype(np.float32)


def _first(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.moveaxis(x, -1, 1))


def test_pixel_shuffles_are_pytorchs():
    torch = pytest.importorskip("torch")
    for factor, x in ((2, X), (3, X[..., :9]), (1, X)):
        wanted = torch.nn.functional.pixel_shuffle(torch.tensor(_first(x)), factor).numpy()
        y = np.asarray(ops.pixel_shuffle(x, factor))
        np.testing.assert_array_equal(_first(y), wanted)
        back = torch.nn.functional.pixel_unshuffle(torch.tensor(wanted), factor).numpy()
        np.testing.assert_array_equal(_first(np.asarray(ops.pixel_unshuffle(y, factor))), back)
        np.testing.assert_array_equal(ops.pixel_unshuffle(y, factor), x)


def test_pixel_shuffle_along_one_axis_and_unlike_factors():
    """By the formula, place by place."""
    y = np.asarray(ops.pixel_shuffle(X, (2, 3)))
    assert y.shape == (2, 10, 18, 2)
    for h, i, w, j, c in itertools.product(range(5), range(2), range(6), range(3), range(2)):
        np.testing.assert_array_equal(y[:, 2 * h + i, 3 * w + j, c], X[:, h, w, c * 6 + i * 3 + j])
    np.testing.assert_array_equal(ops.pixel_unshuffle(y, (2, 3)), X)
    signal = np.asarray(ops.pixel_shuffle(X[:, 0], 4))
    np.testing.assert_array_equal(signal[:, 9, 1], X[:, 0, 2, 1 * 4 + 1])


def test_pad_is_pytorchs():
    torch = pytest.importorskip("torch")
    for mode in ("zeros", "circular", "reflect", "replicate"):
        for (a, b), (c, d) in (((1, 2), (3, 0)), ((0, 0), (4, 4)), ((4, 4), (2, 1))):
            theirs = torch.nn.functional.pad(torch.tensor(_first(X)), (c, d, a, b),
                                             mode="constant" if mode == "zeros" else mode)  # fmt: skip
            y = np.asarray(ops.pad(X, ((a, b), (c, d)), mode=mode))
            np.testing.assert_array_equal(_first(y), theirs.numpy(), err_msg=mode)
            np.testing.assert_array_equal(ops.crop(y, ((a, b), (c, d))), X)


def test_places_refuse_what_does_not_fit():
    assert_input_error(lambda: ops.crop(X, (2, 3)), "widths", given="(3, 3)")
    assert_input_error(lambda: ops.crop(X, (1, 2, 3)), "widths")
    assert_input_error(lambda: ops.pad(X, 5, mode="reflect"), "widths", expected="at most the 4 places")
    assert_input_error(lambda: ops.pad(X, (0, 7), mode="circular"), "widths", expected="at most the 6 places")
    assert_input_error(lambda: ops.pad(X, "same"), "widths")
    assert_input_error(lambda: ops.pad(X[0, 0], 1), "x", given="(6, 12)")
    assert_input_error(lambda: ops.pixel_shuffle(X, 5), "factor", expected="12 channels")
    assert_input_error(lambda: ops.pixel_unshuffle(X, 2), "factor", expected="(5, 6)")
