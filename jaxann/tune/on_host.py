"""What searches on the host looks at values: inside jit, vmap and grad there are none, and one message says so."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar

from jax.core import Tracer

from jaxann.core.checks import OUTSIDE, refuse_traced
from jaxann.core.programs import is_traced

__all__ = ["on_host"]

P = ParamSpec("P")
T = TypeVar("T")


def on_host(function: Callable[P, T]) -> Callable[P, T]:
    """Decorate a function that looks at its arguments: traced ones are refused, and random numbers inside a program.

    Raises:
        InputError: an argument is traced, or holds what is; or there is a key, and the call is part of a program.
    """
    names = list(inspect.signature(function).parameters)
    hint = {} if "build" in names else {"hint": OUTSIDE}

    @functools.wraps(function)
    def checked(*args: P.args, **keywords: P.kwargs) -> T:
        for name, value in (*zip(names, args, strict=False), *keywords.items()):
            if _holds_traced(value):
                refuse_traced(function.__name__, name, **hint)
        if keywords.get("key") is not None and is_traced(()):
            refuse_traced(function.__name__, "key", **hint)
        return function(*args, **keywords)

    return checked


def _holds_traced(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_holds_traced, value.values()))
    if isinstance(value, tuple | list):
        return any(map(_holds_traced, value))
    return isinstance(value, Tracer)
