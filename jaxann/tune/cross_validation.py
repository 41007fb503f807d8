"""Cross-validation of many settings at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from jaxann.core.products import Augment, Penalty
from jaxann.core.typing import Device, Key, Scalar
from jaxann.tune.table import Table
from jaxann.tune.trials import Trials

__all__ = ["cross_validate"]


def cross_validate(
    build: Callable[[dict[str, Any]], tuple],
    hypers: Mapping[str, Any],
    data: Any,
    *,
    key: Key,
    epochs: int,
    folds: Any = 5,
    prepare: Callable | None = None,
    seeds: int = 1,
    batch_size: int | None = None,
    metrics: Mapping[str, Any] | None = None,
    monitor: str = "validation_loss",
    mode: str = "min",
    patience: Scalar | None = None,
    min_delta: Scalar = 0.0,
    restore_best: bool | None = None,
    shuffle: bool = True,
    evaluation_batch_size: int = 2048,
    compute_dtype: str | None = None,
    on_nonfinite: str = "stop",
    penalty: Penalty | None = None,
    augment: Augment | tuple[Augment, ...] = (),
    devices: Sequence[Device] | None = None,
    lanes: int | str | None = None,
    progress: bool = False,
) -> Table:
    """Train every setting on every fold, all in one population, and score each on the rows its fold holds out.

        table = cross_validate(build, {"learning_rate": [1e-3, 1e-2]}, (x, y), folds=5, key=key, epochs=50,
                               metrics={"accuracy": ja.metrics.accuracy})
        table.mean["accuracy"], table.std["accuracy"], table.best

    With `patience`, what stops a run and picks its best epoch is the held-out fold itself: the score is then that of
    the best epoch, and as optimistic.

    Args:
        build, hypers: as in `train.fit_population`, one value of each hyper-parameter a setting.
        data: `(x, y)` or `(x, y, weights)`.
        key: all settings of a fold share its keys, so that they differ in nothing but themselves.
        epochs: for each run.
        folds: a number (rows dealt out at random, class by class where y is whole numbers on one axis), or
            `(train rows, validation rows)` pairs: see `k_fold`, `stratified_k_fold`, `grouped_k_fold`,
            `time_series_split`.
        prepare: `(x, y) -> (x -> x)`, learnt from the training rows of each fold alone, such as
            `lambda x, y: StandardScaler().fit(x).transform`.
        seeds: runs for each fold, with keys of their own.
        monitor, mode: what settings are ranked by ("validation_loss", or "validation_" and a metric), and whether
            "min" or "max" is better.
        batch_size, metrics, patience, min_delta, restore_best, shuffle, evaluation_batch_size, compute_dtype: as in
            `fit`. Metrics of the held-out rows; without patience they are computed once, at the end.
        on_nonfinite, penalty, augment, devices, lanes, progress: as in `train.fit_population`.

    Returns:
        Table: `scores[name]` `(settings, folds * seeds)`; a member that diverged has NaN, and its setting ranks last.

    Raises:
        InputError: an argument is wrong, or shapes, labels or values of the data are.
    """
    trials = Trials(
        "cross_validate",
        build,
        hypers,
        data,
        validation=None,
        folds=folds,
        prepare=prepare,
        key=key,
        seeds=seeds,
        epochs=epochs,
        curves=False,
        on_nonfinite=on_nonfinite,
        penalty=penalty,
        augment=augment,
        devices=devices,
        lanes=lanes,
        progress=progress,
        batch_size=batch_size,
        metrics=metrics,
        monitor=monitor,
        mode=mode,
        patience=patience,
        min_delta=min_delta,
        restore_best=restore_best,
        shuffle=shuffle,
        evaluation_batch_size=evaluation_batch_size,
        compute_dtype=compute_dtype,
    )
    with trials.watched():
        trials.train(np.arange(trials.settings))
        figures = trials.figures()
    return trials.table(figures)
