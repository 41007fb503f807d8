"""Random flips and crops of training pictures `(batch, height, width, channels)`, of any dtype.

Labels stay. What a picture shows must not change with it: a 6 turned upside down is no 6, and a flipped letter, left
hand or traffic sign is another one. Where a flip exchanges classes, say which (`swap`); where it makes nonsense, leave
it out. Targets that are pictures themselves (masks, clean pictures to be restored), `(batch, height, width)` with or
without channels, go along with `targets="same"`; whole numbers among them are labels, of which the nearest is taken.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxann.core.augmentation import Augment
from jaxann.core.checks import check_choice, check_count, check_integer, check_range, fail
from jaxann.core.factories import factory
from jaxann.core.typing import Array, Key, Scalar, Targets
from jaxann.data.pictures import (
    between,
    check_between,
    check_geometry,
    check_pictures,
    draw_each,
    move_pictures,
    uniforms,
)
from jaxann.data.resampling import resized, rows_and_columns

__all__ = ["horizontal_flip", "pad_and_crop", "random_resized_crop", "vertical_flip"]

_TRIES = 10


@factory(Augment, static=("swap",))
def horizontal_flip(probability: Scalar = 0.5, *, swap: tuple[tuple[int, int], ...] = (), targets: str = "keep"):
    """x[:, :, ::-1], left and right exchanged, of each picture with this probability.

    Args:
        probability: in [0, 1].
        swap: pairs of classes that a flip exchanges: ((0, 1),) makes label 1 of a flipped picture of class 0 (a left
            hand, an arrow to the right), and 0 of one of class 1. For whole numbers as targets.
        targets: "keep"; or "same", to flip targets that are pictures with them.

    Takes x `(batch, height, width, channels)` of any dtype. Where orientation carries the label and no class is its
    mirror image, as among digits and letters, flips teach what is wrong.

    Peers: as Keras' RandomFlip("horizontal") and torchvision's RandomHorizontalFlip; neither knows of labels.

    Source: Krizhevsky et al. 2012.

    Raises:
        InputError: the probability is out of range, the swap is not of pairs, or (when called) x has not four axes, or
            the targets are not what was asked for.
    """
    _check_flip("horizontal_flip", probability, swap, targets)
    return lambda key, x, y, example_mask: _flipped("horizontal_flip", key, x, y, 1, probability, swap, targets)


@factory(Augment, static=("swap",))
def vertical_flip(probability: Scalar = 0.5, *, swap: tuple[tuple[int, int], ...] = (), targets: str = "keep"):
    """x[:, ::-1], top and bottom exchanged, of each picture with this probability.

    Args:
        probability: in [0, 1].
        swap: pairs of classes that a flip exchanges, as of `horizontal_flip`.
        targets: "keep"; or "same", to flip targets that are pictures with them.

    Takes x `(batch, height, width, channels)` of any dtype. For pictures that have no top (from above, of cells, of
    texture); a photograph upside down is not like those that will be met.

    Peers: as Keras' RandomFlip("vertical") and torchvision's RandomVerticalFlip; neither knows of labels.

    Source: Krizhevsky et al. 2012, for the other axis.

    Raises:
        InputError: the probability is out of range, the swap is not of pairs, or (when called) x has not four axes, or
            the targets are not what was asked for.
    """
    _check_flip("vertical_flip", probability, swap, targets)
    return lambda key, x, y, example_mask: _flipped("vertical_flip", key, x, y, 0, probability, swap, targets)


_MODES = ("constant", "edge", "reflect", "symmetric")


@factory(Augment)
def pad_and_crop(
    padding: Scalar = 4,
    *,
    fill: Scalar = 0.0,
    mode: str = "constant",
    targets: str = "keep",
    target_fill: Scalar = 0.0,
):
    """x padded by so many pixels on each side, and cut to its size again at a random place: moved by at most `padding`
    pixels up or down and left or right, every shift equally likely.

    Args:
        padding: a whole number of pixels; 0 moves nothing. May be traced.
        fill: what comes in from outside with mode "constant".
        mode: "constant"; "edge" repeats the last pixel; "reflect" mirrors without repeating it; "symmetric" mirrors
            with it, as of `numpy.pad`.
        targets: "keep"; or "same", to move targets that are pictures with them.
        target_fill: what comes into those from outside with mode "constant", such as the label to be ignored.

    Takes x `(batch, height, width, channels)` of any dtype.

    Peers: as torchvision's RandomCrop(size, padding=4, padding_mode=...), where size is the picture's own; Keras has
    RandomTranslation, of shifts between pixels.

    Source: He et al. 2016, on CIFAR-10.

    Raises:
        InputError: an argument is out of range, or (when called) x has not four axes, or the targets are no pictures.
    """
    check_count("pad_and_crop", "padding", padding, 0)
    check_choice("pad_and_crop", "mode", mode, _MODES)
    check_geometry("pad_and_crop", fill, targets, target_fill)

    def draw(key: Key) -> Array:
        most = jnp.asarray(padding).astype(jnp.int32)
        share = uniforms(key, 2)
        return jnp.minimum(jnp.floor(share * (2 * most + 1).astype(share.dtype)).astype(jnp.int32), 2 * most) - most

    def move(shift: Array, picture: Array, outside: Scalar, nearest: bool) -> Array:
        rows, columns = (
            _within(jnp.arange(size, dtype=jnp.int32) + first, size, mode)
            for size, first in zip(picture.shape[:2], shift, strict=True)
        )
        return rows_and_columns(picture, rows, columns, outside)

    def change(key, x, y, example_mask):
        check_pictures("pad_and_crop", x, y, targets)
        drawn = draw_each(draw, key, x.shape[0])
        return move_pictures(drawn, x, y, move, fill=fill, targets=targets, target_fill=target_fill)

    return change


@factory(Augment, static=("size",))
def random_resized_crop(
    size: int | tuple[int, int] | None = None,
    *,
    scale: tuple[Scalar, Scalar] = (0.08, 1.0),
    ratio: tuple[Scalar, Scalar] = (3 / 4, 4 / 3),
    method: str = "bilinear",
    targets: str = "keep",
):
    """A box of each picture at `size`: area ~ U(scale) of the picture, width / height ~ exp U(log ratio), anywhere
    inside.

    A box that does not fit is drawn again, ten times at most; then the greatest one in the middle whose width / height
    is in `ratio` is taken.

    Args:
        size: height and width of what comes out, or one number for both; None for the picture's own.
        scale: least and greatest area as a share of the picture, in (0, 1].
        ratio: least and greatest width / height, positive.
        method: "bilinear" (with half-pixel centres; smoothed where it makes the box smaller) or "nearest".
        targets: "keep"; or "same", to cut targets that are pictures with them.

    Takes x `(batch, height, width, channels)` of any dtype; whole numbers are rounded.

    Peers: as torchvision's RandomResizedCrop, which needs a size (antialias=True is its default, and what is done
    here). Keras' RandomCrop and RandomZoom draw neither area nor shape.

    Source: Szegedy et al. 2015.

    Raises:
        InputError: an argument is out of range, or (when called) x has not four axes, or the targets are no pictures.
    """
    name = "random_resized_crop"
    sides = _sides(name, size)
    check_between(name, "scale", scale, 0, 1, open_low=True)
    check_between(name, "ratio", ratio, 0, open_low=True)
    check_choice(name, "method", method, ("bilinear", "nearest"))
    check_geometry(name, 0.0, targets, 0.0)

    def move(box: tuple[Array, Array, Array, Array], picture: Array, outside: Scalar, nearest: bool) -> Array:
        top, left, tall, broad = box
        wanted = picture.shape[:2] if sides is None else sides
        return resized(picture, (top, left), (tall, broad), wanted, nearest or method == "nearest")

    def change(key, x, y, example_mask):
        check_pictures(name, x, y, targets)
        batch, height, width, _ = x.shape
        drawn = draw_each(lambda one: _crop_box(one, height, width, scale, ratio), key, batch)
        return move_pictures(drawn, x, y, move, fill=0, targets=targets, target_fill=0)

    return change


def _sides(function: str, size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    if size is None:
        return None
    sides = size if isinstance(size, tuple) else (size, size)
    if len(sides) != 2:
        fail(function, "size", "one integer, a pair (height, width), or None", size)
    for side in sides:
        check_integer(function, "size", side)
    return sides[0], sides[1]


def _crop_box(
    key: Key, height: int, width: int, scale: tuple[Scalar, Scalar], ratio: tuple[Scalar, Scalar]
) -> tuple[Array, Array, Array, Array]:
    """Top, left, height and width of a box, whole numbers of pixels."""
    share = uniforms(key, 2 * _TRIES + 2)
    real = share.dtype
    low, high = (jnp.log(jnp.asarray(r).astype(real)) for r in ratio)
    area = between(scale[0], scale[1], share[:_TRIES]) * (height * width)
    shape = jnp.exp(low + (high - low) * share[_TRIES:-2])
    tall, broad = jnp.round(jnp.sqrt(area / shape)), jnp.round(jnp.sqrt(area * shape))
    fits = (tall >= 1) & (tall <= height) & (broad >= 1) & (broad <= width)
    first = jnp.argmax(fits)
    whole = jnp.clip(jnp.asarray(width / height, real), jnp.exp(low), jnp.exp(high))
    rest_tall = jnp.clip(jnp.round(jnp.minimum(height, width / whole)), 1, height)
    rest_broad = jnp.clip(jnp.round(jnp.minimum(width, height * whole)), 1, width)
    some = jnp.any(fits)
    tall, broad = jnp.where(some, tall[first], rest_tall), jnp.where(some, broad[first], rest_broad)
    top, left = (
        jnp.where(some, jnp.floor(part * (room + 1)), jnp.floor(room / 2))
        for part, room in ((share[-2], height - tall), (share[-1], width - broad))
    )
    box = jnp.stack([jnp.minimum(top, height - tall), jnp.minimum(left, width - broad), tall, broad]).astype(jnp.int32)
    return box[0], box[1], box[2], box[3]


def _within(places: Array, size: int, mode: str) -> Array:
    """Places outside of 0..size-1 as those whose pixel is repeated there; as they are for "constant"."""
    if mode == "constant":
        return places
    if mode == "edge" or size == 1:
        return jnp.clip(places, 0, size - 1)
    if mode == "reflect":  # the mirror stands on the last pixel
        place = jnp.mod(places, 2 * size - 2)
        return jnp.where(place < size, place, 2 * size - 2 - place)
    place = jnp.mod(places, 2 * size)  # it stands at the end of the last pixel
    return jnp.where(place < size, place, 2 * size - 1 - place)


def _check_flip(function: str, probability: Any, swap: Any, targets: Any) -> None:
    check_range(function, "probability", probability, 0, 1)
    check_choice(function, "targets", targets, ("keep", "same"))
    if not isinstance(swap, tuple) or not all(isinstance(pair, tuple) and len(pair) == 2 for pair in swap):
        fail(function, "swap", "pairs of classes, such as ((0, 1),)", swap)
    classes = [one for pair in swap for one in pair]
    for one in classes:
        check_integer(function, "each class of swap", one, 0)
    if len(set(classes)) < len(classes):
        fail(function, "swap", "pairs of classes, none of which is in two", swap)


def _flipped(
    function: str,
    key: Key,
    x: Array,
    y: Targets,
    axis: int,
    probability: Scalar,
    swap: tuple[tuple[int, int], ...],
    targets: str,
) -> tuple[Array, Targets]:
    def draw(one: Key) -> Array:
        share = uniforms(one, 1)[0]
        return share < jnp.asarray(probability).astype(share.dtype)

    def move(flips: Array, picture: Array, outside: Scalar, nearest: bool) -> Array:
        return jnp.where(flips, lax.rev(picture, (axis,)), picture)

    check_pictures(function, x, y, targets)
    for leaf in jax.tree.leaves(y) if swap else ():
        if not jnp.issubdtype(leaf.dtype, jnp.integer):
            fail(function, "y", "whole numbers, the classes that swap exchanges", f" {leaf.dtype}")
    drawn = draw_each(draw, key, x.shape[0])
    new, y = move_pictures(drawn, x, y, move, fill=0, targets=targets, target_fill=0)
    if not swap:
        return new, y

    def exchanged(flips: Array, labels: Array) -> Array:
        other = labels
        for first, second in swap:
            other = jnp.where(labels == first, second, jnp.where(labels == second, first, other))
        return jnp.where(flips, other, labels)

    return new, jax.tree.map(lambda labels: jax.vmap(exchanged)(drawn, labels), y)
