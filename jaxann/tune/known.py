"""Known settings as the searches take them: checked against their space, and in front of what is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from jaxann.core.checks import fail
from jaxann.train.grouping import as_columns, values_of
from jaxann.tune.dimensions import Choice, plain, same
from jaxann.tune.enqueue import Enqueued
from jaxann.tune.space import Space, read_space

__all__ = ["alike", "check_places", "columns_of", "known_first", "known_settings"]


def known_settings(function: str, space: Any) -> list[dict[str, Any]]:
    """The known settings of a space, complete and in the order of its names; none where none are enqueued.

    Raises:
        InputError: a name is missing or unknown, or a value is not in its dimension.
    """
    if not isinstance(space, Enqueued):
        return []
    known = read_space(function, space)
    return [_complete(function, known, number, setting) for number, setting in enumerate(space.settings)]


def known_first(function: str, space: Any, columns: Mapping[str, Any]) -> Any:
    """As many settings as the columns hold: the known ones, then the first of the columns.

    Raises:
        InputError: the known ones are more, or not of the space.
    """
    first = known_settings(function, space)
    if not first:
        return columns
    count = len(next(iter(columns.values())))
    check_places(function, space, count)
    drawn = [values_of(columns, number) for number in range(count - len(first))]
    return read_space(function, space).columns([*first, *({n: plain(v) for n, v in d.items()} for d in drawn)])


def check_places(function: str, space: Any, places: int) -> None:
    """Refuse more known settings than a search tries: none is dropped unsaid.

    Raises:
        InputError: there are more.
    """
    if isinstance(space, Enqueued) and len(space.settings) > places:
        expected = f"at most {places} known setting{'' if places == 1 else 's'}"
        fail(function, "enqueued settings", expected, f" {len(space.settings)}")


def columns_of(function: str, hyperparameters: Any) -> tuple[dict[str, list], int]:
    """`(columns of settings, how many of them were enqueued)`: those in front, and not a second time behind.

    Raises:
        InputError: they are no columns, or an enqueued setting has other names.
    """
    if not isinstance(hyperparameters, Enqueued):
        return as_columns(function, hyperparameters, None), 0
    columns = as_columns(function, hyperparameters.space, None)
    for number, setting in enumerate(hyperparameters.settings):
        if set(setting) != set(columns):
            expected, got = f"a dict of the names {', '.join(columns)}", f" {', '.join(setting) or 'nothing'}"
            fail(function, f"enqueued settings[{number}]", expected, got)
    first = list(hyperparameters.settings)
    given = (values_of(columns, number) for number in range(len(next(iter(columns.values())))))
    rest = [one for one in given if not any(alike(one, other) for other in first)]
    every = {name: [setting[name] for setting in (*first, *rest)] for name in columns}
    return as_columns(function, every, None), len(first)


def alike(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two settings of the same names are equal."""
    return all(_same(plain(one[name]), plain(other[name])) for name in one)


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray | jax.Array) or isinstance(b, np.ndarray | jax.Array):
        return np.array_equal(np.asarray(a), np.asarray(b))
    return same(a, b)


def _complete(function: str, known: Space, number: int, setting: Mapping[str, Any]) -> dict[str, Any]:
    argument = f"enqueued settings[{number}]"
    unknown: Sequence[str] = [str(name) for name in setting if name not in known.dimensions]
    if unknown:
        fail(function, argument, f"of the names {', '.join(known.dimensions)}", f" {', '.join(unknown)}")
    whole: dict[str, Any] = {}
    for name in known.order:
        dimension = known.dimensions[name]
        if not known.active(name, whole):
            value = setting.get(name, known.otherwise[name])
            if not same(value, known.otherwise[name]):
                fail(function, f"{argument}[{name!r}]", f"{known.otherwise[name]!r} where it is inactive", value)
        elif name not in setting:
            fail(function, argument, f"a dict with a value for {name!r}", f" {', '.join(setting) or 'nothing'}")
        elif not dimension.holds(value := setting[name]):
            fail(function, f"{argument}[{name!r}]", dimension.expected, value)
        elif isinstance(dimension, Choice):
            value = next(option for option in dimension.options if same(value, option))
        whole[name] = value
    return {name: whole[name] for name in known.dimensions}
