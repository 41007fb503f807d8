"""Settings that stand for a whole space: its middle, the ends and options of each dimension, and what is built there.

What `build` returns at them tells two studies apart before anything of a space was tried.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np

from jaxann.train.recipe import Recipe
from jaxann.tune.described import described
from jaxann.tune.dimensions import Choice, Dimension, Integer, same
from jaxann.tune.space import Space

__all__ = ["built_at", "corners_of", "middle_setting", "of_all_structures", "settings_of"]

_ENDS = (1 / 1024, 1023 / 1024)  # of ranges of floats: the very ends are never drawn, and may be no values at all
_LOOKED_AT = 32
_REFUSALS = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)  # that the same values give again


def middle_setting(known: Space) -> dict[str, Any]:
    """One setting of a space, the same however its names and options are ordered."""
    return _setting(known, {})


def settings_of(known: Space) -> list[dict[str, Any]]:
    """The middle, and each dimension alone at its ends or at each of its options.

    A dimension under a condition is varied where it is active. The same settings however names and options are ordered.
    """
    found: list[dict[str, Any]] = [{}]
    for name in sorted(known.order):
        beside = _activating(known, name)
        found += [{**beside, name: value} for value in _values(known.dimensions[name])]
    settings = [_setting(known, chosen) for chosen in found]
    texts = [json.dumps([described(setting[name]) for name in sorted(setting)]) for setting in settings]
    return [settings[texts.index(text)] for text in dict.fromkeys(texts)]


def corners_of(known: Space) -> list[dict[str, Any]]:
    """All dimensions at their lower ends, or at their upper ends, those under conditions active where they can be."""
    active: dict[str, Any] = {}
    for name in reversed(known.order):
        active |= _activating(known, name)
    ends = ({name: _values(known.dimensions[name])[end] for name in known.order} for end in (0, -1))
    return [_setting(known, {**chosen, **active}) for chosen in ends]


def built_at(settings: list[dict[str, Any]], made: Callable[[dict[str, Any]], Recipe]) -> Iterator[Recipe | str]:
    """What is built with each setting; of one that it refuses, which the search may never come to, how it does."""
    yield made(settings[0])
    for setting in settings[1:]:
        try:
            yield made(setting)
        except _REFUSALS as error:
            yield type(error).__name__


def of_all_structures(settings: list[dict[str, Any]], built: list[Recipe | str]) -> list[dict[str, Any]]:
    """The first setting of each structure of recipe, at most so many as are soon looked at."""
    found: dict[Any, dict[str, Any]] = {}
    for setting, recipe in zip(settings, built, strict=True):
        if isinstance(recipe, Recipe):
            found.setdefault(jax.tree.structure(recipe), setting)
    return list(found.values())[:_LOOKED_AT]


def _setting(known: Space, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """The middle of a space, but for some values."""
    setting: dict[str, Any] = {}
    for name in known.order:
        if not known.active(name, setting):
            setting[name] = known.otherwise[name]
        elif name in chosen:
            setting[name] = chosen[name]
        else:
            setting[name] = _in_order(known.dimensions[name]).from_unit(np.array([0.5]))[0]
    return {name: setting[name] for name in known.dimensions}


def _values(dimension: Dimension) -> list[Any]:
    """The options; of a range two values, near its ends."""
    if isinstance(dimension, Choice):
        return list(_in_order(dimension).options)
    if isinstance(dimension, Integer):
        return [dimension.low, dimension.high]
    return dimension.from_unit(np.array(_ENDS))


def _in_order(dimension: Dimension) -> Any:
    """A choice with its options in one order, whatever order they are given in."""
    if not isinstance(dimension, Choice):
        return dimension
    return Choice(tuple(sorted(dimension.options, key=lambda option: json.dumps(described(option)))))


def _activating(known: Space, name: str) -> dict[str, Any]:
    """Values of other names beside which a dimension is active."""
    found: dict[str, Any] = {}
    for other, wanted in known.conditions.get(name, {}).items():
        parent = known.dimensions[other]
        values = [value for value in _values(parent) if any(same(value, one) for one in wanted)]
        values = values or [value for value in wanted if parent.holds(value)]
        if values:
            found |= {**_activating(known, other), other: values[0]}
    return found
