"""Cross-validation of many settings at once."""

from __future__ import annotations

import dataclasses
import os

from jaxann.core.checks import check_flag, fail
from jaxann.core.typing import Key
from jaxann.train.batches import example_count
from jaxann.train.grouping import Build
from jaxann.train.placement import Placement
from jaxann.tune.budget import Budget, retried, started
from jaxann.tune.enqueue import Enqueued, Settings
from jaxann.tune.in_turn import train_in_turn
from jaxann.tune.on_host import on_host
from jaxann.tune.out_of_fold import out_of_fold_predictions
from jaxann.tune.refit import refitted
from jaxann.tune.resampling import Pairs, Resampling, as_resampling
from jaxann.tune.search import Search
from jaxann.tune.storage import open_storage
from jaxann.tune.table import Table
from jaxann.tune.trials import Trials

__all__ = ["cross_validate"]


@on_host
@retried
def cross_validate(
    build: Build,
    hyperparameters: Settings | Enqueued,
    data: tuple,
    *,
    key: Key,
    epochs: int | Budget | None = None,
    batch_size: int | None = None,
    folds: int | Pairs | Resampling = 5,
    placement: Placement | None = None,
    progress: bool = False,
    out_of_fold: bool = False,
    refit: bool = False,
    storage: str | os.PathLike[str] | None = None,
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
        hyperparameters: name to one value a setting; `enqueue` puts known settings before them.
        data: `(x, y)` or `(x, y, weights)`.
        key: all settings of a fold share its keys, so that they differ in nothing but themselves.
        epochs, batch_size: of the recipes that have none of their own; `budget(epochs, seconds=..., retries=...)`
            bounds the time of the search, and lets runs that diverge begin again.
        folds: a number (rows dealt out at random, class by class where y is whole numbers on one axis);
            `(train rows, validation rows)` pairs: see `k_fold`, `stratified_k_fold`, `grouped_k_fold`,
            `time_series_split`; or `resampling(5, prepare=..., repeats=...)`, with what is learnt from each fold's
            training rows, and how many runs each fold has.
        placement, progress: as in `train.fit_population`.
        out_of_fold: whether the table has each row's predictions by the model that did not train on it:
            `table.out_of_fold` `(settings, rows, ...)` in the order of the data, as `predict` gives them (logits of a
            classifier). The mean of several where repeats or folds hold a row out more than once; NaN where none does
            (the first rows of a `time_series_split`), and of a run that diverged.
        refit: whether the best setting is trained once more, on all data: `table.refitted`, a `Result` as `fit` returns
            it, with the key `fold_name(key, "refit")`, what `prepare` learns from all rows, and no validation set. It
            takes all epochs, or where runs stop early or restore their best epoch as many as those of that setting took
            to the weights that were scored (their mean). After the time of a budget, too; None after Ctrl-C, or where
            no setting has finite scores.
        storage: a folder in which the search keeps how far it is; the same call goes on from there, and gives what
            it would have given uninterrupted. Another definition (settings, data, folds, key, recipe, ...) is refused.

    Returns:
        Table: `scores[name]` `(settings, folds * repeats)`; a member that diverged has NaN, and its setting ranks last.

    Peers: scikit-learn's `cross_validate`, `cross_val_predict` (which refuses folds that are no partition) and
    `GridSearchCV(refit=True)`.

    Raises:
        InputError: an argument is wrong, or shapes, labels or values of the data are.
    """
    epochs, allowance = started(epochs)
    scored_on = as_resampling("cross_validate", "folds", folds)
    check_flag("cross_validate", "out_of_fold", out_of_fold)
    check_flag("cross_validate", "refit", refit)
    if out_of_fold and scored_on.folds is None:
        fail("cross_validate", "folds", "given where out_of_fold is True", " a validation set")
    search = Search("cross_validate", build, data, scored_on, key, epochs, batch_size, placement, progress, allowance)
    kept = open_storage(search, storage, hyperparameters)
    trials = Trials(search, hyperparameters)
    trials.keep(kept)
    with trials.watched():
        train_in_turn(trials)
        figures = trials.figures()
    table = trials.table(figures, trials.rounds())
    if not (out_of_fold or refit):
        return table
    ended = trials.trainer.ended()
    return dataclasses.replace(
        table,
        out_of_fold=out_of_fold_predictions(trials, ended, example_count(data[0])) if out_of_fold else None,
        refitted=refitted(trials, ended, table) if refit else None,
    )
