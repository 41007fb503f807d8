"""Columns that give the target away: each by itself predicts rows that it was not fitted on, and no other comes near.

A column predicts as the nearest of its values do (one, or five) among the other folds. That needs no threshold, no
order and no code that follows the classes: a copy of the target, a monotone or any other function of it, an identifier
given class by class, a place where something is missing, are all found by it.

A column that is simply strong is no leak. Three things tell them apart: how far the next best column is behind, how few
columns predict so well, and whether the others together do so too.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from jaxann.core.typing import Inputs
from jaxann.diagnose.example_columns import AMOUNTS, NAMES, PICTURES, example_columns, may_coincide, row_sample
from jaxann.diagnose.neighbours import nearest
from jaxann.diagnose.verdicts import Remedy, Verdict
from jaxann.preprocessing.varied_columns import standardized

__all__ = ["target_leak"]

_ROWS, _FEWEST, _COLUMNS = 2_000, 20, 4_096
_FOLDS = 5
_CANDIDATES = 64  # columns that are tried by themselves, of many
_CLASSES, _NUMBERS = 0.99, 0.995  # accuracy and R2 of a leak
_BEHIND = 5.0  # times the error of a leak that the best of the other columns has
_OTHER = 0.05  # error that it has at least
_TOGETHER = 0.98  # accuracy or R2 of all others together, from which on the data are easy and no column is odd
_ALONE = 0.2  # error of the best other column from which on nothing excuses a column that has none
_SHARE = 0.1  # of the columns that may be leaks
_TARGETS = 8  # numbers to be predicted that are looked at
_TEXT = (
    "Leave out {}: what it holds is made of the target, or known only after it. If it is an honest measurement, "
    "predict from it alone: no net is needed."
)


class _Scores(NamedTuple):
    """How well each column predicts by itself, and all of them but some together."""

    alone: np.ndarray
    discrete: np.ndarray  # which columns have a value for each class and no more
    unit: str


def target_leak(x: Inputs, y: np.ndarray, rows: np.ndarray, task: str) -> Verdict | None:
    """The verdict, where there is such a column.

    Args:
        x: the inputs.
        y: labels `(rows,)`, or numbers `(rows,)` or `(rows, numbers)`.
        rows: numbers of the rows that count.
        task: "classes" or "numbers".
    """
    taken = row_sample(rows, _ROWS)
    names, columns = example_columns(x, taken, (AMOUNTS, NAMES, PICTURES), _COLUMNS)
    if columns.shape[1] < 2:
        return None
    if not may_coincide(x):  # copies would predict each other by any column
        alone = np.sort(np.unique(columns, axis=0, return_index=True)[1])
        taken, columns = taken[alone], columns[alone]
    targets = y[taken].reshape(len(taken), -1)[:, :_TARGETS]
    for number in range(targets.shape[1]):
        found = _of_target(names, columns, targets[:, number], task)
        if found is not None:
            return found
    return None


def _of_target(names: list[str], columns: np.ndarray, target: np.ndarray, task: str) -> Verdict | None:
    if task == "classes":
        target, known = _common(target)
        columns = columns[known]
    if len(target) < _FEWEST or target.min() == target.max():
        return None
    folds = np.random.default_rng(0).permutation(len(target)) % _FOLDS
    promising = _promising(columns, target, task)
    score = _by_class if task == "classes" else _by_number
    scores = _of_all(len(names), promising, score(columns[:, promising], target, folds))
    limit = _CLASSES if task == "classes" else _NUMBERS
    leaks = scores.alone >= limit
    if not leaks.any() or leaks.all():
        return None
    error, other = 1 - scores.alone[leaks].max(), 1 - scores.alone[~leaks].max()
    few = leaks.sum() <= max(1, _SHARE * len(names))
    behind = other >= max(_OTHER, _BEHIND * error)
    if not (scores.discrete & leaks).any():
        if not few or not behind:
            return None
        if other < _ALONE and _together(columns[:, ~leaks], target, folds, task) >= _TOGETHER:
            return None
    order = np.argsort(-scores.alone, kind="stable")
    worst = [int(j) for j in order if leaks[j]]
    best_other = int(next(j for j in order if not leaks[j]))
    shown = ", ".join(names[j] for j in worst[:8])
    evidence = (
        f"{shown} alone predict{'s' if len(worst) == 1 else ''} the target with {scores.unit} "
        f"{scores.alone[worst[0]]:.4f} on rows not fitted on ({len(target):,} rows, {_FOLDS} folds); the best of the "
        f"other {len(names) - len(worst)} columns, {names[best_other]}, has {scores.alone[best_other]:.4f}."
    )
    severity = max(1.0, other / max(error, _OTHER))
    return Verdict("target_leak", evidence, tuple(names[j] for j in worst), severity, (Remedy(_TEXT.format(shown)),))


def _common(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels 0..k-1 of the classes that have a row for each fold, and which rows they are of."""
    _, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    known = counts[codes] >= _FOLDS
    return np.unique(codes[known], return_inverse=True)[1], known


