"""Numbers brought to mean 0 and deviation 1, as measured beforehand: so that a saved model takes data as they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxann.core.checks import check_floating, check_range, fail, is_concrete
from jaxann.core.factories import factory
from jaxann.core.products import Layer
from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array, Scalar

__all__ = ["for_each", "standardize", "unstandardize"]


def _numbers(value: Any) -> Any:
    """Known numbers as a tuple of floats, which a file can hold."""
    known = isinstance(value, np.ndarray | jax.Array) and is_concrete(value)
    return tuple(map(float, value)) if known and np.ndim(value) == 1 else value


@factory(Layer, traits=("positionwise",), convert={"mean": _numbers, "deviation": _numbers})
def standardize(mean: Scalar | tuple[Scalar, ...], deviation: Scalar | tuple[Scalar, ...]):
    """y = (x - mean) / deviation for each channel (the last axis), by numbers that are given and not trained.

        sequential({"standardize": standardize(x.mean((0, 1, 2)), x.std((0, 1, 2))), "conv0": ...})

    Args:
        mean, deviation: one number, or a tuple of one for each channel; deviations above 0.

    The numbers belong to the model and are saved with it, so that it takes data as they come. No parameters. In 16 bits
    (`compute_dtype`) x is rounded before the model sees it: data that lie far from 0, for their deviation, lose digits.

    Peers: torchvision's Normalize, outside of the model; Keras' Normalization, which measures by itself.

    Raises:
        InputError: a deviation is not above 0, there are not as many deviations as means, or x has other channels.
    """
    return _of_each("standardize", mean, deviation, lambda x, m, s: (x - m) / s)


@factory(Layer, traits=("positionwise",), convert={"mean": _numbers, "deviation": _numbers})
def unstandardize(mean: Scalar | tuple[Scalar, ...], deviation: Scalar | tuple[Scalar, ...]):
    """y = mean + deviation x for each channel (the last axis), by numbers that are given: `standardize` the other way.

        sequential({"net": mlp((64, 1)), "scale": unstandardize(y.mean(), y.std())})

    At the end of a net it lets a regression have targets of any size: what the net itself has to find is of size 1.

    Args:
        mean, deviation: one number, or a tuple of one for each channel; deviations above 0.

    The numbers belong to the model and are saved with it. No parameters.

    Peers: scikit-learn's TransformedTargetRegressor with a StandardScaler, around the model; Keras' Normalization has
    invert=True.

    Raises:
        InputError: a deviation is not above 0, there are not as many deviations as means, or x has other channels.
    """
    return _of_each("unstandardize", mean, deviation, lambda x, m, s: m + s * x)


def _of_each(name: str, mean: Any, deviation: Any, formula: Callable) -> tuple[Callable, Callable]:
    """The two functions of a layer that computes with numbers of its own for each channel."""
    counts = {}
    for argument, given, limits in (("mean", mean, {}), ("deviation", deviation, {"low": 0, "open_low": True})):
        for one in given if isinstance(given, tuple) else (given,):
            check_range(name, argument, one, **limits)
        if isinstance(given, tuple):
            counts[argument] = len(given)
    if len(set(counts.values())) > 1:
        fail(name, "deviation", f"{counts['mean']} numbers, as mean", f" {counts['deviation']}")
    channels = next(iter(counts.values()), None)

    def init(key, spec):
        return {}, {}

    def apply(params, state, x, *, key=None, train=False):
        check_floating(name, "x", x)
        if len(x.shape) == 0 or (channels is not None and x.shape[-1] != channels):
            fail(name, "x", f"of shape (..., {channels or 'channels'})", f" shape {tuple(x.shape)}")
        wide = x.astype(wide_dtype(x.dtype))
        return formula(wide, for_each(mean, wide), for_each(deviation, wide)).astype(x.dtype), state

    return init, apply


def for_each(numbers: Scalar | tuple[Scalar, ...], x: Array) -> Array:
    """The number of each channel, of the shape of x."""
    several = jnp.stack([jnp.asarray(number, x.dtype) for number in numbers]) if isinstance(numbers, tuple) else numbers
    return jnp.broadcast_to(jnp.asarray(several, x.dtype), x.shape)
