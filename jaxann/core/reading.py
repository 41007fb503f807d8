"""Anything that holds numbers as a numpy array; what holds none is refused in words, whoever made it.

Lists, tensors of other libraries (also those with a gradient, or in bfloat16), tables and arrays of Python objects are
read; a file, a generator, a key, a shape or a ragged list is told what it is.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from jaxann.core.checks import fail

__all__ = ["read_array"]


def read_array(function: str, argument: str, value: Any) -> np.ndarray:
    """The numbers as a numpy array of real numbers, in the byte order of this machine.

    Narrow floating types (float8 and below) come as float32, narrow integers (int4 and below) as int32, and an array of
    Python objects as what these are: whole numbers stay whole.

    Args:
        function, argument: for the message.
        value: array, nested list, tensor, or anything numpy can read.

    Raises:
        InputError: there are no numbers in it, rows differ in length, or numbers are complex.
    """
    _refuse_other_kinds(function, argument, value)
    try:
        array = np.asarray(_on_host(function, argument, value))
    except ValueError:
        where = _ragged(value)
        if where is None:
            raise
        fail(function, argument, "a rectangular array", f" {where}")
    except (TypeError, RuntimeError, NotImplementedError) as error:  # of another library's array
        fail(function, argument, "an array of numbers", value, hint=f"Reading it failed: {str(error).splitlines()[0]}")
    if array.dtype.kind == "O":
        array = _of_objects(function, argument, value, array)
    if jax.dtypes.issubdtype(array.dtype, np.integer) and array.dtype.kind == "V":
        array = array.astype(np.int32)
    if jax.dtypes.issubdtype(array.dtype, np.floating) and array.dtype.itemsize < 2:
        array = array.astype(np.float32)
    if array.dtype.kind == "c":
        fail(function, argument, "an array of real numbers", f" {array.dtype}")
    if array.dtype.kind not in "fiub" and not jax.dtypes.issubdtype(array.dtype, np.floating):
        hint = "Encode labels as integers 0..classes-1." if array.dtype.kind in "USO" else None
        fail(function, argument, "an array of numbers", f" {array.dtype}", hint=hint)
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def _refuse_other_kinds(function: str, argument: str, value: Any) -> None:
    if isinstance(value, str | bytes | os.PathLike):
        fail(function, argument, "an array", value, hint="A path is not read here; see jaxann.data for readers.")
    if isinstance(value, Iterator):
        hint = "It can be gone through once only: np.stack(list(...)) makes an array of it."
        fail(function, argument, "an array", value, hint=hint)
    if isinstance(value, jax.ShapeDtypeStruct):
        fail(function, argument, "an array", f" a shape {value.shape} without numbers")
    if isinstance(value, jax.Array) and jax.dtypes.issubdtype(value.dtype, jax.dtypes.prng_key):
        fail(function, argument, "an array of numbers", value)


def _on_host(function: str, argument: str, value: Any) -> Any:
    """A tensor of another library without its gradient, on the host, in a type that numpy has."""
    if isinstance(value, list | tuple) and len(value) and hasattr(value[0], "detach"):
        return [_on_host(function, argument, one) for one in value]
    tensor: Any = value
    if not hasattr(tensor, "detach") or not hasattr(tensor, "numpy"):
        return tensor
    if getattr(tensor, "is_sparse", False):
        fail(function, argument, "a dense array", f" a sparse one of shape {tuple(tensor.shape)}", hint="x.to_dense()")
    if tensor.is_complex():
        fail(function, argument, "an array of real numbers", f" {tensor.dtype}")
    tensor = tensor.detach().cpu().resolve_conj().resolve_neg()
    if tensor.is_floating_point() and tensor.element_size() <= 2:
        tensor = tensor.float()
    return tensor.numpy()


def _of_objects(function: str, argument: str, value: Any, array: np.ndarray) -> np.ndarray:
    """An array of Python objects as what they are: numbers, or arrays of one shape."""
    if array.ndim == 0:
        fail(function, argument, "an array", value)
    try:
        found = np.array(array.tolist())
    except (TypeError, ValueError, OverflowError):
        found = array
    if found.dtype.kind in "biuf" and (found.shape == array.shape or array.ndim == 1):
        return found
    try:
        return array.astype(np.float64)
    except (TypeError, ValueError, OverflowError):
        where = _ragged(array) if array.ndim == 1 and all(np.ndim(one) for one in array) else None
        if where is not None:
            fail(function, argument, "a rectangular array", f" {where}")
        hint = "Encode text as numbers first."
        fail(function, argument, "an array of numbers", f" text or objects {_where_text(value, array)}", hint=hint)


def _where_text(value: Any, array: np.ndarray) -> str:
    flat = array.reshape(len(array), -1) if array.ndim > 1 else array[:, None]
    for column in range(flat.shape[1]):
        for row in range(flat.shape[0]):
            try:
                float(flat[row, column])
            except (TypeError, ValueError):
                names = getattr(value, "columns", None)
                label = column if names is None else f"{names[column]!r}"
                return f"({str(flat[row, column])[:30]!r} in column {label}, row {row})"
    return ""


def _ragged(value: Any) -> str | None:
    """The first place of a nested list whose length is not that of the first place at its depth; None for none."""
    lengths: list[int | None] = []
    first = value
    while True:  # down the first branch
        lengths.append(_length(first))
        if not lengths[-1]:
            break
        first = first[0]

    def search(node: Any, place: tuple[int, ...]) -> tuple[tuple[int, ...], int | None] | None:
        depth, length = len(place), _length(node)
        if length != lengths[depth]:
            return place, length
        found = (search(one, (*place, i)) for i, one in enumerate(node)) if length else ()
        return next((one for one in found if one is not None), None)

    found = search(value, ())
    if found is None:
        return None
    place, length = found
    return f"{_named(place, length)}, {_named((0,) * len(place), lengths[len(place)])}"


def _length(node: Any) -> int | None:
    try:
        return None if isinstance(node, str | bytes | dict) else len(node)
    except TypeError:
        return None


def _named(place: tuple[int, ...], length: int | None) -> str:
    words = "".join(f", [{i}]" if depth else f"row {i}" for depth, i in enumerate(place))
    return f"{words} {'a number' if length is None else f'of length {length}'}"
