"""Checks of what is known when a function is built or traced, all in one message format.

    <function>: <argument> must be <expectation>, got <value>.

Ranges are checked only when the number is concrete: a tracer passes, since a value inside a compiled program is
never branched on.
"""

from __future__ import annotations

import contextlib
import difflib
import math
import numbers
from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any, NoReturn

import jax
import numpy as np
from jax.core import Tracer

from jaxann.core.errors import InputError
from jaxann.core.held import between, held_as, is_held_between
from jaxann.core.tracing import ASKED_FOR_A_VALUE, is_traced

__all__ = [
    "OUTSIDE",
    "check_array",
    "check_choice",
    "check_count",
    "check_flag",
    "check_floating",
    "check_floating_leaves",
    "check_host_leaves",
    "check_int32",
    "check_integer",
    "check_key",
    "check_pair",
    "check_plain",
    "check_range",
    "check_same_shape",
    "check_unmasked",
    "check_untraced",
    "fail",
    "is_concrete",
    "members_pass",
    "refuse_traced",
    "show",
    "traceable",
]


def show(value: Any) -> str:
    """A short text of a value for a message: numbers in full, arrays as dtype and shape."""
    if isinstance(value, jax.Array | np.ndarray):
        if value.ndim == 0 and is_concrete(value) and not jax.dtypes.issubdtype(value.dtype, jax.dtypes.prng_key):
            return str(value)
        return f"{value.dtype} of shape {tuple(value.shape)}"
    if isinstance(value, Mapping | list | tuple) and any(
        isinstance(leaf, jax.Array | jax.ShapeDtypeStruct) for leaf in _inside(value)
    ):
        text = _structure(value)
    else:
        text = " ".join(repr(value).split())
    if len(text) > 80:
        text = text[:77] + "..."
    return text if isinstance(value, numbers.Number | str | None) else f"{text} ({type(value).__name__})"


def _inside(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, Mapping) else value


