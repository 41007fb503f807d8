"""What regressors share: targets in units of their own, and what the outputs of one or several members mean."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri
from sklearn.exceptions import NotFittedError
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_array, check_is_fitted, column_or_1d

from jaxann.core.checks import check_flag, check_range, fail
from jaxann.estimators.calibration import margin
from jaxann.estimators.heads import Head, regressor_head
from jaxann.estimators.inputs import LARGEST, Rows, one_batch, rows_of, sample_weights
from jaxann.estimators.nets import Net
from jaxann.estimators.network import NetworkEstimator
from jaxann.estimators.refusals import refuse_values
from jaxann.estimators.restoring import or_as_before
from jaxann.metrics import streaming

__all__ = ["NetworkRegressor"]


class NetworkRegressor(NetworkEstimator):
    """Numbers by a net, whatever the net is."""

    scale_target: bool
    quantiles: Any
    power: float
    _least_held = 2

    def fit(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None, *, validation: tuple | None = None
    ) -> Self:
        """Train on rows X with their targets.

        Args:
            X: `(rows, features)`: array, DataFrame of numbers, sparse array.
            y: `(rows,)` or `(rows, outputs)`.
            sample_weight: `(rows,)`.
            validation: `(X, y)` or `(X, y, sample_weight)` to stop by, with early_stopping.
        """
        with or_as_before(self):
            return self._fit(X, y, sample_weight, validation, one_pass=False)

    @available_if(lambda self: self._takes_pieces())
    def partial_fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Train for one pass over these rows, from where weights and optimizer stand; units are those of the first."""
        with or_as_before(self):
            return self._fit(X, y, sample_weight, None, one_pass=True)

    def predict(self, X: ArrayLike) -> np.ndarray:
        """The mean, `(rows,)` or `(rows, outputs)`; of quantiles the level nearest to 1/2."""
        return self._shaped(self._means(self._said(X)).mean(0))

    def predict_quantiles(self, X: ArrayLike) -> np.ndarray:
        """Each level of `quantiles`, rising, `(rows, levels)` or `(rows, outputs, levels)`."""
        check_is_fitted(self, "nets_")
        if self.head_.link != "quantile":
            fail(type(self).__name__, "loss", '"quantile" for predict_quantiles', self.loss)
        found = self._levels(self._said(X)).mean(0)
        return found[:, 0] if self._flat else found

    def predict_deviation(self, X: ArrayLike) -> np.ndarray:
        """Standard deviation of y given x: of "gaussian", and over the members, together by the law of total variance.

        `(rows,)` or `(rows, outputs)`.
        """
        z = self._said(X)
        if self.head_.link != "gaussian" and len(z) < 2:
            hint = "calibrate(X, y) on rows that were not trained on gives intervals of any loss."
            expected = '"gaussian", or members at least 2, for predict_deviation'
            fail(type(self).__name__, "loss", expected, self.loss, hint=hint)
        return self._shaped(self._deviation(z))

    def _deviation(self, z: np.ndarray) -> np.ndarray:
        """`(rows, outputs)`: sqrt(mean of the members' variances + variance of their means)."""
        within = np.zeros(())
        if self.head_.link == "gaussian":
            within = np.exp(z.reshape(*z.shape[:2], -1, 2)[..., 1]).mean(0) * self.head_.scale**2
        return np.sqrt(within + self._means(z).var(0))

    def predict_doubt(self, X: ArrayLike) -> np.ndarray:
        """How little the members agree: the standard deviation of their predictions, `(rows,)` or `(rows, outputs)`."""
        z = self._said(X)
        if len(z) < 2:
            fail(type(self).__name__, "members", "at least 2, to disagree", len(z))
        return self._shaped(self._means(z).std(0))

    def calibrate(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Measure on rows that were not trained on by how much intervals have to be wider, or narrower, to hold.

        `predict_interval` has them from then on; the next fit forgets them.

        Args:
            X, y: as in `fit`.
        """
        check_is_fitted(self, "nets_")
        targets = self._targets(y, rows_of(self._read(X, reset=False)))
        if targets.shape[1] != len(self.head_.scale):
            fail(type(self).__name__, "y", f"of {len(self.head_.scale)} outputs", f" {targets.shape[1]}")
        z = self._said(X)
        if self.head_.link == "quantile":
            self.conformal_ = self._levels(z).mean(0) - targets[..., None]
        else:
            self.conformal_ = np.abs(self._means(z).mean(0) - targets) / self._unit(z)
        return self

    def _unit(self, z: np.ndarray) -> np.ndarray | float:
        """What errors are counted in: the deviation that the net says, where it does."""
        return self._deviation(z) if self.head_.link == "gaussian" else 1.0

    def predict_interval(self, X: ArrayLike, level: float = 0.9) -> np.ndarray:
        """Where y lies with that probability, `(rows, 2)` or `(rows, outputs, 2)`.

        As the net has it where its loss says so: of "gaussian" mean -+ deviation Phi^-1((1 + level) / 2), the members'
        disagreement in the deviation; of "quantile" between the two levels (1 -+ level) / 2, which must be among
        `quantiles`. After `calibrate`, which all other losses need, by split conformal prediction, right on average
        over rows and calibration sets whatever the net and its loss: of "quantile" the two levels moved apart by q, of
        others the mean -+ q, times the deviation of "gaussian", q the level's quantile of what the calibration rows
        would have needed.

        Raises:
            NotFittedError: the loss says nothing of the spread, and nothing has been calibrated.

        Source: Lei et al. 2018; Romano, Patterson and Candes 2019 (quantiles).
        """
        name = type(self).__name__
        check_is_fitted(self, "nets_")
        known = getattr(self, "conformal_", None)
        check_range(name, "level", level, 0, 1, open_low=True, open_high=True)
        ends = np.array([(1 - level) / 2, (1 + level) / 2])
        if self.head_.link == "quantile":
            at = np.asarray(self.quantiles, float)
            place = [int(np.argmin(np.abs(at - end))) for end in ends]
            if np.abs(at[place] - ends).max() > 1e-6:
                fail(name, "level", f"one whose ends are among quantiles {tuple(at.tolist())}", level)
            found = self._levels(self._said(X)).mean(0)[..., place]
            if known is not None:
                wider = margin(name, np.maximum(known[..., place[0]], -known[..., place[1]]), level)
                found = found + wider[:, None] * np.array([-1, 1])
            return found[:, 0] if self._flat else found
        if known is not None:
            z = self._said(X)
            wide = margin(name, known, level) * self._unit(z) * np.ones(z.shape[1:2] + known.shape[1:])
            found = self._means(z).mean(0)[..., None] + wide[..., None] * np.array([-1, 1])
            return found[:, 0] if self._flat else found
        if self.head_.link != "gaussian":
            told = 'calibrate(X, y) first, or fit with loss="gaussian" or "quantile"'
            raise NotFittedError(f"{name}.predict_interval needs rows that were not trained on: {told}.")
        middle, deviation = self.predict(X), self.predict_deviation(X)
        return middle[..., None] + deviation[..., None] * ndtri(ends)

    def _means(self, z: np.ndarray) -> np.ndarray:
        """`(members, rows, outputs)` in the units of y."""
        head = self.head_
        if head.link == "exp":
            return np.exp(z) * head.scale
        if head.link == "gaussian":
            z = z.reshape(*z.shape[:2], -1, 2)[..., 0]
        if head.link == "quantile":
            nearest = int(np.argmin(np.abs(np.asarray(self.quantiles, float) - 0.5)))
            return self._levels(z)[..., nearest]
        return head.centre + head.scale * z

    def _levels(self, z: np.ndarray) -> np.ndarray:
        """`(members, rows, outputs, levels)` in the units of y."""
        z = z.reshape(*z.shape[:2], len(self.head_.scale), -1)
        steps = np.concatenate([z[..., :1], np.logaddexp(0, z[..., 1:])], -1)
        return self.head_.centre[:, None] + self.head_.scale[:, None] * np.cumsum(steps, -1)

    def _shaped(self, found: np.ndarray) -> np.ndarray:
        return found[:, 0] if self._flat else found

    def _fit(self, X, y, weights, validation, *, one_pass: bool) -> Self:
        given = self._data(X, y, weights, validation, one_pass=one_pass)
        return self._learned(self._trained(*given, one_pass))

    def _data(self, X, y, weights, validation, *, one_pass: bool = False) -> tuple[Rows, Rows | None, Any, int, Any]:
        """Rows to train on and to measure on, the loss, the width of the last layer, and what is measured."""
        name = type(self).__name__
        self._check()
        check_flag(name, "scale_target", self.scale_target)
        if y is None:
            hint = f"{name} requires y to be passed, but the target y is None."
            fail(name, "y", "targets, one a row of X", None, hint=hint)
        going = (one_pass or self.warm_start) and hasattr(self, "nets_")
        if one_pass and self._stops_early():
            fail(name, "early_stopping", "False for partial_fit", True)
        x = self._read(X, reset=not going)
        targets = self._targets(y, rows_of(x))
        weights = sample_weights(self, weights, rows_of(x))
        if going and (targets.shape[1] != len(self.head_.scale)):
            fail(name, "y", f"of {len(self.head_.scale)} outputs, as before", f" {targets.shape[1]}")
        if not going:
            rows = one_batch(Rows(x, targets, weights))
            self.head_ = regressor_head(self, rows.y, rows.weights)
            self._flat = targets.shape[1] == 1
        head: Head = self.head_
        held = None if validation is None else self._validation(validation)
        if held is not None and not self._stops_early():
            fail(name, "validation", "None without early_stopping", " rows")
        score = streaming.r2(targets.shape[1]) if self._stops_early() and head.link == "identity" else None
        return Rows(x, self._scaled(targets), weights), held, head.loss, head.width, score

    def _learned(self, nets: list[Net]) -> Self:
        self.out_activation_ = "exp" if self.head_.link == "exp" else "identity"
        vars(self).pop("conformal_", None)
        self._keep(nets, len(self.head_.scale))
        return self

    def _scaled(self, targets: np.ndarray) -> np.ndarray:
        """As the net learns them, float32."""
        scaled = (targets - self.head_.centre) / self.head_.scale
        far = np.abs(scaled) > LARGEST
        if far.any():
            row, column = (int(i) for i in np.argwhere(far)[0])
            got = f" {targets[row, column]:g} in row {row}"
            fail(type(self).__name__, "y", f"numbers of at most {LARGEST:.0e}, or scaled (scale_target=True)", got)
        return scaled.astype(np.float32)

    def _validation(self, given: tuple) -> Rows:
        if not isinstance(given, tuple | list) or len(given) not in (2, 3):
            fail(type(self).__name__, "validation", "a tuple (X, y) or (X, y, sample_weight)", given)
        x = self._read(given[0], reset=False, argument="validation X")
        targets = self._targets(given[1], rows_of(x))
        if targets.shape[1] != len(self.head_.scale):
            fail(type(self).__name__, "validation y", f"of {len(self.head_.scale)} outputs", f" {targets.shape[1]}")
        return Rows(x, self._scaled(targets), sample_weights(self, given[2] if len(given) > 2 else None, rows_of(x)))

    def _targets(self, y: Any, rows: int) -> np.ndarray:
        """Float64 `(rows, outputs)`."""
        name = type(self).__name__
        refuse_values(name, "y", y, rows)
        found = np.asarray(check_array(y, ensure_2d=False, dtype="numeric", input_name="y"))
        found = found.astype(np.float64)
        if found.ndim == 1 or (found.ndim == 2 and found.shape[1] == 1):
            found = column_or_1d(found, warn=True)[:, None]
        return found
