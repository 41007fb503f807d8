"""A value as JSON: the same in every process for equal values, another one for others, functions of one's own included.

A function is told by what it does: its code, constants, defaults, what it holds in its closure and reads of its module,
and what it wraps; an object by its attributes. What belongs to a library is told by its name.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
from collections.abc import Mapping
from types import CodeType, FunctionType, ModuleType
from typing import Any

import jax
import numpy as np

from jaxann.core import is_product
from jaxann.core.checks import fail
from jaxann.tune.dimensions import plain

__all__ = ["described"]

_BY_NAME = ("jaxann", "jax", "jaxlib", "numpy", "scipy", "sklearn", "optax", "builtins")
_HAS_DOCSTRING = 0x4000000  # a flag of code from Python 3.13 on


def described(value: Any, within: tuple[int, ...] = ()) -> Any:
    """The value as lists, dicts and scalars that JSON can hold.

    Args:
        value: anything.
        within: the functions and objects that this one is a part of, by `id`.

    Raises:
        InputError: an object that can neither be looked into nor copied.
    """
    value = plain(_shortest(value))
    if value is None or type(value) in (bool, int, str):
        return value
    if isinstance(value, float):
        return {"float": value.hex()} if value != value or abs(value) == float("inf") else value
    if isinstance(value, np.ndarray | jax.Array):
        array = np.ascontiguousarray(np.asarray(value))
        content = array.view(np.uint8).data if array.size and array.dtype.kind != "O" else repr(array).encode()
        return {"array": [array.dtype.name, list(array.shape), _hash(content)]}
    if isinstance(value, bytes | complex | np.dtype):
        return {type(value).__name__: repr(value)}
    if isinstance(value, ModuleType):
        return {"module": value.__name__}
    if id(value) in within:
        return {"within": len(within) - within.index(id(value))}
    inner = functools.partial(described, within=(*within, id(value)))
    if is_product(value):
        return {"product": [value._factory.name, inner(dict(value.arguments))]}
    if isinstance(value, functools.partial):  # jax's Partial too
        return {"partial": [inner(value.func), inner(value.args), inner(value.keywords)]}
    if isinstance(value, Mapping):
        return {"dict": [[inner(name), inner(held)] for name, held in value.items()]}
    if isinstance(value, tuple | list):
        return {type(value).__name__: [inner(held) for held in value]}
    if isinstance(value, set | frozenset):
        return {"set": sorted((inner(held) for held in value), key=json.dumps)}
    if inspect.ismethod(value):
        return {"method": [inner(value.__func__), inner(value.__self__)]}
    if callable(value) and hasattr(value, "__qualname__"):
        wrapped = getattr(value, "__wrapped__", None)
        own = [] if wrapped is None or _package(value) in _BY_NAME else [inner(wrapped)]
        return {"function": [f"{value.__module__}.{value.__qualname__}", _code(value, inner), *own]}
    return {"object": [f"{type(value).__module__}.{type(value).__qualname__}", _held(value, inner)]}


def _shortest(value: Any) -> Any:
    """A single number of 16 or 32 bits as the float that is written in as few digits: 0.001 is 0.001."""
    if isinstance(value, np.floating | np.ndarray | jax.Array) and np.ndim(value) == 0:
        if value.dtype in (np.dtype(np.float32), np.dtype(np.float16)):
            return float(str(np.asarray(value)[()]))
    return value


def _package(function: Any) -> str:
    return str(getattr(function, "__module__", "")).split(".")[0]


def _code(function: Any, inner: Any) -> Any:
    """What a function does, so that another one of the same name is another one."""
    code = getattr(function, "__code__", None)
    if code is None:
        return None
    cells = [_content(cell) for cell in function.__closure__ or ()]
    held = [inner(value) for value in cells]
    if _package(function) in _BY_NAME:
        return held or None  # whose names say it, in every version of Python
    read = _read(code, function.__globals__)
    outside = {name: inner(value) for name, value in read.items()}
    defaults = [inner(function.__defaults__), inner(function.__kwdefaults__)]
    return [_instructions(code, inner), defaults, held, outside]


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # empty as yet
        return None


def _read(code: CodeType, known: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers, texts, arrays and functions of its own module that a function may read."""
    found: dict[str, Any] = {}
    for name in code.co_names:
        value = known.get(name)
        told = isinstance(value, bool | int | float | complex | str | tuple | list | np.ndarray | jax.Array)
        if told or (isinstance(value, FunctionType) and _package(value) not in _BY_NAME):
            found[name] = value
    for one in code.co_consts:
        if isinstance(one, CodeType):
            found |= _read(one, known)
    return dict(sorted(found.items()))


def _instructions(code: CodeType, inner: Any) -> Any:
    """Of a function without its documentation, which is none of what it does."""
    first = code.co_consts[:1]
    documented = bool(first) and isinstance(first[0], str) and code.co_name != "<lambda>"
    if hasattr(inspect, "CO_HAS_DOCSTRING"):
        documented = bool(code.co_flags & _HAS_DOCSTRING)
    constants = [
        _instructions(one, inner) if isinstance(one, CodeType) else inner(one) for one in code.co_consts[documented:]
    ]
    return [_hash(code.co_code), list(code.co_names), constants]


def _held(value: Any, inner: Any) -> Any:
    """The attributes of an object; what it is made of where it has none."""
    slots = [name for one in type(value).__mro__ for name in _names(getattr(one, "__slots__", ()))]
    held = {name: getattr(value, name) for name in slots if hasattr(value, name) and not name.startswith("__")}
    held |= getattr(value, "__dict__", {})
    if held:
        return inner({str(name): held[name] for name in sorted(held, key=str)})
    if callable(value) and hasattr(value, "__name__"):  # a ufunc, a builtin
        return str(value.__name__)
    try:
        return inner(list(value.__reduce_ex__(4)))  # what it would be made of again
    except Exception:  # whatever the object's own way of telling raises
        fail("study", "recipe", "made of functions and values that can be compared with stored ones", value)


def _names(slots: Any) -> tuple[str, ...]:
    return (slots,) if isinstance(slots, str) else tuple(slots)


def _hash(content: Any) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()
