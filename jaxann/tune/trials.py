"""Trials: every setting on every fold, as one population in training. What every search is made of.

Setting s on fold (or seed) r is member s * repeats + r. All settings share the keys of a fold, so that two settings
differ in nothing but themselves. Folds whose sizes differ by a row or two are padded to one length with rows of no
weight and share a program; the shuffle, the steps and the means are those of the rows that count.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from jaxann.core.checks import check_choice, check_integer, check_key, fail
from jaxann.core.keys import pick_keys, split_name
from jaxann.core.typing import Device, Key
from jaxann.train.fleet import Fleet
from jaxann.train.interrupts import held_interrupts
from jaxann.train.memory import available, predict_memory, summary
from jaxann.train.population import warn_diverged
from jaxann.train.population_data import check_lanes, prepared, some_devices
from jaxann.train.progress import population_bar
from jaxann.train.recipes import as_columns, group_members
from jaxann.tune.table import Table
from jaxann.tune.trial_data import by_size, data_of, has_plateau

__all__ = ["Trials", "search_settings", "warn_interrupted"]

_COMMON = {
    "prepare": None,
    "seeds": 1,
    "batch_size": None,
    "metrics": None,
    "monitor": "validation_loss",
    "mode": "min",
    "shuffle": True,
    "evaluation_batch_size": 2048,
    "compute_dtype": None,
    "on_nonfinite": "stop",
    "penalty": None,
    "augment": (),
    "devices": None,
    "lanes": None,
    "progress": False,
}


def search_settings(function: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that every search takes, defaults filled in.

    Raises:
        InputError: a name that is none of them; the closest is pointed at.
    """
    for name in given:
        check_choice(function, "each keyword", name, _COMMON)
    fixed = {"curves": False, "patience": None, "min_delta": 0.0, "restore_best": False}
    return _COMMON | dict(given) | fixed


