"""Random rotations and affine maps of training pictures `(batch, height, width, channels)`, read between pixels.

Targets that are pictures go along with `targets="same"`; whole numbers among them are labels, of which the nearest is
taken.
"""

from __future__ import annotations

import jax.numpy as jnp

from jaxann.core.augmentation import Augment
from jaxann.core.checks import check_range, fail
from jaxann.core.factories import factory
from jaxann.core.typing import Array, Key, Scalar
from jaxann.data.pictures import (
    between,
    check_between,
    check_geometry,
    check_pictures,
    draw_each,
    move_pictures,
    uniforms,
)
from jaxann.data.resampling import at_points, inverse_affine

__all__ = ["affine", "rotate"]


@factory(Augment)
def rotate(degrees: Scalar = 15.0, *, fill: Scalar = 0.0, targets: str = "keep", target_fill: Scalar = 0.0):
    """x turned about its centre by an angle ~ U(-degrees, degrees), read between pixels (bilinear), `fill` outside.

    Args:
        degrees: the greatest angle, at least 0. May be traced.
        fill: what stands outside of the picture; the border fades into it.
        targets: "keep"; or "same", to turn targets that are pictures with them.
        target_fill: what stands outside of those, such as the label to be ignored.

    Takes x `(batch, height, width, channels)` of any dtype; whole numbers are rounded. The centre is that of
    the middle pixel, or between the middle ones: at 0 degrees nothing changes.

    Peers: as torchvision's RandomRotation(degrees, BILINEAR), whose default is NEAREST. Keras' RandomRotation has a
    share of a full turn as its factor, and mirrors the picture outside.

    Source: Simard et al. 2003.

    Raises:
        InputError: degrees is negative, or (when called) x has not four axes, or the targets are no pictures.
    """
    check_range("rotate", "degrees", degrees, 0)
    check_geometry("rotate", fill, targets, target_fill)

    def draw(key: Key, height: int, width: int) -> tuple[Array, Array]:
        angle = _angle(degrees, uniforms(key, 1)[0])
        nothing = jnp.zeros_like(angle)
        return inverse_affine(height, width, angle, (nothing, nothing), nothing + 1, (nothing, nothing))

    def change(key, x, y, example_mask):
        check_pictures("rotate", x, y, targets)
        drawn = draw_each(lambda one: draw(one, *x.shape[1:3]), key, x.shape[0])
        return move_pictures(drawn, x, y, _read, fill=fill, targets=targets, target_fill=target_fill)

    return change


@factory(Augment)
def affine(
    degrees: Scalar = 15.0,
    *,
    translate: tuple[Scalar, Scalar] = (0.1, 0.1),
    scale: tuple[Scalar, Scalar] = (0.9, 1.1),
    shear: Scalar = 0.0,
    fill: Scalar = 0.0,
    targets: str = "keep",
    target_fill: Scalar = 0.0,
):
    """x under p' = s R(angle) [[1, tan a], [0, 1]] p + t, p = (right, down) from the centre, read between pixels
    (bilinear), `fill` outside.

    angle ~ U(-degrees, degrees), counterclockwise; a ~ U(-shear, shear); s ~ U(scale); t right by at most
    translate[1] of the width, down by at most translate[0] of the height, uniform.

    Args:
        degrees: the greatest angle, at least 0.
        translate: the greatest shifts, as shares of (height, width), in [0, 1].
        scale: the smallest and the greatest factor, positive.
        shear: the greatest angle by which vertical lines lean, in degrees, in [0, 90).
        fill: what stands outside of the picture; the border fades into it.
        targets: "keep"; or "same", to move targets that are pictures with them.
        target_fill: what stands outside of those, such as the label to be ignored.

    Takes x `(batch, height, width, channels)` of any dtype; whole numbers are rounded. Every number may be traced.

    Peers: as torchvision's RandomAffine, which shifts by whole pixels, has the width first in `translate`, and reads
    the nearest pixel by default. Keras has a layer for each of the four.

    Source: Simard et al. 2003.

    Raises:
        InputError: an argument is out of range, or (when called) x has not four axes, or the targets are no pictures.
    """
    check_range("affine", "degrees", degrees, 0)
    check_between("affine", "scale", scale, 0, open_low=True)
    check_range("affine", "shear", shear, 0, 90, open_high=True)
    check_geometry("affine", fill, targets, target_fill)
    if not isinstance(translate, tuple | list) or len(translate) != 2:
        fail("affine", "translate", "a pair of numbers, the shares of height and width", translate)
    for share in translate:
        check_range("affine", "translate", share, 0, 1)

    def draw(key: Key, height: int, width: int) -> tuple[Array, Array]:
        share = uniforms(key, 5)
        lean = jnp.tan(_angle(shear, share[1]))
        down, right = (
            between(-jnp.asarray(most), jnp.asarray(most), part) * size
            for most, part, size in zip(translate, share[3:], (height, width), strict=True)
        )
        size = between(scale[0], scale[1], share[2])
        return inverse_affine(
            height, width, _angle(degrees, share[0]), (lean, jnp.zeros_like(lean)), size, (down, right)
        )

    def change(key, x, y, example_mask):
        check_pictures("affine", x, y, targets)
        drawn = draw_each(lambda one: draw(one, *x.shape[1:3]), key, x.shape[0])
        return move_pictures(drawn, x, y, _read, fill=fill, targets=targets, target_fill=target_fill)

    return change


def _angle(degrees: Scalar, share: Array) -> Array:
    """In radians, from -degrees to degrees."""
    return jnp.asarray(degrees).astype(share.dtype) * (2 * share - 1) * (jnp.pi / 180)


def _read(points: tuple[Array, Array], picture: Array, outside: Scalar, nearest: bool) -> Array:
    return at_points(picture, *points, outside, nearest)
