"""Anything that holds numbers as a numpy array; what holds none is refused in words, whoever made it.

Lists, tensors of other libraries (also those with a gradient, or in bfloat16), tables and arrays of Python objects are
read; a file, a generator, a key, a shape or a ragged list is told what it is. Text is never parsed, wherever it stands,
and nothing is taken from behind a mask.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, NoReturn

import jax
import numpy as np

from jaxann.core.checks import check_unmasked, fail
from jaxann.core.errors import InputError

__all__ = ["read_array"]

_ENCODE = "Encode labels as integers 0..classes-1; numbers that are text: x.astype(float)."
_NO_NUMBERS = (str, bytes, bytearray, memoryview, np.datetime64, np.timedelta64)  # though float() would take them
_DEEPEST = 65  # nested lists that are looked into; numpy has 64 axes
_ROWS = (list, tuple, np.ndarray, jax.Array)


def read_array(function: str, argument: str, value: Any) -> np.ndarray:
    """The numbers as a numpy array of real numbers, in the byte order of this machine.

    Narrow floating types (float8 and below) come as float32, narrow integers (int4 and below) as int32, and an array of
    Python objects as what these are: whole numbers stay whole.

    Args:
        function, argument: for the message.
        value: array, nested list, tensor, or anything numpy can read.

    Raises:
        InputError: there are no numbers in it, rows differ in length, entries are masked, or numbers are complex.
    """
    check_unmasked(function, argument, value)
    _refuse_other_kinds(function, argument, value)
    _check_unmasked_inside(function, argument, value)
    array = _as_numpy(function, argument, value)
    if array.dtype.kind == "O":
        array = _of_objects(function, argument, value, array)
    if jax.dtypes.issubdtype(array.dtype, np.integer) and array.dtype.kind == "V":
        array = array.astype(np.int32)
    if jax.dtypes.issubdtype(array.dtype, np.floating) and array.dtype.itemsize < 2:
        array = array.astype(np.float32)
    if array.dtype.kind == "c":
        fail(function, argument, "an array of real numbers", f" {array.dtype}")
    if array.dtype.kind not in "fiub" and not jax.dtypes.issubdtype(array.dtype, np.floating):
        hint = _ENCODE if array.dtype.kind in "USOT" else None
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


def _check_unmasked_inside(function: str, argument: str, value: Any, depth: int = 0) -> None:
    """No masked arrays, or single masked entries, among the rows of a list."""
    if not isinstance(value, list | tuple) or depth == _DEEPEST:
        check_unmasked(function, argument, value)
    elif len(value) and not isinstance(value[0], float | int):  # rows; numbers have no mask
        for one in value:
            _check_unmasked_inside(function, argument, one, depth + 1)


def _as_numpy(function: str, argument: str, value: Any) -> np.ndarray:
    """Whatever numpy makes of it, and of the tensors in it."""
    try:
        return np.asarray(_on_host(function, argument, value))
    except (InputError, MemoryError):
        raise
    except ValueError as error:
        where = _ragged(value)
        if where is not None:
            fail(function, argument, "a rectangular array", f" {where}")
        _refuse_unread(function, argument, value, error)
    except Exception as error:  # whatever the array of another library may raise when it is asked for its numbers
        if isinstance(value, list | tuple):  # tensors deeper inside
            inside = _each_on_host(function, argument, value)
            if inside is not value:
                return _as_numpy(function, argument, inside)
        _refuse_unread(function, argument, value, error)


def _refuse_unread(function: str, argument: str, value: Any, error: Exception) -> NoReturn:
    why = next(iter(str(error).splitlines()), type(error).__name__)
    fail(function, argument, "an array of numbers", value, hint=f"Reading it failed: {why}")


def _each_on_host(function: str, argument: str, value: Any, depth: int = 0) -> Any:
    """The nested list with its tensors as numpy arrays; the list itself where there are none."""
    if not isinstance(value, list | tuple) or depth == _DEEPEST:
        return _on_host(function, argument, value)
    found = [_each_on_host(function, argument, one, depth + 1) for one in value]
    return value if all(new is old for new, old in zip(found, value, strict=True)) else found


def _on_host(function: str, argument: str, value: Any) -> Any:
    """A tensor of another library without its gradient, on the host, in a type that numpy has."""
    if isinstance(value, list | tuple) and len(value) and hasattr(value[0], "detach"):
        return [_on_host(function, argument, one) for one in value]
    tensor: Any = value
    if not hasattr(tensor, "detach") or not hasattr(tensor, "numpy") or isinstance(value, type):
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
    if any(isinstance(one, _NO_NUMBERS) for one in array.flat):
        _refuse_text(function, argument, value, array)
    _check_unmasked_inside(function, argument, array.tolist())
    try:
        found = np.array(array.tolist())
    except (TypeError, ValueError, OverflowError):
        found = array
    if found.dtype.kind == "c":
        fail(function, argument, "an array of real numbers", f" {found.dtype}")
    if found.dtype.kind in "biuf" and (found.shape == array.shape or array.ndim == 1):
        return found
    try:
        return array.astype(np.float64)
    except (TypeError, ValueError, ArithmeticError):
        where = _ragged(array) if array.ndim == 1 and all(isinstance(one, _ROWS) for one in array) else None
        if where is not None:
            fail(function, argument, "a rectangular array", f" {where}")
        _refuse_text(function, argument, value, array)


def _refuse_text(function: str, argument: str, value: Any, array: np.ndarray) -> NoReturn:
    """Say which the first entry is that is no number, where it stands, and what to do about it."""
    flat = array.reshape(len(array), -1) if array.ndim > 1 else array[:, None]
    places = ((row, column) for column in range(flat.shape[1]) for row in range(len(flat)))
    row, column = next((place for place in places if _fault(flat[place])), (0, 0))
    what, hint = _fault(flat[row, column]) or ("text or objects", _ENCODE)
    place = f"row {row}"
    if array.ndim > 1:
        names = getattr(value, "columns", None)
        place = f"column {column if names is None else repr(names[column])}, {place}"
    fail(function, argument, "an array of numbers", f" {what} ({_short(flat[row, column])!r} in {place})", hint=hint)


def _fault(value: Any) -> tuple[str, str] | None:
    """What a value is that is no number, and what to do about it."""
    if isinstance(value, _NO_NUMBERS):
        return "text or objects", _ENCODE
    try:
        float(value)
    except OverflowError:
        return "one beyond floating point", "Standardize the data first."
    except (TypeError, ValueError, ArithmeticError):
        return "text or objects", _ENCODE
    return None


def _short(value: Any) -> str:
    try:
        return str(value)[:30]
    except ValueError:  # of so many digits that Python does not write it
        return f"a {type(value).__name__}"


def _ragged(value: Any) -> str | None:
    """The first place of a nested list whose length is not that of the first place at its depth; None for none."""
    lengths: list[int | None] = []
    first = value
    while len(lengths) < _DEEPEST:  # down the first branch
        lengths.append(_length(first))
        if not lengths[-1]:
            break
        first = first[0]

    def search(node: Any, place: tuple[int, ...]) -> tuple[tuple[int, ...], int | None] | None:
        depth, length = len(place), _length(node)
        if depth == len(lengths):
            return None
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
