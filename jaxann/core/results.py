"""Verbs that take `params, state`: one that is handed a whole result says so."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar

from jaxann.core.checks import fail
from jaxann.core.programs import hands_over

__all__ = ["apart"]

P = ParamSpec("P")
R = TypeVar("R")


def _is_result(value: Any) -> bool:
    return not isinstance(value, Mapping) and hasattr(value, "params") and hasattr(value, "state")


def apart(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a function of `params, state`: a result in the place of `params` is told what to do."""
    names = list(inspect.signature(function).parameters)
    place = names.index("params")

    function = hands_over(function)

    @functools.wraps(function)
    def checked(*args: P.args, **keywords: P.kwargs) -> R:
        name = getattr(function, "__name__", "function")
        if args and _is_result(args[0]):
            hint = f"{name}(model, result.params, result.state, ...)"
            fail(name, names[0], "what the result is of", f" a {type(args[0]).__name__}", hint=hint)
        given: Any = args[place] if len(args) > place else keywords.get("params")
        if _is_result(given):
            expected = "the parameters alone, with the layers' state after them"
            hint = f"{name}(..., result.params, result.state, ...); of a population: population.member(0)."
            fail(name, "params", expected, f" a {type(given).__name__}", hint=hint)
        return function(*args, **keywords)

    return checked
