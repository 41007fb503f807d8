"""Labels that contradict the inputs, told from classes that overlap.

A row's own label is drawn apart from the labels around it. So where its neighbours agree most, its own label disagrees
as often as labels are wrong: their share is read off there. Where classes overlap, neighbours agree most far from the
border, and there labels do not disagree; towards it they do, more and more. Wrong labels are everywhere alike.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from jaxann.core.binding import accepts, bound
from jaxann.core.checks import fail
from jaxann.core.typing import Inputs
from jaxann.diagnose.example_columns import AMOUNTS, PICTURES, example_columns, row_sample
from jaxann.diagnose.neighbours import nearest
from jaxann.diagnose.verdicts import Remedy, Verdict
from jaxann.preprocessing.varied_columns import standardized
from jaxann.train.early_stopping import early_stopping
from jaxann.train.recipe import Recipe

__all__ = ["Disagreement", "disagreement", "label_noise"]

_ROWS, _FEWEST, _COLUMNS = 2_000, 50, 1_024
_NEIGHBOURS, _FEWEST_NEIGHBOURS, _ROWS_A_NEIGHBOUR = 30, 10, 5
_AGREE = 0.8  # of the neighbours, on one other class: a row to look at
_PUREST = 100  # rows whose neighbours agree most; more of many, fewer of few
_SHARE = 0.12  # of wrong labels
_SURE = 0.06  # share that it is above by one standard error
_HOPELESS = 0.9  # of the errors of a constant answer, from which on the neighbours tell nothing
# Where classes overlap, the share where neighbours agree most, over that where they agree less, is about the errors of
# all rows over those of a constant answer; wrong labels leave it near 1. It must be so much greater, or, where the
# neighbours tell the classes well, merely not small.
_FLATTER = 0.05
_WELL, _FLAT = 0.58, 0.5
_SMOOTHING = 0.2
_SHOWN = 10


def label_noise(x: Inputs, labels: np.ndarray, rows: np.ndarray, loss: Callable | None = None) -> Verdict | None:
    """The verdict, where about an eighth of the labels is wrong or more.

    Args:
        x: the inputs: their amounts and pictures are compared, by standardized columns.
        labels: `(rows,)`.
        rows: numbers of the rows that count.
        loss: of the recipe; None where the remedies have to find out when they are applied.
    """
    taken = row_sample(rows, _ROWS)
    _, columns = example_columns(x, taken, (AMOUNTS, PICTURES), _COLUMNS)
    points = standardized(columns) if columns.size else columns
    if len(taken) < _FEWEST or not points.shape[1]:
        return None
    found = disagreement(points, labels[taken])
    if found is None or not found.is_noise:
        return None
    worst = taken[found.suspects]
    shown = ", ".join(map(str, worst[:_SHOWN])) + (", ..." if len(worst) > _SHOWN else "")
    evidence = (
        f"About {found.share:.0%} of the labels are wrong: so many rows contradict their nearest "
        f"neighbours where these agree most, far from any border ({found.overall:.0%} of all "
        f"{len(taken):,} rows looked at). Of {len(worst)} rows at least {_AGREE:.0%} of the neighbours agree on "
        f"another class: rows {shown}."
    )
    by_class = [(rate, one) for one, rate in found.by_class.items() if rate >= _SHARE]
    if by_class:
        told = ", ".join(f"{one} ({rate:.0%})" for rate, one in sorted(by_class, reverse=True)[:_SHOWN])
        evidence += f" Among rows that look like a class, so many have another label: {told}."
    smoothing = round(min(_SMOOTHING, found.share), 2)
    change: Callable[[Recipe], Recipe] | None = functools.partial(_smoothed, smoothing)
    if loss is not None and not _smooths(loss):
        change = None
    remedies = (
        Remedy(f"Look at these rows, and mend or drop them: {shown}."),
        Remedy(f"Label smoothing of {smoothing:g} in the loss: the net is not asked to be sure of any label.", change),
        Remedy(
            "Stop early, on validation rows whose labels are right: wrong labels are learned last.",
            _stopped,
        ),
        Remedy("Fewer weights, more decay, dropout: so that rows cannot be learned one by one."),
    )
    where = tuple(f"row {row}" for row in worst[:_SHOWN])
    return Verdict("label_noise", evidence, where, max(1.0, found.share / _SHARE), remedies)


class Disagreement:
    """How rows disagree with their neighbours.

    Attributes:
        rows: how many were looked at.
        share: of rows whose label is not their neighbours', where these agree most: the share of wrong labels.
        error: its standard error.
        overall: of all rows.
        constant: what a constant answer would have.
        next: where neighbours agree less, from the first quarter of the rows to the third.
        by_class: `share` among the rows that look like a class.
        suspects: numbers of the rows most of whose neighbours agree on one other class, the clearest first.
    """

    def __init__(self, labels: np.ndarray, known: np.ndarray, votes: np.ndarray):
        self.rows = count = len(labels)
        agree, choice = votes.max(1) / votes.sum(1), votes.argmax(1)
        wrong = choice != labels
        order = np.argsort(-agree, kind="stable")
        first = max(count // 4, min(_PUREST, count // 2))
        self.share = float(wrong[order[:first]].mean())
        self.error = float(np.sqrt(max(self.share * (1 - self.share), 1 / first) / first))
        self.overall = float(wrong.mean())
        self.next = float(wrong[order[first : max(first + 1, 3 * count // 4)]].mean())
        self.constant = float(1 - np.bincount(labels).max() / count)
        self.by_class: dict[int, float] = {}
        for one in range(votes.shape[1]):
            own = order[choice[order] == one]
            if len(own) >= 2 * _FEWEST_NEIGHBOURS:
                self.by_class[int(known[one])] = float(wrong[own[: max(len(own) // 2, 2 * _FEWEST_NEIGHBOURS)]].mean())
        self.suspects = order[wrong[order] & (agree[order] >= _AGREE)]

    @property
    def is_noise(self) -> bool:
        """Whether labels are wrong, and classes do not just overlap."""
        if self.share < _SHARE or self.share - self.error < _SURE:
            return False
        chance = 2 * np.sqrt(self.overall * (1 - self.overall) / self.rows)
        if self.overall > min(_HOPELESS * self.constant, self.constant - chance):
            return False
        told, flat = self.overall / self.constant, self.share / max(self.next, 1e-9)
        return flat >= told + _FLATTER or (told <= _WELL and flat >= _FLAT)


def disagreement(points: np.ndarray, labels: np.ndarray) -> Disagreement | None:
    """How the labels disagree with those of the nearest points; None for a single class.

    Args:
        points: `(rows, columns)`, of one size.
        labels: at least 0, `(rows,)`.
    """
    known, codes = np.unique(labels, return_inverse=True)
    if codes.max(initial=0) == 0:
        return None
    neighbours = min(_NEIGHBOURS, max(_FEWEST_NEIGHBOURS, len(points) // _ROWS_A_NEIGHBOUR))
    close = codes[nearest(points, neighbours)]
    votes = np.zeros((len(close), int(codes.max()) + 1), np.int32)
    np.add.at(votes, (np.arange(len(close))[:, None], close), 1)
    return Disagreement(codes, known, votes)


def _smooths(loss: Callable) -> bool:
    function = bound(loss)[0]
    return accepts(getattr(function, "__wrapped__", function), "label_smoothing")


def _smoothed(smoothing: float, recipe: Recipe) -> Recipe:
    if not _smooths(recipe.loss):
        fail("Verdict.apply", "loss", "one that takes label_smoothing, such as softmax_cross_entropy", recipe.loss)
    function, args, settings = bound(recipe.loss)
    return recipe.replace(loss=functools.partial(function, *args, **(settings | {"label_smoothing": smoothing})))


def _stopped(recipe: Recipe) -> Recipe:
    return recipe if recipe.stopping is not None else recipe.replace(stopping=early_stopping(patience=5))
