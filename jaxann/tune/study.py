"""What defines a study, as JSON that is kept beside its results and compared before anything trains.

Two starts belong to one study when their scores may stand in one table: the same space or settings, ranked by the same
figure, on the same rows of the same data, from the same keys, as long. A search that goes on compares this first.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from jaxann.core.checks import fail, show
from jaxann.io.header import refuse
from jaxann.train.recipe import Recipe
from jaxann.tune.described import described
from jaxann.tune.dimensions import Choice, Dimension, Integer, LogUniform
from jaxann.tune.search import Search
from jaxann.tune.space import Space
from jaxann.tune.trial_data import data_of

__all__ = [
    "check_same_study",
    "define_study",
    "describe_columns",
    "describe_space",
    "digest_of",
    "in_stored_order",
    "read_checked",
    "with_checksum",
]

_CHECKSUM = "checksum"  # of what is stored, within it
_SHOWN = 60  # characters of a stored value in a message
_DIGESTS = ("recipe", "data", "validation", "folds", "key")  # what a message does not spell out


def define_study(
    search: Search,
    settings: Mapping[str, Any],
    recipes: Sequence[Recipe | str],
    *,
    others: Mapping[str, Any] | None = None,
    describe: Callable[[Any], Any] = described,
) -> dict[str, Any]:
    """The definition of a study, lists, dicts and scalars that JSON can hold.

    Args:
        search: its data are compared as they are after `prepare`.
        settings: what is tried, from `describe_space` or `describe_columns`.
        recipes: of some settings, the same at each start; the first one says what is ranked by. A text in the place of
            one stands for a setting that `build` refuses.
        others: further arguments of the search that scores depend on.
        describe: what recipes are told by.
    """
    first = recipes[0]
    assert isinstance(first, Recipe)
    pairs, whole, measured, *_ = data_of(search.function, search.data, search.scored_on, search.key)
    definition = {
        "search": search.function,
        "key": digest_of([str(jax.random.key_impl(search.key)), np.asarray(jax.random.key_data(search.key)).tolist()]),
        "epochs": described(search.epochs),
        "batch_size": described(search.batch_size),
        **{name: described(value) for name, value in (others or {}).items()},
        **settings,  # after what they may be drawn by
        "monitor": first.monitor,
        "mode": first.mode,
        "metrics": sorted(first.metrics),
        "repeats": search.scored_on.repeats,
        "folds": None if pairs is None else digest_of(described(pairs)),
        "data": digest_of(described(tuple(whole))),
        "validation": None if pairs is not None else digest_of(described(tuple(measured))),
        "recipe": digest_of(describe(tuple(recipes))),
    }
    return with_checksum(json.loads(json.dumps(definition)))  # as it will be read


def with_checksum(content: Mapping[str, Any]) -> dict[str, Any]:
    """What JSON can hold, with a checksum of it beside it."""
    return dict(content) | {_CHECKSUM: _checksum(content)}


def read_checked(where: str, what: str, stored: Any) -> dict[str, Any]:
    """What `with_checksum` wrote, whole as it was written; `where` holds the function and the place.

    Raises:
        CheckpointError: it is something else, or anything in it is missing, of another kind or of another value.
    """
    if not isinstance(stored, dict) or not stored:
        refuse(where, f"hold {what}", show(stored))
    content = {name: held for name, held in stored.items() if name != _CHECKSUM}
    if stored.get(_CHECKSUM) != _checksum(content):
        got = "another content: it is damaged" if _CHECKSUM in stored else "none"
        refuse(where, f"hold {what} that its {_CHECKSUM} states", got)
    return content


def check_same_study(function: str, stored: Mapping[str, Any], definition: Mapping[str, Any]) -> None:
    """Refuse to go on with a study of another definition; the first argument that differs is named.

    Args:
        function: the search.
        stored: from `read_checked`.
        definition: from `define_study`.

    Raises:
        InputError: it is another study.
    """
    for name, now in definition.items():
        was = stored.get(name)
        if was == now or name == _CHECKSUM:
            continue
        if name == "space" and was is not None:
            _check_space(function, was, now)
        elif name == "hyperparameters" and "space" in definition:
            fail(function, "space", "that of the stored study, with its settings", " one from which others are drawn")
        elif name in _DIGESTS:
            argument = "validation" if name == "folds" and function != "cross_validate" else name
            fail(function, argument, "that of the stored study", " another one")
        else:
            fail(function, name, f"that of the stored study ({_short(was)})", f" {_short(now)}")


def describe_space(known: Space) -> dict[str, Any]:
    """The space by value: each dimension's kind, ends or options, and condition."""
    found = {}
    for name, dimension in known.dimensions.items():
        found[name] = _dimension(dimension)
        if name in known.otherwise:
            when = {o: [described(v) for v in values] for o, values in known.conditions[name].items()}
            found[name] |= {"when": when, "otherwise": described(known.otherwise[name])}
    return {"space": found}


def describe_columns(columns: Mapping[str, Sequence]) -> dict[str, Any]:
    """The settings of a search by value."""
    return {"hyperparameters": {name: [described(value) for value in values] for name, values in columns.items()}}


def in_stored_order(known: Space, stored: Mapping[str, Any] | None) -> Space:
    """The space with the options of its choices in the order in which they are numbered in a stored study.

    Choices whose options are others are left alone: `check_same_study` refuses them.
    """
    spaces = {} if stored is None else stored.get("space", {})
    dimensions: dict[str, Dimension] = {}
    for name, dimension in known.dimensions.items():
        dimensions[name] = dimension
        was = spaces.get(name)
        if not isinstance(dimension, Choice) or was is None:
            continue
        now = [json.dumps(described(option)) for option in dimension.options]
        then = [json.dumps(option) for option in was.get("options", ())]
        if len(set(now)) == len(now) and sorted(now) == sorted(then):
            dimensions[name] = Choice(tuple(dimension.options[now.index(text)] for text in then))
    return known._replace(dimensions=dimensions)


def _check_space(function: str, was: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    if set(was) != set(now):
        fail(function, "space", f"that of the stored study ({', '.join(was)})", f" {', '.join(now)}")
    for name, dimension in now.items():
        if was[name] != dimension:
            fail(
                function, f"space[{name!r}]", f"that of the stored study ({_short(was[name])})", f" {_short(dimension)}"
            )


def _dimension(dimension: Dimension) -> dict[str, Any]:
    if isinstance(dimension, Choice):
        return {"kind": "choice", "options": [described(option) for option in dimension.options]}
    if isinstance(dimension, Integer):
        return {"kind": "integer", "low": dimension.low, "high": dimension.high, "log": dimension.log}
    kind = "log_uniform" if isinstance(dimension, LogUniform) else "uniform"
    return {"kind": kind, "low": dimension.low, "high": dimension.high}


def digest_of(value: Any) -> str:
    """Of a described value."""
    return hashlib.blake2b(json.dumps(value).encode(), digest_size=16).hexdigest()


def _checksum(definition: Mapping[str, Any]) -> str:
    return digest_of(json.dumps(definition, sort_keys=True))  # a database may keep names in another order


def _short(value: Any) -> str:
    """A described value in few words."""
    if isinstance(value, dict) and "kind" in value:
        inside = ", ".join(f"{name}={held}" for name, held in value.items() if name != "kind")
        text = f"{value['kind']}({inside})"
    else:
        text = show(value) if isinstance(value, int | float | str | None) else json.dumps(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
