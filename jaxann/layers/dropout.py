"""The layers that drop: numbers, whole channels, squares of a picture."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from jaxann import ops
from jaxann.core.checks import check_floating, check_integer, check_range, fail
from jaxann.core.factories import factory
from jaxann.core.modes import TrainMode
from jaxann.core.padding import real_places
from jaxann.core.products import Layer
from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array, Key, Scalar
from jaxann.ops.random import keep_mask

__all__ = ["alpha_dropout", "drop_block", "dropout", "keep_factor", "noisy", "spatial_dropout"]


def keep_factor(
    function: str, rate: Scalar | None, shape: tuple[int, ...], key: Key | None, train: bool | TrainMode, dtype: Any
) -> Array | None:
    """m / (1 - rate), m = 1 with probability 1 - rate: what something inside a layer is multiplied by in training.

    Args:
        function: the layer's name, for messages.
        rate: probability of dropping; None drops nothing.
        shape: of the result.
        key, train: of the layer's call.
        dtype: of what is multiplied; the factor has float32 or better.

    Returns:
        None where nothing is dropped.

    Raises:
        InputError: there is no key in training.
    """
    if rate is None or not train:
        return None
    if key is None:
        fail(function, "key", "given when train=True", None)
    wide = wide_dtype(dtype)
    return jnp.where(keep_mask(key, rate, shape), 1 / jnp.asarray(1 - rate, wide), jnp.zeros((), wide))


def noisy(function: str, noise: Callable[[Array, Key], Array], check: Callable[[Any], None] | None = None):
    """The pair of a layer without parameters that does `noise(x, key)` in training and nothing else.

    Args:
        function: the layer's name, for messages.
        noise: what it does.
        check: raises for an x that it cannot take.
    """

    def init(key, spec):
        return {}, {}

    def apply(params, state, x, *, key=None, train=False):
        check_floating(function, "x", x)
        if check is not None:
            check(x)
        if not train:
            return x, state
        if key is None:
            fail(function, "key", "given when train=True", None)
        return noise(x, key), state

    return init, apply


@factory(Layer, traits=("positionwise",))
def dropout(rate: Scalar):
    """y = x m / (1 - rate) in training, m = 1 with probability 1 - rate for each number; else y = x.

    Args:
        rate: probability of *dropping*, in [0, 1); may be traced, so that another rate compiles nothing.

    No parameters. Not for the output layer.

    Peers: as PyTorch's Dropout and Keras' Dropout; the texts that scale at test time by a probability of keeping p
    have p = 1 - rate and the same mean.

    Source: Srivastava et al. 2014.

    Raises:
        InputError: the rate is out of range, or `train=True` comes without a key.
    """
    check_range("dropout", "rate", rate, 0, 1, open_high=True)
    return noisy("dropout", lambda x, key: ops.dropout(x, key, rate))


@factory(Layer, traits=("positionwise",))
def alpha_dropout(rate: Scalar):
    """y = a (x m + s (1 - m)) + b in training, s = -1.7581, a and b such that mean 0 and variance 1 stay; else y = x.

    For networks of `selu` with `lecun_normal` weights, whose activations normalize themselves.

    Args:
        rate: probability of dropping, in [0, 1).

    No parameters.

    Peers: as PyTorch's AlphaDropout and Keras' AlphaDropout.

    Source: Klambauer et al. 2017.

    Raises:
        InputError: the rate is out of range, or `train=True` comes without a key.
    """
    check_range("alpha_dropout", "rate", rate, 0, 1, open_high=True)
    return noisy("alpha_dropout", lambda x, key: ops.alpha_dropout(x, key, rate))


@factory(Layer, traits=("positionwise",))
def spatial_dropout(rate: Scalar):
    """y = x m / (1 - rate) in training, one m for each example and channel, `(batch, 1, ..., 1, channels)`; else y = x.

    Neighbouring places of a feature map say much the same, so that dropping some of them drops little.

    Args:
        rate: probability of dropping a channel, in [0, 1).

    Input `(batch, ..., channels)`. No parameters.

    Peers: as Keras' SpatialDropout1D, 2D and 3D, and PyTorch's Dropout1d, 2d and 3d on channels-first arrays.

    Source: Tompson et al. 2015.

    Raises:
        InputError: the rate is out of range, x has fewer than two axes, or `train=True` comes without a key.
    """
    check_range("spatial_dropout", "rate", rate, 0, 1, open_high=True)

    def check(x):
        if x.ndim < 2:
            fail("spatial_dropout", "x", "of shape (batch, ..., channels)", f" shape {x.shape}")

    return noisy("spatial_dropout", lambda x, key: ops.spatial_dropout(x, key, rate), check)


@factory(Layer, static=("block",), traits=("positionwise",))
def drop_block(rate: Scalar, *, block: int = 7):
    """y = x m n / sum(m) in training, m = 0 on block x block squares of each example and channel; else y = x.

    Squares begin at places drawn with probability rate h w / (block^2 (h - block + 1) (w - block + 1)); n is the number
    of real places, and the sum runs over them, so that their mean stays.

    Args:
        rate: about the share of what is dropped, in [0, 1).
        block: side of the squares, at most the height and the width of x.

    Input `(batch, height, width, channels)`. No parameters.

    Peers: PyTorch and Keras have none.

    Source: Ghiasi et al. 2018.

    Raises:
        InputError: an argument is out of range, x is no batch of pictures of at least that size, or `train=True` comes
            without a key.
    """
    check_range("drop_block", "rate", rate, 0, 1, open_high=True)
    check_integer("drop_block", "block", block)

    def check(x):
        if x.ndim != 4 or min(x.shape[1:3]) < block:
            fail("drop_block", "x", f"of shape (batch, height, width, channels) with sides of at least {block}",
                 f" shape {x.shape}")  # fmt: skip

    def apply(params, state, x, *, key=None, train=False, example_mask=None, sequence_mask=None):
        real = real_places(example_mask, sequence_mask)
        _, drop = noisy("drop_block", lambda x, key: ops.drop_block(x, key, rate, block, real), check)
        return drop(params, state, x, key=key, train=train)

    return lambda key, spec: ({}, {}), apply
