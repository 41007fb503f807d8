"""Random changes of the colours of training pictures `(batch, height, width, channels)`; targets stay.

Each needs to be told which numbers are black and white, `value_range=(0, 1)` or `(0, 255)`: brightness is a factor of
the distance from black, and what comes out is cut to the range. Pictures that are standardized have no such numbers;
change them before. The dtype stays: arithmetic is in float32 at least, whole numbers are rounded to the nearest.

The grey of a pixel is 0.299 red + 0.587 green + 0.114 blue of three channels (ITU-R BT.601), else the mean of its
channels.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxann.core.augmentation import Augment
from jaxann.core.checks import check_range, fail
from jaxann.core.factories import factory
from jaxann.core.keys import fold_name
from jaxann.core.typing import Array, Key, Scalar
from jaxann.data.colours import adjust_brightness, adjust_contrast, adjust_hue, adjust_saturation
from jaxann.data.pictures import (
    between,
    check_pictures,
    check_value_range,
    draw_each,
    from_wide,
    to_wide,
    uniforms,
)

__all__ = ["brightness", "color_jitter", "contrast", "gaussian_noise", "hue", "saturation"]


@factory(Augment)
def brightness(amount: Scalar = 0.2, *, value_range: tuple[Scalar, Scalar]):
    """black + f (x - black), cut to the value range, f ~ U(max(0, 1 - amount), 1 + amount) for each picture.

    Args:
        amount: at least 0; 0 changes nothing.
        value_range: the numbers that are black and white, such as (0, 1), or (0, 255) of uint8.

    Takes x `(batch, height, width, channels)` of numbers; the targets stay.

    Peers: as torchvision's ColorJitter(brightness=amount). Keras' RandomBrightness adds ~ U(-factor, factor) instead.

    Source: Howard 2013.

    Raises:
        InputError: an argument is out of range, or (when called) x has not four axes.
    """
    check_range("brightness", "amount", amount, 0)
    check_value_range("brightness", value_range)
    return _recoloured("brightness", value_range, _factor("brightness", amount), adjust_brightness)


@factory(Augment)
def contrast(amount: Scalar = 0.2, *, value_range: tuple[Scalar, Scalar]):
    """m + f (x - m), m the mean grey of the picture, cut to the value range, f ~ U(max(0, 1 - amount), 1 + amount).

    Args:
        amount: at least 0; 0 changes nothing.
        value_range: the numbers that are black and white, such as (0, 1), or (0, 255) of uint8.

    Takes x `(batch, height, width, channels)` of numbers; the targets stay.

    Peers: as torchvision's ColorJitter(contrast=amount). Keras' RandomContrast takes the mean of each channel.

    Source: Howard 2013.

    Raises:
        InputError: an argument is out of range, or (when called) x has not four axes.
    """
    check_range("contrast", "amount", amount, 0)
    check_value_range("contrast", value_range)
    return _recoloured("contrast", value_range, _factor("contrast", amount), adjust_contrast)


@factory(Augment)
def saturation(amount: Scalar = 0.2, *, value_range: tuple[Scalar, Scalar]):
    """grey + f (x - grey), each pixel's grey, cut to the value range, f ~ U(max(0, 1 - amount), 1 + amount).

    Args:
        amount: at least 0; 0 changes nothing. A picture of one channel is its own grey.
        value_range: the numbers that are black and white, such as (0, 1), or (0, 255) of uint8.

    Takes x `(batch, height, width, channels)` of numbers; the targets stay.

    Peers: as torchvision's ColorJitter(saturation=amount). Keras' RandomSaturation changes the saturation of HSV.

    Source: Howard 2013.

    Raises:
        InputError: an argument is out of range, or (when called) x has not four axes.
    """
    check_range("saturation", "amount", amount, 0)
    check_value_range("saturation", value_range)
    return _recoloured("saturation", value_range, _factor("saturation", amount), adjust_saturation)


@factory(Augment)
def hue(amount: Scalar = 0.1, *, value_range: tuple[Scalar, Scalar]):
    """x with the hue h of HSV replaced by h + d modulo 1, d ~ U(-amount, amount) for each picture.

    Args:
        amount: in [0, 0.5], a share of the circle of hues; 0.5 reaches every hue.
        value_range: the numbers that are black and white, such as (0, 1), or (0, 255) of uint8.

    Takes x `(batch, height, width, 3)` of numbers, red, green and blue; the targets stay.

    Peers: as torchvision's ColorJitter(hue=amount), and Keras' RandomHue, whose factor 1 is half of the circle.

    Source: Howard 2013; Smith 1978 for HSV.

    Raises:
        InputError: an argument is out of range, or (when called) x has not four axes, the last one of 3.
    """
    check_range("hue", "amount", amount, 0, 0.5)
    check_value_range("hue", value_range)
    return _recoloured("hue", value_range, _shift(amount), adjust_hue, three=True)


@factory(Augment)
def color_jitter(
    brightness: Scalar = 0.2,
    contrast: Scalar = 0.2,
    saturation: Scalar = 0.2,
    hue: Scalar | None = None,
    *,
    value_range: tuple[Scalar, Scalar],
):
    """x with its brightness, contrast, saturation and hue changed, in this order, each cut to the value range.

    Args:
        brightness, contrast, saturation: the amounts of the augmentations of these names, at least 0.
        hue: the amount of `hue`, in [0, 0.5]; None leaves it alone, which is faster and takes any number of channels.
        value_range: the numbers that are black and white, such as (0, 1), or (0, 255) of uint8.

    Takes x `(batch, height, width, channels)` of numbers; the targets stay. Whole numbers are rounded once, at the end.

    Peers: torchvision's ColorJitter, whose amounts are 0 by default, draws the order of the four, too.

    Source: Howard 2013; Chen et al. 2020, for contrastive learning.

    Raises:
        InputError: an argument is out of range, or (when called) x has not four axes, or hue is not None and the last
            one is not of 3.
    """
    for name, amount in (("brightness", brightness), ("contrast", contrast), ("saturation", saturation)):
        check_range("color_jitter", name, amount, 0)
    if hue is not None:
        check_range("color_jitter", "hue", hue, 0, 0.5)
    check_value_range("color_jitter", value_range)

    amounts = (("brightness", brightness), ("contrast", contrast), ("saturation", saturation))
    draws = [_factor(name, amount) for name, amount in amounts] + ([] if hue is None else [_shift(hue)])
    changes = (adjust_brightness, adjust_contrast, adjust_saturation, adjust_hue)

    def change(x: Array, drawn: list[Array]) -> Array:
        for adjust, one in zip(changes, drawn, strict=False):
            x = adjust(x, one)
        return x

    return _recoloured(
        "color_jitter", value_range, lambda key: [draw(key) for draw in draws], change, three=hue is not None
    )


@factory(Augment)
def gaussian_noise(deviation: Scalar = 0.1, *, value_range: tuple[Scalar, Scalar] | None = None):
    """x + deviation N(0, 1), new at each pixel and channel, cut to the value range if there is one.

    Args:
        deviation: at least 0, in the units of x; 0 changes nothing but what is outside of the value range.
        value_range: what is cut to, such as (0, 1); None cuts to nothing (whole numbers to what their dtype holds).

    Takes x `(batch, height, width, channels)` of numbers; the targets stay. `layers.gaussian_noise` is for anywhere
    inside a model.

    Peers: as torchvision's GaussianNoise, which cuts to [0, 1]; Keras' GaussianNoise is the layer.

    Source: Holmstrom and Koistinen 1992.

    Raises:
        InputError: an argument is out of range, or (when called) x has not four axes.
    """
    check_range("gaussian_noise", "deviation", deviation, 0)
    if value_range is not None:
        check_value_range("gaussian_noise", value_range)

    def change(key, x, y, example_mask):
        check_pictures("gaussian_noise", x, numbers=True)
        wide = to_wide(x)
        draw = functools.partial(jax.random.normal, shape=x.shape[1:], dtype=wide.dtype)
        noise = draw_each(lambda one: draw(fold_name(one, "noise")), key, x.shape[0])
        new = wide + jnp.asarray(deviation).astype(wide.dtype) * noise
        if value_range is not None:
            new = jnp.clip(new, *(jnp.asarray(end).astype(wide.dtype) for end in value_range))
        return from_wide(new, x.dtype), y

    return change


def _recoloured(
    function: str,
    value_range: tuple[Scalar, Scalar],
    draw: Callable[[Key], Any],
    change: Callable[[Array, Any], Array],
    *,
    three: bool = False,
) -> Callable:
    """The augmentation that changes each picture as drawn, scaled to black 0 and white 1."""

    def picture(own: Array, drawn: Any) -> Array:
        wide = to_wide(own)
        black, white = (jnp.asarray(end).astype(wide.dtype) for end in value_range)
        return from_wide(black + (white - black) * change((wide - black) / (white - black), drawn), own.dtype)

    def apply(key, x, y, example_mask):
        check_pictures(function, x, numbers=True)
        if three and x.shape[-1] != 3:
            fail(function, "x", "of three channels, red, green and blue", f" shape {x.shape}")
        return jax.vmap(picture)(x, draw_each(draw, key, x.shape[0])), y

    return apply


def _factor(name: str, amount: Scalar) -> Callable[[Key], Array]:
    """Draws from U(max(0, 1 - amount), 1 + amount)."""

    def draw(key: Key) -> Array:
        share = uniforms(fold_name(key, name), 1)[0]
        most = jnp.asarray(amount).astype(share.dtype)
        return between(jnp.maximum(1 - most, 0), 1 + most, share)

    return draw


def _shift(amount: Scalar) -> Callable[[Key], Array]:
    """Draws from U(-amount, amount)."""

    def draw(key: Key) -> Array:
        share = uniforms(fold_name(key, "hue"), 1)[0]
        return jnp.asarray(amount).astype(share.dtype) * (2 * share - 1)

    return draw
