"""What nets for images share: how many blocks a stage has, a convolution with its normalization and activation, and
residual blocks of which the later ones are left out more often.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from jaxann.activations import gelu
from jaxann.core.checks import check_integer, fail
from jaxann.core.products import Layer
from jaxann.core.typing import Scalar
from jaxann.initializers import init_for
from jaxann.layers import batch_norm, conv, elementwise, residual, stochastic_depth

__all__ = ["blocks_of", "conv_norm", "conv_norm_act", "exact_gelu", "norm_act_conv", "residual_or_dropped"]


def blocks_of(function: str, depth: Any, known: Mapping[int, tuple[int, ...]]) -> tuple[int, ...]:
    """Blocks of each stage: those of a net known by its depth, or as given.

    Raises:
        InputError: the depth is neither known nor a tuple of positive integers.
    """
    if isinstance(depth, tuple):
        if not depth:
            fail(function, "depth", "one of the known ones or a tuple of blocks, one number for each stage", depth)
        for number in depth:
            check_integer(function, "each of depth", number)
        return depth
    if isinstance(depth, bool) or depth not in known:
        fail(function, "depth", f"one of {', '.join(map(str, sorted(known)))}, or a tuple of blocks", depth)
    return known[depth]


def conv_norm(
    i: int, filters: int, size: int, stride: int = 1, activation: str | Callable = "relu"
) -> dict[str, Layer]:
    """`conv<i>` without bias, padded on both sides alike, and `norm<i>`."""
    made = conv(filters, size, stride=stride, padding=size // 2, use_bias=False, kernel_init=init_for(activation))
    return {f"conv{i}": made, f"norm{i}": batch_norm()}


def conv_norm_act(
    i: int, filters: int, size: int, stride: int = 1, activation: str | Callable = "relu"
) -> dict[str, Layer]:
    """`conv_norm` and `act<i>`."""
    return conv_norm(i, filters, size, stride, activation) | {f"act{i}": elementwise(activation)}


def norm_act_conv(
    i: int, filters: int, size: int, stride: int = 1, activation: str | Callable = "relu"
) -> dict[str, Layer]:
    """The three in the order of pre-activation: `norm<i>`, `act<i>`, `conv<i>`."""
    made = conv_norm_act(i, filters, size, stride, activation)
    return {name: made[name] for name in (f"norm{i}", f"act{i}", f"conv{i}")}


exact_gelu = functools.partial(gelu, approximate=False)  # x Phi(x), of the normal distribution function itself


def residual_or_dropped(body: Layer, rate: Scalar | None, block: int, blocks: int) -> Layer:
    """y = x + body(x), the branch left out in training with probability rate block / (blocks - 1), never when None."""
    if rate is None:
        return residual(body)
    return stochastic_depth(body, rate * (block / max(1, blocks - 1)))
