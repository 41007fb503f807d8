"""Verbs that take `params, state`: one that is handed a whole result says so."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import ParamSpec, TypeVar

from jaxann.core.checks import fail

__all__ = ["apart"]

P = ParamSpec("P")
R = TypeVar("R")


def apart(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate `function(model, params, state, ...)`: a result in the place of `params` is told what to do."""

    @functools.wraps(function)
    def checked(*args: P.args, **keywords: P.kwargs) -> R:
        given = args[1] if len(args) > 1 else keywords.get("params")
        if not isinstance(given, Mapping) and hasattr(given, "params") and hasattr(given, "state"):
            name = getattr(function, "__name__", "function")
            expected = "the parameters alone, with the layers' state after them"
            hint = f"{name}(..., result.params, result.state, ...); of a population: population.member(0)."
            fail(name, "params", expected, f" a {type(given).__name__}", hint=hint)
        return function(*args, **keywords)

    return checked
