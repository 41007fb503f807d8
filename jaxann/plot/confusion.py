"""Which class was taken for which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from jaxann.plot.canvas import ERROR, GRID, INK, RIGHT, class_names, literal, new_axes, quiet, read_classes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["confusion"]

_MOST_NUMBERS = 20  # classes; with more, the cells are too small for text


def confusion(
    predictions: ArrayLike, targets: ArrayLike, *, classes: Sequence[str] | None = None, axes: Axes | None = None
) -> Axes:
    """Draw the confusion matrix: rows are true classes, columns predicted ones, each cell the number of examples.

    Right answers lie on the diagonal, blue by their share of the row; mistakes are orange, the darker the more.

    Args:
        predictions: logits `(n, classes)`, or predicted labels `(n,)`.
        targets: true labels `(n,)`.
        classes: names of the classes; their numbers when None.
        axes: where to draw; a new figure when None.

    Returns:
        The axes.

    Raises:
        InputError: shapes do not fit, or a label has no name.
        MissingDependencyError: matplotlib is not installed.
    """
    predicted, true, _ = read_classes("confusion", predictions, targets)
    names = class_names("confusion", classes, predicted, true)
    counts = np.zeros((len(names), len(names)), np.int64)
    np.add.at(counts, (true, predicted), 1)
    axes = new_axes("confusion", 5, 5) if axes is None else axes
    axes.imshow(_shades(counts))
    ticks, shown = range(len(names)), [literal(name) for name in names]
    if len(names) <= _MOST_NUMBERS:
        size = (9 if counts.max() < 1000 else 8) if len(names) <= 12 else 7
        for row, column in np.argwhere(counts):
            color = "white" if row == column and counts[row, column] > counts[row].sum() / 2 else INK
            axes.text(column, row, str(counts[row, column]), ha="center", va="center", color=color, fontsize=size)
        slanted = any(len(name) > 3 for name in names)
        axes.set_xticks(ticks, shown, rotation=45 if slanted else 0, ha="right" if slanted else "center")
        axes.set_yticks(ticks, shown)
        axes.set_xticks(np.arange(-0.5, len(names)), minor=True)
        axes.set_yticks(np.arange(-0.5, len(names)), minor=True)
        axes.grid(which="minor", color=GRID, linewidth=1)
        axes.tick_params(which="minor", length=0)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    quiet(axes, "confusion matrix")
    return axes


def _shades(counts: np.ndarray) -> np.ndarray:
    """`(classes, classes, 4)` colours of the cells: white for 0."""
    from matplotlib.colors import to_rgb

    right = np.eye(len(counts), dtype=bool)
    share = counts / np.maximum(counts.sum(-1, keepdims=True), 1)
    mistakes = np.where(right, 0, counts)
    strength = np.where(right, 0.9 * share, 0.75 * mistakes / max(int(mistakes.max(initial=0)), 3))
    colors = np.where(right[..., None], to_rgb(RIGHT), to_rgb(ERROR))
    return np.concatenate([colors, strength[..., None]], -1)
