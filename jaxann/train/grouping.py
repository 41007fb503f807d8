"""From `build` and columns of hyperparameters to members that share a program.

`build(hyperparameters)` is called once for each member with its values as plain Python values. The recipes it returns
are pytrees whose leaves are the numbers, so members of equal structure are stacked leaf by leaf: they share one
compiled program, and so does the next population of that structure, wherever its numbers come from. Values that change
shapes (a width, an activation, a batch size) change the structure and so make groups by themselves.

A function made anew for each member (a lambda around a hyperparameter) would make every member a structure of its own.
Then `build` is traced instead: inside the program, on traced numbers, once for each combination of the values that are
not floats.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.core import Tracer

from jaxann.core.binding import misfit
from jaxann.core.checks import check_integer, check_unmasked, check_untraced, fail, refuse_traced, show
from jaxann.core.notices import notify
from jaxann.train.early_stopping import Stopping
from jaxann.train.prepare import MOST_EPOCHS, canonical, sized
from jaxann.train.recipe import Recipe

__all__ = [
    "Build",
    "Group",
    "TracedBuild",
    "as_columns",
    "built_recipe",
    "check_build",
    "group_members",
    "member_recipe",
    "values_of",
    "with_batch_size",
]

Build = Callable[[dict[str, Any]], Recipe]


class Group(NamedTuple):
    """Members that share a program."""

    recipe: Recipe  # of the first member, sized
    traced: TracedBuild | None  # what `member_recipe` builds a member's recipe with, where leaves are not one already
    leaves: Any  # pytree of numpy arrays, leading axis: the members of the group
    members: np.ndarray  # int (size,), their numbers in the population
    epochs: np.ndarray  # int (size,), how many each runs


@dataclass(frozen=True)
class TracedBuild:
    """A `build` to be called inside the program."""

    function: str
    build: Build
    fixed: tuple[tuple[str, Any], ...]
    batch_size: int
    most_bad_steps: int


def as_columns(function: str, hyperparameters: Any, members: int | None) -> dict[str, list]:
    """Columns of Python values, one entry a member, from a dict of arrays or sequences.

    Args:
        function: for messages.
        hyperparameters: name to a sequence with one value a member.
        members: how many there must be; None takes the first column's length.

    Raises:
        InputError: no dict, an entry that is not a sequence, or columns of different lengths.
    """
    if not isinstance(hyperparameters, Mapping):
        fail(function, "hyperparameters", "a dict from name to one value for each member", hyperparameters)
    columns = {}
    for name, values in hyperparameters.items():
        argument = f"hyperparameters[{name!r}]"
        if any(isinstance(one, Tracer) for one in (values if isinstance(values, list | tuple) else [values])):
            refuse_traced(function, argument)
        check_unmasked(function, argument, values)
        listed = isinstance(values, Sequence) or getattr(values, "ndim", 0) > 0
        if isinstance(values, str | bytes) or not listed:
            fail(function, argument, "a sequence or array with one value for each member", values)
        array = np.asarray(values) if isinstance(values, jax.Array | np.ndarray) else None
        column = list(values) if array is None else [_number(v) for v in array]
        members = len(column) if members is None else members
        if len(column) != members:
            fail(function, argument, f"of {members} values, one for each member", f" {len(column)}")
        bad = [v for v in column if isinstance(v, float) and not np.isfinite(v)]
        if bad:
            fail(function, argument, "finite", bad[0])
        columns[name] = column
    return columns


def _number(value: Any) -> Any:
    """A Python number of one of NumPy's; an array, or an object out of an array of these, as it is."""
    return value.item() if isinstance(value, np.generic) else value


def values_of(columns: Mapping[str, Any], member: int) -> dict[str, Any]:
    """One member's hyperparameters."""
    return {name: column[member] for name, column in columns.items()}


def check_build(function: str, build: Any) -> None:
    """A function that can be called with a dict of hyperparameters.

    Raises:
        InputError: it is none.
    """
    got = misfit(build, 1) if callable(build) else None
    if got is not None or not callable(build):
        fail(function, "build", "a function hyperparameters -> recipe", build if got is None else f" {got}")


def built_recipe(function: str, build: Build, hyperparameters: dict[str, Any]) -> Recipe:
    """What `build` returns for these values.

    Raises:
        InputError: it is no recipe.
    """
    try:
        built = build(hyperparameters)
    except KeyError as error:
        if not any(error.args == (name,) for name in hyperparameters):
            error.add_note(f"{function} called build with the names: {', '.join(map(str, hyperparameters)) or 'none'}.")
        raise
    if not isinstance(built, Recipe):
        hint = "return ja.recipe(model, loss, optimizer, metrics=..., stopping=...)"
        fail(function, "build", "a function that returns a recipe", f" one that returned {show(built)}", hint=hint)
    return built


def member_recipe(traced: TracedBuild | None, leaves: Any) -> Recipe:
    """What a member is trained with, from its leaves; called inside the program."""
    if traced is None:
        return leaves
    values, own = leaves
    recipe = canonical(built_recipe(traced.function, traced.build, {**dict(traced.fixed), **values}))
    stopping = recipe.stopping
    if stopping is not None and own is not None:
        stopping = type(stopping)._make(stopping._factory, stopping._arguments | own, stopping._dynamic)
    exact = recipe.updated(stopping=stopping, batch_size=traced.batch_size, epochs=None)
    return exact.counting(np.int32(traced.most_bad_steps))


