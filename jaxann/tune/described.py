"""A value as JSON: the same in every process for equal values, another one for others, functions of one's own included.

A function is told by what it does: its code, constants, defaults, what it holds in its closure, reads of its module and
of others, and what it wraps; a class by its functions and attributes; an object by its attributes and its class. What
belongs to a library is told by its name.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
from collections.abc import Iterator, Mapping
from types import CodeType, FunctionType, GetSetDescriptorType, MemberDescriptorType, ModuleType
from typing import Any

import jax
import numpy as np

from jaxann.core import is_product
from jaxann.core.checks import fail
from jaxann.tune.dimensions import plain
from jaxann.tune.reads import importable, is_own, module_name, read_by

__all__ = ["described"]

_HAS_DOCSTRING = 0x4000000  # a flag of code from Python 3.13 on
_TAKES_MORE = inspect.CO_VARARGS | inspect.CO_VARKEYWORDS
_DATA = (bool, int, float, complex, str, bytes, np.generic, np.ndarray, jax.Array, np.dtype)


def described(value: Any, first: dict[int, tuple[Any, Any]] | None = None) -> Any:
    """The value as lists, dicts and scalars that JSON can hold.

    Args:
        value: anything.
        first: what functions and objects were told as when they were first met, by `id`, to be told so again: an object
            that counts its calls, or keeps what it has computed, is no other one afterwards.

    Raises:
        InputError: an object that can neither be looked into nor copied.
    """
    return _Teller(first).tell(value)


class _Teller:
    """One description in the making."""

    def __init__(self, first: dict[int, tuple[Any, Any]] | None, within: list[int] | None = None):
        self._first = first
        self._within = [] if within is None else within  # the functions and objects that this one is a part of, by `id`
        self._seen: dict[int, int] = {}  # what is reached by a name, and told in full where it came first
        self._kept: list[Any] = []  # so that no `id` is given twice

    def tell(self, value: Any) -> Any:
        if isinstance(value, jax.Array) and jax.dtypes.issubdtype(value.dtype, jax.dtypes.prng_key):
            return {"key": [str(jax.random.key_impl(value)), self.tell(np.asarray(jax.random.key_data(value)))]}
        value = plain(_shortest(value))
        if value is None or type(value) in (bool, int, str):
            return value
        if type(value) is float:
            return {"float": value.hex()} if value != value or abs(value) == float("inf") else value
        if isinstance(value, np.ndarray | jax.Array) and not is_own(type(value)):
            array = np.asarray(value)
            if array.dtype.kind == "O":
                return {"array": ["object", list(array.shape), [self.tell(one) for one in array.ravel()]]}
            content = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data if array.size else b""
            return {"array": [array.dtype.name, list(array.shape), _hash(content)]}
        if isinstance(value, bytes | complex | np.dtype):
            return {type(value).__name__: repr(value)}
        if isinstance(value, ModuleType):
            return {"module": value.__name__}
        if id(value) in self._within:
            return {"within": len(self._within) - self._within.index(id(value))}
        if self._first is not None and id(value) in self._first:
            return self._first[id(value)][1]
        self._within.append(id(value))
        try:
            if self._first is None:
                return self._told(value)
            # By itself, so that nothing told before it is taken for known; and short, for it is told again and again.
            found = {"digest": _hash(json.dumps(_Teller(self._first, self._within)._told(value)).encode())}
        finally:
            self._within.pop()
        self._first[id(value)] = value, found
        return found

    def _told(self, value: Any) -> Any:
        if is_product(value):
            made = value._factory.public.__wrapped__
            own = [self._named(made)] if is_own(made) else []
            return {"product": [value._factory.name, self.tell(dict(value.arguments)), *own]}
        own = [self._named(type(value))] if is_own(type(value)) else []
        if isinstance(value, functools.partial):  # jax's Partial too
            return {"partial": [self.tell(value.func), self.tell(value.args), self.tell(value.keywords), *own]}
        if isinstance(value, Mapping):
            return {"dict": [[self.tell(name), self.tell(held)] for name, held in value.items()], **_of(own)}
        if isinstance(value, tuple | list):
            return {type(value).__name__: [self.tell(held) for held in value], **_of(own)}
        if isinstance(value, set | frozenset):
            return {"set": sorted((self._apart(held) for held in value), key=json.dumps), **_of(own)}
        if inspect.ismethod(value):
            return {"method": [self.tell(value.__func__), self.tell(value.__self__)]}
        if isinstance(value, type):
            return {"class": [f"{value.__module__}.{value.__qualname__}", *self._class(value)]}
        if isinstance(value, staticmethod | classmethod):
            return {type(value).__name__: self.tell(value.__func__)}
        if isinstance(value, property):
            return {"property": [self.tell(one) for one in (value.fget, value.fset, value.fdel)]}
        if isinstance(value, functools.cached_property):
            return {"property": self.tell(value.func)}
        if callable(value) and hasattr(value, "__qualname__"):
            return {"function": [f"{value.__module__}.{value.__qualname__}", *self._function(value)]}
        return {"object": [f"{type(value).__module__}.{type(value).__qualname__}", self._held(value), *own]}

    def _named(self, value: Any) -> Any:
        """What is reached by a name of the program: in full where it comes first, and by its number later."""
        if value is None or isinstance(value, (*_DATA, ModuleType, tuple, frozenset)):
            return self.tell(value)
        if id(value) in self._seen:
            return {"seen": self._seen[id(value)]}
        self._seen[id(value)] = len(self._seen)
        self._kept.append(value)
        return self.tell(value)

    def _apart(self, value: Any) -> Any:
        """An element of a set, which has no order."""
        before = dict(self._seen)
        told = self.tell(value)
        self._seen = before
        return told

    def _function(self, function: Any) -> list[Any]:
        """What a function does and wraps, so that another one of the same name is another one."""
        wrapped = getattr(function, "__wrapped__", None)
        own = is_own(function)
        if not own and importable(function):
            return [None]  # whose name says it, in every version of Python
        told = [self._code(function)] if isinstance(function, FunctionType) else [None]
        told += [] if wrapped is None else [self.tell(wrapped)]
        if own or wrapped is not None:
            attributes = getattr(function, "__dict__", {})
            hidden = "__" if isinstance(function, FunctionType) else "_"  # of jax's, such as what is compiled
            held = {name: attributes[name] for name in sorted(attributes) if not name.startswith(hidden)}
            told += [{name: self.tell(one) for name, one in held.items()}] if held else []
        return told

    def _code(self, function: FunctionType) -> Any:
        cells = [_content(cell) for cell in function.__closure__ or ()]
        held = [self.tell(value) for value in cells]
        if not is_own(function):
            return held or None
        code = function.__code__
        read = {name: self._named(value) for name, value in read_by(code, function.__globals__, cells).items()}
        defaults = [self.tell(function.__defaults__), self.tell(function.__kwdefaults__)]
        return [self._instructions(code), defaults, held, read]

    def _instructions(self, code: CodeType) -> Any:
        """Of a function without its documentation, which is none of what it does."""
        first = code.co_consts[:1]
        documented = bool(first) and isinstance(first[0], str) and not code.co_name.startswith("<")  # lambdas, loops
        if hasattr(inspect, "CO_HAS_DOCSTRING"):
            documented = bool(code.co_flags & _HAS_DOCSTRING)
        constants = [
            self._instructions(one) if isinstance(one, CodeType) else self.tell(one)
            for one in code.co_consts[documented:]
        ]
        arguments = list(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount])  # which may be given by name
        counts = [code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags & _TAKES_MORE]
        return [_hash(code.co_code), list(code.co_names), constants, arguments, counts]

    def _class(self, value: type) -> list[Any]:
        """The functions and attributes of a class of one's own, and its bases."""
        if not is_own(value):
            return []
        held = {
            name: one
            for name, one in sorted(vars(value).items())
            if name != "_abc_impl" and not isinstance(one, MemberDescriptorType | GetSetDescriptorType)
            if not name.startswith("__") or isinstance(one, FunctionType | staticmethod | classmethod | property)
        }
        bases = [self._named(base) for base in value.__bases__]
        return [bases, {name: self._named(one) for name, one in held.items()}]

    def _held(self, value: Any) -> Any:
        """The attributes of an object; what it is made of where it has none."""
        kind = type(value)
        slots = [name for one in kind.__mro__ for name in _names(getattr(one, "__slots__", ()))]
        held = {name: getattr(value, name) for name in slots if hasattr(value, name) and not name.startswith("__")}
        held |= getattr(value, "__dict__", {})
        kinds: tuple[Any, ...] = (int, float, complex, str, bytes, np.asarray)  # below a kind of one's own
        for plainly in kinds:
            if isinstance(value, np.ndarray if plainly is np.asarray else plainly):
                return [self.tell(plainly(value)), self.tell(held)]
        copied = module_name(kind) == "builtins" or kind.__reduce__ is not object.__reduce__  # says itself of what
        if held and (is_own(kind) or not copied):
            return self.tell({str(name): held[name] for name in sorted(held, key=str)})
        if callable(value) and hasattr(value, "__name__"):  # a ufunc, a builtin
            return str(value.__name__)
        try:
            made = value.__reduce_ex__(4)
        except Exception:  # whatever the object's own way of telling raises
            fail("study", "recipe", "made of functions and values that can be compared with stored ones", value)
        if not isinstance(made, tuple):
            return made
        return [self.tell(list(one) if isinstance(one, Iterator) else one) for one in made]


def _of(own: list[Any]) -> dict[str, Any]:
    return {"of": own[0]} if own else {}


def _shortest(value: Any) -> Any:
    """A single number of 16 or 32 bits as the float that is written in as few digits: 0.001 is 0.001."""
    if isinstance(value, np.floating | np.ndarray | jax.Array) and np.ndim(value) == 0:
        if value.dtype in (np.dtype(np.float32), np.dtype(np.float16)):
            return float(str(np.asarray(value)[()]))
    return value


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # empty as yet
        return None


def _names(slots: Any) -> tuple[str, ...]:
    return (slots,) if isinstance(slots, str) else tuple(slots)


def _hash(content: Any) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()
