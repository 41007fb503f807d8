"""Nested cross-validation: an honest estimate of what choosing by cross-validation gives."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxann.core.checks import check_integer, check_key, fail
from jaxann.core.keys import fold_name
from jaxann.core.typing import Key
from jaxann.train.grouping import Build
from jaxann.train.inputs import as_batch
from jaxann.train.placement import Placement
from jaxann.tune.budget import Budget, retried, started
from jaxann.tune.enqueue import Enqueued, Settings
from jaxann.tune.in_turn import train_in_turn
from jaxann.tune.on_host import on_host
from jaxann.tune.resampling import Pairs, Resampling, as_resampling
from jaxann.tune.search import Search
from jaxann.tune.table import Table
from jaxann.tune.trial_data import fold_rows
from jaxann.tune.trials import Trials

__all__ = ["Nested", "nested_cross_validate"]


class Nested(NamedTuple):
    """What `nested_cross_validate` returns."""

    scores: dict[str, np.ndarray]  # name to (outer folds,), of the chosen settings on rows nothing was chosen by
    chosen: list[dict[str, Any]]  # the setting of each outer fold
    tables: list[Table]  # the inner search of each outer fold


@on_host
@retried
def nested_cross_validate(
    build: Build,
    hyperparameters: Settings | Enqueued,
    data: tuple,
    *,
    key: Key,
    epochs: int | Budget | None = None,
    batch_size: int | None = None,
    outer: int | Pairs | Resampling = 5,
    inner: int = 4,
    placement: Placement | None = None,
    progress: bool = False,
) -> Nested:
    """Choose a setting by cross-validation inside each outer training set, then score it on the rows outside.

    The best mean of a plain cross-validation is optimistic, since the same rows chose it. Here the rows that score
    have had no part in the choice. All inner runs of all outer folds are one population.

    Args:
        build: as in `cross_validate`; the recipes neither stop early nor restore their best epoch, which would be
            chosen by the rows that score.
        hyperparameters, data, key, batch_size, placement, progress: as in `cross_validate`.
        epochs: of the recipes that have none of their own; or `budget(epochs, seconds=..., retries=...)`. When its time
            is over, each outer fold chooses among the settings that came furthest, and the run that scores is as long
            as those of the setting were; it is made after the time, too.
        outer: a number of outer folds, pairs of rows, or `resampling(5, prepare=..., repeats=...)`.
        inner: number of inner folds.

    Returns:
        Nested: `scores["accuracy"].mean()` is the estimate.

    Source: Cawley and Talbot 2010.

    Raises:
        InputError: an argument is wrong, or shapes, labels or values of the data are.
    """
    epochs, allowance = started(epochs)
    check_key("nested_cross_validate", key)
    check_integer("nested_cross_validate", "inner", inner, 2)
    scored_on = as_resampling("nested_cross_validate", "outer", outer)
    targets = jax.tree.map(np.asarray, as_batch("nested_cross_validate", "data", data).y)
    outside = fold_rows("nested_cross_validate", scored_on.folds, targets, fold_name(key, "outer"))
    inside = []
    for number, (rows, _) in enumerate(outside):
        drawn = jax.random.fold_in(fold_name(key, "inner"), number)
        own_targets = jax.tree.map(lambda a, r=rows: a[r], targets)
        pairs = fold_rows("nested_cross_validate", inner, own_targets, drawn)
        inside += [(rows[train], rows[tested]) for train, tested in pairs]

    named, within = "nested_cross_validate", scored_on._replace(folds=inside)
    search = Search(named, build, data, within, key, epochs, batch_size, placement, progress, allowance)
    trials = Trials(search, hyperparameters, whole_runs=True)
    with trials.watched():
        train_in_turn(trials)
        figures = trials.figures()
    if trials.trainer.interrupted and not trials.trainer.stopped:
        raise KeyboardInterrupt  # half an inner search chooses nothing
    whole = trials.table(figures, trials.rounds())
    each = len(inside) // len(outside)
    tables = []
    for number in range(len(outside)):
        part = slice(number * each, (number + 1) * each)
        repeats = np.arange(trials.repeats) % len(inside)
        mine = np.flatnonzero((repeats >= part.start) & (repeats < part.stop))
        scores = {name: values[:, mine] for name, values in whole.scores.items()}
        epochs_run = whole.epochs[:, mine]
        tables.append(Table(whole.hyperparameters, scores, whole.monitor, whole.mode, epochs_run, whole.rounds))
    for number, table in enumerate(tables if trials.trainer.stopped else ()):
        if not np.isfinite(table.mean[table.monitor][table.order[0]]):
            expected = "enough for the scores of one setting in each outer fold"
            fail("nested_cross_validate", "seconds of the budget", expected, f" none in fold {number}")
    chosen = [table.best for table in tables]
    columns = {name: [setting[name] for setting in chosen] for name in whole.hyperparameters}
    last = search._replace(
        scored_on=scored_on._replace(folds=outside),
        key=fold_name(key, "final"),
        allowance=allowance._replace(deadline=math.inf),
    )
    final = Trials(last, columns, whole_runs=True)
    own = np.arange(final.repeats) % len(outside)  # each outer fold trains its own setting only
    row = np.arange(len(outside)) if columns else np.zeros(len(outside), int)
    diagonal = np.concatenate([row[o] * final.repeats + np.flatnonzero(own == o) for o in range(len(outside))])
    until = final.epochs[diagonal]
    if trials.trainer.stopped:
        taken = np.array([math.ceil(table.epochs[table.best_index].mean()) for table in tables])
        until = taken[own[diagonal % final.repeats]]
    with final.watched():
        final.train_members(diagonal, until)
        found = final.figures()
    if final.trainer.interrupted:
        raise KeyboardInterrupt
    final.warn(found, diagonal)
    scores = {
        name: np.array([values[row[o], own == o].mean() for o in range(len(outside))]) for name, values in found.items()
    }
    return Nested(scores, chosen, tables)
