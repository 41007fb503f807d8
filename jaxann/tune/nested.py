"""Nested cross-validation: an honest estimate of what choosing by cross-validation gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxann.core.checks import check_key
from jaxann.core.keys import fold_name
from jaxann.core.typing import Key
from jaxann.train.inputs import as_data
from jaxann.train.population import warn_diverged
from jaxann.tune.table import Table
from jaxann.tune.trial_data import fold_rows
from jaxann.tune.trials import Trials, search_settings

__all__ = ["Nested", "nested_cross_validate"]


class Nested(NamedTuple):
    """What `nested_cross_validate` returns."""

    scores: dict[str, np.ndarray]  # name to (outer folds,), of the chosen settings on rows nothing was chosen by
    chosen: list[dict[str, Any]]  # the setting of each outer fold
    tables: list[Table]  # the inner search of each outer fold


def nested_cross_validate(
    build: Callable[[dict[str, Any]], tuple],
    hypers: Mapping[str, Any],
    data: Any,
    *,
    key: Key,
    epochs: int,
    outer: Any = 5,
    inner: int = 4,
    **settings: Any,
) -> Nested:
    """Choose a setting by cross-validation inside each outer training set, then score it on the outer rows held out.

    The best mean of a plain cross-validation is optimistic, since the same rows chose it. Here the rows that score
    have had no part in the choice. All inner runs of all outer folds are one population.

    Args:
        build, hypers, data, key, epochs: as in `cross_validate`.
        outer: a number of outer folds, or pairs of rows.
        inner: number of inner folds.
        settings: further settings of `cross_validate`, those of early stopping excepted.

    Returns:
        Nested: `scores["accuracy"].mean()` is the estimate.

    Source: Cawley and Talbot 2010.

    Raises:
        InputError: an argument is wrong, or shapes, labels or values of the data are.
    """
    check_key("nested_cross_validate", key)
    common = search_settings("nested_cross_validate", settings)
    checked = as_data("nested_cross_validate", "data", data)
    targets = np.asarray(checked[1])
    outside = fold_rows("nested_cross_validate", outer, targets, fold_name(key, "outer"))
    inside = []
    for number, (rows, _) in enumerate(outside):
        drawn = jax.random.fold_in(fold_name(key, "inner"), number)
        pairs = fold_rows("nested_cross_validate", inner, targets[rows], drawn)
        inside += [(rows[train], rows[held]) for train, held in pairs]
    trials = Trials("nested_cross_validate", build, hypers, data, validation=None, folds=inside, key=key,
                    epochs=epochs, **common)  # fmt: skip
    with trials.watched():
        trials.train(np.arange(trials.settings))
        figures = trials.figures()
    if trials.fleet.interrupted:
        raise KeyboardInterrupt  # half an inner search chooses nothing
    whole = trials.table(figures)
    each = len(inside) // len(outside)
    tables = []
    for number in range(len(outside)):
        part = slice(number * each, (number + 1) * each)
        repeats = np.arange(trials.repeats) % len(inside)
        mine = np.flatnonzero((repeats >= part.start) & (repeats < part.stop))
        scores = {name: values[:, mine] for name, values in whole.scores.items()}
        tables.append(Table(whole.hypers, scores, whole.monitor, whole.mode, whole.epochs[:, mine]))
    chosen = [table.best for table in tables]
    columns = {name: [setting[name] for setting in chosen] for name in hypers}
    final = Trials("nested_cross_validate", build, columns, data, validation=None, folds=outside,
                   key=fold_name(key, "final"), epochs=epochs, **common)  # fmt: skip
    own = np.arange(final.repeats) % len(outside)  # each outer fold trains its own setting only
    row = np.arange(len(outside)) if columns else np.zeros(len(outside), int)
    diagonal = np.concatenate([row[o] * final.repeats + np.flatnonzero(own == o) for o in range(len(outside))])
    with final.watched():
        final.fleet.train(diagonal, final.epochs[diagonal], final.bar.watch)
        found = final.figures()
    if final.fleet.interrupted:
        raise KeyboardInterrupt
    warn_diverged("nested_cross_validate", np.isnan(found["loss"].reshape(-1)[diagonal]))
    scores = {
        name: np.array([values[row[o], own == o].mean() for o in range(len(outside))]) for name, values in found.items()
    }
    return Nested(scores, chosen, tables)
