"""Rosenblatt's perceptron as a classifier: one threshold unit, or one for each class."""

from __future__ import annotations

from typing import Any, Self

import jax
import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import unique_labels
from sklearn.utils.validation import check_is_fitted

from jaxann.core.checks import check_choice, check_flag, check_integer, check_range, fail
from jaxann.estimators.inputs import labels_of, numbers
from jaxann.estimators.restoring import or_as_before
from jaxann.neuron import fit_perceptron

__all__ = ["PerceptronClassifier"]

_WEIGHTS = ("averaged", "last", "pocket")


class PerceptronClassifier(ClassifierMixin, BaseEstimator):
    """1[x w + b > 0], trained by w += eta (t - y) x for each row that it gets wrong, until there is none.

    Of more than two classes one unit a class, each trained against all others; the class is that with the greatest
    x w + b.

    Args:
        learning_rate: eta > 0; from zero weights it changes no answer.
        max_iter: passes over the rows at most; where no hyperplane separates the classes it never ends by itself.
        weights: which are kept: "averaged" over all steps (Freund and Schapire 1999), "pocket", those that made the
            fewest mistakes (Gallant 1990), or "last", Rosenblatt's own.
        shuffle: whether each pass takes the rows in a new order.
        random_state: of the order.

    Attributes:
        classes_: in order.
        coef_, intercept_: `(1, features)` and `(1,)`, or a row for each class.
        converged_: whether the last pass made no mistake, of each unit.
        n_iter_: passes that were made, the most of all units.

    Peers: scikit-learn's Perceptron keeps the last weights, stops by a tolerance of the loss, and has penalties.

    Source: Rosenblatt 1958; Novikoff 1962 (it ends if the classes can be separated).

    Raises:
        InputError: by `fit`, an argument is out of range, or there is one class alone.
    """

    def __init__(
        self,
        learning_rate: float = 1.0,
        *,
        max_iter: int = 100,
        weights: str = "averaged",
        shuffle: bool = True,
        random_state: int | np.random.RandomState | None = None,
    ):
        self.learning_rate = learning_rate
        self.max_iter = max_iter
        self.weights = weights
        self.shuffle = shuffle
        self.random_state = random_state

    def __sklearn_tags__(self):
        """Sparse X is taken, and made dense; a linear boundary may be a poor one."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Train on rows X `(rows, features)` with labels y `(rows,)`."""
        name = type(self).__name__
        check_range(name, "learning_rate", self.learning_rate, 0, open_low=True)
        check_integer(name, "max_iter", self.max_iter)
        check_choice(name, "weights", self.weights, _WEIGHTS)
        check_flag(name, "shuffle", self.shuffle)
        if y is None:
            hint = f"{name} requires y to be passed, but the target y is None."
            fail(name, "y", "labels, one a row of X", None, hint=hint)
        with or_as_before(self):
            return self._fit(name, X, y)

    def _fit(self, name: str, X: ArrayLike, y: ArrayLike) -> Self:
        x: Any = numbers(self, X, reset=True)
        labels, several = labels_of(name, y, len(x))
        if several:
            hint = "Unknown label type: multilabel-indicator. MLPClassifier takes several labels a row."
            fail(name, "y", "one label a row", f" shape {labels.shape}", hint=hint)
        self.classes_ = unique_labels(labels)
        if len(self.classes_) < 2:
            fail(name, "y", "of at least two classes", f" one class, {self.classes_[0]!r}")
        codes = np.searchsorted(self.classes_, labels)
        alone = len(self.classes_) == 2
        targets: Any = codes[:, None] if alone else (codes[:, None] == np.arange(len(self.classes_)))
        key = jax.random.key(check_random_state(self.random_state).randint(2**31 - 1)) if self.shuffle else None
        scale = max(float(np.abs(x).max()), 1e-30)  # the bias then moves as far as the weights do
        last, report = fit_perceptron(
            x / np.float32(scale), targets.astype(np.int32), learning_rate=float(self.learning_rate), bias_input=1.0,
            epochs=self.max_iter, shuffle=self.shuffle, key=key,
        )  # fmt: skip
        chosen = {"last": last, "pocket": report.pocket, "averaged": report.averaged}[self.weights]
        kept = np.asarray(chosen, np.float64)
        self.coef_, self.intercept_ = kept[:-1].T / scale, kept[-1]
        self.converged_ = np.asarray(report.converged)
        self.n_iter_ = int(np.max(report.epochs))
        return self

    def decision_function(self, X: ArrayLike) -> np.ndarray:
        """X w + b, `(rows,)` for two classes, else `(rows, classes)`."""
        check_is_fitted(self, "coef_")
        found = numbers(self, X, reset=False).astype(np.float64) @ self.coef_.T + self.intercept_
        return found[:, 0] if len(self.classes_) == 2 else found

    def predict(self, X: ArrayLike) -> np.ndarray:
        """The class on whose side of the boundary each row lies, `(rows,)`."""
        found = self.decision_function(X)
        return self.classes_[(found > 0).astype(int) if found.ndim == 1 else np.argmax(found, axis=1)]
