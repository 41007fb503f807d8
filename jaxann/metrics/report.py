"""Precision, recall and F1 of every class as text, for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxann.core.checks import check_choice, check_integer, check_range, fail
from jaxann.core.domains import check_answers
from jaxann.core.reading import read_array
from jaxann.core.typing import Array, Scalar
from jaxann.metrics.streaming.reading import class_count, read_labels

__all__ = ["classification_report"]

_COLUMNS = ("precision", "recall", "f1-score", "support")


def classification_report(
    predictions: Array,
    targets: Array,
    weights: Array | None = None,
    *,
    names: Sequence[str] | None = None,
    digits: int = 2,
    zero_division: Scalar = 0.0,
    absent: str = "skip",
    classes: int | None = None,
    threshold: Scalar = 0.0,
) -> str:
    """precision, recall, f1-score and support of each class, the accuracy, and the macro and weighted means, as text.

    Args:
        predictions, targets, weights, classes, threshold: as in `confusion_matrix`; arrays, not traced.
        names: of the classes, all of them; their numbers when None.
        digits: decimals.
        zero_division: what 0 / 0 gives, in [0, 1].
        absent: `"skip"` leaves out a class that is neither true nor predicted, `"count"` lists and counts it.

    Returns:
        Lines of text, worked out in float64 on the host.

    Peers: the very text of scikit-learn's classification_report, with support to `digits` decimals where there are
    weights.

    Raises:
        InputError: as `confusion_matrix`, an example that fits no class, or not one name a class.
    """
    function = "classification_report"
    check_integer(function, "digits", digits, 0)
    check_range(function, "zero_division", zero_division, 0, 1)
    check_choice(function, "absent", absent, ("skip", "count"))
    classes = class_count(function, predictions, targets, weights, classes)
    if names is not None and len(names) != classes:
        fail(function, "names", f"{classes} texts, one a class", f" {len(names)}")
    check_answers(function, ("takes_labels",), predictions, targets, weights, classes=classes)
    counts = _counts(function, predictions, targets, weights, classes, threshold)
    true, predicted = counts.sum(1), counts.sum(0)
    shown = [i for i in range(classes) if absent == "count" or true[i] > 0 or predicted[i] > 0]
    hits, true, predicted = np.diagonal(counts)[shown], true[shown], predicted[shown]
    table = np.stack(
        [_ratio(hits, predicted, zero_division), _ratio(hits, true, zero_division),
         _ratio(2 * hits, true + predicted, zero_division)], 1
    )  # fmt: skip
    total = true.sum()
    texts = [str(number) if names is None else str(names[number]) for number in shown]
    width = max(len("weighted avg"), digits, *map(len, texts), 0)

    def line(head: str, *cells: Any) -> str:
        return f"{head:>{width}} " + "".join(f" {cell:>9}" for cell in cells) + "\n"

    def support(value: float) -> str:
        return f"{value:.0f}" if weights is None else f"{value:.{digits}f}"

    def row(head: str, figures: np.ndarray, count: float) -> str:
        return line(head, *(f"{figure:.{digits}f}" for figure in figures), support(count))

    text = line("", *_COLUMNS) + "\n"
    text += "".join(row(*cells) for cells in zip(texts, table, true, strict=True)) + "\n"
    accuracy = _ratio(hits.sum(), total, zero_division)
    text += line("accuracy", "", "", f"{accuracy:.{digits}f}", support(total))
    for head, share in (("macro avg", np.ones_like(true)), ("weighted avg", true)):
        means = share @ table / share.sum() if share.sum() > 0 else np.full(3, float(zero_division))
        text += row(head, means, total)
    return text


def _counts(function: str, predictions: Any, targets: Any, weights: Any, classes: int, threshold: Scalar) -> np.ndarray:
    true, predicted, unknown = map(np.asarray, read_labels(function, predictions, targets, classes, threshold))
    w = np.ones(targets.shape) if weights is None else read_array(function, "weights", weights).astype(np.float64)
    w = np.broadcast_to(w.reshape(*w.shape, *(1,) * (targets.ndim - w.ndim)), targets.shape).reshape(-1)
    lost = np.flatnonzero(unknown & (w != 0))
    if lost.size:
        fail(function, "each example", f"of a class below {classes}, with scores", f" none at {lost[0]}")
    counts = np.zeros((classes, classes))
    np.add.at(counts, (true[w != 0], predicted[w != 0]), w[w != 0])
    return counts


def _ratio(above: Any, below: Any, otherwise: Any) -> np.ndarray:
    return np.where(below == 0, float(otherwise), above / np.where(below == 0, 1, below))
