"""What every picture is drawn on: a figure that pyplot knows nothing of, quiet axes, five colours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from jaxann.core.checks import fail
from jaxann.core.errors import MissingDependencyError
from jaxann.core.reading import read_array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "ERROR",
    "GRID",
    "INK",
    "QUIET",
    "RIGHT",
    "class_names",
    "literal",
    "new_axes",
    "new_figure",
    "quiet",
    "read_classes",
]

INK = "#1f2933"
QUIET = "#7b8794"
GRID = "#e4e7eb"
RIGHT = "#2563a8"  # blue and orange: told apart by people who do not see red and green
ERROR = "#d9480f"


def new_figure(function: str, width: float, height: float) -> Figure:
    """An empty white figure of this many inches, whose parts make room for each other.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError(f'plot.{function} needs matplotlib: pip install "jaxann[plots]".') from error
    return Figure(figsize=(width, height), dpi=144, layout="constrained", facecolor="white")


def new_axes(function: str, width: float, height: float) -> Axes:
    """The only axes of a new figure."""
    return new_figure(function, width, height).add_subplot()


def literal(text: Any) -> str:
    """A text to be drawn as it is: matplotlib would take what stands between two dollar signs for a formula."""
    return str(text).replace("$", r"\$")


def quiet(axes: Axes, title: str) -> None:
    """Title on the left, grey ticks, no box."""
    axes.set_title(literal(title), loc="left", color=INK, fontsize=11, fontweight="bold", pad=10)
    axes.tick_params(colors=QUIET, labelsize=9, length=0)
    axes.xaxis.label.set(color=QUIET, fontsize=9)
    axes.yaxis.label.set(color=QUIET, fontsize=9)
    for spine in axes.spines.values():
        spine.set_visible(False)


def read_classes(function: str, predictions: Any, targets: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Predicted labels, true labels, and each prediction's probability where logits were given.

    Raises:
        InputError: targets are not integer labels, or the shapes do not fit.
    """
    given = read_array(f"plot.{function}", "predictions", predictions)
    y = read_array(f"plot.{function}", "targets", targets)
    if y.ndim != 1 or y.dtype.kind not in "iu":
        fail(f"plot.{function}", "targets", "integer labels of shape (n,)", f" {y.dtype} of shape {y.shape}")
    if given.shape == y.shape and given.dtype.kind in "iu":
        return given, y, None
    if given.ndim != 2 or len(given) != len(y):
        expected = f"logits of shape ({len(y)}, classes), or {len(y)} integer labels"
        fail(f"plot.{function}", "predictions", expected, f" {given.dtype} of shape {given.shape}")
    if not len(given):
        return np.zeros(0, y.dtype), y, np.zeros(0)
    wide = given.astype(np.float64)
    shares = np.exp(wide - wide.max(-1, keepdims=True))
    return given.argmax(-1), y, shares.max(-1) / shares.sum(-1)


def class_names(function: str, classes: Any, *labels: np.ndarray) -> tuple[str, ...]:
    """A name for each class; the numbers when none are given.

    Raises:
        InputError: a label has no name.
    """
    greatest = max((int(part.max()) for part in labels if part.size), default=-1)
    smallest = min((int(part.min()) for part in labels if part.size), default=0)
    if smallest < 0:
        fail(f"plot.{function}", "labels", "at least 0", smallest)
    names = tuple(map(str, range(greatest + 1) if classes is None else classes))
    if greatest >= len(names):
        fail(f"plot.{function}", "classes", f"a name for each label up to {greatest}", f" {len(names)} names")
    return names
