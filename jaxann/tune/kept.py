"""What is kept of a trial in a study of Optuna's, as JSON: its setting, scores and epochs, and what was built with it.

A trial that is read counts only where `build` gives the same recipe for its setting as it did when the trial ran: its
score is then that of the recipe that the table stands for, wherever in the space two functions may differ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxann.core.checks import fail
from jaxann.train.recipe import Recipe
from jaxann.tune.asking import Asked
from jaxann.tune.dimensions import Choice, plain, same
from jaxann.tune.space import Space
from jaxann.tune.study import digest_of, read_checked, with_checksum
from jaxann.tune.table import Table

__all__ = ["Kept", "Reader", "as_enqueued", "as_stored"]

_REMEDY = "ja.tune.enqueue(space, [{...}]) has settings tried first; study.tell(study.ask(), state=FAIL) drops a trial."


class Kept(NamedTuple):
    """One trial."""

    setting: dict[str, Any]
    scores: dict[str, list[float]]
    epochs: list[int]


def as_stored(known: Space, setting: Mapping[str, Any]) -> dict[str, Any]:
    """A setting as JSON: an option by its number, an inactive dimension as None."""
    stored: dict[str, Any] = {}
    for name, value in setting.items():
        dimension = known.dimensions[name]
        if not known.active(name, setting):
            stored[name] = None
        elif isinstance(dimension, Choice):
            stored[name] = _number_of(dimension, value)
        else:
            stored[name] = value
    return stored


def as_enqueued(known: Space, number: int, given: Mapping[str, Any]) -> dict[str, Any]:
    """What Optuna's own `enqueue_trial` was given, values of the space, as `as_stored` has it; names may be left out.

    Raises:
        InputError: a name is unknown, or a value is not in its dimension, or plays no part.
    """
    where = f"waiting trial {number} of the study"
    unknown = [str(name) for name in given if name not in known.dimensions]
    if unknown:
        fail("bayes", where, f"of the names {', '.join(known.dimensions)}", f" {', '.join(unknown)}", hint=_REMEDY)
    certain: dict[str, Any] = {}
    stored: dict[str, Any] = {}
    for name in known.order:
        dimension, wanted = known.dimensions[name], known.conditions.get(name, {})
        possible = (any(same(certain[n], v) for v in values) for n, values in wanted.items() if n in certain)
        if not all(possible):
            certain[name] = known.otherwise[name]
            if name in given and not same(plain(given[name]), certain[name]):
                expected = f"{certain[name]!r} where it is inactive"
                fail("bayes", f"{where}, {name!r},", expected, given[name], hint=_REMEDY)
        elif name in given:
            value = plain(given[name])
            if not dimension.holds(value):
                fail("bayes", f"{where}, {name!r},", dimension.expected, given[name], hint=_REMEDY)
            if all(other in certain for other in wanted):
                certain[name] = value
            stored[name] = _number_of(dimension, value) if isinstance(dimension, Choice) else value
    return stored


def _number_of(dimension: Choice, value: Any) -> int:
    return next(i for i, option in enumerate(dimension.options) if same(value, option))


class Reader:
    """Reads and writes what is kept of the trials of one search.

    Args:
        known: its space, options in the order of the study.
        made: from a setting to its recipe.
        describe: what recipes are told by; None where the study ends with the search.
    """

    def __init__(
        self,
        known: Space,
        made: Callable[[dict[str, Any]], Recipe],
        describe: Callable[[Any], Any] | None,
    ):
        self._known, self._made, self._describe = known, made, describe
        self._read: dict[int, Kept] = {}

    def result(self, table: Table, number: int, asked: Asked) -> tuple[float, dict[str, Any]]:
        """The value that is told of one setting of a generation, and what is kept beside it."""
        stored = as_stored(self._known, asked.setting)
        scores = {name: values[number].tolist() for name, values in table.scores.items()}
        epochs = table.epochs[number].tolist()
        setting = self._setting(stored)
        self._read[asked.trial.number] = Kept(setting, scores, epochs)
        kept = {"setting": stored, "scores": scores, "epochs": epochs, "recipe": self._digest(setting)}
        return float(table.mean[table.monitor][number]), with_checksum(kept)

    def table(self, trials: Sequence[Any], monitor: str, mode: str) -> Table:
        """Finished trials as a table."""
        every = [self.read(trial) for trial in trials]
        columns = self._known.columns([one.setting for one in every])
        scores = {name: np.array([one.scores[name] for one in every], np.float64) for name in every[0].scores}
        return Table(columns, scores, monitor, mode, np.array([one.epochs for one in every]))

    def read(self, trial: Any) -> Kept:
        """A finished trial.

        Raises:
            CheckpointError: what is kept of it is damaged.
            InputError: another recipe was trained with its setting.
        """
        found = self._read.get(trial.number)
        if found is None:
            found = self._read[trial.number] = self._checked(trial)
        return found

    def _checked(self, trial: Any) -> Kept:
        where, held = f"bayes: trial {trial.number} of the study", dict(trial.user_attrs)
        held = {name: held[name] for name in (*Kept._fields, "recipe", "checksum") if name in held}
        content = read_checked(where, "a setting with its scores, epochs and recipe", held)
        setting = self._setting(content.pop("setting"))
        if content.pop("recipe") != self._digest(setting):
            fail("bayes", "recipe", "that of the stored study", f" another one for the setting of trial {trial.number}")
        return Kept(setting, **content)

    def _setting(self, stored: Mapping[str, Any]) -> dict[str, Any]:
        setting = {}
        for name in self._known.dimensions:
            dimension, value = self._known.dimensions[name], stored[name]
            if value is None:
                setting[name] = self._known.otherwise[name]
            else:
                setting[name] = dimension.options[value] if isinstance(dimension, Choice) else value
        return setting

    def _digest(self, setting: dict[str, Any]) -> str:
        return "" if self._describe is None else digest_of(self._describe(self._made(setting)))
