"""The loss along growing learning rates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jaxann.core.checks import fail
from jaxann.diagnose.rate_range import LearningRateRange
from jaxann.plot.canvas import ERROR, GRID, INK, QUIET, RIGHT, new_axes, quiet

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["learning_rate_range"]

_PALE = "#b8cbe0"


def learning_rate_range(found: LearningRateRange, *, axes: Axes | None = None) -> Axes:
    """Draw the loss of each step and its smoothed course over the learning rate, the suggested rate as a dot.

    Args:
        found: of `diagnose.learning_rate_range`.
        axes: where to draw; a new figure when None.

    Returns:
        The axes; `axes.figure.savefig(path)` writes the picture.

    Raises:
        InputError: found is none of that function's.
        MissingDependencyError: matplotlib is not installed.
    """
    if not isinstance(found, LearningRateRange):
        fail("plot.learning_rate_range", "found", "a result of ja.diagnose.learning_rate_range", found)
    axes = new_axes("learning_rate_range", 5, 3.6) if axes is None else axes
    axes.set_xscale("log")
    marker = "o" if len(found.rates) == 1 else None  # a line through one point is no line
    axes.plot(found.rates, found.losses, color=_PALE, linewidth=1.2, label="each step", marker=marker)
    axes.plot(found.rates, found.smoothed, color=RIGHT, linewidth=2, label="smoothed")
    if np.isfinite(found.suggested):
        height = np.interp(np.log(found.suggested), np.log(found.rates), found.smoothed)
        axes.plot([found.suggested], [height], "o", color=ERROR, markersize=8, markeredgecolor="white",
                  markeredgewidth=1.5, label=f"suggested, {found.suggested:.1e}", zorder=4)  # fmt: skip
    shown = np.concatenate([found.losses[np.isfinite(found.losses)], found.smoothed[np.isfinite(found.smoothed)]])
    if shown.size and found.losses.size > 1:
        room = 0.08 * max(float(found.smoothed.max() - shown.min()), 1e-12)
        axes.set_ylim(float(shown.min()) - room, float(max(found.smoothed.max(), found.losses[0])) + 4 * room)
    axes.tick_params(which="minor", length=0)
    axes.set_xlabel("learning rate")
    axes.grid(axis="y", color=GRID)
    axes.set_axisbelow(True)
    axes.legend(frameon=False, fontsize=9, labelcolor=INK)
    quiet(axes, "loss by learning rate")
    axes.spines["bottom"].set(visible=True, color=QUIET)
    return axes
