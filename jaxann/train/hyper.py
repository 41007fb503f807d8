"""A dict of hyper-parameters in two: the floats, which a program can trace, and the rest, which it is built around."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from jaxann.core.checks import check_range, fail, show
from jaxann.core.typing import Array
from jaxann.train.plan import default_float

__all__ = ["built_from", "split_hyper"]


def split_hyper(function: str, hyper: Any) -> tuple[dict[str, Array], tuple[tuple[str, Any], ...]]:
    """`(floats, rest)`: floats as arrays of the default float dtype, the rest as it is, in a form that can be hashed.

    A float is a Python or numpy float or a floating-point array, traced or not. An integer, a flag, a string or a tuple
    of them is not: a width decides a shape.

    Raises:
        InputError: hyper is no dict with names for keys, a float is not finite, or a value is neither a float nor can
            be hashed.
    """
    if not isinstance(hyper, Mapping) or not all(isinstance(name, str) for name in hyper):
        fail(function, "hyper", "a dict from name to value", hyper, hint='{"learning_rate": 1e-3}')
    floats: dict[str, Array] = {}
    rest: list[tuple[str, Any]] = []
    for name, value in hyper.items():
        argument = f"hyper[{name!r}]"
        if isinstance(value, float) or jax.dtypes.issubdtype(getattr(value, "dtype", bool), np.floating):
            check_range(function, argument, value)
            # jnp.asarray of a number would compile a program before the other checks speak.
            array = value if isinstance(value, jax.Array) else jax.device_put(np.asarray(value, default_float()))
            floats[name] = array.astype(default_float())
            continue
        value = value.item() if isinstance(value, np.generic) else value
        try:
            hash(value)
        except TypeError:
            fail(function, argument, "a float, or a value that can be hashed", value, hint="A tuple, not a list.")
        rest.append((name, value))
    return floats, tuple(rest)


def built_from(
    function: str, build: Callable, floats: Mapping[str, Any], rest: tuple[tuple[str, Any], ...]
) -> tuple[Any, Any, Any]:
    """The model, loss and optimizer that `build` makes of the hyper-parameters.

    Raises:
        InputError: build returns something else.
    """
    built = build({**dict(rest), **floats})
    if not isinstance(built, tuple) or len(built) != 3:
        got = f" one that returned {show(built)}"
        fail(function, "build", "a function hyper -> (model, loss, optimizer)", got)
    return built
