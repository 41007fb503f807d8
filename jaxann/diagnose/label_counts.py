"""How often each class occurs: classes that never do, and one that nearly always does."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from jaxann import losses, metrics
from jaxann.core.binding import accepts, bound
from jaxann.core.checks import fail
from jaxann.diagnose.verdicts import Remedy, Verdict
from jaxann.train.recipe import Recipe

__all__ = ["imbalance", "missing_labels"]

_SHARE = 0.9  # of the largest class
_GREATEST_WEIGHT = 100.0
_SHOWN = 12


def missing_labels(labels: np.ndarray, other: np.ndarray | None, classes: int | None) -> Verdict | None:
    """The verdict, where a class is not in the training set.

    Args:
        labels: of the training set, at least 0, `(rows,)`.
        other: of the validation set.
        classes: how many the model tells apart; up to the greatest label when None, and two of them at least.
    """
    asked = np.zeros(0, np.int64) if other is None else other
    top = max(int(labels.max()), int(asked.max(initial=0)))
    total = max(2, top + 1) if classes is None else max(classes, top + 1)
    counts, asked_counts = np.bincount(labels, minlength=total), np.bincount(asked, minlength=total)
    missing = np.flatnonzero(counts == 0)
    if not len(missing):
        return None
    shown = ", ".join(map(str, missing[:_SHOWN])) + (", ..." if len(missing) > _SHOWN else "")
    evidence = f"{len(missing)} of the {total} classes never occur among the {len(labels):,} training rows: {shown}."
    alone = missing[asked_counts[missing] > 0]
    remedies = [
        Remedy(
            "Number the labels without gaps, np.unique(y, return_inverse=True)[1], and give the model as many outputs."
        )
    ]
    if len(alone):
        told = ", ".join(f"{one} ({asked_counts[one]} rows)" for one in alone[:_SHOWN])
        evidence += f" Of them the validation set has {told}: nothing can be learned of these."
        text = "Split so that each class has its share of both sets (stratified); do not cut sorted rows in two."
        remedies.insert(0, Remedy(text))
    where = tuple(f"class {one}" for one in (*alone, *np.setdiff1d(missing, alone)))
    return Verdict("missing_labels", evidence, where, float(max(1, len(missing))), tuple(remedies))


def imbalance(labels: np.ndarray, weights: np.ndarray | None, loss: Callable | None) -> Verdict | None:
    """The verdict, where a class has 90 % of the rows or more.

    Args:
        labels: at least 0, `(rows,)`.
        weights: of the rows, which may make up for it.
        loss: of the recipe; None where the remedies have to find out when they are applied.
    """
    counts = np.bincount(labels)
    shares = np.bincount(labels, weights) if weights is not None else counts.astype(np.float64)
    share = float(shares.max() / shares.sum())
    if share < _SHARE or np.count_nonzero(counts) < 2:
        return None
    largest = int(shares.argmax())
    order = np.argsort(-counts, kind="stable")
    told = ", ".join(f"{counts[one]:,} of class {one}" for one in order[:_SHOWN] if counts[one])
    weighed = f" ({share:.1%} of the weight)" if weights is not None else ""
    accuracy = counts[largest] / counts.sum()
    evidence = f"{told}{weighed}: always answering {largest} has an accuracy of {accuracy:.1%} and says nothing."
    severity = max(1.0, share / max(1 - share, 1e-9) * (1 - _SHARE) / _SHARE)
    # The square root of n / (classes count): half of the way, in logarithms, to classes that count alike. All of the
    # way a handful of rows would lead.
    table = np.where(counts > 0, counts.sum() / (np.count_nonzero(counts) * np.maximum(counts, 1)), 1.0)
    table = np.minimum(np.sqrt(table), _GREATEST_WEIGHT)
    classes = max(2, len(counts))
    remedies = (
        Remedy(
            "Let rows of rare classes count for more, by class weights in the loss (square roots of n / count).",
            _if_possible(loss, functools.partial(_weighed, tuple(map(float, table)))),
        ),
        Remedy("Count what is hard, not what is frequent: a focal loss.", _if_possible(loss, _focal)),
        Remedy(
            "Look at balanced accuracy, and at average precision of a rare class: accuracy rewards constant answers.",
            functools.partial(_judged, classes),
        ),
        Remedy("Find more rows of the rare classes."),
    )
    return Verdict("imbalance", evidence, (f"class {largest}",), severity, remedies)


def _if_possible(loss: Callable | None, change: Callable[[Recipe], Recipe]) -> Callable[[Recipe], Recipe] | None:
    """The change, unless it is known that this loss does not allow it."""
    if loss is None:
        return change
    function = bound(loss)[0]
    if isinstance(change, functools.partial):
        return change if _takes(function, "class_weights") or _takes(function, "positive_weight") else None
    return change if function in _FOCAL else None


def _takes(function: Callable, name: str) -> bool:
    return accepts(getattr(function, "__wrapped__", function), name)


_FOCAL: Mapping[Callable, Callable] = {
    losses.softmax_cross_entropy: losses.softmax_focal,
    losses.sigmoid_cross_entropy: losses.sigmoid_focal,
}


def _weighed(weights: tuple[float, ...], recipe: Recipe) -> Recipe:
    function, args, settings = bound(recipe.loss)
    if _takes(function, "class_weights"):
        settings = settings | {"class_weights": np.asarray(weights, np.float32)}
    elif _takes(function, "positive_weight") and len(weights) == 2:
        settings = settings | {"positive_weight": weights[1] / weights[0]}
    else:
        fail("Verdict.apply", "loss", "one that takes class_weights or positive_weight", recipe.loss)
    return recipe.replace(loss=functools.partial(function, *args, **settings))


def _focal(recipe: Recipe) -> Recipe:
    function, _, settings = bound(recipe.loss)
    if function not in _FOCAL:
        fail("Verdict.apply", "loss", "softmax_cross_entropy or sigmoid_cross_entropy", recipe.loss)
    ignored = settings.get("ignore_index")
    if ignored is not None:
        fail("Verdict.apply", "loss", "without ignore_index", recipe.loss)
    return recipe.replace(loss=_FOCAL[function])


def _judged(classes: int, recipe: Recipe) -> Recipe:
    known: dict[str, Any] = dict(recipe.metrics or {})
    known.setdefault("balanced_accuracy", metrics.streaming.balanced_accuracy(classes))
    return recipe.replace(metrics=known)