def _promising(columns: np.ndarray, target: np.ndarray, task: str) -> np.ndarray:
    """Numbers of the columns that may predict best: sorted by them, rows stand beside rows of a like target."""
    if columns.shape[1] <= _CANDIDATES:
        return np.arange(columns.shape[1])
    sorted_targets = target[np.argsort(columns, axis=0, kind="stable")]  # missing numbers stand last, together
    if task == "classes":
        counts = np.bincount(target)
        alike = ((sorted_targets[1:] == sorted_targets[:-1]) / counts[sorted_targets[1:]]).sum(0)
    else:
        alike = -((sorted_targets[1:] - sorted_targets[:-1]) ** 2).sum(0)
    return np.sort(np.argsort(-alike, kind="stable")[:_CANDIDATES])


def _of_all(count: int, chosen: np.ndarray, scores: _Scores) -> _Scores:
    """Scores of all columns, 0 of those that were not tried."""
    alone, discrete = np.zeros(count), np.zeros(count, bool)
    alone[chosen], discrete[chosen] = scores.alone, scores.discrete
    return _Scores(alone, discrete, scores.unit)


def _present(column: np.ndarray) -> np.ndarray:
    """What is missing as a value of its own, below all others."""
    missing = np.isnan(column)
    if not missing.any():
        return column
    low = np.min(column[~missing], initial=0.0)
    return np.where(missing, low - 1 - abs(low), column)


def _windows(fitted: np.ndarray, asked: np.ndarray, count: int) -> np.ndarray:
    """For each value asked for, where its `count` nearest among the sorted fitted ones begin."""
    place = np.searchsorted(fitted, asked)
    start = np.clip(place - count, 0, len(fitted) - count)
    best, distance = start, np.full(len(asked), np.inf)
    for shift in range(count + 1):
        first = np.clip(place - count + shift, 0, len(fitted) - count)
        far = np.maximum(np.abs(fitted[first] - asked), np.abs(fitted[first + count - 1] - asked))
        best, distance = np.where(far < distance, first, best), np.minimum(far, distance)
    return best


def _by_class(columns: np.ndarray, labels: np.ndarray, folds: np.ndarray) -> _Scores:
    """Mean over the classes of the share of their rows that is predicted: of constant answers no more than chance."""
    classes = int(labels.max()) + 1
    counts = np.bincount(labels, minlength=classes)
    scores, discrete = np.zeros(columns.shape[1]), np.zeros(columns.shape[1], bool)
    for j in range(columns.shape[1]):
        column = _present(columns[:, j])
        right = {1: np.zeros(classes), _FOLDS: np.zeros(classes)}
        for fold in range(_FOLDS):
            fitted, asked = folds != fold, folds == fold
            order = np.argsort(column[fitted], kind="stable")
            values, own = column[fitted][order], labels[fitted][order]
            for count in right:
                first = _windows(values, column[asked], count)
                votes = own[first[:, None] + np.arange(count)]
                answers = votes[:, 0] if count == 1 else _majority(votes, classes)
                hit = answers == labels[asked]
                right[count] += np.bincount(labels[asked][hit], minlength=classes)
        scores[j] = max((found / counts).mean() for found in right.values())
        discrete[j] = len(np.unique(column)) <= classes
    return _Scores(scores, discrete, "a mean accuracy over the classes of")


def _majority(votes: np.ndarray, classes: int) -> np.ndarray:
    counts = np.zeros((len(votes), classes), np.int32)
    np.add.at(counts, (np.arange(len(votes))[:, None], votes), 1)
    return counts.argmax(1)


def _by_number(columns: np.ndarray, target: np.ndarray, folds: np.ndarray) -> _Scores:
    """The greater of the squared rank correlation and R2 of the nearest values."""
    ranked = _ranks(target)
    total = ((target - target.mean()) ** 2).sum()
    scores = np.zeros(columns.shape[1])
    for j in range(columns.shape[1]):
        column = _present(columns[:, j])
        if column.min() == column.max():
            continue
        order_alike = abs(float(np.corrcoef(_ranks(column), ranked)[0, 1]))
        errors = 0.0
        for fold in range(_FOLDS):
            fitted, asked = folds != fold, folds == fold
            order = np.argsort(column[fitted], kind="stable")
            values, own = column[fitted][order], target[fitted][order]
            first = _windows(values, column[asked], 2)
            answers = own[first[:, None] + np.arange(2)].mean(1)
            errors += ((answers - target[asked]) ** 2).sum()
        scores[j] = max(order_alike, 1 - errors / total)
    return _Scores(scores, np.zeros(len(scores), bool), "a rank correlation or R2 of")


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks; equal values have their mean."""
    _, codes, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[codes]


def _together(columns: np.ndarray, target: np.ndarray, folds: np.ndarray, task: str) -> float:
    """Accuracy or R2 of the five nearest rows by these columns, on rows not fitted on."""
    points = standardized(columns)
    if not points.shape[1]:
        return 0.0
    found = np.zeros(len(target))
    for fold in range(_FOLDS):
        fitted, asked = folds != fold, folds == fold
        near = target[fitted][nearest(points[asked], min(5, int(fitted.sum())), points[fitted])]
        found[asked] = _majority(near, int(target.max()) + 1) if task == "classes" else near.mean(1)
    if task == "classes":
        classes = np.unique(target)
        return float(np.mean([(found[target == one] == one).mean() for one in classes]))
    return float(1 - ((found - target) ** 2).sum() / ((target - target.mean()) ** 2).sum())
