"""Distributions whose variance follows from the number of inputs and outputs of a unit."""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxann.core.checks import check_choice, check_integer, check_range, fail
from jaxann.core.factories import factory
from jaxann.core.products import Initializer
from jaxann.core.typing import Scalar

__all__ = [
    "fans",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "lecun_normal",
    "lecun_uniform",
    "torch_linear",
    "variance_scaling",
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
def variance_scaling(scale: Scalar = 1.0, *, mode: str = "fan_in", distribution: str = "truncated_normal"):
    """Mean 0 and variance scale / n, n = fan_in, fan_out or their mean ("fan_average").

    Args:
        scale: variance times n.
        mode: "fan_in", "fan_out" or "fan_average".
        distribution: "normal"; "truncated_normal", cut at two deviations and rescaled so that the sample has the
            stated variance; "uniform" on +-sqrt(3 variance).

    Peers: as jax.nn and Keras, the rescaling too (jax.nn has no default for its arguments); PyTorch's draw
    the plain normal.

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


def _times(gain: Scalar, draw: Initializer) -> Callable:
    """The draw times the gain, whose square may be no number of float32."""
    return lambda key, shape, dtype: draw(key, shape, dtype) * jnp.asarray(gain, dtype)


@factory(Initializer)
def glorot_uniform(*, gain: Scalar = 1.0):
    """w ~ U(-a, a), a = gain sqrt(6 / (fan_in + fan_out)); also called Xavier.

    For functions with slope 1 at 0, such as tanh. Source: Glorot and Bengio 2010.

    Args:
        gain: positive.

    Peers: as jax.nn, Keras and PyTorch's xavier_uniform_; jax.nn and Keras have no gain.

    Raises:
        InputError: the gain is not positive, or the shape has fewer than two axes.
    """
    check_range("glorot_uniform", "gain", gain, 0, open_low=True)
    return _times(gain, variance_scaling(mode="fan_average", distribution="uniform"))


@factory(Initializer)
def glorot_normal(*, gain: Scalar = 1.0):
    """w ~ N(0, gain^2 2 / (fan_in + fan_out)), cut at two deviations.

    Source: Glorot and Bengio 2010.

    Args:
        gain: positive.

    Peers: as jax.nn and Keras, which have no gain; PyTorch's xavier_normal_ does not cut.

    Raises:
        InputError: the gain is not positive, or the shape has fewer than two axes.
    """
    check_range("glorot_normal", "gain", gain, 0, open_low=True)
    return _times(gain, variance_scaling(mode="fan_average", distribution="truncated_normal"))


@factory(Initializer)
def he_uniform(*, negative_slope: Scalar = 0.0):
    """w ~ U(-a, a), a = sqrt(6 / ((1 + negative_slope^2) fan_in)); also called Kaiming.

    Source: He et al. 2015.

    Args:
        negative_slope: that of leaky_relu.

    Peers: as jax.nn, Keras and PyTorch's kaiming_uniform_ (its a is the slope); jax.nn and Keras have no slope.

    Raises:
        InputError: the slope is not finite, or the shape has fewer than two axes.
    """
    check_range("he_uniform", "negative_slope", negative_slope)
    return variance_scaling(2.0 / (1.0 + negative_slope**2), mode="fan_in", distribution="uniform").functions


@factory(Initializer)
def he_normal(*, negative_slope: Scalar = 0.0):
    """w ~ N(0, 2 / ((1 + negative_slope^2) fan_in)), cut at two deviations; for relu and its leaky kin.

    Source: He et al. 2015.

    Args:
        negative_slope: that of leaky_relu.

    Peers: as jax.nn and Keras, which have no slope; PyTorch's kaiming_normal_ does not cut.

    Raises:
        InputError: the slope is not finite, or the shape has fewer than two axes.
    """
    check_range("he_normal", "negative_slope", negative_slope)
    return variance_scaling(2.0 / (1.0 + negative_slope**2), mode="fan_in", distribution="truncated_normal").functions


@factory(Initializer)
def lecun_normal():
    """w ~ N(0, 1 / fan_in), cut at two deviations; for linear and self-normalizing units.

    Source: LeCun et al. 1998.

    Peers: as jax.nn and Keras; PyTorch has none.

    Raises:
        InputError: the shape has fewer than two axes.
    """
    return variance_scaling(1.0, mode="fan_in", distribution="truncated_normal").functions


@factory(Initializer)
def lecun_uniform():
    """w ~ U(-a, a), a = sqrt(3 / fan_in).

    Source: LeCun et al. 1998.

    Peers: as jax.nn and Keras; PyTorch has none.

    Raises:
        InputError: the shape has fewer than two axes.
    """
    return variance_scaling(1.0, mode="fan_in", distribution="uniform").functions


@factory(Initializer, static=("fan_in",))
def torch_linear(fan_in: int | None = None):
    """w ~ U(-a, a), a = 1 / sqrt(fan_in): PyTorch's own for the weight and the bias of its Linear and Conv layers.

    Its variance is 1 / (3 fan_in): a relu network begins with a signal that shrinks from layer to layer.

    Args:
        fan_in: inputs of a unit; a bias, whose shape does not tell, needs it. None takes it from the weight's shape.

            dense(64, kernel_init=torch_linear(), bias_init=torch_linear(features))

    Peers: the default of torch.nn.Linear; as its kaiming_uniform_ with a = sqrt(5).

    Raises:
        InputError: fan_in is no positive integer, or None for a shape of fewer than two axes.
    """
    if fan_in is not None:
        check_integer("torch_linear", "fan_in", fan_in)

    def draw(key, shape, dtype):
        if fan_in is None and len(shape) < 2:
            fail("torch_linear", "fan_in", "given for a shape of fewer than two axes, such as a bias", None,
                 hint="torch_linear(features), with the number of inputs of the layer.")  # fmt: skip
        inputs = fans(shape)[0] if fan_in is None else fan_in
        return jax.random.uniform(key, shape, dtype, -1.0, 1.0) * jnp.asarray(1 / math.sqrt(max(inputs, 1)), dtype)

    return draw
