"""Successive halving: all settings train a little, the better ones train on, until few train to the end."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence

import numpy as np

from jaxann.core.checks import check_integer, fail
from jaxann.core.typing import Key
from jaxann.train.grouping import Build
from jaxann.train.placement import Placement
from jaxann.tune.budget import Budget, retried, whole_epochs
from jaxann.tune.enqueue import Enqueued, Settings
from jaxann.tune.on_host import on_host
from jaxann.tune.resampling import Resampling, as_resampling
from jaxann.tune.search import Search
from jaxann.tune.storage import open_storage
from jaxann.tune.table import Table
from jaxann.tune.trials import Trials

__all__ = ["halving", "run_rungs", "rungs"]


def rungs(epochs: int, *, factor: int = 3, min_epochs: int = 1) -> list[int]:
    """Epochs at which settings are compared: epochs / factor^k, down to `min_epochs`, rising; the last is `epochs`."""
    check_integer("halving", "epochs", epochs)
    check_integer("halving", "factor", factor, 2)
    check_integer("halving", "min_epochs", min_epochs)
    if min_epochs > epochs:
        fail("halving", "min_epochs", f"at most epochs ({epochs})", min_epochs)
    found = [epochs]
    while found[-1] // factor >= min_epochs:
        found.append(found[-1] // factor)
    return found[::-1]


@on_host
@retried
def halving(
    build: Build,
    hyperparameters: Settings | Enqueued,
    data: tuple,
    *,
    key: Key,
    epochs: int | Budget,
    validation: tuple | Resampling,
    batch_size: int | None = None,
    factor: int = 3,
    min_epochs: int | None = None,
    placement: Placement | None = None,
    progress: bool = False,
    storage: str | os.PathLike[str] | None = None,
) -> Table:
    """Successive halving over settings, every setting on a validation set or on all folds.

    All n settings train for `min_epochs`; the best ceil(n / factor) train on to `factor` times as many, and so on;
    those left at the end train for all `epochs`. A run goes on from where it stood: nothing is trained twice, and a
    setting that reaches the end has trained exactly as in `cross_validate`. A round costs about as much as any other,
    so the whole costs (rounds / n) of the grid at best.

    Args:
        build, hyperparameters, data, key: as in `cross_validate`.
        epochs: of the settings that train to the end; or `budget(epochs, seconds=..., retries=...)`.
        validation: what settings are compared on: `(x, y)`, or `resampling(folds=5)` for their mean over folds.
        batch_size, placement, progress, storage: as in `cross_validate`.
        factor: one in how many goes on.
        min_epochs: epochs before the first comparison; by default such that one setting is left at the end, or 1 where
            that would be less than an epoch.

    Returns:
        Table: each setting with its scores when it was last compared; `table.epochs` says when. Settings that trained
        longer rank first: scores after different numbers of epochs are not compared.

    Source: Jamieson and Talwalkar 2016; Li et al. 2018.

    Raises:
        InputError: an argument is wrong, or shapes, labels or values of the data are.
    """
    epochs, allowance = whole_epochs("halving", epochs)
    # its checks, before anything is compiled
    rungs(epochs, factor=factor, min_epochs=1 if min_epochs is None else min_epochs)
    scored_on = as_resampling("halving", "validation", validation)
    search = Search("halving", build, data, scored_on, key, epochs, batch_size, placement, progress, allowance)
    kept = open_storage(search, storage, hyperparameters, others={"factor": factor, "min_epochs": min_epochs})
    trials = Trials(search, hyperparameters)
    if min_epochs is None:  # as many rounds as it takes to leave one
        left, rounds = trials.count, 0
        while left > 1:
            left, rounds = math.ceil(left / factor), rounds + 1
        min_epochs = max(1, epochs // factor**rounds)
    steps = rungs(epochs, factor=factor, min_epochs=min_epochs)
    trials.keep(kept)
    with trials.watched():
        figures, reached = run_rungs(trials, np.arange(trials.count), steps, factor)
    return trials.table(figures, reached)


def run_rungs(
    trials: Trials, settings: np.ndarray, steps: Sequence[int], factor: int
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Halve `settings` at each of `steps`.

    Returns:
        Each setting's figures when it was last compared, NaN for settings that are not among these; and the number of
        that step, `(settings,)`: -1, with the figures of now, where the search was ended before the first.
    """
    last: dict[str, np.ndarray] = {}
    reached = np.full(trials.count, -1)
    alive = np.asarray(settings)
    for number, until in enumerate(steps):
        trials.train(alive, until)
        now = trials.figures(alive)
        last = last or {name: np.full_like(values, np.nan) for name, values in now.items()}
        there = alive[trials.reached(alive, until)]  # after Ctrl-C perhaps not all
        for name, values in now.items():
            scored = there if number else alive
            last[name][scored] = values[scored]
        reached[there] = number
        if trials.trainer.interrupted or number == len(steps) - 1:
            break
        order = alive[np.argsort(trials.score(now)[alive], kind="stable")]
        keep = max(1, math.ceil(len(alive) / factor))
        trials.release(order[keep:])
        alive = np.sort(order[:keep])
    return last, reached
