"""What two loss curves say: fitted too well, too little, or a rate that is too high or too low."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from jaxann.core.checks import check_range, fail
from jaxann.core.reading import read_array

__all__ = ["FitVerdict", "fit_verdict"]

_BETA = 0.6  # of the average that takes the noise off
_LAST = 0.2  # share of the epochs whose slope is looked at
_FLAT = 0.01  # of the first loss: what has to be gained
_SWINGS = 0.2  # share of epochs in which a loss may jump up


@dataclass(frozen=True)
class FitVerdict:
    """What `fit_verdict` found; print it.

    Attributes:
        kind: "overfitting", "underfitting", "easy_validation", "unstable", "stalled" or "healthy".
        training, validation: the smoothed losses in the end; NaN without a validation set.
        gap: (validation - training) / training.
        best_epoch: of the least smoothed validation loss (training loss without one).
        slope: change of the training loss an epoch over the last fifth, by least squares.
        advice: what to do.
    """

    kind: str
    training: float
    validation: float
    gap: float
    best_epoch: int
    slope: float
    advice: str

    def __str__(self) -> str:
        measured = "" if math.isnan(self.validation) else f", validation {self.validation:.4g} (gap {self.gap:+.0%})"
        figures = f"training {self.training:.4g}{measured}, least after epoch {self.best_epoch + 1}"
        return f"{self.kind}: {figures}\n  {self.advice}"


_ADVICE = {
    "overfitting": (
        "Stop earlier and keep the best weights; more data or augmentation, weight decay, dropout, label smoothing, a "
        "smaller net. Training longer makes it worse."
    ),
    "underfitting": (
        "A larger or deeper net, less regularization, a better learning rate, more epochs while the loss falls, better "
        "features."
    ),
    "easy_validation": (
        "This is not overfitting. Measure the training loss without dropout, augmentation and penalty; look whether "
        "the validation set is easier, very small, or shares rows with the training set."
    ),
    "unstable": "Lower the learning rate, warm up, cut long gradients; look for the first number that is not finite.",
    "stalled": "A learning-rate range test; look for dead units; see whether one batch can be learned by heart.",
    "healthy": "Nothing to mend. A larger net may do better yet.",
}


def fit_verdict(
    training: ArrayLike, validation: ArrayLike | None = None, *, target: float | None = None, gap_tol: float = 0.1
) -> FitVerdict:
    """Read a run from its loss curves, both of one loss, best both in evaluation mode.

        print(ja.diagnose.fit_verdict(history["loss"], history["validation_loss"]))

    Curves are smoothed (a bias-corrected average with weight 0.6 of the past). The rules, in their order:

    - a loss that is not finite, or jumps up in more than 20 % of the epochs by `gap_tol` of all that was gained, and by
      more than that in all: "unstable";
    - less than 1 % of the first loss gained in all: "stalled";
    - validation loss risen since its minimum by `gap_tol` of that minimum and 2 % of the first loss, and above the
      training loss: "overfitting"; so is a gap of more than half of the first loss;
    - training loss above the validation loss by `gap_tol`, and by 2 % of the first loss: "easy_validation", which is
      not overfitting;
    - both above `target` by `gap_tol`; without a target, still falling within the last fifth by more than `gap_tol` of
      all that was gained: "underfitting";
    - else "healthy".

    Args:
        training, validation: `(epochs,)` of losses. Epochs that were not run (NaN at the end) are left out.
        target: a loss that should be reached.
        gap_tol: what counts as a difference.

    Raises:
        InputError: curves are no numbers, of other lengths, or of fewer than two epochs; `gap_tol` is not above 0.
    """
    check_range("fit_verdict", "gap_tol", gap_tol, 0, open_low=True)
    losses = [_curve("training", training)] + ([] if validation is None else [_curve("validation", validation)])
    if len(losses) == 2 and len(losses[0]) != len(losses[1]):
        fail("fit_verdict", "validation", f"of {len(losses[0])} epochs, as training", f" {len(losses[1])}")
    run = max((int(np.flatnonzero(~np.isnan(curve)).max(initial=-1)) + 1 for curve in losses), default=0)
    if run < 2:
        fail("fit_verdict", "training", "of two epochs or more", f" {run}")
    if not all(np.isfinite(curve[:run]).all() for curve in losses):
        last = [float(curve[run - 1]) for curve in losses]
        return _found("unstable", last[0], last[-1] if len(last) == 2 else math.nan, 0, math.nan)
    smooth = [_smoothed(curve[:run]) for curve in losses]
    first, train, measured = abs(float(losses[0][0])), smooth[0], smooth[-1]
    best = int(np.argmin(measured))
    end, valid = float(train[-1]), float(measured[-1])
    raw = losses[0][:run]
    slope = _slope(raw)
    tiny = np.finfo(float).tiny
    scale = max(first, tiny)
    gained = first - float(train.min())
    rises = np.maximum(np.diff(raw), 0)
    swings = np.mean(rises > gap_tol * max(gained, _FLAT * scale)) > _SWINGS and rises.sum() > gained
    rise = valid - float(measured.min())
    kind = "healthy"
    if swings:
        kind = "unstable"
    elif gained < _FLAT * scale:
        kind = "stalled"
    elif len(smooth) == 2 and _is_over(end, valid, rise, scale, gap_tol):
        kind = "overfitting"
    elif len(smooth) == 2 and end - valid > max(gap_tol * abs(end), 2 * _FLAT * scale):
        kind = "easy_validation"
    elif _is_under(end, valid, -slope * _count(run), gained, target, gap_tol):
        kind = "underfitting"
    return _found(kind, end, valid if len(smooth) == 2 else math.nan, best, slope)


def _is_over(end: float, valid: float, rise: float, scale: float, gap_tol: float) -> bool:
    rises = rise > max(gap_tol * abs(valid - rise), 2 * _FLAT * scale)
    return valid > end and (rises or valid - end > scale / 2)


def _is_under(end: float, valid: float, falling: float, gained: float, target: float | None, gap_tol: float) -> bool:
    if target is not None:
        return min(end, valid) > target + gap_tol * abs(target)
    return falling > gap_tol * gained


def _curve(name: str, values: ArrayLike) -> np.ndarray:
    curve = read_array("fit_verdict", name, values)
    if curve.ndim != 1 or curve.dtype.kind not in "fiu":
        fail("fit_verdict", name, "numbers of shape (epochs,)", f" {curve.dtype} of shape {curve.shape}")
    return curve.astype(np.float64)


def _smoothed(curve: Sequence[float] | np.ndarray) -> np.ndarray:
    total, found = 0.0, np.empty(len(curve))
    for k, value in enumerate(curve):
        total = _BETA * total + (1 - _BETA) * float(value)
        found[k] = total / (1 - _BETA ** (k + 1))
    return found


def _slope(curve: np.ndarray) -> float:
    count = _count(len(curve))
    return float(np.polyfit(np.arange(count), curve[-count:], 1)[0])


def _count(epochs: int) -> int:
    """How many epochs the last fifth has."""
    return max(math.ceil(_LAST * epochs), 2)


def _found(kind: str, training: float, validation: float, best: int, slope: float) -> FitVerdict:
    gap = (validation - training) / max(abs(training), np.finfo(float).tiny)
    return FitVerdict(kind, training, validation, gap, best, slope, _ADVICE[kind])
