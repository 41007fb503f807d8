"""A function with arguments bound to it, as a pytree: numbers are its leaves, names and flags its structure."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from types import FunctionType
from typing import Any

import jax
import numpy as np

__all__ = ["accepts", "as_partial", "bound", "misfit"]


@dataclass(frozen=True)
class _Fixed:
    """A function with names and flags bound to it; equal parts make equal functions, so they share a program."""

    function: Callable
    keywords: tuple[tuple[str, Any], ...]

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        return self.function(*args, **dict(self.keywords), **keywords)


def as_partial(function: Callable, sizes: tuple[str, ...] = ()) -> jax.tree_util.Partial:
    """The function as a `jax.tree_util.Partial` whose leaves are numbers and arrays.

    What `functools.partial` bound may be a string, a flag, a whole number (a size, a label), None or a function as
    well: that stays static, and so do the keywords named in `sizes`. A list of numbers is taken for an array.
    """
    inner, args, keywords = bound(function)
    fixed = {name: value for name, value in keywords.items() if name in sizes or _is_static(value)}
    moving = {name: _array(value) for name, value in keywords.items() if name not in fixed}
    return jax.tree_util.Partial(_Fixed(inner, tuple(sorted(fixed.items()))) if fixed else inner, *args, **moving)


def bound(function: Callable) -> tuple[Callable, tuple, dict[str, Any]]:
    """The plain function inside, and the arguments bound to it from within outwards."""
    args: tuple = ()
    keywords: dict[str, Any] = {}
    while True:
        inner = getattr(function, "fun", None)  # jax.tree_util.Partial wraps a partial it is given
        function = inner if isinstance(inner, functools.partial) else function
        if not isinstance(function, functools.partial | _Fixed):
            return function, args, keywords
        if isinstance(function, _Fixed):
            keywords = {**dict(function.keywords), **keywords}
            function = function.function
        else:
            args = (*function.args, *args)
            keywords = {**function.keywords, **keywords}
            function = function.func


def _array(value: Any) -> Any:
    """A list or tuple of numbers as an array."""
    listed = isinstance(value, list | tuple) and len(value) > 0
    return np.asarray(value) if listed and all(isinstance(v, int | float) for v in value) else value


def _is_static(value: Any) -> bool:
    if value is None or isinstance(value, str | bool | np.bool_ | int):
        return True
    leaves = jax.tree.leaves(value) if callable(value) else []
    return len(leaves) == 1 and leaves[0] is value  # a function, not a pytree that can be called


def misfit(function: Callable, count: int, *keywords: str) -> str | None:
    """Name and signature of a function that cannot be called with so many arguments and these keywords; else None.

    None for one without a signature too: calling it will tell.
    """
    if isinstance(function, FunctionType) and not keywords:  # most are, and reading a signature takes longer
        code, optional = function.__code__, len(function.__defaults__ or ())
        if code.co_argcount - optional <= count <= code.co_argcount and not code.co_kwonlyargcount:
            return None
    told, each = None, function
    while each is not None:  # a decorator may take what the function inside does not, and the other way round
        try:
            signature = inspect.signature(each, follow_wrapped=False)
            signature.bind(*range(count), **dict.fromkeys(keywords))
        except TypeError:
            name = getattr(bound(function)[0], "__name__", type(function).__name__)
            told = told or f"{name}{inspect.signature(each)}"[:100]
        except ValueError:  # of one without a signature
            return None
        else:
            return None
        each = getattr(each, "__wrapped__", None)
    return told


def accepts(function: Callable, name: str) -> bool:
    """Whether a function takes an argument of this name."""
    code = getattr(function, "__code__", None)
    if code is not None:
        named = name in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        return named or bool(code.co_flags & inspect.CO_VARKEYWORDS)
    try:  # a partial or compiled function, or an object that can be called
        parameters = inspect.signature(function).parameters
        return name in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    except (TypeError, ValueError):
        return False
