"""A training run on one page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from jaxann.plot.canvas import INK, literal, new_figure, read_classes
from jaxann.plot.confusion import confusion
from jaxann.plot.examples import mistakes
from jaxann.plot.learning_curves import learning_curves

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["report"]

_COLUMNS = 10


def report(
    history: Mapping[str, ArrayLike],
    predictions: ArrayLike,
    targets: ArrayLike,
    x: ArrayLike,
    *,
    classes: Sequence[str] | None = None,
    metric: str = "accuracy",
    best_epoch: int | None = None,
    title: str = "",
) -> Figure:
    """Draw a classifier of pictures on one page: loss, one metric, confusion matrix, and the pictures it misread.

    Args:
        history: `result.history`.
        predictions: logits `(n, classes)` or labels `(n,)` for the pictures.
        targets: true labels `(n,)`.
        x: pictures `(n, height, width, channels)` in [0, 1], as in `examples`.
        classes: names of the classes; their numbers when None.
        metric: which metric of the history to draw beside the loss.
        best_epoch: `result.best_epoch`, marked in both curves.
        title: a heading.

    Returns:
        The figure; `figure.savefig(path)` writes the picture.

    Raises:
        InputError: shapes do not fit, or the history lacks the metric.
        MissingDependencyError: matplotlib is not installed.
    """
    rows = 2 if np.sum(read_classes("report", predictions, targets)[0] != np.asarray(targets)) > _COLUMNS else 1
    heights = (4.5, 0.6 + 1.85 * rows)
    figure = new_figure("report", 14, sum(heights))
    figure.set_layout_engine("constrained", w_pad=0.12, h_pad=0.1)
    if title:
        figure.suptitle(literal(title), x=0.01, ha="left", color=INK, fontsize=15, fontweight="bold")
    (top,), (bottom,) = figure.subfigures(2, 1, height_ratios=heights, squeeze=False)
    left, middle, right = top.subplots(1, 3, width_ratios=(1, 1, 0.9))
    learning_curves(history, "loss", best_epoch=best_epoch, axes=left)
    learning_curves(history, metric, best_epoch=best_epoch, axes=middle)
    confusion(predictions, targets, classes=classes, axes=right)
    mistakes(x, predictions, targets, classes=classes, columns=_COLUMNS, most=2 * _COLUMNS, figure=bottom)
    return figure