class Trials:
    """Settings times folds in training.

    Attributes:
        hypers: columns, one entry a setting.
        settings, repeats: how many settings, and how many members each has.
        fleet: the members.
        key: the search's.
    """

    def __init__(
        self,
        function: str,
        build: Callable,
        hypers: Mapping[str, Any],
        data: Any,
        *,
        validation: Any,
        folds: Any,
        prepare: Callable | None,
        key: Key,
        seeds: int,
        epochs: int,
        curves: bool,
        on_nonfinite: str,
        devices: Sequence[Device] | None,
        lanes: int | str | None,
        progress: bool,
        own_keys: bool = False,
        **settings: Any,
    ):
        check_key(function, key)
        check_integer(function, "epochs", epochs, 1)
        check_integer(function, "seeds", seeds)
        check_lanes(function, lanes)
        check_choice(function, "on_nonfinite", on_nonfinite, ("stop", "skip"))
        self.function, self.key = function, key
        self.monitor, self.mode = settings["monitor"], settings["mode"]
        self.metrics = tuple(settings["metrics"] or {})
        check_choice(function, "monitor", self.monitor, [f"validation_{name}" for name in ("loss", *self.metrics)])
        self.hypers = as_columns(function, hypers, None)
        self.settings = len(next(iter(self.hypers.values()))) if self.hypers else 1
        if self.settings == 0:
            fail(function, "hypers", "at least one setting", " none")
        pairs, whole, held_out = data_of(function, data, validation, folds, prepare, key)
        self.pairs = pairs
        self.repeats = seeds * (1 if pairs is None else len(pairs))
        members = self.settings * self.repeats
        columns = {name: [v for v in column for _ in range(self.repeats)] for name, column in self.hypers.items()}
        roots = split_name(key, "members", members if own_keys else self.repeats)
        keys = roots if own_keys else pick_keys(roots, np.tile(np.arange(self.repeats), self.settings))
        self.keys = keys
        most = whole[0].shape[0] if pairs is None else max(len(rows) for rows, _ in pairs)
        settings |= {"epochs": epochs, "examples": [most] * members, "most_bad": 1 if on_nonfinite == "stop" else 10}
        self._settings = {"function": function, "build": build, **settings}
        groups = group_members(columns=columns, members=members, **self._settings)
        whole, held_out = prepared(function, groups, keys, whole, held_out)
        curves = curves or any(g.plan.stops_early or g.plan.restore_best or has_plateau(g) for g in groups)
        fold = None
        if pairs is not None:
            groups, fold = by_size(groups, pairs, np.tile(np.arange(self.repeats) % len(pairs), self.settings), whole)
        self.epochs = np.zeros(members, int)
        for group in groups:
            self.epochs[group.members] = group.epochs
        devices = some_devices(function, devices)
        needs = [predict_memory(group, (whole, held_out, fold), devices, lanes) for group in groups]
        needed, free = sum(need.total for need in needs), available(devices)
        if needed > free:
            hint = "Search fewer settings at a time, or smaller models."
            fail(function, "hypers", f"settings that fit into {free:,} bytes", f" {needed:,} bytes", hint=hint)
        total = int(self.epochs.sum())
        self.bar = population_bar(progress, members=members, epochs=total, monitor=self.monitor, mode=self.mode)
        self.say = summary(members, groups, needs, len(groups), devices)
        self.fleet = Fleet(groups, keys, whole, held_out, fold=fold, curves=curves, devices=devices, lanes=lanes)

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Show the bar, and let Ctrl-C wait for a moment at which the search can be told as it stands."""
        with held_interrupts(), self.bar:
            self.bar.say(self.say)
            yield

    def members(self, settings: np.ndarray) -> np.ndarray:
        """The members of some settings."""
        return (np.asarray(settings)[:, None] * self.repeats + np.arange(self.repeats)).reshape(-1)

    def train(self, settings: np.ndarray, until: int | None = None) -> None:
        """Train some settings up to an epoch, or to the end of their own."""
        members = self.members(settings)
        wanted = self.epochs[members] if until is None else np.minimum(until, self.epochs[members])
        self.fleet.train(members, wanted, self.bar.watch)

    def reached(self, settings: np.ndarray, until: int) -> np.ndarray:
        """Which of these settings have trained up to an epoch, or have stopped for good."""
        members = self.members(settings)
        there = self.fleet.epoch[members] >= np.minimum(until, self.epochs[members])
        done = np.logical_or(there, ~self.fleet.going[members])
        return np.all(np.reshape(done, (-1, self.repeats)), axis=1)

    def figures(self, settings: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """Validation loss and metrics of some or all settings now, by name, `(settings, repeats)`.

        NaN for the others, and for members that diverged.
        """
        found = self.fleet.evaluate(None if settings is None else self.members(settings))
        shape = (self.settings, self.repeats)
        return {name: found[:, i].reshape(shape) for i, name in enumerate(("loss", *self.metrics))}

    def score(self, figures: Mapping[str, np.ndarray]) -> np.ndarray:
        """`(settings,)` to be minimized: the mean of what is monitored; a setting with a diverged member is inf."""
        mean = figures[self.monitor.removeprefix("validation_")].mean(1)
        return np.where(np.isnan(mean), np.inf, mean if self.mode == "min" else -mean)

    def replace(self, source: np.ndarray, hypers: Mapping[str, Any]) -> None:
        """Each member goes on from the weights of member `source[i]`, with the settings of new columns.

        For trials of one group with one member a setting.
        """
        self.hypers = as_columns(self.function, hypers, self.settings)
        groups = group_members(columns=self.hypers, members=self.settings, **self._settings)
        (old,) = self.fleet.groups
        same = len(groups) == 1 and (groups[0].plan, groups[0].recipe) == (old.plan, old.recipe)
        if not same or jax.tree.structure(groups[0].leaves) != jax.tree.structure(old.leaves):
            fail(self.function, "build", "a function whose structure stays when numbers change", " another structure")
        self.fleet.replace(source, [groups[0].leaves])

    def structures(self, settings: Sequence[Mapping[str, Any]]) -> int:
        """How many programs these settings would need."""
        columns = {name: [setting[name] for setting in settings] for name in self.hypers}
        few = {"columns": columns, "members": len(settings), "examples": self._settings["examples"][:1] * len(settings)}
        return len(group_members(**{**self._settings, **few}))

    def release(self, settings: np.ndarray) -> None:
        """Let some settings train no further."""
        members = self.members(settings)
        self.epochs[members] = self.fleet.epoch[members]
        self.bar.expect(int(self.epochs.sum()))

    def table(self, figures: Mapping[str, np.ndarray], rounds: np.ndarray | None = None) -> Table:
        """The figures as a table; says which members diverged.

        Args:
            figures: by name, `(settings, repeats)`.
            rounds: int `(settings,)`, how far each came where scores are comparable only among equals.
        """
        warn_interrupted(self.function, self.fleet)
        warn_diverged(self.function, ~self.fleet.going & np.isnan(figures["loss"]).reshape(-1))
        columns = {name: _column(values) for name, values in self.hypers.items()}
        epochs = self.fleet.epoch.reshape(self.settings, self.repeats)
        monitor = self.monitor.removeprefix("validation_")
        scores = dict(figures)
        return Table(hypers=columns, scores=scores, monitor=monitor, mode=self.mode, epochs=epochs, rounds=rounds)


def warn_interrupted(function: str, fleet: Fleet) -> None:
    """Say so when Ctrl-C ended a search."""
    if fleet.interrupted:
        least, most = int(fleet.epoch.min()), int(fleet.epoch.max())
        message = f"{function}: interrupted when members had trained for {least} to {most} epochs"
        warnings.warn(f"{message}; the scores are those of then.", UserWarning, stacklevel=4)


def _column(values: list) -> Any:
    numeric = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
    return np.asarray(values) if numeric else values
