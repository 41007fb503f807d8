"""Hyperband: several successive halvings that weigh many short runs against few long ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from jaxann.core.checks import check_integer, check_key, fail
from jaxann.core.keys import fold_name
from jaxann.core.typing import Key
from jaxann.tune.halving import run_rungs
from jaxann.tune.samplers import random
from jaxann.tune.space import read_space
from jaxann.tune.table import Table
from jaxann.tune.trials import Trials, search_settings

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
        settings = -(-(most + 1) * factor**s // (s + 1))
        found.append((settings, max(1, epochs // factor**s)))
    return found


def hyperband(
    build: Callable[[dict[str, Any]], tuple],
    space: Mapping[str, Any],
    data: Any,
    *,
    key: Key,
    epochs: int,
    validation: Any = None,
    folds: Any = None,
    factor: int = 3,
    **settings: Any,
) -> Table:
    """Hyperband over a search space: each bracket draws settings and halves them, from many short to few long runs.

    All brackets are one population. Successive halving alone must guess how many epochs tell good from bad; the
    brackets try every guess, at `s_max + 1` times the cost of one.

    Args:
        build, data, key, validation, folds: as in `halving`.
        space: name to dimension, see `uniform`, `log_uniform`, `integer`, `choice`, `conditional`.
        epochs: of the settings that train to the end.
        factor: one in how many goes on.
        settings: further settings of `halving`: `seeds`, `prepare`, `batch_size`, `metrics`, `monitor`, `mode`,
            `shuffle`, `evaluation_batch_size`, `compute_dtype`, `on_nonfinite`, `penalty`, `augment`,
            `devices`, `lanes`, `progress`.

    Returns:
        Table: as `halving`, with the number of its bracket in column `bracket`.

    Source: Li et al. 2018.

    Raises:
        InputError: an argument is wrong, or shapes, labels or values of the data are.
    """
    check_key("hyperband", key)
    plan = brackets(epochs, factor=factor)
    if "bracket" in read_space("hyperband", space).dimensions:
        fail("hyperband", "space", "without a dimension named 'bracket', which is the table's", space)
    sizes = [size for size, _ in plan]
    drawn = random(space, sum(sizes), key=fold_name(key, "settings"))
    trials = Trials(
        "hyperband",
        build,
        drawn,
        data,
        validation=validation,
        folds=folds,
        key=key,
        epochs=epochs,
        **search_settings("hyperband", settings),
    )
    figures: dict[str, np.ndarray] = {}
    rounds = np.zeros(trials.settings, int)
    with trials.watched():
        ends = np.cumsum(sizes)
        for (size, least), end in zip(plan, ends, strict=True):
            steps = [least]
            while steps[-1] * factor <= epochs:
                steps.append(steps[-1] * factor)
            steps[-1] = epochs
            chosen = np.arange(end - size, end)
            found, reached = run_rungs(trials, chosen, steps, factor)
            figures = figures or {name: np.full_like(values, np.nan) for name, values in found.items()}
            for name, values in found.items():
                figures[name][chosen] = values[chosen]
            rounds[chosen] = np.array(steps)[reached[chosen]]
            if trials.fleet.interrupted:
                break
    trials.hypers["bracket"] = [number for number, size in enumerate(sizes) for _ in range(size)]
    return trials.table(figures, rounds)
