"""Hyperband: several successive halvings that weigh many short runs against few long ones."""

from __future__ import annotations

import os

import numpy as np

from jaxann.core.checks import check_integer, check_key, fail
from jaxann.core.keys import fold_name
from jaxann.core.typing import Key
from jaxann.train.grouping import Build
from jaxann.train.placement import Placement
from jaxann.tune.budget import Budget, retried, whole_epochs
from jaxann.tune.enqueue import Dimensions, Enqueued
from jaxann.tune.halving import run_rungs
from jaxann.tune.known import check_places
from jaxann.tune.on_host import on_host
from jaxann.tune.resampling import Resampling, as_resampling
from jaxann.tune.samplers import random
from jaxann.tune.search import Search
from jaxann.tune.space import read_space
from jaxann.tune.storage import open_storage
from jaxann.tune.table import Table
from jaxann.tune.trials import Trials

__all__ = ["brackets", "hyperband"]


def brackets(epochs: int, *, factor: int = 3) -> list[tuple[int, int]]:
    """Hyperband's brackets `(settings, epochs before the first comparison)`, the one with most settings first.

        s_max = floor(log_factor epochs);  for s = s_max..0:  n = ceil((s_max + 1) factor^s / (s + 1)),
        r = epochs / factor^s

    in whole numbers, so that no logarithm is rounded the wrong way: 81 epochs and factor 3 give (81, 1), (34, 3),
    (15, 9), (8, 27), (5, 81). Source: Li et al. 2018.
    """
    check_integer("hyperband", "epochs", epochs)
    check_integer("hyperband", "factor", factor, 2)
    most = 0
    while factor ** (most + 1) <= epochs:
        most += 1
    found = []
    for s in range(most, -1, -1):
        size = -(-(most + 1) * factor**s // (s + 1))
        found.append((size, max(1, epochs // factor**s)))
    return found


@on_host
@retried
def hyperband(
    build: Build,
    space: Dimensions | Enqueued,
    data: tuple,
    *,
    key: Key,
    epochs: int | Budget,
    validation: tuple | Resampling,
    batch_size: int | None = None,
    factor: int = 3,
    placement: Placement | None = None,
    progress: bool = False,
    storage: str | os.PathLike[str] | None = None,
) -> Table:
    """Hyperband over a search space: each bracket draws settings and halves them, from many short to few long runs.

    All brackets are one population. Successive halving alone must guess how many epochs tell good from bad; the
    brackets try every guess, at `s_max + 1` times the cost of one.

    Args:
        build, data, key, validation, batch_size, placement, progress, storage: as in `halving`.
        space: name to dimension, see `uniform`, `log_uniform`, `integer`, `choice`, `conditional`; `enqueue` puts
            known settings before those that are drawn, into the first bracket.
        epochs: of the settings that train to the end; or `budget(epochs, seconds=..., retries=...)`.
        factor: one in how many goes on.

    Returns:
        Table: as `halving`, with the number of its bracket in column `bracket`.

    Source: Li et al. 2018.

    Raises:
        InputError: an argument is wrong, or shapes, labels or values of the data are.
    """
    check_key("hyperband", key)
    epochs, allowance = whole_epochs("hyperband", epochs)
    rounds_of = brackets(epochs, factor=factor)
    known = read_space("hyperband", space)
    if "bracket" in known.dimensions:
        fail("hyperband", "space", "without a dimension named 'bracket', which is the table's", space)
    sizes = [size for size, _ in rounds_of]
    check_places("hyperband", space, sum(sizes))
    drawn = random(space, sum(sizes), key=fold_name(key, "settings"))
    scored_on = as_resampling("hyperband", "validation", validation)
    search = Search("hyperband", build, data, scored_on, key, epochs, batch_size, placement, progress, allowance)
    kept = open_storage(search, storage, drawn, space=known, others={"factor": factor})
    trials = Trials(search, drawn)
    figures: dict[str, np.ndarray] = {}
    rounds = np.zeros(trials.count, int)
    trials.keep(kept)
    with trials.watched():
        ends = np.cumsum(sizes)
        for (size, shortest), end in zip(rounds_of, ends, strict=True):
            steps = [shortest]
            while steps[-1] * factor <= epochs:
                steps.append(steps[-1] * factor)
            steps[-1] = epochs
            chosen = np.arange(end - size, end)
            found, reached = run_rungs(trials, chosen, steps, factor)
            figures = figures or {name: np.full_like(values, np.nan) for name, values in found.items()}
            for name, values in found.items():
                figures[name][chosen] = values[chosen]
            rounds[chosen] = np.array([*steps, 0])[reached[chosen]]  # 0 for -1: none reached
            if trials.trainer.interrupted:
                break
    trials.hyperparameters["bracket"] = [number for number, size in enumerate(sizes) for _ in range(size)]
    return trials.table(figures, rounds)
