"""Pictures read at other places: whole rows and columns, any points, or a box at another size.

Pixel (i, j) of a picture `(height, width, channels)` stands at row i and column j, its area from i - 1/2 to i + 1/2.
Each function takes one picture; `vmap` takes many. On a CPU XLA reads whole pixels by number faster than it multiplies
by matrices of zeros and ones (32 x 32 pixels: 0.15 ms for 64 pictures against 0.7 ms) and than it shifts by powers of
two (4 ms); a box at another size is a product of two narrow matrices.
"""

from __future__ import annotations

import jax.numpy as jnp

from jaxann.core.typing import Array, Scalar
from jaxann.data.pictures import from_wide, to_wide

__all__ = ["at_points", "inverse_affine", "resized", "rows_and_columns"]


def rows_and_columns(picture: Array, rows: Array, columns: Array, fill: Scalar) -> Array:
    """picture[rows][:, columns], and `fill` where a row or a column is outside; exact in any dtype."""
    outside = jnp.asarray(fill).astype(picture.dtype)
    for axis, places in enumerate((rows, columns)):
        size = picture.shape[axis]
        taken = jnp.take(picture, jnp.clip(places, 0, size - 1), axis=axis, mode="clip")
        inside = jnp.expand_dims((places >= 0) & (places < size), (1 - axis, 2))
        picture = jnp.where(jnp.broadcast_to(inside, taken.shape), taken, outside)
    return picture


def at_points(picture: Array, rows: Array, columns: Array, fill: Scalar, nearest: bool) -> Array:
    """The picture at points between its pixels, `(height, width, channels)` for rows and columns `(height, width)`.

    Bilinear: sum over the four neighbours of (1 - |row - i|) (1 - |column - j|) pixel[i, j], where a pixel outside of
    the picture is `fill`, so that the border fades into it. A neighbour of weight 0 is left out, whatever it holds.
    """
    outside = jnp.asarray(fill).astype(picture.dtype)
    height, width, channels = picture.shape
    pixels = picture.reshape(height * width, channels)

    def tap(i: Array, j: Array) -> Array:
        inside = (i >= 0) & (i < height) & (j >= 0) & (j < width)
        place = jnp.clip(i, 0, height - 1) * width + jnp.clip(j, 0, width - 1)
        taken = jnp.take(pixels, place, axis=0, mode="clip")
        return jnp.where(jnp.broadcast_to(jnp.expand_dims(inside, -1), taken.shape), taken, outside)

    def whole(places: Array, size: int) -> Array:  # what is far outside stays outside of any integer's range, too
        return jnp.clip(places, -2.0, size + 1.0).astype(jnp.int32)

    if nearest:
        return tap(whole(jnp.floor(rows + 0.5), height), whole(jnp.floor(columns + 0.5), width))
    real = to_wide(picture).dtype
    above, left = jnp.floor(rows), jnp.floor(columns)
    i, j = whole(above, height), whole(left, width)
    down, right = (jnp.expand_dims(a, -1).astype(real) for a in (rows - above, columns - left))

    def line(row: Array) -> Array:
        return _blended(to_wide(tap(row, j)), to_wide(tap(row, j + 1)), right)

    return from_wide(_blended(line(i), line(i + 1), down), picture.dtype)


def _blended(first: Array, second: Array, share: Array) -> Array:
    share = jnp.broadcast_to(share, first.shape)
    return jnp.where(share == 0, first, (1 - share) * first + share * second)


def inverse_affine(
    height: int, width: int, angle: Array, shear: tuple[Array, Array], scale: Array, shift: tuple[Array, Array]
) -> tuple[Array, Array]:
    """Where each pixel of the moved picture comes from: rows and columns, each `(height, width)`.

    The picture is sheared, scaled by `scale`, turned counterclockwise by `angle` about its centre, and moved by `shift`
    (down, right): with p = (right, down) from the centre, p' = scale R(angle) S p + shift, S = [[1, a], [b, 1]] for
    shear = (a, b). Each pixel reads from p = (scale R S)^-1 (p' - shift).
    """
    real = angle.dtype
    down = jnp.expand_dims(jnp.arange(height, dtype=real) - (height - 1) / 2 - shift[0], 1)
    right = jnp.expand_dims(jnp.arange(width, dtype=real) - (width - 1) / 2 - shift[1], 0)
    down, right = (jnp.broadcast_to(a, (height, width)) for a in (down, right))
    cos, sin = jnp.cos(angle) / scale, jnp.sin(angle) / scale
    turned_right, turned_down = cos * right - sin * down, sin * right + cos * down
    a, b = shear
    whole = 1 - a * b  # the determinant of S
    rows = (turned_down - b * turned_right) / whole + (height - 1) / 2
    return rows, (turned_right - a * turned_down) / whole + (width - 1) / 2


def resized(
    picture: Array, start: tuple[Array, Array], length: tuple[Array, Array], size: tuple[int, ...], nearest: bool
) -> Array:
    """The box of `length` pixels from `start` on, (down, right) each, at another size; nothing outside of it is read.

    Pixel o of the new picture stands at start + (o + 1/2) length / size - 1/2 (half-pixel centres). Bilinear: weights
    of a triangle, as wide as one pixel of the coarser of the two, of sum 1, so that making it smaller does not alias.
    """
    real = jnp.result_type(float)
    places = [
        jnp.asarray(first).astype(real) + (jnp.arange(count, dtype=real) + 0.5) * (span.astype(real) / count)
        for first, span, count in zip(start, length, size, strict=True)
    ]
    if nearest:
        ends = [
            (jnp.clip(jnp.floor(place).astype(jnp.int32), first, first + span - 1))
            for place, first, span in zip(places, start, length, strict=True)
        ]
        return rows_and_columns(picture, ends[0], ends[1], 0)
    wide = to_wide(picture)
    rows, columns = (
        _triangles(place, first, span, count).astype(wide.dtype)
        for place, first, span, count in zip(places, start, length, picture.shape[:2], strict=True)
    )
    tall = jnp.einsum("ri,ijc->rjc", rows, wide, precision="highest")
    return from_wide(jnp.einsum("sj,rjc->rsc", columns, tall, precision="highest"), picture.dtype)


def _triangles(places: Array, first: Array, span: Array, count: int) -> Array:
    """`(size, count)`: how much of each pixel goes into each new one; pixels outside of the box give nothing."""
    shape = (places.shape[0], count)
    broad = jnp.maximum(span.astype(places.dtype) / shape[0], 1)
    pixel = jnp.arange(count, dtype=jnp.int32)
    far = jnp.expand_dims(places, 1) - jnp.expand_dims(pixel.astype(places.dtype) + 0.5, 0)
    inside = jnp.broadcast_to(jnp.expand_dims((pixel >= first) & (pixel < first + span), 0), shape)
    weights = jnp.where(inside, jnp.maximum(1 - jnp.abs(far) / broad, 0), 0)
    return weights / jnp.sum(weights, 1, keepdims=True)
