"""Trials: every setting on every fold, as one population in training. What every search is made of.

Setting s on fold (or repeat) r is member s * repeats + r. All settings share the keys of a fold, so that two settings
differ in nothing but themselves. Folds whose sizes differ by a row or two are padded to one length with rows of no
weight and share a program; the shuffle, the steps and the means are those of the rows that count.

Settings are ranked by what their recipe monitors: the monitor and mode of its `early_stopping`, the validation loss
where it has none.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from jaxann.core.checks import check_choice, check_flag, check_integer, check_key, fail
from jaxann.core.keys import pick_keys, split_name
from jaxann.core.notices import notify
from jaxann.train.batches import example_count
from jaxann.train.epoch import has_plateau
from jaxann.train.grouping import Group, as_columns, group_members
from jaxann.train.interrupts import held_interrupts
from jaxann.train.members import at_once_on
from jaxann.train.memory import available, predict_memory, summary
from jaxann.train.observers import Moment, observing
from jaxann.train.placement import placed_on
from jaxann.train.population import warn_diverged
from jaxann.train.prepare import prepare_data
from jaxann.train.progress import population_bar
from jaxann.train.recipe import Recipe
from jaxann.train.targets import check_counted
from jaxann.train.trainer import PopulationTrainer
from jaxann.tune.enqueue import Enqueued
from jaxann.tune.in_turn import retry_diverged
from jaxann.tune.known import columns_of
from jaxann.tune.search import Search
from jaxann.tune.storage import Storage
from jaxann.tune.table import Table
from jaxann.tune.trial_data import by_size, data_of

__all__ = ["Trials", "warn_interrupted"]


class Trials:
    """Settings times folds in training.

    Args:
        search: as it was called.
        hyperparameters: as in `cross_validate`.
        every_epoch: whether the validation set is measured after every epoch although no recipe asks for it.
        own_keys: whether each member has a key of its own.
        whole_runs: whether recipes that stop early or restore their best epoch are refused.

    Raises:
        InputError: an argument is wrong, or recipes differ in what they monitor; before anything is compiled.

    Attributes:
        search, function: as it was called, and its name for messages.
        hyperparameters: columns, one entry a setting.
        pairs: the rows of the folds; None on a validation set.
        count, repeats: how many settings there are, and how many members each has.
        monitor, mode: the figure that settings are ranked by, and whether "min" or "max" of it is better.
        key, keys, first_keys: the search's, the members' and what those were before any began again.
        allowance, attempts: what the search may spend, and how often each member began again.
        enqueued: how many of the settings are known ones, in front.
        at_once: how many members train at once; None for all.
        inputs, source: x as the members see it, and which row of the data each of its rows is; None for the same.
    """

    def __init__(
        self,
        search: Search,
        hyperparameters: Mapping[str, Any] | Enqueued,
        *,
        every_epoch: bool = False,
        own_keys: bool = False,
        whole_runs: bool = False,
    ):
        function, build, data, scored_on, key, epochs, batch_size, placement, progress, allowance = search
        check_key(function, key)
        if epochs is not None:
            check_integer(function, "epochs", epochs)
        check_flag(function, "progress", progress)
        devices, at_once, _ = placed_on(function, placement)
        self.search, self.function, self.key, self.allowance = search, function, key, allowance
        self.at_once = None if (each := at_once_on(at_once, devices[0])) is None else each * len(devices)
        self.hyperparameters, self.enqueued = columns_of(function, hyperparameters)
        self.count = len(next(iter(self.hyperparameters.values()))) if self.hyperparameters else 1
        if self.count == 0:
            fail(function, "hyperparameters", "at least one setting", " none")
        pairs, whole, measured, self.source = data_of(function, data, scored_on, key)
        self.pairs = pairs
        self.repeats = scored_on.repeats * (1 if pairs is None else len(pairs))
        members = self.count * self.repeats
        columns = {name: [v for v in col for _ in range(self.repeats)] for name, col in self.hyperparameters.items()}
        most = example_count(whole.x) if pairs is None else max(len(rows) for rows, _ in pairs)

        def grouped(columns: Mapping[str, Sequence], members: int) -> list[Group]:
            sizes = [most] * members
            return group_members(
                function, build, columns, members, epochs=epochs, batch_size=batch_size, examples=sizes
            )

        self._grouped = grouped
        groups = grouped(columns, members)
        if min(int(group.epochs.min()) for group in groups) < 1:
            fail(function, "epochs of the recipe", "at least 1", 0)
        structures = [group.recipe for group in groups]
        self.monitor, self.mode, self.metrics = _ranking(function, structures)
        if whole_runs:
            _check_whole_runs(function, structures)
        keys = split_name(key, "members", members if own_keys else self.repeats)
        if not own_keys:
            keys = pick_keys(keys, np.tile(np.arange(self.repeats), self.count))
        self.keys = self.first_keys = keys
        self.attempts = np.zeros(members, int)
        whole, measured = prepare_data(function, structures, pick_keys(keys, np.array(0)), whole, measured)
        for recipe in structures:
            for place, side in enumerate(("training", "held-out")):
                check_counted(function, "folds", whole, [pair[place] for pair in pairs or ()], recipe.loss, side)
        self.inputs = whole.x
        every_epoch = every_epoch or any(r.stops_early or r.restores_best or has_plateau(r) for r in structures)
        folds = None
        if pairs is not None:
            groups, folds = by_size(groups, pairs, np.tile(np.arange(self.repeats) % len(pairs), self.count), whole)
        self.epochs = np.zeros(members, int)
        for group in groups:
            self.epochs[group.members] = group.epochs
        self._groups, self._folds, self._devices, self._members_at_once = groups, folds, devices, at_once
        self._whole, self._measured, self._every_epoch, self._progress = whole, measured, every_epoch, progress
        self._watching: tuple = (lambda moment: allowance.is_over(),) if allowance.is_timed else ()
        self._storage: Storage | None = None
        self.observe: Callable[[Moment], bool] | None = None

    @functools.cached_property
    def trainer(self) -> PopulationTrainer:
        """The members, begun when they are first asked for.

        Raises:
            InputError: they do not fit into the devices' memory.
        """
        groups, devices, at_once = self._groups, self._devices, self._members_at_once
        data = (self._whole, self._measured, self._folds)
        needs = [predict_memory(group, data, devices, at_once) for group in groups]
        needed, free = sum(need.total for need in needs), available(devices)
        if needed > free:
            hint = "Search fewer settings at a time, or smaller models."
            expected = f"settings that fit into {free:,} bytes"
            fail(self.function, "hyperparameters", expected, f" {needed:,} bytes", hint=hint)
        if self._progress:
            members, total = len(self.epochs), int(self.epochs.sum())
            heading = summary(members, groups, needs, len(groups), devices)
            bar = population_bar(members=members, epochs=total, monitor=self.monitor, mode=self.mode, heading=heading)
            self._watching = (bar, *self._watching)
        return PopulationTrainer(
            groups,
            self.keys,
            self._whole,
            self._measured,
            folds=self._folds,
            every_epoch=self._every_epoch,
            devices=devices,
            members_at_once=at_once,
        )

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Show the bar, and let Ctrl-C and the clock wait for a moment at which the search can be told as it stands."""
        assert self.trainer.groups  # begun by now, and what watches them known
        held = contextlib.nullcontext() if self._storage is None else self._storage.held()
        with held, held_interrupts(), observing(self.function, self._watching) as observe:
            self.observe = observe if self._watching else None
            yield
            self.observe = None

    def heed_clock(self) -> None:
        """End the search where its time is over; one chunk is run in any case, and what is stored takes none."""
        if self._storage is not None and self._storage.replays:
            return
        if not self.trainer.interrupted and self.trainer.epoch.any() and self.allowance.is_over():
            self.trainer.interrupted = self.trainer.stopped = True

    def keep(self, storage: Storage | None) -> None:
        """Keep the search in a storage, if there is one, and go on from what it holds."""
        self._storage = storage
        if storage is not None:
            storage.beside, storage.shape = {"attempts": self.attempts}, (len(self.epochs), 1 + len(self.metrics))
            watch = storage.watch(self.trainer)
            self._watching = (*self._watching, watch)

    def members(self, settings: np.ndarray) -> np.ndarray:
        """The members of some settings."""
        return (np.asarray(settings)[:, None] * self.repeats + np.arange(self.repeats)).reshape(-1)

    def train(self, settings: np.ndarray, until: int | None = None) -> None:
        """Train some settings up to an epoch, or to the end of their own."""
        self.train_members(self.members(settings), until)

    def train_members(self, members: np.ndarray, until: int | np.ndarray | None = None) -> None:
        """Train some members up to an epoch (of all, or one for each), or to the end of their own."""
        wanted = self.epochs[members] if until is None else np.minimum(until, self.epochs[members])
        if self._storage is not None and not self._storage.goes_on(self.trainer):
            return
        self.heed_clock()
        self.trainer.train(members, wanted, self.observe)
        retry_diverged(self, members, wanted)
        if self._storage is not None and self.trainer.interrupted:
            self._storage.write(self.trainer)

    def reached(self, settings: np.ndarray, until: int) -> np.ndarray:
        """Which of these settings have trained up to an epoch, or have stopped for good."""
        members = self.members(settings)
        there = self.trainer.epoch[members] >= np.minimum(until, self.epochs[members])
        done = np.logical_or(there, ~self.trainer.going[members])
        return np.all(np.reshape(done, (-1, self.repeats)), axis=1)

    def figures(self, settings: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """Validation loss and metrics of some or all settings now, by name, `(settings, repeats)`.

        NaN for the others, and for members that diverged or have not begun.
        """
        chosen = None if settings is None else self.members(settings)

        def evaluate() -> np.ndarray:
            found = self.trainer.evaluate(chosen)
            found[self.trainer.epoch == 0] = np.nan
            return found

        found = evaluate() if self._storage is None else self._storage.figures(self.trainer, evaluate)
        shape = (self.count, self.repeats)
        return {name: found[:, i].reshape(shape) for i, name in enumerate(("loss", *self.metrics))}

    def rounds(self) -> np.ndarray | None:
        """Which settings came to their end, 1 or 0 `(settings,)`, where the search was ended; else None: all did."""
        if not self.trainer.interrupted:
            return None
        return self.reached(np.arange(self.count), int(self.epochs.max())).astype(int)

    def score(self, figures: Mapping[str, np.ndarray]) -> np.ndarray:
        """`(settings,)` to be minimized: the mean of what is monitored; a setting with a diverged member is inf."""
        mean = figures[self.monitor.removeprefix("validation_")].mean(1)
        return np.where(np.isnan(mean), np.inf, mean if self.mode == "min" else -mean)

    def replace(self, source: np.ndarray, hyperparameters: Mapping[str, Any]) -> None:
        """Each member goes on from the weights of member `source[i]`, with the settings of new columns.

        For trials of one group with one member a setting.
        """
        self.hyperparameters = as_columns(self.function, hyperparameters, self.count)
        groups = self._grouped(self.hyperparameters, self.count)
        (old,) = self.trainer.groups
        same = len(groups) == 1 and groups[0].traced == old.traced
        if not same or jax.tree.structure(groups[0].leaves) != jax.tree.structure(old.leaves):
            fail(self.function, "build", "a function whose structure stays when numbers change", " another structure")
        if self._storage is not None:
            self._storage.follow(groups)
        self.trainer.replace(source, [groups[0].leaves])
        self.epochs[groups[0].members] = self.trainer.expected[groups[0].members] = groups[0].epochs

    def structures(self, settings: Sequence[Mapping[str, Any]]) -> int:
        """How many programs these settings would need."""
        columns = {name: [setting[name] for setting in settings] for name in self.hyperparameters}
        return len(self._grouped(columns, len(settings)))

    def release(self, settings: np.ndarray) -> None:
        """Let some settings train no further."""
        members = self.members(settings)
        self.epochs[members] = self.trainer.expected[members] = self.trainer.epoch[members]

    def warn(self, figures: Mapping[str, np.ndarray], chosen: np.ndarray | None = None) -> None:
        """Say which members diverged, and of whom the figure that ranks, or the loss, is no number though they did not.

        Args:
            figures: by name, `(settings, repeats)`.
            chosen: the members that are meant; None for all.
        """
        order = np.arange(len(self.epochs)) if chosen is None else chosen
        begun, diverged = self.trainer.epoch[order] > 0, self.trainer.diverged()[order]
        warn_diverged(self.function, diverged)
        for name in dict.fromkeys((self.monitor, "validation_loss")):
            values = figures[name.removeprefix("validation_")].reshape(-1)[order]
            none = np.isnan(values) & begun & ~diverged
            if none.any():
                message = f"{self.function}: {name} of {none.sum()} of {none.size} members is no number, the first of"
                notify(
                    f"{message} them member {np.argmax(none)}: did it overflow, or nothing in it count?", UserWarning
                )
                break

    def table(self, figures: Mapping[str, np.ndarray], rounds: np.ndarray | None = None) -> Table:
        """The figures as a table; says which members diverged.

        Args:
            figures: by name, `(settings, repeats)`.
            rounds: int `(settings,)`, how far each came where scores are comparable only among equals.
        """
        warn_interrupted(self.function, self.trainer)
        self.warn(figures)
        columns = {name: _column(values) for name, values in self.hyperparameters.items()}
        epochs = self.trainer.epoch.reshape(self.count, self.repeats)
        monitor = self.monitor.removeprefix("validation_")
        return Table(
            hyperparameters=columns,
            scores=dict(figures),
            monitor=monitor,
            mode=self.mode,
            epochs=epochs,
            rounds=rounds,
        )


def _ranking(function: str, structures: Sequence[Recipe]) -> tuple[str, str, tuple[str, ...]]:
    """What settings are ranked by: `(monitor, mode, metrics)`, the same of every recipe."""
    first = structures[0]
    metrics = tuple(first.metrics)
    known = [f"validation_{name}" for name in ("loss", *metrics)]
    check_choice(function, "monitor of the recipe's stopping", first.monitor, known)
    for recipe in structures:
        if (recipe.monitor, recipe.mode, tuple(recipe.metrics)) != (first.monitor, first.mode, metrics):
            expected = "one whose recipes have the same metrics, and monitor the same"
            got = f" {recipe.monitor} ({recipe.mode}) beside {first.monitor} ({first.mode})"
            if tuple(recipe.metrics) != metrics:
                got = f" metrics {', '.join(recipe.metrics)} beside {', '.join(metrics)}"
            fail(function, "build", expected, got)
    return first.monitor, first.mode, metrics


def _check_whole_runs(function: str, structures: Sequence[Recipe]) -> None:
    for recipe in structures:
        if recipe.stops_early or recipe.restores_best:
            expected = "one that neither stops nor restores the best"
            hint = "early_stopping(None, monitor=..., mode=..., restore_best=False) only ranks."
            fail(function, "stopping of the recipe", expected, recipe.stopping, hint=hint)


def warn_interrupted(function: str, trainer: PopulationTrainer) -> None:
    """Say so when Ctrl-C ended a search."""
    if trainer.interrupted:
        fewest, most = int(trainer.epoch.min()), int(trainer.epoch.max())
        how = "the time budget was over" if trainer.stopped else "interrupted"
        message = f"{function}: {how} when members had trained for {fewest} to {most} epochs"
        notify(f"{message}; the scores are those of then.", UserWarning)


def _column(values: list) -> Any:
    numeric = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
    return np.asarray(values) if numeric else values
