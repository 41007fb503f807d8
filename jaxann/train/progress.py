"""Progress bars of `fit` and of populations, drawn by rich between compiled chunks."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import numpy as np

from jaxann.core.errors import MissingDependencyError

__all__ = ["PopulationProgress", "Progress", "population_bar", "progress_bar"]


class Progress:
    """No bar: what `progress=False` shows."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        return None

    def advance(self, epochs_done: int, latest: Mapping[str, float]) -> None:
        """Take note of the epochs done and the latest figures."""


def progress_bar(show: bool, *, epochs: int, done: int, examples: int) -> Progress:
    """A live bar with loss, metrics, examples per second and time left; nothing when `show` is False.

    Args:
        show: whether to draw.
        epochs, done: epochs wanted in all, and done before.
        examples: examples in an epoch.

    Raises:
        MissingDependencyError: rich is not installed.
    """
    return _Bar(epochs, done, examples) if show else Progress()


class PopulationProgress(Progress):
    """No bar for a population."""

    def say(self, text: str) -> None:
        """Tell the person a line above the bar."""

    def expect(self, epochs: int) -> None:
        """Take note that so many epochs are left in the plan, done ones included."""

    def watch(self, fleet: Any) -> None:
        """Take note of where a fleet stands."""


def population_bar(show: bool, *, members: int, epochs: int, monitor: str, mode: str) -> PopulationProgress:
    """One live bar for a population: members still in training, the best figure so far, time left.

    Args:
        show: whether to draw.
        members, epochs: how many, and the epochs of all of them together.
        monitor, mode: column of the history to show the best of, and whether "min" or "max" is better.

    Raises:
        MissingDependencyError: rich is not installed.
    """
    return _PopulationBar(members, epochs, monitor, mode) if show else PopulationProgress()


def _rich() -> Any:
    try:
        from rich import progress
    except ImportError as error:
        message = 'progress=True needs rich: pip install "jaxann[cli]", or pass progress=False.'
        raise MissingDependencyError(message) from error
    return progress


class _PopulationBar(PopulationProgress):
    def __init__(self, members: int, epochs: int, monitor: str, mode: str):
        progress = _rich()
        self._bar = progress.Progress(
            progress.BarColumn(bar_width=20),
            progress.TaskProgressColumn(),
            progress.TextColumn("{task.fields[figures]}"),
            progress.TimeRemainingColumn(compact=True),
            auto_refresh=False,
        )
        self._task = self._bar.add_task("population", total=epochs, figures=f"{members} members, compiling")
        self._monitor, self._better = monitor, np.fmin if mode == "min" else np.fmax
        self._members, self._done = members, 0
        self._fleets: dict[int, tuple[int, int, float]] = {}

    def __enter__(self) -> Self:
        self._bar.start()
        self._bar.refresh()
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self._bar.stop()

    def say(self, text: str) -> None:
        self._bar.console.print(text, highlight=False)

    def expect(self, epochs: int) -> None:
        self._bar.update(self._task, total=epochs)

    def watch(self, fleet: Any) -> None:
        known = self._monitor in fleet.columns
        name, better = (self._monitor, self._better) if known else ("loss", np.fmin)
        table = fleet.column(name)
        best = float(better.reduce(table, axis=None)) if table.size else float("nan")
        stopped = int((~fleet.going[fleet.numbers]).sum())
        self._fleets[id(fleet)] = (fleet.epochs_settled(), stopped, best)
        done, out, bests = zip(*self._fleets.values(), strict=True)
        text = f"{self._members - sum(out)} alive  best {name} {float(better.reduce(bests)):.4f}"
        self._bar.update(self._task, completed=sum(done), figures=text, refresh=True)


class _Bar(Progress):
    def __init__(self, epochs: int, done: int, examples: int):
        progress = _rich()
        self._bar = progress.Progress(
            progress.MofNCompleteColumn(),
            progress.BarColumn(bar_width=10),
            progress.TextColumn("{task.fields[figures]}"),
            progress.TimeRemainingColumn(compact=True),
            auto_refresh=False,  # drawn between chunks: a drawing thread would take a core from the training
        )
        self._task = self._bar.add_task("fit", total=epochs, completed=done, figures="compiling")
        self._examples, self._done, self._mark = examples, done, time.perf_counter()

    def __enter__(self) -> Self:
        self._bar.start()
        self._bar.refresh()
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self._bar.stop()

    def advance(self, epochs_done: int, latest: Mapping[str, float]) -> None:
        now = time.perf_counter()
        speed = (epochs_done - self._done) * self._examples / max(now - self._mark, 1e-9)
        self._done, self._mark = epochs_done, now
        figures = "  ".join([*_figures(latest), f"{_compact(speed)}/s"])
        self._bar.update(self._task, completed=epochs_done, figures=figures, refresh=True)


def _figures(latest: Mapping[str, float]) -> list[str]:
    """The loss, the validation loss and the metrics, the validation set's where there is one; fits 80 columns."""
    shown = [f"loss {latest['loss']:.4f}"]
    if "validation_loss" in latest:
        shown.append(f"val {latest['validation_loss']:.4f}")
    plain = [n for n in latest if n not in ("loss", "learning_rate", "gradient_norm") and "validation_" not in n]
    shown += [f"{name} {latest.get(f'validation_{name}', latest[name]):.4f}" for name in plain]
    return shown


def _compact(number: float) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.1f}{letter}"
    return f"{number:.0f}"
