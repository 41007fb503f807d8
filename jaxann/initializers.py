"""Initial weights: factories of `(key, shape, dtype) -> array`.

Fans of a weight: dense `(in, out)`, convolution `(height, width, in / groups, out)`;
fan_in = receptive field * in, fan_out = receptive field * out. The variance laws keep the second moment of the signal:
He for relu (slope 0 on half the line), Glorot for functions with slope 1 at 0, LeCun for the linear unit.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxann.core.checks import check_choice, check_range, fail
from jaxann.core.factories import factory, is_product
from jaxann.core.products import Initializer
from jaxann.core.typing import Scalar

__all__ = [
    "fans",
    "for_activation",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "lecun_normal",
    "normal",
    "variance_scaling",
    "zeros",
]

# Standard deviation of a standard normal cut at -2 and 2: what the draw is divided by, so that the *sample* has the
# wanted deviation.
_CUT_DEVIATION = 0.87962566103423978


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """(fan_in, fan_out) of a weight of shape (..., in, out); the leading axes are the receptive field.

    Raises:
        InputError: the shape has fewer than two axes.
    """
    if len(shape) < 2:
        fail("initializers.fans", "shape", "of at least two axes (..., in, out)", f" {shape}")
    field = math.prod(shape[:-2])
    return field * shape[-2], field * shape[-1]


@factory(Initializer)
def zeros():
    """All zeros: biases. A weight matrix that feeds hidden units must not be zero: no gradient would reach it."""
    return lambda key, shape, dtype: jnp.zeros(shape, dtype)


@factory(Initializer)
def normal(stddev: Scalar = 0.01):
    """N(0, stddev^2). The argument is the standard deviation, not the variance.

    Raises:
        InputError: stddev is negative.
    """
    check_range("normal", "stddev", stddev, 0)
    return lambda key, shape, dtype: jax.random.normal(key, shape, dtype) * jnp.asarray(stddev, dtype)


@factory(Initializer)
def variance_scaling(scale: Scalar = 1.0, *, mode: str = "fan_in", distribution: str = "truncated_normal"):
    """Zero mean and variance scale / n, n = fan_in, fan_out or their mean ("fan_average").

    Args:
        scale: variance times n.
        mode: "fan_in", "fan_out" or "fan_average".
        distribution: "normal"; "truncated_normal", cut at two deviations and rescaled so that the sample has the
            stated variance (as jax.nn and Keras; PyTorch draws the plain normal); "uniform" on +-sqrt(3 variance).

    Raises:
        InputError: scale is not positive, a name is unknown, or the shape has fewer than two axes.
    """
    check_range("variance_scaling", "scale", scale, 0, open_low=True)
    check_choice("variance_scaling", "mode", mode, ("fan_in", "fan_out", "fan_average"))
    check_choice("variance_scaling", "distribution", distribution, ("normal", "truncated_normal", "uniform"))

    def draw(key, shape, dtype):
        fan_in, fan_out = fans(shape)
        n = {"fan_in": fan_in, "fan_out": fan_out, "fan_average": (fan_in + fan_out) / 2}[mode]
        deviation = jnp.sqrt(jnp.asarray(scale, dtype) / max(n, 1))
        if distribution == "uniform":
            return jax.random.uniform(key, shape, dtype, -1.0, 1.0) * (deviation * math.sqrt(3.0))
        if distribution == "normal":
            return jax.random.normal(key, shape, dtype) * deviation
        return jax.random.truncated_normal(key, -2.0, 2.0, shape, dtype) * (deviation / _CUT_DEVIATION)

    return draw


@factory(Initializer)
def glorot_uniform(*, gain: Scalar = 1.0):
    """U(-a, a), a = gain sqrt(6 / (fan_in + fan_out)); also called Xavier. Source: Glorot and Bengio 2010."""
    check_range("glorot_uniform", "gain", gain, 0, open_low=True)
    return variance_scaling(gain**2, mode="fan_average", distribution="uniform").functions


@factory(Initializer)
def glorot_normal(*, gain: Scalar = 1.0):
    """N(0, gain^2 2 / (fan_in + fan_out)), cut at two deviations. Source: Glorot and Bengio 2010."""
    check_range("glorot_normal", "gain", gain, 0, open_low=True)
    return variance_scaling(gain**2, mode="fan_average", distribution="truncated_normal").functions


@factory(Initializer)
def he_uniform(*, negative_slope: Scalar = 0.0):
    """U(-a, a), a = sqrt(6 / ((1 + slope^2) fan_in)); also called Kaiming. Source: He et al. 2015."""
    check_range("he_uniform", "negative_slope", negative_slope)
    return variance_scaling(2.0 / (1.0 + negative_slope**2), mode="fan_in", distribution="uniform").functions


@factory(Initializer)
def he_normal(*, negative_slope: Scalar = 0.0):
    """N(0, 2 / ((1 + slope^2) fan_in)), cut at two deviations; for relu and its leaky kin. Source: He et al. 2015."""
    check_range("he_normal", "negative_slope", negative_slope)
    return variance_scaling(2.0 / (1.0 + negative_slope**2), mode="fan_in", distribution="truncated_normal").functions


@factory(Initializer)
def lecun_normal():
    """N(0, 1 / fan_in), cut at two deviations; for linear and self-normalizing units. Source: LeCun et al. 1998."""
    return variance_scaling(1.0, mode="fan_in", distribution="truncated_normal").functions


_FAMILY = {
    "identity": lecun_normal,
    "log_softmax": lecun_normal,
    "relu": he_normal,
    "sigmoid": glorot_uniform,
    "softmax": lecun_normal,
    "tanh": glorot_uniform,
}


def for_activation(activation: str | Callable) -> Initializer:
    """The customary law for weights that feed this activation: He for relu, Glorot for sigmoid and tanh, else LeCun.

    Glorot does not rescue deep sigmoid stacks: their slope is 1/4 at best, so the gradient still vanishes. A function
    that is not one of jaxann's gets the He law, as the rectifier-like functions want.

    Raises:
        InputError: a name that is not in the table (the message lists the names).
    """
    if isinstance(activation, str):
        check_choice("for_activation", "activation", activation, _FAMILY)
        return _FAMILY[activation]()
    if is_product(activation) or not callable(activation):
        return he_normal()
    return _FAMILY.get(getattr(activation, "__name__", ""), he_normal)()
