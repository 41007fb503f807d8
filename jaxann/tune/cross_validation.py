"""Cross-validation of many settings at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import jax
import numpy as np

from jaxann.core.typing import Key
from jaxann.train.grouping import Build
from jaxann.train.placement import Placement
from jaxann.tune.resampling import Pairs, Resampling, as_resampling
from jaxann.tune.table import Table
from jaxann.tune.trials import Trials

__all__ = ["cross_validate"]


def cross_validate(
    build: Build,
    hyperparameters: Mapping[str, Sequence | np.ndarray | jax.Array],
    data: tuple,
    *,
    key: Key,
    epochs: int | None = None,
    batch_size: int | None = None,
    folds: int | Pairs | Resampling = 5,
    placement: Placement | None = None,
    progress: bool = False,
) -> Table:
    """Train every setting on every fold, all in one population, and score each on the validation rows of its fold.

        table = cross_validate(build, {"learning_rate": [1e-3, 1e-2]}, (x, y), folds=5, key=key, epochs=50)
        table.mean["accuracy"], table.std["accuracy"], table.best

    Scores are the validation loss and the metrics of the recipes. Settings are ranked by what the recipes monitor, the
    validation loss unless their `stopping` says otherwise. Early stopping, and going back to the best epoch, look at
    the very rows that score: the score is then that of the best epoch, and optimistic. To rank by accuracy and do
    neither, give the recipe

        stopping=ja.train.early_stopping(None, monitor="validation_accuracy", mode="max", restore_best=False)

    Args:
        build: `hyperparameters -> recipe`, as in `train.fit_population`.
        hyperparameters: name to one value a setting.
        data: `(x, y)` or `(x, y, weights)`.
        key: all settings of a fold share its keys, so that they differ in nothing but themselves.
        epochs, batch_size: of the recipes that have none of their own.
        folds: a number (rows dealt out at random, class by class where y is whole numbers on one axis);
            `(train rows, validation rows)` pairs: see `k_fold`, `stratified_k_fold`, `grouped_k_fold`,
            `time_series_split`; or `resampling(5, prepare=..., repeats=...)`, with what is learnt from each fold's
            training rows, and how many runs each fold has.
        placement, progress: as in `train.fit_population`.

    Returns:
        Table: `scores[name]` `(settings, folds * repeats)`; a member that diverged has NaN, and its setting ranks last.

    Raises:
        InputError: an argument is wrong, or shapes, labels or values of the data are.
    """
    trials = Trials(
        "cross_validate",
        build,
        hyperparameters,
        data,
        scored_on=as_resampling("cross_validate", "folds", folds),
        key=key,
        epochs=epochs,
        batch_size=batch_size,
        placement=placement,
        progress=progress,
    )
    with trials.watched():
        trials.train(np.arange(trials.count))
        figures = trials.figures()
    return trials.table(figures)