def group_members(
    function: str,
    build: Build,
    columns: Mapping[str, Sequence],
    members: int,
    *,
    epochs: int | None,
    batch_size: int | None,
    examples: Sequence[int],
) -> list[Group]:
    """The members sorted into groups that share a program, each in order of its first member.

    Args:
        function: for messages.
        build: `hyperparameters -> recipe`.
        columns: from `as_columns`.
        members: how many.
        epochs, batch_size: for members whose recipe has none of its own.
        examples: number of training examples of each member, the most that a batch can hold.

    Raises:
        InputError: build returns something else, or a setting is out of range.
    """
    check_build(function, build)
    if epochs is not None:
        check_integer(function, "epochs", epochs, 0)
    make = _Maker(function, build, columns, epochs, batch_size, examples)
    plain = _gather(make, range(members))
    combinations = _combinations(columns, members)
    if len(plain) <= len(combinations) or members == 1:
        return plain
    groups = []
    for chosen in combinations.values():
        traced = _trace(make, chosen)
        if traced is None:
            message = f"{function}: {members} members are of {len(plain)} structures, and each is compiled by itself."
            hint = "A function made inside build is a new one each time: use functools.partial, or take it outside."
            notify(f"{message} {hint}", UserWarning)
            return plain
        groups += traced
    return groups


def with_batch_size(group: Group, batch_size: int) -> Group:
    """The group with another number of examples an update."""
    recipe = group.recipe.updated(batch_size=batch_size)
    if group.traced is None:
        return group._replace(recipe=recipe, leaves=group.leaves.updated(batch_size=batch_size))
    return group._replace(recipe=recipe, traced=replace(group.traced, batch_size=batch_size))


class _Maker(NamedTuple):
    """What a member's recipe is made with."""

    function: str
    build: Build
    columns: Mapping[str, Sequence]
    epochs: int | None
    batch_size: int | None
    examples: Sequence[int]

    def member(self, number: int) -> tuple[Recipe, int]:
        """A member's sized recipe, and its epochs."""
        recipe = built_recipe(self.function, self.build, values_of(self.columns, number))
        check_untraced(self.function, "each value that build uses", recipe)
        if recipe.on_nonfinite == "raise":
            fail(self.function, "on_nonfinite of the recipe", "'stop' or 'skip', for each member alone", "raise")
        own = recipe.epochs
        if own is None and self.epochs is None:
            fail(self.function, "epochs", "given, here or in the recipe", None)
        size = self.batch_size if recipe.batch_size is None else None
        exact = sized(self.function, recipe, self.examples[number], size)
        return exact, min(int(self.epochs if own is None else own), MOST_EPOCHS)  # pyright: ignore[reportArgumentType]


def _gather(make: _Maker, chosen: Sequence[int] | range) -> list[Group]:
    """Groups by equal structure of the concrete recipes."""
    found: dict[Any, tuple[Recipe, list, list, list]] = {}
    for number in chosen:
        recipe, length = make.member(number)
        leaves, structure = jax.tree.flatten(recipe)
        kinds = tuple((np.shape(leaf), np.asarray(leaf).dtype) for leaf in leaves)
        _, rows, numbers, lengths = found.setdefault((structure, kinds), (recipe, [], [], []))
        rows.append(leaves)
        numbers.append(number)
        lengths.append(length)
    groups = []
    for (structure, _), (recipe, rows, numbers, lengths) in found.items():
        stacked = [np.stack([np.asarray(leaf) for leaf in column]) for column in zip(*rows, strict=True)]
        leaves = jax.tree.unflatten(structure, stacked)
        groups.append(Group(recipe, None, leaves, np.array(numbers), np.array(lengths)))
    return groups


def _combinations(columns: Mapping[str, Sequence], members: int) -> dict[Any, list[int]]:
    """Members by the values of their hyperparameters that are not floats."""
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


def _trace(make: _Maker, chosen: Sequence[int]) -> list[Group] | None:
    """Groups of members that differ in floats only, `build` to be traced; None where it cannot be."""
    first = values_of(make.columns, chosen[0])
    names = [name for name, value in first.items() if isinstance(value, float)]
    fixed = tuple((name, value) for name, value in first.items() if name not in names)
    found: dict[Any, tuple[Recipe, list, list, list]] = {}
    for number in chosen:
        values = values_of(make.columns, number)
        recipe, length = make.member(number)
        kind = (recipe.batch_size, int(recipe.most_bad_steps), _static(recipe.stopping))
        _, rows, numbers, lengths = found.setdefault(kind, (recipe, [], [], []))
        rows.append((canonical({name: values[name] for name in names}), _numbers(recipe.stopping)))
        numbers.append(number)
        lengths.append(length)
    groups = []
    for (size, most_bad, _), (recipe, rows, numbers, lengths) in found.items():
        assert size is not None
        traced = TracedBuild(make.function, make.build, fixed, size, most_bad)
        leaves = jax.tree.map(lambda *values: np.stack([np.asarray(v) for v in values]), *rows)
        one = jax.tree.map(lambda a: a[0], leaves)
        try:
            hash(traced)
            jax.eval_shape(lambda v, t=traced: jax.tree.leaves(member_recipe(t, v)), one)
        except (TypeError, ValueError):
            return None
        groups.append(Group(recipe, traced, leaves, np.array(numbers), np.array(lengths)))
    return groups


def _numbers(stopping: Stopping | None) -> dict[str, Any] | None:
    """The leaves of early stopping: concrete, so that they may be computed from hyperparameters in any way."""
    if stopping is None:
        return None
    return {name: stopping._arguments[name] for name in stopping._dynamic}


def _static(stopping: Stopping | None) -> Any:
    return None if stopping is None else jax.tree.structure(stopping)