def _structure(value: Any) -> str:
    """A container of arrays with dtypes and shapes in the place of their numbers."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name!r}: {_structure(one)}" for name, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "(" + ", ".join(map(_structure, value)) + ")"
    return f"{value.dtype}{list(value.shape)}" if hasattr(value, "dtype") else repr(value)


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


_MEMBERS: ContextVar[list[str] | None] = ContextVar("members", default=None)


@contextlib.contextmanager
def members_pass() -> Iterator[list[str]]:
    """Where an array may stand for one number: a product of many members is made, which `vmap` takes apart.

    The list that it gives names the arguments that were arrays.
    """
    token = _MEMBERS.set(met := [])
    try:
        yield met
    finally:
        _MEMBERS.reset(token)


def _one_of_many(function: str, argument: str, value: Any, expected: str) -> None:
    """An array in the place of one number: of a product of members that is being made, else refused."""
    met = _MEMBERS.get()
    if met is None:
        hint = "For many of them: jax.vmap, or ja.train.fit_population, in which each member has one."
        fail(function, argument, f"one number {expected}", value, hint=hint)
    met.append(argument)


def check_range(
    function: str,
    argument: str,
    value: Any,
    low: float | None = None,
    high: float | None = None,
    *,
    open_low: bool = False,
    open_high: bool = False,
    arrays: bool = False,
    as_held: bool = True,
) -> None:
    """One real, finite number between low and high, or an array of them with `arrays`; tracers and shapes pass.

    An array that stands for one number is refused: it would be broadcast against whatever it meets. A number is looked
    at as programs hold it, too: in float32 (float64 under jax_enable_x64) 0.99999999 is 1, and 1e-40 is 0. Not with
    `as_held=False`, of numbers for the host.
    """
    if type(value) in (float, int) and is_held_between(value, low, high, open_low, open_high):
        return  # nearly all there are
    left = "(" if open_low or low is None else "["
    right = ")" if open_high or high is None else "]"
    expected = f"in {left}{'-inf' if low is None else f'{low:g}'}, {'inf' if high is None else f'{high:g}'}{right}"
    if isinstance(value, bool | str | bytes) or value is None:
        fail(function, argument, f"a number {expected}", value)
    if not is_concrete(value):
        if value.shape and not arrays:
            _one_of_many(function, argument, value, expected)
        return
    check_unmasked(function, argument, value)
    if not isinstance(value, numbers.Real | np.ndarray | jax.Array | np.generic):
        fail(function, argument, f"a number {expected}", value)
    array = np.asarray(_as_float(value) if isinstance(value, int) else value)
    if array.dtype.kind not in "iuf" and not jax.dtypes.issubdtype(array.dtype, np.floating):
        fail(function, argument, f"a number {expected}", value)
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:  # longdouble, which JAX does not have
        fail(function, argument, "a number of at most 64 bits", f" {array.dtype}", hint="float(value) is one.")
    if array.ndim and not arrays:
        _one_of_many(function, argument, value, expected)
    good = between(array.astype(np.float64), low, high, open_low, open_high)
    if good.all() and not as_held:
        return
    if good.all():
        held = held_as(array)
        good = between(held, low, high, open_low, open_high)
        if not good.all():
            worst = int(np.argmin(good.reshape(-1)))
            dtype = "float64" if held.dtype == np.float64 else "float32"
            got = f" {array.reshape(-1)[worst]:.9g}, which is {held.reshape(-1)[worst]:g} in {dtype}"
            fail(function, argument, expected, got)
        return
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
    if isinstance(value, jax.Array | np.ndarray) and value.ndim == 0 and is_concrete(value):
        if jax.dtypes.issubdtype(value.dtype, np.integer):  # shown alone it looks like what is wanted
            got, hint = f" {value.dtype} array {value}", f"A size is a plain integer: int({argument})."
            fail(function, argument, f"an integer of at least {minimum}", got, hint=hint)
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or int(value) < minimum:
        fail(function, argument, f"an integer of at least {minimum}", value)


def check_count(function: str, argument: str, value: Any, minimum: int = 0) -> None:
    """A whole number of at least `minimum` that may be traced (a number of steps or epochs)."""
    check_range(function, argument, value, minimum)
    if isinstance(value, int) or not is_concrete(value):
        return
    number = np.asarray(value).astype(np.float64)
    if number.ndim == 0 and np.isfinite(number) and number != np.floor(number):
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


def check_flag(function: str, argument: str, value: Any) -> None:
    """True or False, known when the program is traced; 'no' and 2 would count as True."""
    if not isinstance(value, bool | np.bool_):
        fail(function, argument, "True or False", value)


def check_same_shape(function: str, predictions: Any, targets: Any) -> None:
    """Equal shapes: nothing is broadcast silently, (n,) against (n, 1) least of all."""
    for argument, value in (("predictions", predictions), ("targets", targets)):
        check_plain(function, argument, value)
        if isinstance(value, Mapping | tuple):
            hint = "losses.by_head takes a loss for each of several." if argument == "targets" else None
            fail(function, argument, "one array", value, hint=hint)
    if np.shape(predictions) != np.shape(targets):
        a, b = np.shape(predictions), np.shape(targets)
        column = a == (*b, 1) or b == (*a, 1)
        hint = "Add or drop the last axis of the targets: y[:, None] or y[:, 0]." if column else None
        fail(function, "targets", f"of the predictions' shape {a}", f" shape {b}", hint=hint)


def check_unmasked(function: str, argument: str, value: Any) -> None:
    """No masked entries: numpy.asarray would put the numbers behind the mask in their place.

    Lists and trees of arrays are looked through; the message has the place in them.
    """
    if isinstance(value, np.ma.MaskedArray):
        if np.ma.is_masked(value):
            count = int(np.ma.getmaskarray(value).sum())
            hint = "Fill them (value.filled(...)), leave those rows out, or give them weight 0."
            fail(function, argument, "without masked entries", f" {count} of {value.size} masked", hint=hint)
    elif isinstance(value, list | tuple | Mapping):
        names = getattr(value, "_fields", None)
        for place, one in value.items() if isinstance(value, Mapping) else enumerate(value):
            if isinstance(one, np.ma.MaskedArray | list | tuple | Mapping):
                inner = f"[{place!r}]" if names is None else f".{names[place]}"
                check_unmasked(function, argument + inner, one)


def check_int32(function: str, argument: str, array: Any) -> None:
    """Whole numbers that int32 holds, which is what a program has for them: greater ones would wrap round."""
    if isinstance(array, Tracer) or not jax.dtypes.issubdtype(getattr(array, "dtype", np.float32), np.integer):
        return
    if array.size and not np.can_cast(array.dtype, np.int32):
        host = np.asarray(array)
        low, high = int(host.min()), int(host.max())
        if high > 2**31 - 1 or low < -(2**31):
            got = f" {host.dtype} {f'up to {high}' if high > 2**31 - 1 else f'down to {low}'}"
            hint = "As numbers rather than labels: x.astype('float32')."
            fail(function, argument, "integers from -2^31 to 2^31 - 1", got, hint=hint)


def check_plain(function: str, argument: str, value: Any) -> None:
    """Real numbers: nothing masked, no text or objects, which a conversion would parse, and nothing complex, of which
    one would keep the real part.
    """
    check_unmasked(function, argument, value)
    kind = getattr(getattr(value, "dtype", None), "kind", "")
    if (isinstance(value, np.ndarray) and kind in "OUST") or kind == "c":
        numbers_of = "real numbers" if kind == "c" else "numbers"
        fail(function, argument, f"an array of {numbers_of}", f" {value.dtype} of shape {value.shape}")


def check_array(function: str, argument: str, value: Any) -> None:
    """One array of real numbers: a list, a number or None has neither shape nor dtype.

    A tree passes: who takes one array says what takes several.
    """
    if not hasattr(value, "dtype") and not isinstance(value, Mapping | tuple):
        hint = "numpy.asarray makes one of a list." if isinstance(value, list) else None
        fail(function, argument, "an array", value, hint=hint)
    check_plain(function, argument, value)


def check_host_leaves(function: str, argument: str, tree: Any) -> None:
    """What is no array of JAX's can become one as it is: plain numbers, whole ones such that int32 holds them.

    For a function that is part of programs and hands on what it is given; JAX's arrays are not looked at.
    """
    check_unmasked(function, argument, tree)
    for leaf in jax.tree.leaves(tree):
        if isinstance(leaf, np.ndarray | np.generic):
            check_plain(function, argument, leaf)
            check_int32(function, argument, leaf)
        elif isinstance(leaf, int) and not -(2**31) <= leaf < 2**31:
            fail(function, argument, "integers from -2^31 to 2^31 - 1", leaf)


_TRAINS = "Inside jit, vmap and grad: ja.train.make_run(recipe, epochs=...) trains; predict, ja.train.evaluate and "
_TRAINS += "model.apply work there; outside, ja.train.fit_population trains many at once."
OUTSIDE = "Call it outside of jit, vmap and grad; what it returns may be used inside."  # of what trains nothing


def check_untraced(function: str, argument: str, tree: Any, hint: str = _TRAINS) -> None:
    """Nothing traced: the host has to look at the values, which have none inside jit, vmap or grad."""
    if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(tree)) or is_traced(()):
        refuse_traced(function, argument, hint)


def refuse_traced(function: str, argument: str, hint: str = _TRAINS) -> NoReturn:
    """Say what works inside jit, vmap and grad, where a verb of the host does not; of one that trains by default."""
    fail(function, argument, "known when it is called", " a traced value", hint=hint)


@contextlib.contextmanager
def traceable(function: str, argument: str) -> Iterator[None]:
    """Within, a function of a person's own is called that has to be traceable: JAX's error would name a file of ours.

    Args:
        function, argument: whose it is and what it is called, for the message.

    Raises:
        InputError: it asked a traced array for its value (`if x.sum() > 0`, `float(x)`, `numpy.sin(x)`).
    """
    try:
        yield
    except ASKED_FOR_A_VALUE as error:
        hint = "jnp.where(condition, a, b) instead of if, jnp.sin instead of np.sin; shapes may be looked at."
        got = f" one that asks a traced array for its value ({type(error).__name__})"
        try:
            fail(function, argument, "written with jax.numpy", got, hint=hint)
        except InputError as refusal:
            raise refusal from error


def check_floating(function: str, argument: str, value: Any) -> None:
    """A floating-point array: integers and complex numbers have no place in a differentiable function."""
    if getattr(getattr(value, "dtype", None), "kind", "") != "c":  # which the last line tells better
        check_plain(function, argument, value)
    if value is None or isinstance(value, Mapping | list | tuple):
        fail(function, argument, "one floating-point array", value, hint="A layer of several inputs takes a tree.")
    if not jax.dtypes.issubdtype(jax.dtypes.result_type(value), np.floating):
        raise_type = f"{jax.dtypes.result_type(value)}"
        fail(function, argument, "a floating-point array", f" {raise_type}", hint="Convert it: x.astype('float32').")


def check_floating_leaves(function: str, argument: str, tree: Any) -> None:
    """Floating-point leaves alone: a rule would take the fractions from others, or change their dtype."""
    for leaf in jax.tree.leaves(tree):
        if not isinstance(leaf, jax.Array | np.ndarray | np.generic | jax.ShapeDtypeStruct):
            fail(function, argument, "of floating-point arrays", leaf)
        dtype = leaf.dtype
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
