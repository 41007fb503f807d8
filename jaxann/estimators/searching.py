"""Settings of an estimator searched for by cross-validation, all of them and all folds as one population."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from sklearn.base import clone, is_classifier
from sklearn.utils import check_random_state

from jaxann.core.checks import check_choice, check_integer, fail
from jaxann.core.products import Layer
from jaxann.estimators.inputs import Rows
from jaxann.estimators.nets import Net
from jaxann.metrics import of_mean, of_mean_softmax, streaming
from jaxann.train import early_stopping
from jaxann.train.recipe import Recipe
from jaxann.train.run import Status

if TYPE_CHECKING:
    from jaxann import tune
    from jaxann.tune.enqueue import Dimensions

__all__ = ["search_settings"]

_FIXED = ("class_weight", "early_stopping", "loss", "members", "observers", "power", "quantiles", "random_state",
          "scale_target", "validation_fraction", "verbose", "warm_start")  # fmt: skip


def search_settings(
    estimator: Any, space: Dimensions, X: Any, y: Any, weights: Any, *, trials: int, folds: int
) -> tuple[dict[str, Any], tune.Table, list[Net]]:
    """The best settings, the table of all, and the net trained by the best on all rows.

    Args:
        estimator: whose arguments are searched; it knows its classes or units afterwards.
        space: from argument to a dimension of `ja.tune`.
        X, y, weights: as in `fit`.
        trials: how many settings are drawn.
        folds: how many folds each is scored on.

    Raises:
        InputError: a name is no argument that can be searched.
    """
    name = type(estimator).__name__
    for argument, number in {"trials": trials, "folds": folds}.items():
        check_integer(name, argument, number, 1 if argument == "trials" else 2)
    if estimator.members not in (1, None):
        fail(name, "members", "1 in a search; fit has several", estimator.members)
    if not isinstance(space, Mapping) or not space:
        hint = '{"alpha": ja.tune.log_uniform(1e-6, 1e-1)}'
        fail(name, "space", "a dict from arguments to dimensions of ja.tune", space, hint=hint)
    free = [argument for argument in estimator.get_params(deep=False) if argument not in _FIXED]
    for argument in space:
        check_choice(name, "each argument of space", argument, free)
    key = jax.random.key(check_random_state(estimator.random_state).randint(2**31 - 1))
    from jaxann import tune  # which who does not search need not load

    settings = tune.random(space, trials, key=key)
    rows, _, loss, width, score = estimator._data(X, y, weights, None)
    score = streaming.accuracy() if is_classifier(estimator) and score is None else score
    known = {key: value for key, value in vars(estimator).items() if key[0] == "_" or key[-1] == "_"}
    share = rows[np.arange(len(rows) - len(rows) // folds)]

    def build(hyper: dict[str, Any]) -> Recipe:
        own: Any = clone(estimator)
        own.set_params(**hyper)
        vars(own).update(known)
        own._check()
        made, epochs, batch = own._planned(share, loss, width, None, held=len(rows) - len(share))
        patience = made.stopping.patience if made.stopping is not None else None
        monitor = "validation_loss" if score is None else "validation_score"
        return made.replace(
            metrics={} if score is None else {"score": _of_members(score, made.model, share, width)},
            stopping=early_stopping(patience, monitor=monitor),
            batch_size=batch,
            epochs=epochs,
        )

    pairs: Any = folds
    if estimator._strata(rows.y) is not None and is_classifier(estimator):
        pairs = tune.stratified_k_fold(estimator._strata(rows.y).astype(np.int32), folds, key=key)
    table = tune.cross_validate(build, settings, _data(rows), key=key, folds=pairs, refit=True)
    if table.refitted is None:
        fail(name, "space", "one with a setting whose training ends in finite scores", " none")
    done = table.refitted
    model = build(table.best).model
    history = {column: np.asarray(values) for column, values in done.history.items()}
    params, state = jax.device_get((done.params, done.state))
    net = Net(model, params, state, history, int(done.epochs_run), Status.STOPPED, None)
    return table.best, table, [net]


def _of_members(score: Any, model: Layer, rows: Rows, width: int) -> Any:
    """The score of the mean of the members inside a net, where it has any: its output is `(rows, members, width)`."""
    params, state = jax.eval_shape(lambda: model.init(jax.random.key(0), rows.x))
    shape = jax.eval_shape(lambda p, s: model.apply(p, s, rows.x)[0], params, state).shape
    if len(shape) < 3:
        return score
    return of_mean_softmax(score) if width > 1 and rows.y.ndim == 1 else of_mean(score)


def _data(rows: Rows) -> tuple:
    return (rows.x, rows.y) if rows.weights is None else (rows.x, rows.y, rows.weights.astype(np.float32))
