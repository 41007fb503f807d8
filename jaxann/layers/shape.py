"""Other shapes of the same numbers, example by example."""

from __future__ import annotations

import math

import jax.numpy as jnp

from jaxann.core.checks import check_integer, fail
from jaxann.core.factories import factory
from jaxann.core.products import Layer

__all__ = ["permute", "reshape"]


@factory(Layer, static=("shape",), convert={"shape": lambda v: tuple(v) if isinstance(v, list) else v})
def reshape(shape: tuple[int, ...]):
    """y = the numbers of each example in another shape, in the same order; the batch stays the first axis.

    Args:
        shape: of one example; a single -1 stands for what is left.

    Input `(batch, ...)`, output `(batch, *shape)`; no parameters.

    Peers: as Keras' Reshape, and PyTorch's Unflatten, which takes one axis apart.

    Raises:
        InputError: the shape is none, or holds another number of places than an example.
    """
    if not isinstance(shape, tuple):
        fail("reshape", "shape", "a tuple of positive integers, one of which may be -1", shape)
    for size in shape:
        if size != -1 or isinstance(size, bool):
            check_integer("reshape", "each of shape", size)
    if shape.count(-1) > 1:
        fail("reshape", "shape", "of one -1 at most", shape)

    def apply(params, state, x, *, key=None, train=False):
        if x.ndim < 1:
            fail("reshape", "x", "of shape (batch, ...)", f" shape {x.shape}")
        places, known = math.prod(x.shape[1:]), math.prod(size for size in shape if size != -1)
        if places % known if -1 in shape else places != known:
            fail("reshape", "x", f"of examples that fit into {shape}", f" shape {x.shape}")
        whole = tuple(places // known if size == -1 else size for size in shape)
        return jnp.reshape(x, (x.shape[0], *whole)), state

    return lambda key, spec: ({}, {}), apply


@factory(Layer, static=("axes",), convert={"axes": lambda v: tuple(v) if isinstance(v, list) else v})
def permute(axes: tuple[int, ...]):
    """y = each example with its axes in another order: axis i of y is axis `axes[i]` of x; the batch, axis 0, stays.

    Args:
        axes: 1, 2, ... each once: `permute((2, 1))` turns `(batch, places, channels)` to `(batch, channels, places)`.

    No parameters.

    Peers: as Keras' Permute; PyTorch has the method alone.

    Raises:
        InputError: axes are not 1 to n, or x has not n axes beside the batch.
    """
    if not isinstance(axes, tuple) or sorted(axes) != list(range(1, len(axes) + 1)) or not axes:
        fail("permute", "axes", "a tuple of the numbers 1 to n, each once", axes)

    def apply(params, state, x, *, key=None, train=False):
        if x.ndim != len(axes) + 1:
            fail("permute", "x", f"of {len(axes) + 1} axes, the batch first", f" shape {x.shape}")
        return jnp.transpose(x, (0, *axes)), state

    return lambda key, spec: ({}, {}), apply
