"""How a figure moved over the epochs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from jaxann.core.checks import check_choice, fail
from jaxann.core.reading import read_array
from jaxann.plot.canvas import ERROR, GRID, INK, QUIET, RIGHT, new_axes, quiet

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike

__all__ = ["learning_curves"]


def learning_curves(
    history: Mapping[str, ArrayLike], name: str = "loss", *, best_epoch: int | None = None, axes: Axes | None = None
) -> Axes:
    """Draw one figure of the history over the epochs, of the training set and of the validation set.

    Args:
        history: `result.history`; each entry `(epochs,)`. Epochs that were not run (NaN) stay empty.
        name: key of the history: "loss", "learning_rate", "gradient_norm", or a metric's name.
        best_epoch: `result.best_epoch`, counted from 0, marked by a dot; None or -1 for no mark.
        axes: where to draw; a new figure when None.

    Returns:
        The axes; `axes.figure.savefig(path)` writes the picture.

    Raises:
        InputError: the history has no such entry, or it is not one run's.
        MissingDependencyError: matplotlib is not installed.
    """
    check_choice("plot.learning_curves", "name", name, history)

    def line(entry: str) -> np.ndarray:
        return read_array("plot.learning_curves", f"history[{entry!r}]", history.get(entry, ())).astype(np.float64)

    lines = {"training": (line(name), RIGHT), "validation": (line(f"validation_{name}"), ERROR)}
    epochs = lines["training"][0].shape
    if len(epochs) != 1 or epochs[0] == 0:
        hint = "Of many runs draw one member's history." if len(epochs) > 1 else None
        fail(
            "plot.learning_curves",
            f"history[{name!r}]",
            "of shape (epochs,), at least one",
            f" shape {epochs}",
            hint=hint,
        )
    axes = new_axes("learning_curves", 5, 3.6) if axes is None else axes
    from matplotlib.ticker import MaxNLocator

    for label, (values, color) in lines.items():
        if values.size:
            marker = "o" if values.size == 1 else None  # a line through one point is no line
            axes.plot(np.arange(1, values.size + 1), values, color=color, linewidth=2, label=label, marker=marker)
    values, color = lines["validation"] if lines["validation"][0].size else lines["training"]
    if best_epoch is not None and 0 <= best_epoch < values.size:
        axes.plot([best_epoch + 1], [values[best_epoch]], "o", color=color, markersize=8, markeredgecolor="white",
                  markeredgewidth=1.5, label=f"best, epoch {best_epoch + 1}", clip_on=False, zorder=4)  # fmt: skip
    axes.set_xlabel("epoch")
    margin = 0.02 * epochs[0] if epochs[0] > 1 else 0.5  # of one epoch: enough for its tick alone
    axes.set_xlim(1 - margin, epochs[0] + margin)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(axis="y", color=GRID)
    axes.set_axisbelow(True)
    axes.legend(frameon=False, fontsize=9, labelcolor=INK)
    quiet(axes, name.replace("_", " "))
    axes.spines["bottom"].set(visible=True, color=QUIET)
    return axes
