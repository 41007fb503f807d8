"""A multi-layer perceptron for numbers: means, medians, counts, quantiles, and how sure it is of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sklearn.base import RegressorMixin

from jaxann.estimators.perceptrons import MultiLayer
from jaxann.estimators.regression import NetworkRegressor

__all__ = ["MLPRegressor"]


class MLPRegressor(RegressorMixin, MultiLayer, NetworkRegressor):
    """y = centre + scale net(x), the net a multi-layer perceptron; of counts y = e^net(x).

        MLPRegressor("quantile", quantiles=(0.1, 0.5, 0.9)).fit(x, y).predict_interval(x_test)

    Minimizes, batch by batch, the weighted mean of the loss plus alpha |W|^2 / (2 sum of the batch's weights).

    Args:
        loss: "squared_error" (halved, as scikit-learn's), "absolute_error", "huber", "poisson" and "tweedie" for
            targets of at least 0, "gaussian" (mean and variance), "quantile" (the levels of `quantiles`, which never
            cross), or a function `(predictions, targets) -> values`.
        hidden_layer_sizes, activation, solver, alpha, batch_size, learning_rate, learning_rate_init, power_t, max_iter,
            shuffle, random_state, tol, verbose, warm_start, momentum, nesterovs_momentum, early_stopping,
            validation_fraction, beta_1, beta_2, epsilon, n_iter_no_change, max_fun, dropout, batch_norm, observers: as
            of `MLPClassifier`; the score to stop by is R^2, or the loss where the net says more than a mean.
        scale_target: whether the net learns targets of mean 0 and deviation 1, as they are in training; the loss is
            then of those. Counts are divided by their mean in any case.
        quantiles: rising levels in (0, 1), of "quantile".
        power: in (1, 2), of "tweedie".
        members: nets trained from seeds of their own, whose predictions are averaged.

    Attributes:
        head_: loss, units and meaning of the last layer.
        history_, model_, params_, state_, loss_curve_, loss_, best_loss_, validation_scores_, best_validation_score_,
            n_iter_, n_layers_, n_outputs_, out_activation_, coefs_, intercepts_, n_features_in_, feature_names_in_,
            interrupted_: as of `MLPClassifier`.

    Peers: scikit-learn's MLPRegressor has the losses "squared_error" and "poisson" alone, learns targets in the units
    they have (scale_target False), and has none of dropout, normalization, ensembles and intervals.

    Source: Rumelhart, Hinton and Williams 1986; Nix and Weigend 1994 ("gaussian"); Koenker and Bassett 1978.

    Raises:
        InputError: by `fit`, an argument is out of range, or data are not what they have to be.
    """

    def __init__(
        self,
        loss: Any = "squared_error",
        hidden_layer_sizes: int | Sequence[int] = (100,),
        activation: Any = "relu",
        *,
        solver: Any = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: Any = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: int = 10,
        max_fun: int = 15000,
        dropout: float = 0.0,
        batch_norm: bool = False,
        scale_target: bool = True,
        quantiles: Sequence[float] = (0.05, 0.5, 0.95),
        power: float = 1.5,
        members: int = 1,
        observers: Any = None,
    ):
        self.loss = loss
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.dropout = dropout
        self.batch_norm = batch_norm
        self.scale_target = scale_target
        self.quantiles = quantiles
        self.power = power
        self.members = members
        self.observers = observers
