"""Successive halving: all settings train a little, the better part trains on, until few train to the end."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from jaxann.core.checks import check_integer, fail
from jaxann.core.typing import Key
from jaxann.tune.table import Table
from jaxann.tune.trials import Trials, search_settings

__all__ = ["halving", "run_rungs", "rungs"]


def rungs(epochs: int, *, factor: int = 3, least: int = 1) -> list[int]:
    """Epochs at which settings are compared: epochs / factor^k, down to `least`, rising; the last is `epochs`."""
    check_integer("halving", "epochs", epochs)
    check_integer("halving", "factor", factor, 2)
    check_integer("halving", "least", least)
    if least > epochs:
        fail("halving", "least", f"at most epochs ({epochs})", least)
    found = [epochs]
    while found[-1] // factor >= least:
        found.append(found[-1] // factor)
    return found[::-1]


def halving(
    build: Callable[[dict[str, Any]], tuple],
    hypers: Mapping[str, Any],
    data: Any,
    *,
    key: Key,
    epochs: int,
    validation: Any = None,
    folds: Any = None,
    factor: int = 3,
    least: int | None = None,
    **settings: Any,
) -> Table:
    """Successive halving over settings, every setting on a validation set or on all folds.

    All n settings train for `least` epochs; the best ceil(n / factor) train on to `factor` times as many, and so on;
    those left at the end train for all `epochs`. A run goes on from where it stood: nothing is trained twice, and a
    setting that reaches the end has trained exactly as in `cross_validate`. A round costs about as much as any other,
    so the whole costs (rounds / n) of the grid at best.

    Args:
        build, hypers, data, key: as in `cross_validate`.
        epochs: of the settings that train to the end.
        validation: `(x, y)`; or
        folds: as in `cross_validate`; settings are compared by their mean over folds. One of the two is given.
        factor: one in how many goes on.
        least: epochs before the first comparison; by default such that one setting is left at the end, or 1 where
            that would be less than an epoch.
        settings: further settings of `cross_validate`: `prepare`, `seeds`, `batch_size`, `metrics`, `monitor`, `mode`,
            `shuffle`, `evaluation_batch_size`, `compute_dtype`, `on_nonfinite`, `penalty`, `augment`,
            `devices`, `lanes`, `progress`.

    Returns:
        Table: each setting with its scores when it was last compared; `table.epochs` says when. Settings that trained
        longer rank first: scores after different numbers of epochs are not compared.

    Source: Jamieson and Talwalkar 2016; Li et al. 2018.

    Raises:
        InputError: an argument is wrong, or shapes, labels or values of the data are.
    """
    rungs(epochs, factor=factor, least=1 if least is None else least)  # its checks, before anything is compiled
    trials = Trials(
        "halving",
        build,
        hypers,
        data,
        validation=validation,
        folds=folds,
        key=key,
        epochs=epochs,
        **search_settings("halving", settings),
    )
    if least is None:  # as many rounds as it takes to leave one
        left, rounds = trials.settings, 0
        while left > 1:
            left, rounds = math.ceil(left / factor), rounds + 1
        least = max(1, epochs // factor**rounds)
    steps = rungs(epochs, factor=factor, least=least)
    with trials.watched():
        figures, reached = run_rungs(trials, np.arange(trials.settings), steps, factor)
    return trials.table(figures, reached)


def run_rungs(
    trials: Trials, settings: np.ndarray, steps: Sequence[int], factor: int
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Halve `settings` at each of `steps`.

    Returns:
        Each setting's figures when it was last compared, NaN for settings that are not among these; and the number of
        that step, `(settings,)`.
    """
    last: dict[str, np.ndarray] = {}
    reached = np.zeros(trials.settings, int)
    alive = np.asarray(settings)
    for number, until in enumerate(steps):
        trials.train(alive, until)
        now = trials.figures(alive)
        last = last or {name: np.full_like(values, np.nan) for name, values in now.items()}
        there = alive[trials.reached(alive, until)]  # after Ctrl-C perhaps not all
        for name, values in now.items():
            last[name][there] = values[there]
        reached[there] = number
        if trials.fleet.interrupted or number == len(steps) - 1:
            break
        order = alive[np.argsort(trials.score(now)[alive], kind="stable")]
        keep = max(1, math.ceil(len(alive) / factor))
        trials.release(order[keep:])
        alive = np.sort(order[:keep])
    return last, reached
