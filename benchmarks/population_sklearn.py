"""scikit-learn in the population benchmark: `GridSearchCV`, and a loop of `MLPClassifier` under joblib; on the CPU.

One process a core; joblib's loky gives each of them the threads that are left for it (cores / processes), for the BLAS
too. Nothing stops a training early: the tolerance is 0 and the epochs without gain are unlimited.
"""

from __future__ import annotations

import numpy as np
from joblib import Parallel, delayed
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier

from benchmarks.contenders.base import BETA_1, BETA_2, EPSILON
from benchmarks.machine import core_count
from benchmarks.population_work import WORK, folds_of, split_task


def classifier(epochs: int, seed: int, **settings: float) -> MLPClassifier:
    """The network, untrained."""
    return MLPClassifier(
        hidden_layer_sizes=WORK.sizes[1:-1],
        activation="relu",
        solver="adam",
        batch_size=WORK.batch_size,
        beta_1=BETA_1,
        beta_2=BETA_2,
        epsilon=EPSILON,
        max_iter=epochs,
        shuffle=True,
        tol=0.0,
        n_iter_no_change=10**9,
        early_stopping=False,
        random_state=seed,
        **settings,
    )


def epochs_run(model: MLPClassifier, x: np.ndarray, y: np.ndarray) -> int:
    """A scorer that returns how many epochs a fitted model was trained."""
    return model.n_iter_


class Search:
    """All settings on all folds to the last epoch."""

    platform = "cpu"

    def __init__(self, x: np.ndarray, y: np.ndarray) -> None:
        self.x, self.y = x, y
        self.folds = folds_of(len(x))

    def search(self, rates: list[float], decays: list[float], epochs: int, number: int, dtype: str = "float32") -> dict:
        """One search; accuracies and epochs run, `(settings, folds)`."""
        grid = {"learning_rate_init": rates, "alpha": decays}
        scorers = {"accuracy": "accuracy", "epochs": epochs_run}
        search = GridSearchCV(
            classifier(epochs, number), grid, scoring=scorers, cv=self.folds, n_jobs=core_count(), refit=False
        )
        found = search.fit(self.x.astype(dtype), self.y).cv_results_

        def table(name: str) -> list:
            return np.stack([found[f"split{i}_test_{name}"] for i in range(len(self.folds))], axis=1).tolist()

        settings = [(setting["learning_rate_init"], setting["alpha"]) for setting in found["params"]]
        return {"settings": settings, "accuracy": table("accuracy"), "epochs": table("epochs")}


def fit_one(rate: float, epochs: int, seed: int, x: np.ndarray, y: np.ndarray) -> MLPClassifier:
    """One trained network."""
    return classifier(epochs, seed, learning_rate_init=rate, alpha=0.0).fit(x, y)


class Loop:
    """One training after the other, as many at once as there are cores."""

    platform = "cpu"

    def __init__(self, x: np.ndarray, y: np.ndarray) -> None:
        self.task = split_task(x, y)
        self.models: list[MLPClassifier] = []

    def warm(self, rates: list[float]) -> None:
        """Start the processes."""
        self.train(rates[: 2 * core_count()], 2, 0)

    def train(self, rates: list[float], epochs: int, number: int) -> None:
        """Train one network for each learning rate."""
        self.models = Parallel(n_jobs=core_count())(
            delayed(fit_one)(rate, epochs, 10_000 * number + member, self.task.x, self.task.y)
            for member, rate in enumerate(rates)
        )

    def accuracy(self) -> dict:
        """Mean share of the held-out rows named correctly."""
        return {"accuracy": float(np.mean([model.score(self.task.x_test, self.task.y_test) for model in self.models]))}
