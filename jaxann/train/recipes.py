"""From `build` and columns of hyper-parameters to members that share a program.

`build(hyper)` is called once for each member with its settings as plain Python values. Its products are pytrees whose
leaves are the numbers, so members of equal structure are stacked leaf by leaf: they share one compiled program, and
so does the next population of that structure, wherever its numbers come from. Settings that change shapes (a width, an
activation, a batch size) change the structure and so make groups by themselves.

A function made anew for each member (a lambda around a hyper-parameter) would make every member a structure of its
own. Then `build` is traced instead: inside the program, on traced numbers, once for each combination of the settings
that are not floats.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxann.core.checks import check_choice, check_count, fail, show
from jaxann.train.plan import Ingredients, Plan, fit_batch, make_plan, strong

__all__ = ["Group", "as_columns", "group_members", "ingredients_of", "setting_of"]

# Settings of the run that a member may have to itself.
_OWN = ("batch_size", "patience", "min_delta", "epochs", "penalty", "augment")


class Group(NamedTuple):
    """Members that share a program."""

    plan: Plan
    recipe: Any  # hashable; `ingredients_of(recipe, leaves)` inside the program
    leaves: Any  # pytree of numpy arrays, leading axis: the members of the group
    members: np.ndarray  # int (size,), their numbers in the population
    epochs: np.ndarray  # int (size,), how many each runs


@dataclass(frozen=True)
class _Traced:
    """A `build` to be called inside the program."""

    function: str
    build: Callable
    fixed: tuple[tuple[str, Any], ...]
    settings: tuple[tuple[str, Any], ...]
    metrics: tuple[tuple[str, Any], ...]


def as_columns(function: str, hypers: Any, members: int | None) -> dict[str, list]:
    """Columns of Python values, one entry a member, from a dict of arrays or sequences.

    Args:
        function: for messages.
        hypers: name to a sequence with one value a member.
        members: how many there must be; None takes the first column's length.

    Raises:
        InputError: no dict, an entry that is not a sequence, or columns of different lengths.
    """
    if not isinstance(hypers, Mapping):
        fail(function, "hypers", "a dict from name to one value for each member", hypers)
    columns = {}
    for name, values in hypers.items():
        listed = isinstance(values, Sequence) or getattr(values, "ndim", 0) > 0
        if isinstance(values, str | bytes) or not listed:
            fail(function, f"hypers[{name!r}]", "a sequence or array with one value for each member", values)
        array = np.asarray(values) if isinstance(values, jax.Array | np.ndarray) else None
        column = list(values) if array is None else [v.item() if np.ndim(v) == 0 else v for v in array]
        members = len(column) if members is None else members
        if len(column) != members:
            fail(function, f"hypers[{name!r}]", f"of {members} values, one for each member", f" {len(column)}")
        bad = [v for v in column if isinstance(v, float) and not np.isfinite(v)]
        if bad:
            fail(function, f"hypers[{name!r}]", "finite", bad[0])
        columns[name] = column
    return columns


def setting_of(columns: Mapping[str, Any], member: int) -> dict[str, Any]:
    """One member's settings."""
    return {name: column[member] for name, column in columns.items()}


def group_members(
    function: str,
    build: Callable,
    columns: Mapping[str, Sequence],
    members: int,
    *,
    epochs: int,
    examples: Sequence[int],
    **settings: Any,
) -> list[Group]:
    """The members sorted into groups that share a program, each in order of its first member.

    Args:
        function: for messages.
        build: `hyper -> (model, loss, optimizer)`, or with a fourth part, a dict of settings of the run that this
            member has to itself: `batch_size`, `patience`, `min_delta`, `epochs`, `penalty`, `augment`.
        columns: from `as_columns`.
        members: how many.
        epochs: for members that do not choose their own.
        examples: number of training examples of each member, the most that a batch can hold.
        settings: arguments of `make_plan` that all share.

    Raises:
        InputError: build returns something else, or a setting is out of range.
    """
    if not callable(build):
        fail(function, "build", "a function hyper -> (model, loss, optimizer)", build)
    plain = _gather(function, build, columns, range(members), epochs, examples, settings)
    combinations = _combinations(columns, members)
    if len(plain) <= len(combinations) or members == 1:
        return plain
    groups = []
    for chosen in combinations.values():
        traced = _trace(function, build, columns, chosen, epochs, examples, settings)
        if traced is None:
            message = f"{function}: {members} members are of {len(plain)} structures, and each is compiled by itself."
            hint = "A function made inside build is a new one each time: use functools.partial, or take it outside."
            warnings.warn(f"{message} {hint}", UserWarning, stacklevel=4)
            return plain
        groups += traced
    return groups


