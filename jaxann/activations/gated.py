"""Gated linear units: one half of an axis multiplied by an activation of the other, `(..., 2n) -> (..., n)`.

Weights that feed them are `(in, 2n)`; a feed-forward block with 2/3 of the hidden units has the parameters of an
ungated one. The first half is the value and the second the gate, as in jax.nn, PyTorch and Keras.
"""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxann.activations.rectifiers import relu
from jaxann.activations.rules import apply_wide
from jaxann.activations.smooth import gelu, silu
from jaxann.core.checks import check_flag, check_floating, fail
from jaxann.core.typing import Array, Scalar

__all__ = ["bilinear", "geglu", "glu", "reglu", "swiglu"]


def _gated(name: str, gate: Callable[[Array], Array], x: Array, axis: int, gate_first: bool) -> Array:
    check_floating(name, "x", x)
    check_flag(name, "gate_first", gate_first)
    shape = np.shape(x)
    if isinstance(axis, bool) or not isinstance(axis, int) or not -len(shape) <= axis < len(shape):
        fail(name, "axis", f"an axis of x, which has {len(shape)}", axis)
    if shape[axis] % 2:
        fail(name, "x", f"of even length along axis {axis}", f" shape {shape}")

    def compute(x: Array) -> Array:
        first, second = jnp.split(x, 2, axis)
        return gate(first) * second if gate_first else first * gate(second)

    return apply_wide(name, compute, x)


def glu(x: Array, axis: int = -1, *, gate_first: bool = False) -> Array:
    """y = a sigmoid(b), a and b the halves of x along an axis: the gated linear unit.

    Source: Dauphin et al. 2017.

    Args:
        x: its axis is of even length.
        axis: the axis that is halved.
        gate_first: whether the gate b is the first half, as some files of weights pack it.

    Peers: as jax.nn, PyTorch and Keras, which have no gate_first.

    Raises:
        InputError: x is not floating-point, the axis is none of x, or its length is odd.
    """
    return _gated("glu", lax.logistic, x, axis, gate_first)


def reglu(x: Array, axis: int = -1, *, gate_first: bool = False) -> Array:
    """y = a relu(b), a and b the halves of x along an axis.

    Source: Shazeer 2020.

    Args:
        x: its axis is of even length.
        axis: the axis that is halved.
        gate_first: whether the gate b is the first half.

    Peers: not in PyTorch, Keras or jax.nn.

    Raises:
        InputError: x is not floating-point, the axis is none of x, or its length is odd.
    """
    return _gated("reglu", relu, x, axis, gate_first)


def geglu(x: Array, axis: int = -1, *, gate_first: bool = False, approximate: bool = True) -> Array:
    """y = a gelu(b), a and b the halves of x along an axis.

    Source: Shazeer 2020.

    Args:
        x: its axis is of even length.
        axis: the axis that is halved.
        gate_first: whether the gate b is the first half.
        approximate: which form of `gelu`.

    Peers: not in PyTorch, Keras or jax.nn.

    Raises:
        InputError: x is not floating-point, the axis is none of x, its length is odd, or approximate is no flag.
    """
    return _gated("geglu", lambda b: gelu(b, approximate), x, axis, gate_first)


def swiglu(x: Array, axis: int = -1, *, gate_first: bool = False, beta: Scalar = 1.0) -> Array:
    """y = a silu(b, beta), a and b the halves of x along an axis.

    Source: Shazeer 2020.

    Args:
        x: its axis is of even length.
        axis: the axis that is halved.
        gate_first: whether the gate b is the first half, as LLaMA packs it.
        beta: steepness of `silu`.

    Peers: not in PyTorch, Keras or jax.nn.

    Raises:
        InputError: x is not floating-point, the axis is none of x, or its length is odd.
    """
    return _gated("swiglu", lambda b: silu(b, beta), x, axis, gate_first)


def bilinear(x: Array, axis: int = -1, *, gate_first: bool = False) -> Array:
    """y = a b, a and b the halves of x along an axis: a gate without an activation.

    Source: Mnih and Hinton 2007; Dauphin et al. 2017.

    Args:
        x: its axis is of even length.
        axis: the axis that is halved.
        gate_first: changes nothing here; taken so that all gates are called alike.

    Peers: not among the activations of PyTorch, Keras or jax.nn.

    Raises:
        InputError: x is not floating-point, the axis is none of x, or its length is odd.
    """
    return _gated("bilinear", lambda b: b, x, axis, gate_first)
