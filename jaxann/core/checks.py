"""Checks of what is known when a function is built or traced, all in one message format.

    <function>: <argument> must be <expectation>, got <value>.

Ranges are checked only when the number is concrete: a tracer passes, since a value inside a compiled program is
never branched on.
"""

from __future__ import annotations

import difflib
import math
import numbers
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

import jax
import numpy as np
from jax.core import Tracer

from jaxann.core.errors import InputError

__all__ = [
    "check_choice",
    "check_count",
    "check_floating",
    "check_floating_leaves",
    "check_integer",
    "check_key",
    "check_pair",
    "check_range",
    "check_same_shape",
    "check_unmasked",
    "check_untraced",
    "fail",
    "is_concrete",
    "refuse_traced",
    "show",
]


def show(value: Any) -> str:
    """A short text of a value for a message: numbers in full, arrays as dtype and shape."""
    if isinstance(value, jax.Array | np.ndarray):
        if value.ndim == 0 and is_concrete(value) and not jax.dtypes.issubdtype(value.dtype, jax.dtypes.prng_key):
            return str(value)
        return f"{value.dtype} of shape {tuple(value.shape)}"
    text = " ".join(repr(value).split())
    if len(text) > 80:
        text = text[:77] + "..."
    return text if isinstance(value, numbers.Number | str | None) else f"{text} ({type(value).__name__})"


def fail(function: str, argument: str, expected: str, got: Any, *, hint: str | None = None) -> NoReturn:
    """Raise InputError in the one message format; `got` may be a text already (prefix it with a space)."""
    value = got[1:] if isinstance(got, str) and got.startswith(" ") else show(got)
    message = f"{function}: {argument} must be {expected}, got {value}."
    if len(message) > 300:
        cut = max(0, len(expected) - (len(message) - 297))  # what was given stays in sight
        message = f"{function}: {argument} must be {expected[:cut]}..., got {value}."[:300]
    raise InputError(message if hint is None else f"{message}\n{hint}")


def is_concrete(value: Any) -> bool:
    """Whether the value can be looked at now (not a tracer, not a shape)."""
    return not isinstance(value, Tracer | jax.ShapeDtypeStruct)


def check_range(
    function: str,
    argument: str,
    value: Any,
    low: float | None = None,
    high: float | None = None,
    *,
    open_low: bool = False,
    open_high: bool = False,
) -> None:
    """A real, finite number (or array of them) between low and high; tracers and shapes pass."""
    left = "(" if open_low or low is None else "["
    right = ")" if open_high or high is None else "]"
    expected = f"in {left}{'-inf' if low is None else f'{low:g}'}, {'inf' if high is None else f'{high:g}'}{right}"
    if isinstance(value, bool | str | bytes) or value is None:
        fail(function, argument, f"a number {expected}", value)
    if not is_concrete(value):
        return
    if not isinstance(value, numbers.Real | np.ndarray | jax.Array | np.generic):
        fail(function, argument, f"a number {expected}", value)
    array = np.asarray(_as_float(value) if isinstance(value, int) else value)
    if array.dtype.kind not in "iuf" and not jax.dtypes.issubdtype(array.dtype, np.floating):
        fail(function, argument, f"a number {expected}", value)
    good = np.isfinite(array.astype(np.float64))
    if low is not None:
        good &= (array > low) if open_low else (array >= low)
    if high is not None:
        good &= (array < high) if open_high else (array <= high)
    if not good.all():
        worst = value if array.ndim == 0 else array[~good].flat[0]
        fail(function, argument, expected, worst)


def _as_float(value: int) -> int | float:
    """A whole number too long for numpy as a float, infinite where it is too long for that too."""
    if -(2**63) <= value < 2**63:
        return value
    try:
        return float(value)
    except OverflowError:
        return math.inf