def ingredients_of(recipe: Any, leaves: Any) -> Ingredients:
    """What a member is trained with, from its leaves; called inside the program."""
    if recipe is None:
        return leaves
    hyper, own = leaves
    _, parts, _ = _build_one(
        recipe.function,
        recipe.build,
        {**dict(recipe.fixed), **hyper},
        {**dict(recipe.settings), "metrics": dict(recipe.metrics)},
    )
    return strong(parts)._replace(**own)


def _gather(function, build, columns, chosen, epochs, examples, settings) -> list[Group]:
    """Groups by equal plan and equal structure of the concrete products."""
    found: dict[Any, tuple[Plan, list, list, list]] = {}
    for member in chosen:
        plan, parts, own_epochs = _build_one(function, build, setting_of(columns, member), settings)
        plan = fit_batch(function, plan, examples[member])
        leaves, structure = jax.tree.flatten(strong(parts))
        kinds = tuple((np.shape(leaf), np.asarray(leaf).dtype) for leaf in leaves)
        _, rows, numbers, lengths = found.setdefault((plan, structure, kinds), (plan, [], [], []))
        rows.append(leaves)
        numbers.append(member)
        lengths.append(epochs if own_epochs is None else own_epochs)
    groups = []
    for (plan, structure, _), (_, rows, numbers, lengths) in found.items():
        stacked = [np.stack([np.asarray(leaf) for leaf in column]) for column in zip(*rows, strict=True)]
        parts = jax.tree.unflatten(structure, stacked)
        groups.append(Group(plan, None, parts, np.array(numbers), np.array(lengths)))
    return groups


def _build_one(function: str, build: Callable, hyper: dict, settings: Mapping[str, Any]):
    """`(plan, parts, epochs or None)` of one member."""
    built = build(hyper)
    if not isinstance(built, tuple) or len(built) not in (3, 4):
        expected = "a function that returns (model, loss, optimizer), or with a dict of settings as a fourth part"
        fail(function, "build", expected, f" one that returned {show(built)}")
    model, loss, optimizer, *rest = built
    own = rest[0] if rest else {}
    if not isinstance(own, Mapping):
        fail(function, "build", "a function whose fourth part is a dict of settings", own)
    for name in own:
        check_choice(function, "each setting that build returns", name, _OWN)
    epochs = own.get("epochs")
    if epochs is not None:
        check_count(function, "epochs of build", epochs, 0)
    shared = dict(settings) | {n: v for n, v in own.items() if n != "epochs"}
    plan, parts = make_plan(function, model, loss, optimizer, **shared)
    return plan, parts, epochs


def _combinations(columns: Mapping[str, Sequence], members: int) -> dict[Any, list[int]]:
    """Members by the values of their settings that are not floats."""
    found: dict[Any, list[int]] = {}
    for member in range(members):
        fixed = tuple((n, _key(c[member])) for n, c in columns.items() if not isinstance(c[member], float))
        found.setdefault(fixed, []).append(member)
    return found


def _key(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return (value.shape, value.tobytes())
    try:
        hash(value)
    except TypeError:
        return repr(value)
    return (type(value), value)


def _trace(function, build, columns, chosen, epochs, examples, settings) -> list[Group] | None:
    """Groups of members that differ in floats only, `build` to be traced; None where it cannot be."""
    first = setting_of(columns, chosen[0])
    names = [name for name, value in first.items() if isinstance(value, float)]
    fixed = tuple((name, value) for name, value in first.items() if name not in names)
    shared = tuple((n, tuple(v) if isinstance(v, list) else v) for n, v in settings.items() if n != "metrics")
    metrics = tuple((settings.get("metrics") or {}).items())
    recipe = _Traced(function, build, fixed, shared, metrics)
    groups: dict[Any, tuple[list, list, list]] = {}
    for member in chosen:
        setting = setting_of(columns, member)
        plan, parts, own_epochs = _build_one(function, build, setting, settings)
        plan = fit_batch(function, plan, examples[member])
        own = strong({"patience": parts.patience, "min_delta": parts.min_delta, "most_bad": parts.most_bad})
        rows, numbers, lengths = groups.setdefault(plan, ([], [], []))
        rows.append((strong({name: setting[name] for name in names}), own))
        numbers.append(member)
        lengths.append(epochs if own_epochs is None else own_epochs)
    found = []
    for plan, (rows, numbers, lengths) in groups.items():
        leaves = jax.tree.map(lambda *values: np.stack([np.asarray(v) for v in values]), *rows)
        try:
            hash(recipe)
            jax.eval_shape(lambda v: jax.tree.leaves(ingredients_of(recipe, v)), jax.tree.map(lambda a: a[0], leaves))
        except (TypeError, ValueError):
            return None
        found.append(Group(plan, recipe, leaves, np.array(numbers), np.array(lengths)))
    return found
