"""scikit-learn's `MLPClassifier`, on the CPU.

A turn is one `fit(warm_start=True)` of k epochs. `partial_fit` would keep Adam's moments but checks the whole data set
again every epoch, and `fit` starts the moments afresh in every call. So that the peer runs its fastest loop and does
the same work, a subclass keeps the first optimizer, and draws the first weights by the law the others use.
"""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from benchmarks.contenders.base import BETA_1, BETA_2, EPSILON, LEARNING_RATE, Task


class ContinuedClassifier(MLPClassifier):
    """`MLPClassifier` with the weights that the others start from, and moments that outlive a call of `fit`."""

    def _init_coef(self, fan_in: int, fan_out: int, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
        is_output = len(self.coefs_) == self.n_layers_ - 2
        weights = self._random_state.normal(0.0, np.sqrt((1 if is_output else 2) / fan_in), (fan_in, fan_out))
        return weights.astype(dtype, copy=False), np.zeros(fan_out, dtype)

    @property
    def _optimizer(self) -> object:
        return self.__dict__["first_optimizer"]

    @_optimizer.setter
    def _optimizer(self, optimizer: object) -> None:
        self.__dict__.setdefault("first_optimizer", optimizer)


class Contestant:
    """`fit` with `warm_start`; nothing stops it early."""

    platform = "cpu"

    def __init__(self, task: Task) -> None:
        self.task = task
        self.model = ContinuedClassifier(
            hidden_layer_sizes=task.hidden,
            activation="relu",
            solver="adam",
            alpha=0.0,
            batch_size=min(task.batch_size, len(task.x)),
            learning_rate_init=LEARNING_RATE,
            beta_1=BETA_1,
            beta_2=BETA_2,
            epsilon=EPSILON,
            shuffle=True,
            tol=0.0,
            n_iter_no_change=10**9,
            early_stopping=False,
            warm_start=True,
            random_state=np.random.RandomState(task.seed),
        )

    def train(self, epochs: int) -> list[float]:
        """One call of `fit`, which always runs all its epochs and says so in a warning."""
        self.model.set_params(max_iter=epochs)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            self.model.fit(self.task.x, self.task.y)
        return [float(loss) for loss in self.model.loss_curve_[-epochs:]]

    def accuracy(self) -> float:
        """Share of the test rows named correctly."""
        return float(self.model.score(self.task.x_test, self.task.y_test))
