"""What classifiers share: labels to codes and back, probabilities of the logits of one or several members."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.exceptions import NotFittedError
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import unique_labels
from sklearn.utils.validation import check_is_fitted

from jaxann.core.checks import fail
from jaxann.core.errors import InputError
from jaxann.core.notices import notify
from jaxann.estimators.calibration import fit_temperature, margin
from jaxann.estimators.heads import classifier_loss
from jaxann.estimators.inputs import Rows, class_weights, labels_of, rows_of, sample_weights
from jaxann.estimators.nets import Net
from jaxann.estimators.network import NetworkEstimator
from jaxann.estimators.restoring import or_as_before
from jaxann.metrics import streaming

__all__ = ["NetworkClassifier"]


class NetworkClassifier(NetworkEstimator):
    """Classes by a net, whatever the net is."""

    class_weight: Any

    def fit(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None, *, validation: tuple | None = None
    ) -> Self:
        """Train on rows X with their classes.

        Args:
            X: `(rows, features)`: array, DataFrame of numbers, sparse array.
            y: labels `(rows,)`, or 0 and 1 `(rows, labels)`.
            sample_weight: `(rows,)`.
            validation: `(X, y)` or `(X, y, sample_weight)` to stop by, with early_stopping.
        """
        with or_as_before(self):
            return self._fit(X, y, sample_weight, validation, None, one_pass=False)

    @available_if(lambda self: self._takes_pieces())
    def partial_fit(
        self, X: ArrayLike, y: ArrayLike, classes: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Train for one pass over these rows, from where weights and optimizer stand.

        Args:
            X, y, sample_weight: as in `fit`.
            classes: all that will ever occur; needed by the first call.
        """
        with or_as_before(self):
            return self._fit(X, y, sample_weight, None, classes, one_pass=True)

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """Probability of each class, float64 `(rows, classes)`; of several labels each by itself."""
        return self._probabilities(X).mean(0)

    def predict_log_proba(self, X: ArrayLike) -> np.ndarray:
        """log of `predict_proba`, computed from the logits of a single member."""
        z = self._said(X) / self.temperature_
        if len(z) > 1 or len(self._classes()) == 1:
            with np.errstate(divide="ignore"):
                return np.log(self.predict_proba(X))
        if self._multilabel():
            return _log_sigmoid(z[0])
        both = z[0] if z.shape[2] > 1 else np.concatenate([np.zeros_like(z[0]), z[0]], 1)
        return both - np.logaddexp.reduce(both, axis=1, keepdims=True)

    def predict(self, X: ArrayLike) -> np.ndarray:
        """The class with the greatest probability, `(rows,)`; of several labels 1 for those above one half."""
        shares = self.predict_proba(X)
        if self._multilabel():
            return (shares > 0.5).astype(int)
        return self.classes_[np.argmax(shares, axis=1)]

    def predict_doubt(self, X: ArrayLike) -> np.ndarray:
        """How little the members agree: H(mean of their probabilities) - mean of H, in nats, `(rows,)`.

        0 where all say the same; needs several members. Source: Houlsby et al. 2011 (BALD).
        """
        shares = self._probabilities(X)
        if len(shares) < 2:
            fail(type(self).__name__, "members", "at least 2, to disagree", len(shares))
        shares = shares if not self._multilabel() else np.stack([shares, 1 - shares], -1)
        return _entropy(shares.mean(0)) - _entropy(shares).mean(0)

    def calibrate(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Fit a temperature T on rows that were not trained on: probabilities are those of logits / T from then on.

        The order of the classes stays. The same rows make the sets of `predict_set` hold; the next fit forgets both.

        Args:
            X, y: as in `fit`.

        Source: Guo et al. 2017 (temperature).
        """
        check_is_fitted(self, "nets_")
        labels, several = labels_of(type(self).__name__, y, rows_of(self._read(X, reset=False)))
        self._check_known(labels, several, None)
        codes = self._codes(labels)
        self.temperature_ = 1.0
        self.temperature_ = fit_temperature(self._said(X), codes, several=several)
        shares = self.predict_proba(X)
        own = shares if several else np.take_along_axis(shares, np.searchsorted(self.classes_, labels)[:, None], 1)
        self.conformal_ = 1 - own if not several else 1 - np.where(codes > 0, own, 1 - own)
        return self

    def predict_set(self, X: ArrayLike, level: float = 0.9) -> np.ndarray:
        """Which classes the true one is among with that probability, bool `(rows, classes)`; of several labels none.

        Those whose probability is at least 1 - q, q the level's quantile of 1 - p(true class) on the rows of
        `calibrate`: split conformal prediction, right on average over rows and calibration sets whatever the net.

        Source: Sadinle, Lei and Wasserman 2019.
        """
        name = type(self).__name__
        check_is_fitted(self, "nets_")
        if self._multilabel():
            fail(name, "y", "labels of one class a row for predict_set", " several labels")
        if not hasattr(self, "conformal_"):
            raise NotFittedError(f"{name}.predict_set needs rows that were not trained on: calibrate(X, y) first.")
        return self.predict_proba(X) >= 1 - margin(name, self.conformal_, level) - 1e-12

    def _probabilities(self, X: ArrayLike) -> np.ndarray:
        """Of each member, `(members, rows, classes)`."""
        z = self._said(X) / self.temperature_
        if self._multilabel():
            return np.exp(_log_sigmoid(z))
        if len(self._classes()) == 1:
            return np.ones((*z.shape[:2], 1))
        if z.shape[2] == 1:
            return np.exp(_log_sigmoid(np.concatenate([-z, z], 2)))
        e = np.exp(z - z.max(2, keepdims=True))
        return e / e.sum(2, keepdims=True)

    def _classes(self) -> Any:
        return self.classes_

    def _multilabel(self) -> bool:
        return self.out_activation_ == "logistic" and self._several

    def _strata(self, y: np.ndarray) -> np.ndarray | None:
        return None if y.ndim > 1 and y.shape[1] > 1 else y.ravel()

    def _fit(self, X, y, weights, validation, classes, *, one_pass: bool) -> Self:
        given = self._data(X, y, weights, validation, classes, one_pass=one_pass)
        return self._learned(self._trained(*given, one_pass))

    def _data(
        self, X, y, weights, validation, classes=None, *, one_pass: bool = False
    ) -> tuple[Rows, Rows | None, Any, int, Any]:
        """Rows to train on and to measure on, the loss, the width of the last layer, and what is measured."""
        name = type(self).__name__
        self._check()
        if y is None:
            hint = f"{name} requires y to be passed, but the target y is None."
            fail(name, "y", "labels, one a row of X", None, hint=hint)
        going = (one_pass or self.warm_start) and hasattr(self, "nets_")
        if one_pass and self._stops_early():
            fail(name, "early_stopping", "False for partial_fit", True)
        x = self._read(X, reset=not going)
        labels, several = labels_of(type(self).__name__, y, rows_of(x))
        if one_pass and not going and classes is None and not several:
            fail(name, "classes", "given in the first call of partial_fit", None)
        weights = sample_weights(self, weights, rows_of(x))
        if going:
            occurring = self.classes_ if several or one_pass else np.unique(labels)
            if several == self._several and not np.array_equal(occurring, self.classes_):
                raise InputError(
                    "warm_start can only be used where `y` has the same classes as in the previous call to fit. "
                    f"Previously got {self.classes_}, `y` has {occurring}"
                )
            self._check_known(labels, several, classes)
        else:
            known = labels if classes is None else np.asarray(classes)
            self.classes_ = np.arange(labels.shape[1]) if several else unique_labels(known)
            self._several = several
            self._check_known(labels, several, None)
            if not several and len(self.classes_) == 1:
                self._warn_of_one_class(len(labels))
        codes = self._codes(labels)
        if not several:
            weights = class_weights(self, self.classes_, codes.ravel().astype(int), weights)
        rows = Rows(x, codes, weights)
        width = self._width(len(self.classes_), several)
        loss = classifier_loss(name, self.loss, width, several)
        held = None if validation is None else self._validation(validation)
        if held is not None and not self._stops_early():
            fail(name, "validation", "None without early_stopping", " rows")
        score = streaming.accuracy() if self._stops_early() else None
        return rows, held, loss, width, score

    def _learned(self, nets: list[Net]) -> Self:
        width = self._width(len(self.classes_), self._several)
        self.out_activation_ = "softmax" if width > 1 and not self._several else "logistic"
        self.temperature_ = 1.0
        vars(self).pop("conformal_", None)
        self._keep(nets, width)
        return self

    def _warn_of_one_class(self, rows: int) -> None:
        name, only = type(self).__name__, self.classes_[0]
        if rows == 1:
            hint = "Found 1 sample, of one class."
            fail(name, "y", "of two rows and two classes at least", f" one row, of class {only}", hint=hint)
        notify(f"{name}: all rows are of one class, {only}: that is what every prediction will be.", UserWarning)

    def _validation(self, given: tuple) -> Rows:
        if not isinstance(given, tuple | list) or len(given) not in (2, 3):
            fail(type(self).__name__, "validation", "a tuple (X, y) or (X, y, sample_weight)", given)
        x = self._read(given[0], reset=False, argument="validation X")
        labels, several = labels_of(type(self).__name__, given[1], rows_of(x))
        self._check_known(labels, several, None)
        return Rows(x, self._codes(labels), sample_weights(self, given[2] if len(given) > 2 else None, rows_of(x)))

    def _check_known(self, labels: np.ndarray, several: bool, classes: Any) -> None:
        name = type(self).__name__
        if several != self._several or (several and labels.shape[1] != len(self.classes_)):
            fail(name, "y", f"of the {len(self.classes_)} labels of the first call", f" shape {labels.shape}")
        if classes is not None and not np.array_equal(np.unique(classes), self.classes_):
            expected = f"those of the first call ({_listed(self.classes_)})"
            fail(name, "classes", expected, f" {_listed(np.unique(classes))}")
        new = [] if several else np.setdiff1d(labels, self.classes_)
        if len(new):
            fail(name, "y", f"labels among {_listed(self.classes_)}", f" {_listed(new)}")

    def _codes(self, labels: np.ndarray) -> np.ndarray:
        """Targets as the loss takes them: 0 and 1 `(rows, 1)` for two classes, numbers of classes for more."""
        if self._several:
            return labels.astype(np.float32)
        codes = np.searchsorted(self.classes_, labels)
        alone = self._width(len(self.classes_), False) == 1
        return codes.astype(np.float32)[:, None] if alone else codes.astype(np.int32)

    def _width(self, classes: int, several: bool) -> int:
        """Logits of a row: one for two classes."""
        return 1 if classes <= 2 and not several else classes


def _listed(labels: Any) -> str:
    shown = ", ".join(str(label) for label in labels[:10])
    return shown + (", ..." if len(labels) > 10 else "")


def _log_sigmoid(z: np.ndarray) -> np.ndarray:
    return -np.logaddexp(0, -z)


def _entropy(shares: np.ndarray) -> np.ndarray:
    logs = np.log(np.where(shares > 0, shares, 1))
    found = -(shares * logs).sum(-1)
    return found if found.ndim < 3 else found.mean(-1)
