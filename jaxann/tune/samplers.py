"""Settings to try, drawn from a space: all of a grid, independent ones, or evenly spaced ones."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxann.core.checks import check_integer, check_key, fail
from jaxann.core.typing import Key
from jaxann.tune.dimensions import Choice, Dimension, Integer, LogUniform, Uniform
from jaxann.tune.enqueue import Enqueued
from jaxann.tune.generators import generator
from jaxann.tune.known import alike, known_first, known_settings
from jaxann.tune.on_host import on_host
from jaxann.tune.space import Space, decode, read_space

__all__ = ["grid", "random", "sobol"]

_MOST = 1_000_000  # settings of a grid: more is a slip, and would fill the memory before anyone noticed


@on_host
def grid(
    space: Mapping[str, Any] | Enqueued, *, points: int | Mapping[str, int] | None = None
) -> dict[str, np.ndarray | list[Any]]:
    """Every combination of the values of each dimension, the last name moving fastest.

    The number of settings is the product over the dimensions: exponential in their number. A conditional is varied
    only where it is active, so that no setting is listed twice.

    Args:
        space: from name to dimension. Choices and integers are listed in full; known settings of `enqueue` come first.
        points: how many values of each `uniform` and `log_uniform` dimension, evenly spaced in the encoded space (so
            on a logarithmic scale for the latter), both ends included; or a dict with such a number for each of their
            names. An integer named in the dict is thinned to at most so many values.

    Returns:
        From name to column of values, as `decode` returns them. Floats between the ends are rounded to 12 digits, so
        that four points from 1e-4 to 0.1 are 0.0001, 0.001, 0.01, 0.1.

    Raises:
        InputError: a range of floats has no number of points, `points` names something else, or the settings are more
            than a million.
    """
    known = read_space("grid", space)
    counts = _counts(known, points)
    values = {name: _listed(dimension, counts.get(name)) for name, dimension in known.dimensions.items()}
    settings: list[dict[str, Any]] = [{}]
    first = known_settings("grid", space)
    for name in known.order:
        choices = [values[name] if known.active(name, s) else (known.otherwise[name],) for s in settings]
        total = sum(map(len, choices))
        if total > _MOST:
            fail("grid", "space", f"of at most {_MOST:,} settings", f" {total:,} with {name!r}")
        settings = [{**s, name: value} for s, several in zip(settings, choices, strict=True) for value in several]
    rest = [one for one in settings if not any(alike(one, other) for other in first)]
    return known.columns([*first, *rest])


@on_host
def random(space: Mapping[str, Any] | Enqueued, n: int, *, key: Key) -> dict[str, np.ndarray | list[Any]]:
    """n independent settings, each uniform in the encoded space.

    The best of n lies in the top share q of all settings with probability 1 - (1 - q)^n, whatever the number of
    dimensions: 59 settings reach the top 5 % with 95 %. The first settings of a longer draw from the same key are those
    of a shorter one.

    Args:
        space: from name to dimension; known settings of `enqueue` come first.
        n: number of settings.
        key: `jax.random.key(seed)`; the same key gives the same settings.

    Returns:
        From name to column of n values, as `decode` returns them.

    Raises:
        InputError: an argument is wrong.

    Reference: Bergstra, Bengio (2012), Random Search for Hyper-Parameter Optimization, JMLR 13.
    """
    d = _dimensions("random", space, n, key)
    return known_first("random", space, decode(space, generator(key).random((n, d))))


@on_host
def sobol(space: Mapping[str, Any] | Enqueued, n: int, *, key: Key) -> dict[str, np.ndarray | list[Any]]:
    """n settings placed evenly over the encoded space: the first points of a scrambled Sobol sequence.

    Each point alone is uniform; together they leave smaller gaps than independent ones. A power of two balances best:
    then each half, quarter, ... of every coordinate holds its exact share.

    Args:
        space: from name to dimension; known settings of `enqueue` come first.
        n: number of settings.
        key: `jax.random.key(seed)`, for the scrambling; the same key gives the same settings, a longer sequence begins
            with the shorter one.

    Returns:
        From name to column of n values, as `decode` returns them.

    Raises:
        InputError: an argument is wrong, or n is more than 2^30.

    Reference: Sobol (1967); scrambling: Matousek (1998), J. Complexity 14; computed by scipy.stats.qmc.
    """
    d = _dimensions("sobol", space, n, key)
    if n > 1 << 30:
        fail("sobol", "n", "at most 2^30", n)
    from scipy.stats import qmc

    # scipy 1.15 renamed the argument.
    name = "rng" if "rng" in inspect.signature(qmc.Sobol).parameters else "seed"
    seed: dict[str, Any] = {name: generator(key)}
    sampler = qmc.Sobol(d, scramble=True, **seed)
    # Whole powers of two, cut afterwards: scipy warns of other numbers.
    return known_first("sobol", space, decode(space, sampler.random_base2((n - 1).bit_length())[:n]))


def _dimensions(function: str, space: Mapping[str, Any] | Enqueued, n: Any, key: Any) -> int:
    known = read_space(function, space)
    check_integer(function, "n", n)
    check_key(function, key)
    return len(known.dimensions)


def _counts(known: Space, points: Any) -> dict[str, int]:
    """The number of points of each name that has one."""
    ranges = [name for name, dimension in known.dimensions.items() if isinstance(dimension, Uniform)]
    if isinstance(points, Mapping):
        for name, count in points.items():
            if isinstance(known.dimensions.get(name), Choice) or name not in known.dimensions:
                expected = "a dict from names of ranges (of floats or integers) to numbers of points"
                fail("grid", "points", expected, f" the name {name!r}")
            check_integer("grid", f"points[{name!r}]", count, 2)
        for name in ranges:
            if name not in points:
                fail("grid", "points", f"given for {name!r}, which has a range of floats", dict(points))
        return dict(points)
    if points is None and ranges:
        hint = f"grid(space, points=5), or points={{{ranges[0]!r}: 5}}."
        fail("grid", "points", f"a number of values for {', '.join(ranges)}", points, hint=hint)
    if points is None:
        return {}
    check_integer("grid", "points", points, 2)
    return {name: int(points) for name in ranges}


def _listed(dimension: Dimension, count: int | None) -> list[Any]:
    """The values of one dimension in a grid, in order, each once."""
    if isinstance(dimension, Choice):
        return list(dimension.options)
    if isinstance(dimension, Integer):
        if count is None or count > dimension.high - dimension.low:
            if dimension.high - dimension.low >= _MOST:
                fail("grid", "space", f"of at most {_MOST:,} settings", f" {dimension.expected}")
            return list(range(dimension.low, dimension.high + 1))
        ends = dimension.to_unit(dimension.low), dimension.to_unit(dimension.high)
        return list(dict.fromkeys(dimension.from_unit(np.linspace(*ends, count))))
    assert count is not None
    low, *between, high = dimension.from_unit(np.linspace(0, 1, count))
    if isinstance(dimension, LogUniform):
        between = [float(f"{value:.12g}") for value in between]
    else:
        digits = 12 - math.floor(math.log10(high - low))
        between = [round(value, digits) for value in between]
    inside = [value for value in between if low < value < high]
    return list(dict.fromkeys([low, *inside, high]))
