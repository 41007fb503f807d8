"""What the models of a cross-validation say of the rows they did not train on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from jaxann.core.typing import Predictions
from jaxann.train.predict_members import predict_members
from jaxann.train.run import Status
from jaxann.train.trainer import Ended
from jaxann.tune.trials import Trials

__all__ = ["out_of_fold_predictions"]

_BATCH = 1024  # rows at a time, as `predict`


def out_of_fold_predictions(trials: Trials, ended: Sequence[Ended], rows: int) -> Predictions:
    """`(settings, rows, ...)`: each row's predictions by the models that did not train on it, their mean if several.

    NaN for a row that no fold held out, and of runs that diverged or had not begun.

    Args:
        trials: what was trained, on folds.
        ended: what became of the members, for each group.
        rows: of the data.
    """
    assert trials.pairs is not None
    x = jax.tree.map(np.asarray, trials.inputs)
    sums, counts = None, np.zeros(rows)
    for repeat in range(trials.repeats):
        _, held = trials.pairs[repeat % len(trials.pairs)]
        own = jax.tree.map(lambda a, r=held: a[r], x)
        found = jax.tree.map(np.asarray, _predicted(trials, ended, repeat, own))
        if sums is None:
            sums = jax.tree.map(lambda a: np.zeros((trials.count, rows, *a.shape[2:]), _floating(a.dtype)), found)
        places = np.asarray(held) if trials.source is None else trials.source[held]
        jax.tree.map(lambda total, a, p=places: _add(total, a, p), sums, found)
        counts[places] += 1
    return jax.tree.map(lambda total: _mean(total, counts), sums)


def _predicted(trials: Trials, ended: Sequence[Ended], repeat: int, x: Any) -> Any:
    """`(settings, rows of x, ...)` of the models of one repeat, NaN for those that are none."""
    groups, bad = [], np.zeros(trials.count, bool)
    for group, end in zip(trials.trainer.groups, ended, strict=True):
        chosen = np.flatnonzero(group.members % trials.repeats == repeat)
        if len(chosen):
            leaves, params, state = jax.tree.map(lambda a, c=chosen: a[c], (group.leaves, end.params, end.state))
            settings = group.members[chosen] // trials.repeats
            groups.append((group._replace(leaves=leaves, members=settings), params, state))
            bad[settings] = (end.status[chosen] == Status.DIVERGED) | (end.epochs_run[chosen] == 0)
    found = predict_members(groups, trials.count, x, _BATCH)
    return jax.tree.map(lambda a: _without(np.asarray(a), bad), found)


def _without(predictions: np.ndarray, bad: np.ndarray) -> np.ndarray:
    """Predictions in floating point, NaN of the bad settings."""
    predictions = predictions.astype(_floating(predictions.dtype))
    predictions[bad] = np.nan
    return predictions


def _floating(dtype: Any) -> Any:
    return dtype if jax.dtypes.issubdtype(dtype, np.floating) else np.float32


def _add(total: np.ndarray, predictions: np.ndarray, places: np.ndarray) -> None:
    total[:, places] += predictions  # a fold has no row twice


def _mean(total: np.ndarray, counts: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return total / counts.astype(total.dtype).reshape(-1, *(1,) * (total.ndim - 2))
