"""optax's transformations by their constructors, so that their numbers can change without compiling anew."""

from __future__ import annotations

import inspect
import numbers
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_args

import jax
import numpy as np

from jaxann.core.checks import check_choice, fail, is_concrete
from jaxann.core.factories import factory, is_product, product_class
from jaxann.core.products import Optimizer
from jaxann.core.tracing import ASKED_FOR_A_VALUE
from jaxann.optimizers.base import foreign_functions

__all__ = ["OptaxTransform", "from_optax"]


def from_optax(constructor: Callable, /, *args: Any, **hyperparameters: Any) -> Optimizer:
    """The transformation that `constructor(*args, **hyperparameters)` makes, as a product of jaxann.

    `from_optax(optax.adam, learning_rate=1e-3)`: the constructor is kept with its arguments, and called where the
    optimizer is used. Numbers and arrays are leaves, so that a fresh one, or one with another rate, compiles nothing,
    `vmap` over an array of rates is a population, and derivatives pass through; flags, strings, functions and sizes
    (whole numbers where the constructor is annotated with `int`) are structure. So is a number that the constructor
    looks at in Python, such as one it raises an error for: another value of it compiles a program of its own.
    Schedules of jaxann and other optimizers from `from_optax` may stand among the arguments, their numbers are leaves
    too; a function that optax made, such as `optax.cosine_decay_schedule(...)`, is another one every time it is made.

    It runs under JAX's ordinary type promotion, as `custom` does, and an update that takes `value`, `value_fn`, `grad`
    or `key` (that of `optax.lbfgs`) is given them by the trainer. Its updates are checked in every step.

    Args:
        constructor: a function that returns optax's pair (init, update): of optax, of a library that follows it, or
            your own.
        args, hyperparameters: its arguments.

    Peers: PyTorch, Keras and optax have none; optax's `inject_hyperparams` keeps the numbers in the state instead.

    Raises:
        InputError: no constructor, an argument it does not know, one it needs is missing, or what it makes is no such
            pair.
    """
    if not callable(constructor):
        hint = "The constructor and its arguments apart: from_optax(optax.adam, learning_rate=1e-3)."
        fail("from_optax", "constructor", "a function that makes an optimizer", constructor, hint=hint)
    fixed: dict[str, Any] = {}
    moving: dict[str, Any] = {}
    parameters = inspect.signature(constructor).parameters
    for name, value in _bound(constructor, args, hyperparameters).items():
        static = not _has_numbers(value) or (_is_size(parameters[name]) and isinstance(value, numbers.Integral))
        (fixed if static else moving)[name] = value
    for name in _looked_at(constructor, fixed, moving):
        fixed[name] = _known(constructor, name, moving.pop(name))
    return _optax_transform(constructor, _Fixed(tuple((n, _frozen(v)) for n, v in fixed.items())), moving)


@product_class
class OptaxTransform(Optimizer):
    """An optimizer that optax makes; prints as the call of `from_optax`."""

    __slots__ = ()

    def __repr__(self) -> str:
        given = self.arguments["fixed"].arguments() | self.arguments["moving"]
        constructor = self.arguments["constructor"]
        order = [name for name in inspect.signature(constructor).parameters if name in given]
        shown = ", ".join(f"{name}={_shown(given[name])}" for name in order)
        return f"from_optax({_shown(constructor)}{', ' if shown else ''}{shown})"


def _in_messages(name: str) -> Callable[[Callable], Callable]:
    """Messages name the function that was called."""

    def decorate(function):
        function.__name__ = name
        return function

    return decorate


@factory(OptaxTransform, static=("constructor", "fixed"))
@_in_messages("from_optax")
def _optax_transform(constructor: Callable, fixed: _Fixed, moving: Mapping[str, Any]):
    """What the constructor makes of both kinds of arguments."""
    made = _made(constructor, fixed, moving)
    rate = (fixed.arguments() | dict(moving)).get("learning_rate")
    return foreign_functions(made.init, made.update, like=made.update, learning_rate=rate)


@dataclass(frozen=True)
class _Fixed:
    """The arguments that are structure; those that are equal make equal optimizers."""

    items: tuple[tuple[str, Any], ...]

    def arguments(self) -> dict[str, Any]:
        return {name: value.thawed() if isinstance(value, _Frozen) else value for name, value in self.items}


@dataclass(frozen=True)
class _Frozen:
    """A mapping or list, such as a mask or a table of labels, that can be hashed."""

    keys: tuple | None  # None for a list
    values: tuple

    def thawed(self) -> Any:
        values = [value.thawed() if isinstance(value, _Frozen) else value for value in self.values]
        return values if self.keys is None else dict(zip(self.keys, values, strict=True))


