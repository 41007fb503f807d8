"""The search space: a dict of dimensions, and the unit cube that stands for it.

    space = {
        "learning_rate": log_uniform(1e-5, 1e-1),
        "layers": integer(1, 4),
        "activation": ["relu", "tanh"],
        "optimizer": choice(["sgd", "adam"]),
        "momentum": conditional(uniform(0.5, 0.99), when={"optimizer": "sgd"}, otherwise=0.0),
    }

A list is a choice. Each name is one coordinate of [0, 1]^d, in the order of the dict: samplers and searches work in the
cube, `encode` and `decode` go there and back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from jaxann.core.checks import check_range, check_unmasked, fail
from jaxann.tune.dimensions import Choice, Conditional, Dimension, Integer, Uniform, choice, plain, same
from jaxann.tune.enqueue import Enqueued
from jaxann.tune.on_host import on_host

__all__ = ["Space", "decode", "encode", "read_space"]

_INACTIVE = 0.5  # the coordinate of a setting that plays no part


class Space(NamedTuple):
    """A space that was checked and taken apart; all dicts in the order of the space."""

    dimensions: dict[str, Dimension]  # without the conditions
    conditions: dict[str, dict[str, tuple[Any, ...]]]  # of conditional names: other name -> values that activate
    otherwise: dict[str, Any]  # of conditional names
    order: tuple[str, ...]  # every name after those its condition names

    def active(self, name: str, setting: Mapping[str, Any]) -> bool:
        """Whether a dimension plays a part beside these values of the names before it."""
        wanted = self.conditions.get(name, {})
        return all(any(same(setting[other], v) for v in values) for other, values in wanted.items())

    def columns(self, settings: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray | list[Any]]:
        """The settings as columns."""
        columns: dict[str, np.ndarray | list[Any]] = {}
        for name, dimension in self.dimensions.items():
            values = [setting[name] for setting in settings]
            if isinstance(dimension, Choice) and name in self.otherwise:
                columns[name] = dimension.column(values, self.otherwise[name])
            else:
                columns[name] = dimension.column(values)
        return columns


def read_space(function: str, space: Mapping[str, Any] | Enqueued) -> Space:
    """Check a space on behalf of `function`, and order its names so that conditions can be told one after another.

    Raises:
        InputError: it is no dict of dimensions, or a condition names something unknown or impossible, or itself.
    """
    if isinstance(space, Enqueued):
        space = space.space
    if not isinstance(space, Mapping) or not space:
        fail(function, "space", "a dict from names to dimensions", space)
    dimensions: dict[str, Dimension] = {}
    conditionals: dict[str, Conditional] = {}
    for name, given in space.items():
        if not isinstance(name, str) or not name:
            fail(function, "space", "a dict whose names are texts", f" the name {name!r}")
        dimension = choice(given) if isinstance(given, list | tuple) else given
        if isinstance(dimension, Conditional):
            conditionals[name], dimension = dimension, dimension.dimension
        if not isinstance(dimension, Uniform | Integer | Choice):
            hint = f"A single value is a choice of one: [{given!r}]." if isinstance(given, int | float | str) else None
            fail(function, f"space[{name!r}]", "a dimension or a list of values", given, hint=hint)
        dimensions[name] = dimension
    conditions = {
        name: {
            other: _activating(function, name, other, wanted, dimensions, conditionals)
            for other, wanted in conditional.when.items()
        }
        for name, conditional in conditionals.items()
    }
    order: list[str] = []
    waiting = list(dimensions)
    while waiting:
        ready = [name for name in waiting if all(other in order for other in conditions.get(name, ()))]
        if not ready:
            fail(function, "space", "free of circles among its conditions", f" a circle within {', '.join(waiting)}")
        order.append(ready[0])  # one at a time: the order of the dict wherever the conditions allow it
        waiting.remove(ready[0])
    return Space(dimensions, conditions, {name: c.otherwise for name, c in conditionals.items()}, tuple(order))


@on_host
def encode(space: Mapping[str, Any] | Enqueued, setting: Mapping[str, Any]) -> np.ndarray:
    """The point of the unit cube that stands for a setting.

    Args:
        space: from name to dimension.
        setting: from name to value, all names of the space.

    Returns:
        Coordinates `(d,)` in [0, 1], one a name in the order of the space. An integer or an option lies in the middle
        of its share; an inactive conditional is at 1/2. `decode` gives the setting back.

    Raises:
        InputError: a name is missing or unknown, a value is not in its dimension, or an inactive one is not
            `otherwise`.
    """
    known = read_space("encode", space)
    if not isinstance(setting, Mapping) or set(setting) != set(known.dimensions):
        got = f" {', '.join(map(str, setting)) or 'nothing'}" if isinstance(setting, Mapping) else setting
        fail("encode", "setting", f"a dict of the names {', '.join(known.dimensions)}", got)
    values = {name: plain(value) for name, value in setting.items()}
    point = {}
    for name in known.order:  # so that the message names the first cause
        value, dimension = values[name], known.dimensions[name]
        if not known.active(name, values):
            if not same(value, known.otherwise[name]):
                expected = f"{known.otherwise[name]!r} where it is inactive"
                fail("encode", f"setting[{name!r}]", expected, value)
            point[name] = _INACTIVE
        elif dimension.holds(value):
            point[name] = dimension.to_unit(value)
        else:
            fail("encode", f"setting[{name!r}]", dimension.expected, value)
    return np.array([point[name] for name in known.dimensions])


@on_host
def decode(space: Mapping[str, Any] | Enqueued, unit_points: ArrayLike) -> dict[str, np.ndarray | list[Any]]:
    """The settings that points of the unit cube stand for, as columns.

    Args:
        space: from name to dimension.
        unit_points: `(n, d)` in [0, 1].

    Returns:
        From name to n values: a float64 array for `uniform` and `log_uniform`, an int64 array for `integer`, for
        `choice` an array where all options are numbers, else a list. Inactive conditionals have their `otherwise`.

    Raises:
        InputError: the space is malformed, or the points are of another shape or outside the cube.
    """
    known = read_space("decode", space)
    check_unmasked("decode", "unit_points", unit_points)
    points = np.asarray(unit_points)
    d = len(known.dimensions)
    if points.ndim != 2 or points.shape[1] != d or points.dtype.kind not in "iuf":
        fail("decode", "unit_points", f"numbers of shape (n, {d})", f" {points.dtype} of shape {points.shape}")
    check_range("decode", "unit_points", points, 0, 1, arrays=True)
    active_values = {
        name: dimension.from_unit(points[:, j].astype(np.float64))
        for j, (name, dimension) in enumerate(known.dimensions.items())
    }
    settings: list[dict[str, Any]] = [{} for _ in points]
    for name in known.order:
        for i, setting in enumerate(settings):
            setting[name] = active_values[name][i] if known.active(name, setting) else known.otherwise[name]
    return known.columns(settings)


def _activating(
    function: str,
    name: str,
    other: str,
    wanted: Any,
    dimensions: Mapping[str, Dimension],
    conditionals: Mapping[str, Conditional],
) -> tuple[Any, ...]:
    """The values of `other` beside which `name` is active, each checked to be possible."""
    where = f"space[{name!r}]'s condition"
    if other not in dimensions:
        fail(function, where, f"on other names of the space ({', '.join(dimensions)})", other)
    parent = dimensions[other]
    if isinstance(parent, Uniform):
        fail(function, where, "on choices and integers", f" {other!r}, which has a range of floats")

    def possible(value: Any) -> bool:
        return parent.holds(value) or (other in conditionals and same(value, conditionals[other].otherwise))

    if possible(plain(wanted)):  # first: an option may be a tuple itself
        return (plain(wanted),)
    values = tuple(plain(v) for v in wanted) if isinstance(wanted, list | tuple) else (plain(wanted),)
    for value in values:
        if not possible(value):
            fail(function, where, f"on values that {other!r} can have: {parent.expected}", value)
    if not values:
        fail(function, where, f"on at least one value of {other!r}", wanted)
    return values