def check_integer(function: str, argument: str, value: Any, minimum: int = 1) -> None:
    """A Python or numpy integer of at least `minimum`: a size, which must be static."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or int(value) < minimum:
        fail(function, argument, f"an integer of at least {minimum}", value)


def check_count(function: str, argument: str, value: Any, minimum: int = 0) -> None:
    """A whole number of at least `minimum` that may be traced (a number of steps or epochs)."""
    check_range(function, argument, value, minimum)
    if isinstance(value, float) and not math.isinf(value) and value != int(value):
        fail(function, argument, "a whole number", value)


def check_choice(function: str, argument: str, value: Any, choices: Iterable[str]) -> None:
    """One of a fixed set of names; the message lists them and points at the closest."""
    names = sorted(choices)
    if isinstance(value, str) and value in names:
        return
    close = difflib.get_close_matches(value, names, 1) if isinstance(value, str) else []
    if isinstance(value, str):  # another case is closer than another letter
        close = [name for name in names if name.lower() == value.lower()] or close
    hint = f"Did you mean {close[0]!r}?" if close else None
    fail(function, argument, f"one of {', '.join(names)}", value, hint=hint)


def check_same_shape(function: str, predictions: Any, targets: Any) -> None:
    """Equal shapes: nothing is broadcast silently, (n,) against (n, 1) least of all."""
    check_unmasked(function, "predictions", predictions)
    check_unmasked(function, "targets", targets)
    if np.shape(predictions) != np.shape(targets):
        a, b = np.shape(predictions), np.shape(targets)
        column = a == (*b, 1) or b == (*a, 1)
        hint = "Add or drop the last axis of the targets: y[:, None] or y[:, 0]." if column else None
        fail(function, "targets", f"of the predictions' shape {a}", f" shape {b}", hint=hint)


def check_unmasked(function: str, argument: str, value: Any) -> None:
    """No masked entries: numpy.asarray would put the numbers behind the mask in their place."""
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        count = int(np.ma.getmaskarray(value).sum())
        hint = "Fill them (value.filled(...)), leave those rows out, or give them weight 0."
        fail(function, argument, "without masked entries", f" {count} of {value.size} masked", hint=hint)


def check_untraced(function: str, argument: str, tree: Any) -> None:
    """Nothing traced: the host has to look at the values, which have none inside jit, vmap or grad."""
    if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(tree)):
        refuse_traced(function, argument)


def refuse_traced(function: str, argument: str) -> NoReturn:
    """Say what works inside jit, vmap and grad, where a verb of the host does not."""
    trains = "Inside jit, vmap and grad: ja.train.make_run(recipe, epochs=...) trains"
    hint = f"{trains}; predict, ja.train.evaluate and model.apply work there."
    fail(function, argument, "known when it is called", " a traced value", hint=hint)


def check_floating(function: str, argument: str, value: Any) -> None:
    """A floating-point array: integers and complex numbers have no place in a differentiable function."""
    check_unmasked(function, argument, value)
    if isinstance(value, Mapping | list) or (isinstance(value, tuple) and hasattr(value, "_fields")):
        fail(function, argument, "one floating-point array", value, hint="A layer of several inputs takes a tree.")
    if not jax.dtypes.issubdtype(jax.dtypes.result_type(value), np.floating):
        raise_type = f"{jax.dtypes.result_type(value)}"
        fail(function, argument, "a floating-point array", f" {raise_type}", hint="Convert it: x.astype('float32').")


def check_floating_leaves(function: str, argument: str, tree: Any) -> None:
    """Floating-point leaves alone: a rule would take the fractions from others, or change their dtype."""
    for leaf in jax.tree.leaves(tree):
        dtype = getattr(leaf, "dtype", np.float32)
        if not jax.dtypes.issubdtype(dtype, np.floating):
            hint = "Keep what is not trained in a layer's state, or leave it out: optimizers.freeze(rule, pattern)."
            fail(function, argument, "of floating-point leaves", f" one of {dtype}", hint=hint)


def check_key(function: str, key: Any, argument: str = "key") -> None:
    """One typed key of shape (); an int, an old-style uint32 pair or a batch of keys is refused."""
    dtype = getattr(key, "dtype", None)
    expected = "one typed key, jax.random.key(seed)"
    if dtype is None or not jax.dtypes.issubdtype(dtype, jax.dtypes.prng_key):
        hint = f"Use jax.random.key({key})." if isinstance(key, int) else "Use jax.random.key, not jax.random.PRNGKey."
        fail(function, argument, expected, key, hint=None if key is None else hint)
    if key.shape != ():
        fail(
            function,
            argument,
            expected,
            f" {key.shape[0]} keys" if len(key.shape) == 1 else f" keys of shape {key.shape}",
            hint="For many runs: ja.train.fit_population(keys=...), or jax.vmap over ja.train.make_run(...).",
        )


def check_pair(function: str, argument: str, expected: str, found: Any) -> tuple[Any, Any]:
    """What a function of a person's own returned, where it is the pair that it should be."""
    if isinstance(found, tuple | list) and len(found) == 2:
        return found[0], found[1]
    got = f" {len(found)} values" if isinstance(found, tuple | list) else f" {show(found)} alone"
    fail(function, argument, f"a function that returns {expected}", got)
