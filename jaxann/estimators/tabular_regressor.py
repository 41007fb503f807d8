"""Numbers of a raw table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sklearn.base import RegressorMixin

from jaxann.estimators.regression import NetworkRegressor
from jaxann.estimators.tabular import TabularEstimator

__all__ = ["TabularRegressor"]


class TabularRegressor(RegressorMixin, TabularEstimator, NetworkRegressor):
    """Numbers by the rows of a raw table: a DataFrame of numbers, texts, categories, dates, with missing values.

        TabularRegressor(loss="quantile").fit(train, train.pop("price")).predict_interval(test)

    Columns of numbers are brought to one scale, and those with missing values say where they are; dates become fields,
    texts and categories are embedded. Rare categories, and those that were not there in training, share an embedding.
    Columns that say nothing (one value, none, a copy, a name of the row) are left out, and a warning names them. All of
    it is learned in `fit`, on the rows that are trained on, and lives in the model.

    Args:
        loss, scale_target, quantiles, power: as of `MLPRegressor`.
        net: a layer `(batch, features) -> (batch, outputs)` or `(batch, members, outputs)` behind the numbers and
            embedded categories, such as `ja.models.mlp((64, 10))`; None for `models.tabm` as the table wants it.
        optimizer: of `ja.optimizers`; None for AdamW of few rows, Muon of many, along a cosine.
        epochs: passes over the rows; None for 60 of few rows (below 3,000), 32 of many.
        batch_size: rows of an update; None for 64 of few rows, 256 of many.
        validation_fraction: share of the rows that chooses the best epoch and is not trained on; None for an eighth of
            many rows, none of few; `fit(validation=)` takes its place.
        random_state: of weights, order, noise and the rows to choose by.
        verbose: whether to draw a bar.
        members: nets trained from seeds of their own, each with rows of its own to choose by, whose predictions are
            averaged; None for four on many rows, one on few.
        observers: functions called between chunks of epochs, as in `ja.fit`.

    Attributes:
        head_: loss, units and meaning of the last layer.
        table_: how raw tables are read; dropped_: columns that were left out, and why.
        history_: what training measured, a value an epoch.
        model_, params_, state_: of the first net, for `ja.predict`, `ja.diagnose` and the others.
        n_features_in_, feature_names_in_, n_iter_, loss_curve_, loss_, interrupted_: as of `MLPClassifier`.

    Peers: scikit-learn's HistGradientBoosting takes tables with missing values and categories; its MLP neither.

    Source: Gorishniy et al. 2025 (TabM); Gorishniy, Rubachev and Babenko 2022 (numbers in bins).

    Raises:
        InputError: by `fit` and `predict`, an argument is out of range, or a column is not what it was in training.
    """

    _task = "regression"

    def __init__(
        self,
        *,
        loss: Any = "squared_error",
        net: Any = None,
        optimizer: Any = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        validation_fraction: float | None = None,
        scale_target: bool = True,
        quantiles: Sequence[float] = (0.05, 0.5, 0.95),
        power: float = 1.5,
        random_state: Any = None,
        verbose: bool = False,
        members: int | None = None,
        observers: Any = None,
    ):
        self.loss = loss
        self.net = net
        self.optimizer = optimizer
        self.epochs = epochs
        self.batch_size = batch_size
        self.validation_fraction = validation_fraction
        self.scale_target = scale_target
        self.quantiles = quantiles
        self.power = power
        self.random_state = random_state
        self.verbose = verbose
        self.members = members
        self.observers = observers
