"""A whole search in one picture: a line for each setting, across one axis for each of its values."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jaxann.core.checks import check_integer, fail
from jaxann.plot.canvas import INK, QUIET, literal, new_axes, quiet
from jaxann.tune.dimensions import plain, same
from jaxann.tune.layout import short, shorten
from jaxann.tune.table import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["parallel_coordinates"]

_DECADES = 2  # from such a range on an axis is logarithmic
_ZERO_GAP = 0.12  # share of a logarithmic axis below its least positive value, where 0 stands
_MOST_TICKS = 12
_FEW = 7  # so many different numbers are named each
_NEAREST = 0.06  # ticks nearer than this share of an axis would overlap
_BAND = 0.05  # share of an axis over which lines through one named value are spread
_LOST = "#b8c2cc"


class _Scale(NamedTuple):
    """One vertical axis: where each setting crosses it, from 0 to 1 (NaN: nowhere), and its ticks."""

    heights: np.ndarray
    ticks: list[tuple[float, str]]
    log: bool = False
    few: bool = False  # values that many settings share, each with its own tick


def parallel_coordinates(table: Table, *, best: int = 1, axes: Axes | None = None) -> Axes:
    """Draw a search: one vertical axis for each hyperparameter, the monitored score at the right, a line a setting.

    The better the score, the darker the line; the best are drawn last and thickest. Positive values over two decades
    or more are on a logarithmic axis, where a 0 stands apart at the foot; values that are no numbers are evenly spaced.
    Lines through one of a few values are fanned out around its tick in the order of their scores. Settings without a
    finite score are grey and end before the last axis.

    Args:
        table: what a search returned.
        best: how many of the best settings to draw thick.
        axes: where to draw; a new figure when None.

    Returns:
        The axes; `axes.figure.savefig(path)` writes the picture.

    Raises:
        InputError: it is no table, or one without hyperparameters or without a finite score.
        MissingDependencyError: matplotlib is not installed.
    """
    name = "plot.parallel_coordinates"
    if not isinstance(table, Table):
        fail(name, "table", "a Table, what a search returns", table)
    check_integer(name, "best", best, 0)
    if not table.hyperparameters:
        fail(name, "table", "of at least one hyperparameter", " none")
    score = table.mean[table.monitor]
    finite = np.isfinite(score)
    if not finite.any():
        fail(name, "table", f"with a finite {table.monitor} of at least one setting", f" none of {len(table)}")
    axes = new_axes("parallel_coordinates", 2.6 + 1.55 * len(table.hyperparameters), 5) if axes is None else axes
    scales = [_scale(column) for column in table.hyperparameters.values()] + [_scale(np.where(finite, score, np.nan))]
    heights = np.stack([_fan_out(scale, table.order) if scale.few else scale.heights for scale in scales], 1)
    _draw_lines(axes, table, heights, scales[-1].log, best)
    titles = [*table.hyperparameters, f"{table.monitor}\n({'lower' if table.mode == 'min' else 'higher'} is better)"]
    for x, (title, scale) in enumerate(zip(titles, scales, strict=True)):
        _draw_axis(axes, x, title, scale, right=x == len(table.hyperparameters))
    axes.set(xlim=(-0.45, len(table.hyperparameters) + 0.45), ylim=(-0.06, 1.06), xticks=(), yticks=())
    missing = int((~finite).sum())
    note = f", {missing} without a score in grey" if missing else ""
    quiet(axes, "")
    title = f"{len(table)} setting{'s' if len(table) > 1 else ''}{note}"
    axes.set_title(title, loc="left", color=INK, fontsize=11, fontweight="bold", pad=46)  # above the axes' names
    return axes


def _draw_lines(axes: Axes, table: Table, heights: np.ndarray, log: bool, best: int) -> None:
    """The lines, the worst first, and the colour bar."""
    from matplotlib import patheffects
    from matplotlib.cm import ScalarMappable
    from matplotlib.collections import LineCollection
    from matplotlib.colors import LogNorm, Normalize

    score = table.mean[table.monitor]
    finite = np.isfinite(score)
    norm = (LogNorm if log else Normalize)(float(score[finite].min()), float(score[finite].max()))
    # The dark end is the better one: yellow on white is hard to see.
    colors = ScalarMappable(norm, "viridis" if table.mode == "min" else "viridis_r")
    lines = np.stack([np.broadcast_to(np.arange(heights.shape[1]), heights.shape), heights], -1)
    if not finite.all():
        axes.add_collection(LineCollection(list(lines[~finite][:, :-1]), colors=_LOST, linewidths=1, zorder=1))
    ranked = [int(i) for i in table.order if finite[i]]
    ordinary = ranked[best:][::-1]
    faint = 0.85 if len(ranked) <= 100 else 0.5
    shades = colors.to_rgba(score[ordinary], alpha=faint)
    axes.add_collection(LineCollection(list(lines[ordinary]), colors=shades, linewidths=1.1, zorder=2))
    outline = [patheffects.Stroke(linewidth=5, foreground="white"), patheffects.Normal()]
    for i in ranked[:best][::-1]:
        axes.plot(*lines[i].T, color=colors.to_rgba(score[i]), linewidth=3, path_effects=outline, zorder=3)
    bar = axes.figure.colorbar(colors, ax=axes, fraction=0.035, pad=0.01, aspect=30)
    bar.outline.set_visible(False)
    bar.ax.tick_params(colors=QUIET, labelsize=8, length=0, which="both")
    bar.set_label(literal(table.monitor.replace("_", " ")), color=QUIET, fontsize=9)


def _draw_axis(axes: Axes, x: float, title: str, scale: _Scale, *, right: bool) -> None:
    axes.plot([x, x], [0, 1], color=INK, linewidth=1, zorder=4)
    heading = "\n".join(
        part for line in title.replace("_", " ").split("\n") for part in textwrap.wrap(line, 18, max_lines=2)
    )
    axes.text(x, 1.08, literal(heading), ha="center", va="bottom", color=INK, fontsize=9, fontweight="bold")
    for height, text in scale.ticks:
        axes.plot([x - 0.015, x + 0.015], [height, height], color=INK, linewidth=1, zorder=4)
        axes.text(
            x + (0.04 if right else -0.04),
            height,
            literal(shorten(text, 16)),
            ha="left" if right else "right",
            va="center",
            color=INK,
            fontsize=8,
            zorder=5,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1},
        )


def _fan_out(scale: _Scale, order: np.ndarray) -> np.ndarray:
    """The heights, those at one value spread over a band around it: the better, the nearer its middle."""
    ranks = np.argsort(order)
    heights = scale.heights.copy()
    for height in np.unique(heights):
        here = np.flatnonzero(heights == height)
        nth = np.argsort(np.argsort(ranks[here]))
        side = np.where(nth % 2, 1, -1) * ((nth + 1) // 2)
        heights[here] = height + _BAND / 2 * side / max(1, len(here) // 2)
    return heights


def _scale(column: np.ndarray | Sequence[Any]) -> _Scale:
    """The axis that suits the values of one column."""
    values = [plain(value) for value in column]
    if isinstance(column, np.ndarray) and not np.isinf(column).any():
        return _number_scale(column.astype(np.float64), whole=column.dtype.kind in "iu")
    different: list[Any] = []
    for value in values:
        if not any(same(value, other) for other in different):
            different.append(value)
    try:
        different.sort()
    except TypeError:
        different.sort(key=short)  # values of several kinds
    places = np.linspace(0, 1, len(different)) if len(different) > 1 else np.full(1, 0.5)
    where = [next(i for i, other in enumerate(different) if same(value, other)) for value in values]
    step = -(-len(different) // _MOST_TICKS)
    ticks = [(float(place), short(value)) for place, value in zip(places, different, strict=True)]
    return _Scale(places[where], ticks[::step], few=True)


def _number_scale(values: np.ndarray, *, whole: bool) -> _Scale:
    from matplotlib.ticker import MaxNLocator

    different = np.unique(values[np.isfinite(values)])
    low, high = float(different[0]), float(different[-1])
    if low == high:
        return _Scale(np.where(np.isfinite(values), 0.5, np.nan), [(0.5, f"{low:.4g}")])
    positive = different[different > 0]
    log = low >= 0 and len(positive) > 1 and math.log10(high) - math.log10(positive[0]) >= _DECADES - 1e-9
    foot = _ZERO_GAP if log and low == 0 else 0.0

    def place(v: np.ndarray) -> np.ndarray:
        if not log:
            return (v - low) / (high - low)
        bottom, top = math.log(positive[0]), math.log(high)
        logarithm = np.log(np.where(v > 0, v, high))
        share = foot + (1 - foot) * (logarithm - bottom) / (top - bottom)
        return np.where(np.isnan(v), np.nan, np.where(v == 0, 0.0, share))

    few = len(different) <= _FEW and len(different) < len(values) and np.diff(place(different)).min() >= _NEAREST
    if few:
        chosen = different
        texts = [f"{v:.4g}" for v in chosen]
    elif log:
        first, last = math.ceil(math.log10(positive[0]) - 1e-9), math.floor(math.log10(high) + 1e-9)
        step = max(1, -(-(last - first + 1) // 8))
        chosen = np.clip([10.0**k for k in range(first, last + 1, step)], positive[0], high)
        chosen = np.concatenate([np.zeros(1 if foot else 0), chosen])
        texts = [f"{v:.4g}" for v in chosen]
    else:
        every = np.asarray(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10], integer=whole).tick_values(low, high))
        gap = every[1] - every[0]
        slack = 1e-9 * (high - low)
        chosen = every[(every >= low - slack) & (every <= high + slack)]
        digits = max(1, 1 + math.floor(math.log10(max(abs(low), abs(high)) / gap))) + 1  # enough to tell two apart
        texts = [f"{v:.{max(digits, 4)}g}" for v in chosen]
    return _Scale(place(values), [(float(h), text) for h, text in zip(place(chosen), texts, strict=True)], log, few)
