"""Pictures from a data set, each with a word below it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from jaxann.core.checks import check_integer, fail
from jaxann.core.reading import read_array
from jaxann.plot.canvas import ERROR, GRID, INK, QUIET, class_names, literal, new_figure, read_classes

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure

__all__ = ["examples", "mistakes"]


def examples(
    x: ArrayLike,
    captions: Sequence[str],
    *,
    columns: int = 10,
    title: str = "",
    figure: Figure | SubFigure | None = None,
) -> Figure | SubFigure:
    """Draw pictures in rows, with a caption below each.

    Args:
        x: `(n, height, width)`, `(n, height, width, 1)` in grey, or `(n, height, width, 3)` in colour, in [0, 1]. Grey
            pictures are drawn dark on light, each over its own range.
        captions: n texts.
        columns: pictures in a row.
        title: a heading.
        figure: where to draw; a new figure when None.

    Returns:
        The figure.

    Raises:
        InputError: x holds no pictures, or the number of captions differs.
        MissingDependencyError: matplotlib is not installed.
    """
    check_integer("plot.examples", "columns", columns)
    images = read_array("plot.examples", "x", x)
    if images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[-1] not in (1, 3)):
        expected = "of shape (n, height, width), with 1 or 3 channels after it or none"
        fail("plot.examples", "x", expected, f" shape {images.shape}")
    if len(captions) != len(images):
        fail("plot.examples", "captions", f"{len(images)} texts, one a picture", f" {len(captions)}")
    rows = max(1, -(-len(images) // columns))
    if figure is None:
        figure = new_figure("examples", 1.25 * columns, 1.5 * rows + (0.4 if title else 0))
    if title:
        figure.suptitle(literal(title), x=0.01, ha="left", color=INK, fontsize=11, fontweight="bold")
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid[len(images) :]:
        axes.set_axis_off()
    for axes, image, caption in zip(grid, images, captions, strict=False):
        axes.imshow(image[..., 0] if image.shape[2:] == (1,) else image, cmap="gray_r", interpolation="nearest")
        axes.set_xlabel(literal(caption), color=INK, fontsize=9)
        axes.set(xticks=(), yticks=(), anchor="N")
        for spine in axes.spines.values():
            spine.set_color(GRID)
    return figure


def mistakes(
    x: ArrayLike,
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    classes: Sequence[str] | None = None,
    columns: int = 10,
    most: int = 20,
    figure: Figure | SubFigure | None = None,
) -> Figure | SubFigure:
    """Draw the pictures that were put in a wrong class, with the true and the predicted class.

    Args:
        x: pictures, as in `examples`.
        predictions: logits `(n, classes)`: the mistakes made with the highest probability come first. Or labels `(n,)`.
        targets: true labels `(n,)`.
        classes: names of the classes; their numbers when None.
        columns: pictures in a row.
        most: how many to draw at most.
        figure: where to draw; a new figure when None.

    Returns:
        The figure.

    Raises:
        InputError: shapes do not fit, or a label has no name.
        MissingDependencyError: matplotlib is not installed.
    """
    check_integer("plot.mistakes", "most", most)
    predicted, true, probability = read_classes("mistakes", predictions, targets)
    names = class_names("mistakes", classes, predicted, true)
    images = read_array("plot.mistakes", "x", x)
    if images.ndim == 0 or len(images) != len(true):
        fail("plot.mistakes", "x", f"{len(true)} pictures, one a target", f" shape {images.shape}")
    wrong = np.flatnonzero(predicted != true)
    if probability is not None:
        wrong = wrong[np.argsort(-probability[wrong], kind="stable")]
    shown = wrong[:most]
    shares = [None] * len(true) if probability is None else probability.tolist()
    captions = [_caption(names[true[i]], names[predicted[i]], shares[i]) for i in shown]
    total = f"{len(wrong):,} of {len(true):,} misread"
    title = total if len(shown) == len(wrong) else f"{total}; the {len(shown)} surest of them"
    if probability is None and len(shown) < len(wrong):
        title = f"{total}; the first {len(shown)} of them"
    figure = examples(images[shown], captions, columns=columns, title=title, figure=figure)
    for axes in figure.axes:
        axes.xaxis.label.set_color(ERROR)
    if not len(wrong):
        figure.text(0.5, 0.4, "no mistakes", ha="center", color=QUIET, fontsize=12)
    return figure


def _caption(true: str, predicted: str, probability: float | None) -> str:
    text = f"{true} read as {predicted}"
    if len(text) > 14:
        text = f"{true}\nread as {predicted}"
    return text if probability is None else f"{text}\n{100 * probability:.0f} % sure"
