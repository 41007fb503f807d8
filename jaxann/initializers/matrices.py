"""Initializers of the weight as a matrix: orthogonal, identity, their forms for convolutions, and sparse."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax import lax

from jaxann.core.checks import check_integer, check_range, fail
from jaxann.core.factories import factory
from jaxann.core.products import Initializer
from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array, Key, Scalar

__all__ = ["delta_orthogonal", "dirac", "identity", "orthogonal", "sparse"]


def _orthonormal(key: Key, rows: int, columns: int, dtype) -> Array:
    """Orthonormal rows or columns, whichever are fewer, evenly distributed among all such matrices."""
    tall = (max(rows, columns), min(rows, columns))
    if 0 in tall:
        return jnp.zeros((rows, columns), dtype)
    q, r = jnp.linalg.qr(jax.random.normal(key, tall, wide_dtype(dtype)))
    signs = jnp.where(jnp.diagonal(r) < 0, -1, 1).astype(
        q.dtype
    )  # without it the distribution depends on the algorithm
    q = q * jnp.broadcast_to(signs, q.shape)
    return q if rows >= columns else q.T


@factory(Initializer)
def orthogonal(scale: Scalar = 1.0):
    """W = scale Q, Q from the QR decomposition of a normal matrix, with the signs of R's diagonal: W'W = scale^2 I.

    Of the weight as a matrix (all axes but the last together, out) the rows or the columns, whichever are fewer, are
    orthonormal; so lengths are kept, through many layers or many steps of a recurrence. Source: Saxe et al. 2014.

    Args:
        scale: length of the rows or columns.

    Peers: as jax.nn, Keras (its gain) and PyTorch (its gain), whose layout is the transpose.

    Raises:
        InputError: the scale is not finite, or the shape has fewer than two axes.
    """
    check_range("orthogonal", "scale", scale)

    def draw(key, shape, dtype):
        if len(shape) < 2:
            fail("orthogonal", "shape", "of at least two axes", f" {shape}")
        q = _orthonormal(key, math.prod(shape[:-1]), shape[-1], dtype).reshape(shape)
        return (q * jnp.asarray(scale, q.dtype)).astype(dtype)

    return draw


@factory(Initializer)
def identity(scale: Scalar = 1.0):
    """W = scale I: 1 where input and output have the same number, else 0.

    For a recurrent weight of relu units, or a dense layer that begins as a passage. Source: Le et al. 2015.

    Args:
        scale: the diagonal.

    Peers: Keras's identity (its gain) and PyTorch's eye_, which has no scale; neither does jax.nn have it.

    Raises:
        InputError: the scale is not finite, or the shape has not two axes.
    """
    check_range("identity", "scale", scale)

    def draw(key, shape, dtype):
        if len(shape) != 2:
            fail("identity", "shape", "of two axes (in, out)", f" {shape}", hint="For convolutions there is dirac().")
        return jnp.eye(*shape, dtype=dtype) * jnp.asarray(scale, dtype)

    return draw


def _centre(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple((n - 1) // 2 for n in shape[:-2])


@factory(Initializer, static=("groups",))
def dirac(groups: int = 1):
    """W = 1 at the centre of the window where input and output channel are the same, else 0: a passage for channels.

    Channel i of each group passes to output i of that group, as far as there are both. Source: Zagoruyko and Komodakis
    2017.

    Args:
        groups: groups of the convolution; the shape is (..., in / groups, out).

    Peers: as PyTorch on windows of odd length (on even ones its centre is n // 2, here (n - 1) // 2 as in
    `delta_orthogonal`); neither Keras nor jax.nn has it.

    Raises:
        InputError: groups is no positive integer or does not divide out, or the shape has fewer than two axes.
    """
    check_integer("dirac", "groups", groups)

    def draw(key, shape, dtype):
        if len(shape) < 2 or shape[-1] % groups:
            expected = "of at least two axes (..., in, out)" + (f", out divided by {groups}" if groups > 1 else "")
            fail("dirac", "shape", expected, f" {shape}")
        own = jnp.eye(shape[-2], shape[-1] // groups, dtype=dtype)
        return jnp.zeros(shape, dtype).at[_centre(shape)].set(jnp.tile(own, (1, groups)))

    return draw


@factory(Initializer)
def delta_orthogonal(scale: Scalar = 1.0):
    """W = scale Q at the centre of the window, else 0, Q with orthonormal rows (in <= out): lengths are kept.

    Convolutions of thousands of layers train from it. Source: Xiao et al. 2018.

    Args:
        scale: length of the rows.

    Peers: as jax.nn; neither PyTorch nor Keras has it.

    Raises:
        InputError: the scale is not finite, the shape has not one to three axes of a window, or in is above out.
    """
    check_range("delta_orthogonal", "scale", scale)

    def draw(key, shape, dtype):
        if not 3 <= len(shape) <= 5 or shape[-2] > shape[-1]:
            expected = "(..., in, out) with one to three axes before and in at most out"
            fail("delta_orthogonal", "shape", expected, f" {shape}")
        q = _orthonormal(key, shape[-2], shape[-1], dtype)
        q = (q * jnp.asarray(scale, q.dtype)).astype(dtype)
        if 0 in shape:
            return jnp.zeros(shape, dtype)
        return jnp.zeros(shape, dtype).at[_centre(shape)].set(q)

    return draw


@factory(Initializer)
def sparse(sparsity: Scalar, *, stddev: Scalar = 0.01):
    """w ~ N(0, stddev^2), but ceil(sparsity in) weights of each output unit, chosen at random, are 0.

    Source: Martens 2010.

    Args:
        sparsity: share of zeros, in [0, 1].
        stddev: at least 0.

    Peers: PyTorch's sparse_ counts the zeros of each input and not of each output; neither Keras nor jax.nn has it.

    Raises:
        InputError: the sparsity or stddev is out of range, or the shape has not two axes.
    """
    check_range("sparse", "sparsity", sparsity, 0, 1)
    check_range("sparse", "stddev", stddev, 0)

    def draw(key, shape, dtype):
        if len(shape) != 2:
            fail("sparse", "shape", "of two axes (in, out)", f" {shape}")
        for_values, for_places = jax.random.split(key)
        values = jax.random.normal(for_values, shape, dtype) * jnp.asarray(stddev, dtype)
        order = jnp.argsort(jax.random.uniform(for_places, shape), 0)
        ranks = jnp.argsort(order, 0).astype(jnp.float32)
        # 0.07 * 100 is a little above 7 in binary: a hair less, so that it is rounded up to 7 and not to 8.
        zeros = jnp.ceil(jnp.asarray(sparsity, jnp.float32) * (shape[0] * (1 - 1e-6)))
        return jnp.where(ranks < lax.stop_gradient(zeros), jnp.zeros((), dtype), values)

    return draw
