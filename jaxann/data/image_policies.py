"""Policies that draw operations of a fixed list for each picture: RandAugment and TrivialAugment.

The list is that of Cubuk et al. 2020, 14 operations. All pictures of a batch go through one program: those that move a
picture are one affine map, read once; those that blend it with another one (black, grey, blurred) are one blend.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxann.core.augmentation import Augment
from jaxann.core.checks import check_integer, check_range
from jaxann.core.factories import factory
from jaxann.core.keys import fold_name
from jaxann.core.typing import Array, Key, Scalar, Targets
from jaxann.data.colours import blended, grey_of, mean_grey_of
from jaxann.data.histogram import auto_contrast, blurred, equalize, posterize, solarize
from jaxann.data.pictures import (
    check_geometry,
    check_pictures,
    check_value_range,
    draw_each,
    from_wide,
    move_pictures,
    to_wide,
    uniforms,
)
from jaxann.data.resampling import at_points, inverse_affine

__all__ = ["OPERATIONS", "rand_augment", "trivial_augment"]

OPERATIONS = (
    "identity",
    "shear_right",
    "shear_down",
    "translate_right",
    "translate_down",
    "rotate",
    "brightness",
    "saturation",
    "contrast",
    "sharpness",
    "posterize",
    "solarize",
    "auto_contrast",
    "equalize",
)
_BLENDS = ("brightness", "saturation", "contrast", "sharpness")


class _Strongest(NamedTuple):
    """How strong each operation is at strength 1."""

    shear: float  # the tangent of the angle
    translate: tuple[float, float]  # a share of the side, and pixels
    degrees: float
    factor: float  # of a blend, below and above 1
    bits: float  # that posterize drops


_RAND = _Strongest(0.3, (150 / 331, 0.0), 30.0, 0.9, 4.0)
_WIDE = _Strongest(0.99, (0.0, 32.0), 135.0, 0.99, 6.0)


@factory(Augment, static=("operations",))
def rand_augment(
    operations: int = 2,
    magnitude: Scalar = 5.0,
    *,
    value_range: tuple[Scalar, Scalar],
    fill: Scalar = 0.0,
    targets: str = "keep",
    target_fill: Scalar = 0.0,
):
    """x through `operations` of 14 operations one after the other, each drawn for each picture, all as strong as
    `magnitude`.

    Identity, auto-contrast, equalize, rotate (30 degrees at magnitude 10), solarize (everything), saturation, contrast,
    brightness and sharpness (a factor 1 +- 0.9), posterize (4 bits dropped), shears (0.3) and translations (150 / 331
    of the side), right and down; those that have a direction go either way.

    Args:
        operations: how many for each picture, at least 1.
        magnitude: in [0, 10]; at 0 all but auto-contrast and equalize change nothing. May be traced.
        value_range: the numbers that are black and white, such as (0, 1), or (0, 255) of uint8.
        fill: what stands outside of a picture that was moved.
        targets: "keep"; or "same", to move targets that are pictures with them.
        target_fill: what stands outside of those, such as the label to be ignored.

    Takes x `(batch, height, width, channels)` of numbers. Equalize and posterize work on 256 levels of the range; the
    others do not round. Pixels are read bilinearly, shears and rotations are about the centre.

    Peers: torchvision's RandAugment draws the same for the whole batch unless called for each picture, has magnitudes 0
    to 30, reads the nearest pixel, and shears from the corner. Keras' RandAugment has magnitudes in [0, 1].

    Source: Cubuk et al. 2020.

    Raises:
        InputError: an argument is out of range, or (when called) x has not four axes, or the targets are no pictures.
    """
    check_integer("rand_augment", "operations", operations)
    check_range("rand_augment", "magnitude", magnitude, 0, 10)
    check_value_range("rand_augment", value_range)
    check_geometry("rand_augment", fill, targets, target_fill)
    outside = {"fill": fill, "targets": targets, "target_fill": target_fill}

    def change(key, x, y, example_mask):
        moved = y if targets == "same" else ()  # what stays is not carried along

        def operate(number: Array, carry: tuple[Array, Targets]) -> tuple[Array, Targets]:
            own = jax.random.fold_in(fold_name(key, "operations"), number)
            return _operated("rand_augment", own, *carry, _RAND, lambda share: magnitude / 10, value_range, outside)

        check_pictures("rand_augment", x, y, targets, numbers=True)
        x, moved = lax.fori_loop(0, operations, operate, (x, moved))
        return x, moved if targets == "same" else y

    return change


@factory(Augment)
def trivial_augment(
    *,
    value_range: tuple[Scalar, Scalar],
    fill: Scalar = 0.0,
    targets: str = "keep",
    target_fill: Scalar = 0.0,
):
    """x through one of the 14 operations of `rand_augment`, drawn for each picture, its strength ~ U(0, 1).

    At strength 1: rotate 135 degrees, shears 0.99, translations 32 pixels, factors 1 +- 0.99, 6 bits dropped.

    Args:
        value_range: the numbers that are black and white, such as (0, 1), or (0, 255) of uint8.
        fill: what stands outside of a picture that was moved.
        targets: "keep"; or "same", to move targets that are pictures with them.
        target_fill: what stands outside of those, such as the label to be ignored.

    Takes x `(batch, height, width, channels)` of numbers. Nothing is to be tuned.

    Peers: as torchvision's TrivialAugmentWide, with the differences named at `rand_augment`.

    Source: Mueller and Hutter 2021.

    Raises:
        InputError: an argument is out of range, or (when called) x has not four axes, or the targets are no pictures.
    """
    check_value_range("trivial_augment", value_range)
    check_geometry("trivial_augment", fill, targets, target_fill)
    outside = {"fill": fill, "targets": targets, "target_fill": target_fill}
    return lambda key, x, y, example_mask: _operated(
        "trivial_augment", key, x, y, _WIDE, lambda share: share, value_range, outside
    )


class _Drawn(NamedTuple):
    """What one picture goes through."""

    number: Array  # of the operation
    strength: Array  # in [0, 1]
    sign: Array  # 1 or -1
    points: tuple[Array, Array]  # where its pixels are read


def _operated(
    function: str,
    key: Key,
    x: Array,
    y: Targets,
    strongest: _Strongest,
    strength_of: Callable[[Array], Any],
    value_range: tuple[Scalar, Scalar],
    outside: Mapping[str, Any],
) -> tuple[Array, Targets]:
    """Every picture through one operation of its own."""
    check_pictures(function, x, y, outside["targets"], numbers=True)

    def draw(one: Key, height: int, width: int) -> _Drawn:
        share = uniforms(one, 3)
        number = jnp.minimum(jnp.floor(share[0] * len(OPERATIONS)).astype(jnp.int32), len(OPERATIONS) - 1)
        strength = jnp.broadcast_to(jnp.asarray(strength_of(share[1])).astype(share.dtype), ())
        sign = jnp.where(share[2] < 0.5, 1, -1).astype(share.dtype)

        def amount(name: str, most: float) -> Array:
            return jnp.where(_is(number, name), sign * strength * most, 0)

        part, pixels = strongest.translate
        points = inverse_affine(
            height,
            width,
            amount("rotate", strongest.degrees * jnp.pi / 180),
            (amount("shear_right", strongest.shear), amount("shear_down", strongest.shear)),
            jnp.ones((), share.dtype),
            (amount("translate_down", part * height + pixels), amount("translate_right", part * width + pixels)),
        )
        return _Drawn(number, strength, sign, points)

    def move(drawn: _Drawn, picture: Array, fill: Scalar, nearest: bool) -> Array:
        return at_points(picture, *drawn.points, fill, nearest)

    def colour(drawn: _Drawn, picture: Array) -> Array:
        wide = to_wide(picture)
        black, white = (jnp.asarray(end).astype(wide.dtype) for end in value_range)
        new = _recoloured(drawn, (wide - black) / (white - black), strongest)
        moves = drawn.number < OPERATIONS.index("brightness")  # or leaves it as it is
        return jnp.where(moves, picture, from_wide(black + (white - black) * new, picture.dtype))

    drawn = draw_each(lambda one: draw(one, *x.shape[1:3]), key, x.shape[0])
    return move_pictures(drawn, jax.vmap(colour)(drawn, x), y, move, **outside)


def _is(number: Array, name: str) -> Array:
    return number == OPERATIONS.index(name)


def _recoloured(drawn: _Drawn, x: Array, strongest: _Strongest) -> Array:
    number, strength = drawn.number, drawn.strength.astype(x.dtype)
    bases = (jnp.zeros_like(x), grey_of(x), jnp.broadcast_to(mean_grey_of(x), x.shape), blurred(x))
    base = x
    for name, one in zip(_BLENDS, bases, strict=True):
        base = jnp.where(_is(number, name), one, base)
    new = blended(base, x, 1 + drawn.sign.astype(x.dtype) * strength * strongest.factor)
    levels = jnp.round(jnp.clip(x, 0, 1) * 255).astype(jnp.int32)
    others = {
        "posterize": posterize(levels, jnp.round(strength * strongest.bits)),
        "solarize": solarize(x, strength),
        "auto_contrast": auto_contrast(x),
        "equalize": equalize(levels),
    }
    for name, one in others.items():
        new = jnp.where(_is(number, name), one.astype(x.dtype), new)
    return new
