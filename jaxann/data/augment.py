"""Random changes of training examples inside the program, `(key, x, y, example_mask) -> (x, y)`, for `augment=`.

`mixup` and `cutmix` mix pairs of a batch and give the targets of both with their shares (`Mixed`), so that labels stay
whole numbers and any loss can be taken; `cutout` and `random_erasing` hide a part of each picture and leave the targets
alone. Pictures are `(batch, height, width, channels)`. Rows of padding (example_mask 0) are mixed with nothing.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxann.core.augmentation import Augment, Mixed
from jaxann.core.checks import check_choice, check_count, check_floating, check_range, fail
from jaxann.core.factories import factory
from jaxann.core.keys import fold_name
from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array, Key, Scalar
from jaxann.ops import shuffled_positions

__all__ = ["cutmix", "cutout", "mixup", "random_erasing"]


@factory(Augment, static=("per_example",))
def mixup(alpha: Scalar = 0.2, *, per_example: bool = False):
    """x = share x_i + (1 - share) x_j, y likewise, share ~ Beta(alpha, alpha), j a random partner in the batch.

    The loss is share loss(prediction, y_i) + (1 - share) loss(prediction, y_j), which for a cross-entropy is the loss
    of the mixed one-hot labels.

    Args:
        alpha: positive; near 0 hardly anything is mixed, at 1 every share is as likely.
        per_example: whether each example has a share of its own; else one for the batch.

    Takes floating-point x of any shape `(batch, ...)`.

    Peers: as Keras' MixUp (alpha 0.2 too) with per_example=True, which mixes one-hot labels; the paper's code has one
    share a batch; PyTorch itself has none.

    Source: Zhang et al. 2018.

    Raises:
        InputError: alpha is not positive, or (when called) x is not floating point.
    """
    check_range("mixup", "alpha", alpha, 0, open_low=True)

    def change(key, x, y, example_mask):
        check_floating("mixup", "x", x)
        other = _partners(key, x.shape[0], example_mask)
        share = _shares(key, x, alpha, per_example)
        wide = _over(share, x)
        mixed = wide * x.astype(wide.dtype) + (1 - wide) * x[other].astype(wide.dtype)
        # An end of the mixture leaves the other one out, also where that one is not finite.
        return jnp.where(wide == 1, x, mixed.astype(x.dtype)), Mixed(y, y[other], share)

    return change


@factory(Augment, static=("per_example",))
def cutmix(alpha: Scalar = 1.0, *, per_example: bool = False):
    """x = x_i with a box of x_j, the box's area 1 - lambda of the picture, lambda ~ Beta(alpha, alpha);
    y mixed by share = 1 - (area of the box inside the picture).

    The centre is anywhere in the picture, so that the box may be cut off at the border.

    Args:
        alpha: positive; 1 makes every area as likely.
        per_example: whether each example has a box of its own; else one for the batch.

    Takes x `(batch, height, width, channels)` of any dtype.

    Peers: as Keras' CutMix (per_example=True), which mixes one-hot labels; the paper's code has one box a batch, its
    sides rounded down to even numbers; PyTorch itself has none.

    Source: Yun et al. 2019.

    Raises:
        InputError: alpha is not positive, or (when called) x has not four axes.
    """
    check_range("cutmix", "alpha", alpha, 0, open_low=True)

    def change(key, x, y, example_mask):
        _check_pictures("cutmix", x)
        batch, height, width, _ = x.shape
        other = _partners(key, batch, example_mask)
        side = jnp.sqrt(1 - _shares(key, x, alpha, per_example))
        tall, broad = (jnp.floor(n * side).astype(jnp.int32) for n in (height, width))
        if not per_example:  # one box: the same place for all
            place = _box(fold_name(key, "box"), tall[:1], broad[:1], height, width)
            inside = jnp.broadcast_to(place, (batch, height, width))
        else:
            inside = _box(fold_name(key, "box"), tall, broad, height, width)
        share = 1 - jnp.mean(inside, (1, 2), dtype=side.dtype)
        return jnp.where(_on_channels(inside, x), x[other], x), Mixed(y, y[other], share)

    return change


@factory(Augment)
def cutout(size: Scalar, *, fill: Scalar | str = 0.0):
    """x with a size x size square of each picture filled, its centre anywhere in the picture.

    The square may be cut off at the border, so that some pictures are nearly whole.

    Args:
        size: side of the square in pixels; 0 fills nothing.
        fill: a number, or "noise" for N(0, 1) at each pixel and channel.

    Takes x `(batch, height, width, channels)`; the targets stay.

    Peers: as the paper's code; PyTorch itself and Keras have none by that name.

    Source: DeVries and Taylor 2017.

    Raises:
        InputError: the size is negative, the fill is neither, or (when called) x has not four axes.
    """
    check_count("cutout", "size", size, 0)
    _check_fill("cutout", fill)

    def change(key, x, y, example_mask):
        _check_pictures("cutout", x)
        batch, height, width, _ = x.shape
        side = jnp.broadcast_to(jnp.asarray(size).astype(jnp.int32), (batch,))
        return _filled(key, x, _box(fold_name(key, "box"), side, side, height, width), fill), y

    return change


@factory(Augment)
def random_erasing(
    probability: Scalar = 0.5,
    *,
    scale: tuple[Scalar, Scalar] = (0.02, 0.33),
    ratio: tuple[Scalar, Scalar] = (0.3, 3.3),
    fill: Scalar | str = 0.0,
):
    """x with a box of some pictures filled: area ~ U(scale) of the picture, height / width ~ exp U(log ratio), anywhere
    inside.

    Args:
        probability: share of the pictures with a box, in [0, 1].
        scale: least and greatest area as a share of the picture, in [0, 1].
        ratio: least and greatest height / width, positive.
        fill: a number, or "noise" for N(0, 1) at each pixel and channel.

    Takes x `(batch, height, width, channels)`; the targets stay. A box longer than the picture is cut to it.

    Peers: the paper draws again until the box fits, where this one cuts it; Keras' RandomErasing draws the two sides by
    themselves; PyTorch itself has none.

    Source: Zhong et al. 2020.

    Raises:
        InputError: an argument is out of range, or (when called) x has not four axes.
    """
    check_range("random_erasing", "probability", probability, 0, 1)
    for name, pair, top in (("scale", scale, 1), ("ratio", ratio, None)):
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            fail("random_erasing", name, "a pair of numbers, the least and the greatest", pair)
        check_range("random_erasing", name, pair[0], 0, top, open_low=top is None)
        check_range("random_erasing", name, pair[1], pair[0] if isinstance(pair[0], int | float) else 0, top)
    _check_fill("random_erasing", fill)

    def change(key, x, y, example_mask):
        _check_pictures("random_erasing", x)
        batch, height, width, _ = x.shape
        real = jnp.result_type(float)
        draws = jax.random.uniform(
            fold_name(key, "box"), (batch, 5), real
        ).T  # an example's own, however many there are
        low, high = (jnp.asarray(s, real) for s in scale)
        area = (low + (high - low) * draws[0]) * (height * width)
        flat, steep = (jnp.log(jnp.asarray(r, real)) for r in ratio)
        shape = jnp.exp(0.5 * (flat + (steep - flat) * draws[1]))
        tall = jnp.clip(jnp.round(jnp.sqrt(area) * shape), 0, height).astype(jnp.int32)
        broad = jnp.clip(jnp.round(jnp.sqrt(area) / shape), 0, width).astype(jnp.int32)
        top = jnp.floor(draws[2] * (height - tall + 1).astype(real)).astype(jnp.int32)
        left = jnp.floor(draws[3] * (width - broad + 1).astype(real)).astype(jnp.int32)
        inside = _rectangle(top, left, tall, broad, height, width)
        chosen = draws[4] < jnp.asarray(probability, real)
        return _filled(key, x, inside & lax.expand_dims(chosen, (1, 2)), fill), y

    return change


def _check_pictures(function: str, x: Array) -> None:
    if x.ndim != 4:
        fail(function, "x", "of shape (batch, height, width, channels)", f" shape {x.shape}")


def _check_fill(function: str, fill: Any) -> None:
    if isinstance(fill, str):
        check_choice(function, "fill", fill, ("noise",))
    else:
        check_range(function, "fill", fill)


def _partners(key: Key, batch: int, example_mask: Array | None) -> Array:
    """A random permutation of the examples; of the real ones among themselves where there is padding."""
    own = jnp.arange(batch, dtype=jnp.int32)
    key = fold_name(key, "partners")
    if example_mask is None:
        return shuffled_positions(key, own, batch)
    real = example_mask.astype(bool)
    count = jnp.maximum(jnp.sum(real, dtype=jnp.int32), 1)
    ranks = jnp.maximum(jnp.cumsum(real, dtype=jnp.int32) - 1, 0)
    by_rank = jnp.argsort(~real, stable=True).astype(jnp.int32)
    return jnp.where(real, by_rank[shuffled_positions(key, ranks, count)], own)


def _shares(key: Key, x: Array, alpha: Scalar, per_example: bool) -> Array:
    """Beta(alpha, alpha) for each example, `(batch,)`; one and the same unless per_example.

    1/2 + t / (2 sqrt(2 alpha + t^2)) of a Student's t, by Bailey's polar method: no loop, any alpha. Source: Devroye
    1996.
    """
    real = wide_dtype(x.dtype) if jnp.issubdtype(x.dtype, jnp.floating) else jnp.result_type(float)
    draws = jax.random.uniform(fold_name(key, "share"), (2, x.shape[0] if per_example else 1), real)
    power = jnp.log1p(-draws[0]) / jnp.asarray(alpha, real)  # log of u^(1 / alpha), u in (0, 1]
    rest, side = -jnp.expm1(power), jnp.cos(2 * jnp.pi * draws[1])
    share = 0.5 + 0.5 * side * jnp.sqrt(rest / (jnp.exp(power) + rest * side * side))
    return jnp.broadcast_to(jnp.clip(share, 0, 1), x.shape[:1])


def _over(share: Array, x: Array) -> Array:
    return jnp.broadcast_to(lax.expand_dims(share, range(1, x.ndim)), x.shape)


def _box(key: Key, tall: Array, broad: Array, height: int, width: int) -> Array:
    """True in a box of each example's size around a pixel drawn from the whole picture, `(examples, height, width)`."""
    rows, columns = jax.random.split(key)
    middle = jax.random.randint(rows, tall.shape, 0, height, jnp.int32)
    centre = jax.random.randint(columns, broad.shape, 0, width, jnp.int32)
    return _rectangle(middle - tall // 2, centre - broad // 2, tall, broad, height, width)


def _rectangle(top: Array, left: Array, tall: Array, broad: Array, height: int, width: int) -> Array:
    def within(first: Array, length: Array, size: int, axes: tuple[int, int]) -> Array:
        shape = (*first.shape, size)
        place = jnp.broadcast_to(jnp.arange(size, dtype=jnp.int32), shape)
        first, length = (jnp.broadcast_to(jnp.expand_dims(a, 1), shape) for a in (first, length))
        return lax.broadcast_in_dim((place >= first) & (place < first + length), (shape[0], height, width), axes)

    return within(top, tall, height, (0, 1)) & within(left, broad, width, (0, 2))


def _on_channels(inside: Array, x: Array) -> Array:
    return jnp.broadcast_to(jnp.expand_dims(inside, -1), x.shape)


def _filled(key: Key, x: Array, inside: Array, fill: Scalar | str) -> Array:
    if isinstance(fill, str):
        check_floating("augment", "x", x)
        hidden = jax.random.normal(fold_name(key, "fill"), x.shape, wide_dtype(x.dtype)).astype(x.dtype)
    else:
        hidden = jnp.full(x.shape, jnp.asarray(fill).astype(x.dtype))
    return jnp.where(_on_channels(inside, x), hidden, x)