def _frozen(value: Any) -> Any:
    if isinstance(value, Mapping):
        return _Frozen(tuple(value), tuple(map(_frozen, value.values())))
    if isinstance(value, list):
        return _Frozen(None, tuple(map(_frozen, value)))
    return value


def _bound(constructor: Callable, args: tuple, keywords: dict[str, Any]) -> dict[str, Any]:
    """The arguments by name."""
    signature, name = inspect.signature(constructor), _shown(constructor)
    known = signature.parameters
    if not any(p.kind is p.VAR_KEYWORD for p in known.values()):
        for keyword in keywords:
            check_choice("from_optax", f"each keyword for {name}", keyword, known)
    try:
        return dict(signature.bind(*args, **keywords).arguments)
    except TypeError as error:
        given = ", ".join([*map(_shown, args), *(f"{n}={_shown(v)}" for n, v in keywords.items())])
        fail("from_optax", "the arguments", f"those of {name} ({', '.join(known)})", f" {given or 'none'}",
             hint=f"{name}: {error}.")  # fmt: skip


def _made(constructor: Callable, fixed: _Fixed, moving: Mapping[str, Any]) -> Any:
    """The constructor called, under JAX's ordinary promotion."""
    signature = inspect.signature(constructor)
    bound = inspect.BoundArguments(signature, OrderedDict())
    given = fixed.arguments() | {name: _plain(value) for name, value in moving.items()}
    bound.arguments.update((name, given[name]) for name in signature.parameters if name in given)
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        made = constructor(*bound.args, **bound.kwargs)
    if not callable(getattr(made, "init", None)) or not callable(getattr(made, "update", None)):
        fail("from_optax", "constructor", "one whose result has .init and .update", made)
    return made


def _plain(value: Any) -> Any:
    """Optimizers of optax inside as optax's own pairs, which pass on all that they are given."""
    if isinstance(value, OptaxTransform):
        arguments = value.arguments
        return _made(arguments["constructor"], arguments["fixed"], arguments["moving"])
    if is_product(value):
        return value
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    return tuple(map(_plain, value)) if type(value) is tuple else value


def _has_numbers(value: Any) -> bool:
    """Whether there are numbers, arrays or products in it, and nothing else."""
    leaves = jax.tree.leaves(value, is_leaf=is_product)
    return bool(leaves) and all(is_product(leaf) or _is_number(leaf) for leaf in leaves)


def _is_number(leaf: Any) -> bool:
    is_array = isinstance(leaf, jax.Array | np.ndarray | np.generic | jax.ShapeDtypeStruct)
    return (is_array or isinstance(leaf, numbers.Number)) and not isinstance(leaf, bool | np.bool_)


def _is_size(parameter: inspect.Parameter) -> bool:
    """Whether a parameter is annotated with `int`, or with `int | None`, and not as any number."""
    annotation = parameter.annotation
    if isinstance(annotation, str):
        return annotation.replace(" ", "") in ("int", "int|None", "Optional[int]")
    kinds = set(get_args(annotation)) or {annotation}
    return int in kinds and kinds <= {int, type(None)}


def _looked_at(constructor: Callable, fixed: dict[str, Any], moving: dict[str, Any]) -> list[str]:
    """Names of the arguments whose numbers the constructor cannot do without while it runs."""

    def fails(names: list[str]) -> bool:
        static = {name: value for name, value in moving.items() if name not in names}

        def probe(traced):
            _made(constructor, _Fixed(tuple((fixed | static | traced).items())), {})
            return ()

        try:
            jax.eval_shape(probe, {name: moving[name] for name in names})
        except ASKED_FOR_A_VALUE:
            return True
        return False

    tracing = [name for name, value in moving.items() if not any(map(is_product, _leaves(value)))]
    if not tracing or not fails(tracing):
        return []
    return [name for name in tracing if fails([name])]


def _leaves(value: Any) -> list[Any]:
    return jax.tree.leaves(value, is_leaf=is_product)


def _known(constructor: Callable, name: str, value: Any) -> Any:
    """A number as Python's own."""
    if not all(map(is_concrete, jax.tree.leaves(value))):
        fail("from_optax", name, f"known when the program is built ({_shown(constructor)} looks at its value)", value)
    return jax.tree.map(lambda leaf: leaf.item() if hasattr(leaf, "item") and np.ndim(leaf) == 0 else leaf, value)


def _shown(value: Any) -> str:
    if isinstance(value, jax.Array | np.ndarray | np.generic) and is_concrete(value):
        return f"{value.item():.7g}" if np.ndim(value) == 0 else np.array2string(np.asarray(value), separator=", ")
    if callable(value) and not is_product(value):
        return getattr(value, "__name__", repr(value))
    return repr(value)
