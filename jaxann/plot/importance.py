"""What a model's predictions rest on: a bar for each column, or a dot for each example."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from jaxann.core.checks import check_integer, fail
from jaxann.core.reading import read_array
from jaxann.plot.canvas import ERROR, GRID, INK, QUIET, RIGHT, literal, new_axes, quiet

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["beeswarm", "importance_bars"]

_MOST = 20  # columns
_LONGEST = 28  # characters of a name
_MIDDLE = "#c3cad1"
_BINS = 80  # across the picture, of dots that would cover each other
_HALF = 0.4  # of the room between two columns, over which dots are heaped up


def importance_bars(
    names: Sequence[str],
    mean: ArrayLike,
    deviation: ArrayLike | None = None,
    *,
    most: int = _MOST,
    title: str = "importance",
    axes: Axes | None = None,
) -> Axes:
    """Draw a bar for each column, the most important on top, with its standard deviation as a line.

    Bars below 0, of columns that only disturb, are orange.

    Args:
        names: of the columns; long ones are cut in the middle.
        mean: how important each is, such as `permutation_importance(...).mean`; `(columns,)`.
        deviation: standard deviations, `(columns,)`; None for none.
        most: how many columns to draw at most.
        title: a heading.
        axes: where to draw; a new figure when None.

    Returns:
        The axes; `axes.figure.savefig(path)` writes the picture.

    Raises:
        InputError: the numbers of names and figures differ, or a figure is not finite.
        MissingDependencyError: matplotlib is not installed.
    """
    function = "plot.importance_bars"
    check_integer(function, "most", most)
    height = _figures(function, "mean", mean, 1)
    lines = np.zeros_like(height) if deviation is None else _figures(function, "deviation", deviation, 1)
    labels = _labels(function, names, len(height))
    if lines.shape != height.shape:
        fail(function, "deviation", f"of the mean's shape {height.shape}", f" shape {lines.shape}")
    if (lines < 0).any():
        fail(function, "deviation", "at least 0", lines.min())
    order = np.argsort(-height, kind="stable")[:most]
    axes = _rows("importance_bars", [labels[i] for i in order], axes)
    colors = [RIGHT if height[i] >= 0 else ERROR for i in order]
    axes.barh(np.arange(len(order)), height[order], color=colors, height=0.68)
    if deviation is not None:
        axes.errorbar(height[order], np.arange(len(order)), xerr=lines[order], fmt="none", ecolor=INK, elinewidth=1.2)
    axes.axvline(0, color=QUIET, linewidth=1, zorder=3)
    left = len(height) - len(order)
    quiet(axes, title + (f", the first {len(order)} of {len(height)}" if left else ""))
    axes.tick_params(axis="y", colors=INK)
    return axes


def beeswarm(
    names: Sequence[str],
    values: ArrayLike,
    x: ArrayLike,
    *,
    most: int = _MOST,
    title: str = "added to the output",
    axes: Axes | None = None,
) -> Axes:
    """Draw a dot for each example and column where its attribution is, coloured by the column's number, blue to orange.

    The column with the greatest mean |attribution| is on top. A column whose orange dots lie on the right raises the
    output when it is high. Colours go from the 5th to the 95th of 100 parts of a column; missing numbers are white.

    Args:
        names: of the columns; long ones are cut in the middle.
        values: `(rows, columns)`, such as `exact_shap(...).values`.
        x: the inputs, `(rows, columns)`.
        most: how many columns to draw at most.
        title: a heading.
        axes: where to draw; a new figure when None.

    Returns:
        The axes; `axes.figure.savefig(path)` writes the picture.

    Raises:
        InputError: shapes differ, there are no rows, or an attribution is not finite.
        MissingDependencyError: matplotlib is not installed.
    """
    function = "plot.beeswarm"
    check_integer(function, "most", most)
    shown = _figures(function, "values", values, 2)
    if not len(shown):
        fail(function, "values", "of at least one row", f" shape {shown.shape}")
    inputs = read_array(function, "x", x).astype(np.float64)
    if inputs.shape != shown.shape:
        fail(function, "x", f"of the values' shape {shown.shape}", f" shape {inputs.shape}")
    labels = _labels(function, names, shown.shape[1])
    order = np.argsort(-np.abs(shown).mean(0), kind="stable")[:most]
    axes = _rows("beeswarm", [labels[i] for i in order], axes)
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LinearSegmentedColormap, Normalize, to_rgba

    colormap = LinearSegmentedColormap.from_list("low to high", [RIGHT, _MIDDLE, ERROR])
    scale = ScalarMappable(Normalize(0, 1), colormap)
    low, high = float(shown[:, order].min()), float(shown[:, order].max())
    size = 14 if len(shown) <= 300 else 6
    for place, column in enumerate(order):
        heights = place + _heaped(shown[:, column], low, high)
        share = _share(inputs[:, column])
        edges: Any = scale.to_rgba(np.nan_to_num(share))
        edges[np.isnan(share)] = to_rgba(QUIET)
        shades = np.where(np.isnan(share)[:, None], to_rgba("white"), edges)
        axes.scatter(shown[:, column], heights, s=size, c=shades, edgecolors=edges, linewidths=0.5, zorder=3)
    axes.axvline(0, color=QUIET, linewidth=1, zorder=2)
    bar = axes.figure.colorbar(scale, ax=axes, fraction=0.03, pad=0.02, aspect=30, ticks=[0, 1])
    bar.ax.set_yticklabels(["low", "high"])
    bar.ax.tick_params(colors=QUIET, labelsize=8, length=0)
    bar.outline.set_visible(False)
    left = shown.shape[1] - len(order)
    quiet(axes, title + (f", the first {len(order)} of {shown.shape[1]}" if left else ""))
    axes.tick_params(axis="y", colors=INK)
    return axes


def _rows(function: str, labels: list[str], axes: Axes | None) -> Axes:
    """Axes with a named row for each column, the first on top."""
    axes = new_axes(function, 6.4, 1.2 + 0.3 * max(2, len(labels))) if axes is None else axes
    axes.set_yticks(np.arange(len(labels)), [literal(label) for label in labels])
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.grid(axis="x", color=GRID)
    axes.set_axisbelow(True)
    return axes


def _figures(function: str, argument: str, values: Any, axes: int) -> np.ndarray:
    found = read_array(function, argument, values).astype(np.float64)
    if found.ndim != axes or not found.shape[-1]:
        shape = "(columns,)" if axes == 1 else "(rows, columns)"
        fail(function, argument, f"of shape {shape}, at least one column", f" shape {found.shape}")
    if not np.isfinite(found).all():
        fail(function, argument, "finite", f" {found[~np.isfinite(found)][0]}")
    return found


def _labels(function: str, names: Any, count: int) -> list[str]:
    """The names, long ones without their middle: what tells two apart is often at the end."""
    if isinstance(names, str) or not hasattr(names, "__len__") or len(names) != count:
        got = names if isinstance(names, str) or not hasattr(names, "__len__") else f" {len(names)}"
        fail(function, "names", f"{count} names, one a column", got)
    plain = [" ".join(str(name).split()) for name in names]
    front = _LONGEST - 3 - _LONGEST // 3
    return [n if len(n) <= _LONGEST else f"{n[:front]}...{n[-(_LONGEST // 3) :]}" for n in plain]


def _heaped(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """How far from the middle of its row each dot is drawn: dots at nearly one place are heaped up on both sides."""
    bins = np.round((values - low) / (high - low) * _BINS) if high > low else np.zeros_like(values)
    nth = np.zeros(len(values))
    for one in np.unique(bins):
        here = np.flatnonzero(bins == one)
        nth[here] = np.arange(len(here))
    steps = np.where(nth % 2 == 1, 1, -1) * ((nth + 1) // 2)
    return steps * min(0.1, _HALF / max(1.0, np.abs(steps).max()))


def _share(column: np.ndarray) -> np.ndarray:
    """Of each number how high it is within its column, from 0 to 1; NaN for one that is missing."""
    known = column[np.isfinite(column)]
    if not known.size:
        return np.full(column.shape, np.nan)
    low, high = np.percentile(known, [5, 95])
    if low == high:
        low, high = known.min(), known.max()
    share = (column - low) / (high - low) if high > low else np.where(np.isnan(column), np.nan, 0.5)
    return np.clip(share, 0, 1)
