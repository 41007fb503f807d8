"""Images, signals and volumes at another resolution.

Along one axis a new place is a weighted mean of old ones: y = M x with a matrix M of the new and the old lengths, which
depends on nothing but these. Several axes are taken one after the other. Products of matrices are fast everywhere, and
so are their transposes, which gradients are made of.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxann.core.checks import check_choice, check_flag, check_floating, check_integer, fail, is_concrete
from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array

__all__ = ["METHODS", "along", "check_resize", "matrices_of", "resize"]

METHODS = ("nearest", "bilinear", "bicubic")
_REACH = {"bilinear": 2, "bicubic": 4}  # old places that a new one is made of


def resize(
    x: Array,
    size: int | Sequence[int] | None = None,
    *,
    scale: float | Sequence[float] | None = None,
    method: str = "nearest",
    antialias: bool = False,
) -> Array:
    """y[n, i, c] = sum over j of M[i, j] x[n, j, c] along each axis of places: interpolation between centers of places.

    The new place i lies at t = (i + 1/2) r - 1/2 on the old axis, r = old places / new places (1 / scale where a scale
    is given). "nearest" takes the old place floor(i r); "bilinear" the two around t, by their distance; "bicubic" four,
    by Keys' cubic with a = -0.75. What lies outside is the last place.

    Args:
        x: `(batch, *places, channels)`.
        size: new places along each axis, or along all.
        scale: times as many places, rounded down, in the place of a size.
        method: "nearest", "bilinear" (linear along each axis, of however many) or "bicubic".
        antialias: whether a new place of a smaller image is a mean of all old ones that it covers: the filter is
            widened by r, and a = -0.5, as in Pillow. Without it most old places are not looked at.

    Returns:
        `(batch, *sizes, channels)`, computed in float32 or better.

    Peers: PyTorch's interpolate with align_corners=False, whose "nearest" too lies at i r and not at the center (its
    "nearest-exact"). jax.image.resize always widens the filter unless told otherwise, has a = -0.5, leaves out what
    lies outside instead of repeating the last place, and takes the nearest of centers.

    Source: Keys 1981.

    Raises:
        InputError: neither or both of size and scale are given, one is no positive number, the method is unknown,
            antialias is asked of "nearest", or x has no axis of places.
    """
    check_floating("resize", "x", x)
    if x.ndim < 3 or 0 in x.shape[1:-1]:
        fail("resize", "x", "of shape (batch, *places, channels)", f" shape {x.shape}")
    check_resize(size, scale, method, antialias, x.ndim - 2)
    y = x
    for axis, matrix in enumerate(matrices_of(x.shape[1:-1], size, scale, method, antialias), start=1):
        if matrix is None:
            continue
        if method == "nearest":  # nothing is multiplied, so that an infinite place stays where it is
            taken, (new, old) = np.argmax(matrix, 1), matrix.shape
            whole = new % old == 0 and (taken == np.arange(new) // (new // old)).all()  # a sum on the way back
            y = jnp.repeat(y, new // old, axis) if whole else jnp.take(y, taken, axis, mode="clip")
        else:
            y = along(y, matrix, axis)
    return y.astype(x.dtype)


def along(x: Array, matrix: np.ndarray, axis: int) -> Array:
    """M times x along one axis, in float32 or better."""
    dtype = wide_dtype(x.dtype)
    put = lax.dot_general(
        jnp.asarray(matrix, dtype), x.astype(dtype), (((1,), (axis,)), ((), ())), precision=lax.Precision.HIGHEST
    )
    return jnp.moveaxis(put, 0, axis)


def check_resize(size: Any, scale: Any, method: Any, antialias: Any, rank: int | None = None) -> None:
    """What can be said of the arguments; of one number for each axis only once their number is known.

    Raises:
        InputError: one of them is wrong.
    """
    check_choice("resize", "method", method, METHODS)
    check_flag("resize", "antialias", antialias)
    if antialias and method == "nearest":
        fail("resize", "antialias", 'False where method is "nearest"', antialias)
    if (size is None) == (scale is None):
        fail("resize", "size", "given, or scale is, and not both", f" size={size} and scale={scale}")
    argument, value = ("size", size) if scale is None else ("scale", scale)
    each = value if isinstance(value, tuple | list) else (value,)
    if isinstance(value, tuple | list) and (len(each) != rank if rank is not None else not each):
        fail("resize", argument, f"one number, or one for each of the {rank or 'places'} axes", tuple(each))
    for number in each:
        if argument == "size":
            check_integer("resize", "size" if each is not value else "each of size", number)
        elif isinstance(number, bool) or not isinstance(number, int | float | np.number) or not is_concrete(number):
            fail("resize", "scale", "a number above 0, or one for each axis", number)
        elif not (math.isfinite(number) and number > 0):
            fail("resize", "scale", "a number above 0, or one for each axis", number)


def matrices_of(places: Sequence[int], size: Any, scale: Any, method: str, antialias: bool) -> list[np.ndarray | None]:
    """M of each axis, `(new, old)` in float64; None for one that stays as it is.

    Raises:
        InputError: a scale leaves no place.
    """
    found: list[np.ndarray | None] = []
    for axis, old in enumerate(places):
        own_size, own_scale = (v[axis] if isinstance(v, tuple | list) else v for v in (size, scale))
        new = own_size if own_scale is None else math.floor(old * own_scale)
        if new < 1:
            fail("resize", "scale", f"such that something is left of {old} places", scale)
        ratio = old / new if own_scale is None else 1 / own_scale
        if new == old and ratio == 1:
            found.append(None)
        elif method == "nearest":
            found.append(_nearest(old, new, own_scale))
        else:
            found.append(_wide(old, new, ratio, method) if antialias else _between(old, new, ratio, method))
    return found


def _nearest(old: int, new: int, scale: float | None) -> np.ndarray:
    """1 at floor(i r); r in float32, which decides where i r is nearly whole, as in PyTorch."""
    ratio = np.float32(old) / np.float32(new) if scale is None else np.float32(1 / scale)
    taken = np.minimum(np.floor(np.arange(new, dtype=np.float32) * ratio).astype(int), old - 1)
    if new in (old, 2 * old):  # which PyTorch takes exactly
        taken = np.arange(new) * old // new
    matrix = np.zeros((new, old))
    matrix[np.arange(new), taken] = 1
    return matrix


def _between(old: int, new: int, ratio: float, method: str) -> np.ndarray:
    """The two or four old places around t; those outside are the last one."""
    t = (np.arange(new) + 0.5) * ratio - 0.5
    t = np.maximum(t, 0) if method == "bilinear" else t
    first = np.minimum(np.floor(t), old - 1)
    share = np.clip(t - first, 0, 1)
    matrix = np.zeros((new, old))
    reach = _REACH[method]
    for k in range(1 - reach // 2, 1 + reach // 2):
        weight = _triangle(share - k) if method == "bilinear" else _cubic(share - k, -0.75)
        np.add.at(matrix, (np.arange(new), np.clip(first + k, 0, old - 1).astype(int)), weight)
    return matrix


def _wide(old: int, new: int, ratio: float, method: str) -> np.ndarray:
    """All old places that a new one covers, the filter widened by r where the image shrinks; rows sum to 1."""
    widened = max(ratio, 1.0)
    support = _REACH[method] / 2 * widened
    matrix = np.zeros((new, old))
    for i in range(new):
        center = (i + 0.5) * ratio
        low, high = max(int(center - support + 0.5), 0), min(int(center + support + 0.5), old)
        away = (np.arange(low, high) - center + 0.5) / widened
        weight = _triangle(away) if method == "bilinear" else _cubic(away, -0.5)
        matrix[i, low:high] = weight / weight.sum()
    return matrix


def _triangle(away: np.ndarray) -> np.ndarray:
    return np.maximum(0, 1 - np.abs(away))


def _cubic(away: np.ndarray, a: float) -> np.ndarray:
    """Keys' cubic: 1 at 0, 0 at the other whole numbers and from 2 on."""
    d = np.abs(away)
    near, far = ((a + 2) * d - (a + 3)) * d * d + 1, ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return np.where(d < 1, near, np.where(d < 2, far, 0))
