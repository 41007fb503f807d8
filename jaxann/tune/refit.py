"""The best setting of a search, trained on all data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jaxann.core.errors import DivergedError, DivergedWarning
from jaxann.core.keys import fold_name
from jaxann.core.notices import notify
from jaxann.train.fit import fit
from jaxann.train.grouping import built_recipe
from jaxann.train.run import Result
from jaxann.train.trainer import Ended
from jaxann.tune.table import Table
from jaxann.tune.trial_data import prepared_data
from jaxann.tune.trials import Trials

__all__ = ["refitted"]


def refitted(trials: Trials, ended: Sequence[Ended], table: Table) -> Result | None:
    """The result of `fit` with the best setting on all data; None where no setting has finite scores, or after Ctrl-C.

    There is no validation set, so it stops after as many epochs as the runs of that setting took to the weights they
    returned, their mean.
    """
    stopped_by_hand = trials.trainer.interrupted and not trials.trainer.stopped
    if stopped_by_hand or not np.isfinite(table.mean[table.monitor][table.order[0]]):
        return None
    search = trials.search
    recipe = built_recipe(search.function, search.build, table.best)
    x, y, weights = prepared_data(search.function, search.data, search.scored_on.prepare)
    try:
        return fit(
            recipe.replace(stopping=None, epochs=None),
            (x, y) if weights is None else (x, y, weights),
            key=fold_name(search.key, "refit"),
            epochs=_epochs(trials, ended, trials.members(np.array([table.best_index]))),
            batch_size=search.batch_size if recipe.batch_size is None else None,
            progress=search.progress,
        )
    except DivergedError:
        message = f"{trials.function}: the first step on all data was not finite; there is no refitted model."
        notify(message, DivergedWarning)
        return None


def _epochs(trials: Trials, ended: Sequence[Ended], members: np.ndarray) -> int:
    """Epochs to the weights that were returned, the mean over some members."""
    found = []
    for group, end in zip(trials.trainer.groups, ended, strict=True):
        mine = np.isin(group.members, members)
        taken = end.epochs_run if group.recipe.stops_early else group.epochs
        if group.recipe.restores_best:
            taken = np.where(end.best_epoch >= 0, end.best_epoch + 1, taken)
        found.append(taken[mine])
    return max(1, round(float(np.concatenate(found).mean())))
