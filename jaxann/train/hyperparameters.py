"""A dict of hyperparameters in two: the floats, which a program can trace, and the rest, which it is built around."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from jaxann.core.checks import check_range, fail
from jaxann.core.typing import Array
from jaxann.train.batches import default_float

__all__ = ["split_floats"]


def split_floats(function: str, hyperparameters: Any) -> tuple[dict[str, Array], tuple[tuple[str, Any], ...]]:
    """`(floats, rest)`: floats as arrays of the default float dtype, the rest as it is, in a form that can be hashed.

    A float is a Python or numpy float or a floating-point array, traced or not. An integer, a flag, a string or a tuple
    of them is not: a width decides a shape.

    Raises:
        InputError: it is no dict with names for keys, a float is not finite, or a value is neither a float nor can be
            hashed.
    """
    if not isinstance(hyperparameters, Mapping) or not all(isinstance(name, str) for name in hyperparameters):
        hint = '{"learning_rate": 1e-3}'
        fail(function, "hyperparameters", "a dict from name to value", hyperparameters, hint=hint)
    floats: dict[str, Array] = {}
    rest: list[tuple[str, Any]] = []
    for name, value in hyperparameters.items():
        argument = f"hyperparameters[{name!r}]"
        if isinstance(value, float) or jax.dtypes.issubdtype(getattr(value, "dtype", bool), np.floating):
            check_range(function, argument, value, arrays=True)
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
