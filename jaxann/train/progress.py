"""Progress bars of `fit` and of populations as observers, drawn by rich between compiled chunks."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from jaxann.core.errors import MissingDependencyError
from jaxann.train.observers import Moment

__all__ = ["population_bar", "progress_bar"]


def _rich() -> Any:
    try:
        from rich import progress
    except ImportError as error:
        message = 'progress=True needs rich: pip install "jaxann[cli]", or pass progress=False.'
        raise MissingDependencyError(message) from error
    return progress


@contextlib.contextmanager
def _drawn(width: int, total: int, done: int, figures: str) -> Iterator[tuple[Any, Callable[..., None]]]:
    """A bar, and the function that moves it: `move(completed=..., figures=..., total=...)`."""
    progress = _rich()
    columns = [progress.BarColumn(bar_width=width), progress.TextColumn("{task.fields[figures]}")]
    counted = progress.MofNCompleteColumn() if width < 20 else progress.TaskProgressColumn()
    columns.insert(0 if width < 20 else 1, counted)
    # drawn between chunks: a drawing thread would take a core from the training
    bar = progress.Progress(*columns, progress.TimeRemainingColumn(compact=True), auto_refresh=False)
    task = bar.add_task("training", total=total, completed=done, figures=figures)
    with bar:
        bar.refresh()
        yield bar.console, lambda **changes: bar.update(task, refresh=True, **changes)


def progress_bar(*, epochs: int, done: int, examples: int) -> contextlib.AbstractContextManager:
    """A live bar with loss, metrics, examples per second and time left, as an observer.

    Args:
        epochs, done: epochs wanted in all, and done before.
        examples: examples in an epoch.

    Raises:
        MissingDependencyError: rich is not installed.
    """
    _rich()
    return _bar(epochs, done, examples)


@contextlib.contextmanager
def _bar(epochs: int, done: int, examples: int) -> Iterator[Callable[[Moment], None]]:
    with _drawn(10, epochs, done, "compiling") as (_, move):
        before, mark = done, time.perf_counter()

        def observe(moment: Moment) -> None:
            nonlocal before, mark
            now = time.perf_counter()
            speed = (moment.epoch - before) * examples / max(now - mark, 1e-9)
            before, mark = moment.epoch, now
            latest = {name: float(values[-1]) for name, values in moment.rows.items()}
            move(completed=moment.epoch, figures="  ".join([*_figures(latest), f"{_compact(speed)}/s"]))

        yield observe


def population_bar(
    *, members: int, epochs: int, monitor: str, mode: str, heading: str
) -> contextlib.AbstractContextManager:
    """One live bar for a population, as an observer: members still in training, the best figure so far, time left.

    Args:
        members, epochs: how many, and the epochs of all of them together.
        monitor, mode: column of the history to show the best of, and whether "min" or "max" is better.
        heading: a line above it.

    Raises:
        MissingDependencyError: rich is not installed.
    """
    _rich()
    return _population_bar(members, epochs, monitor, mode, heading)


@contextlib.contextmanager
def _population_bar(
    members: int, epochs: int, monitor: str, mode: str, heading: str
) -> Iterator[Callable[[Moment], None]]:
    with _drawn(20, epochs, 0, f"{members} members, compiling") as (console, move):
        console.print(heading, highlight=False)
        best = float("nan")
        seen: dict[int, tuple[int, int, bool]] = {}  # by member: epochs settled and expected, whether it has stopped

        def observe(moment: Moment) -> None:
            nonlocal best
            name, better = (monitor, np.fmin if mode == "min" else np.fmax)
            if name not in moment.rows:
                name, better = "loss", np.fmin
            rows = moment.rows[name]
            best = float(better(best, better.reduce(rows, axis=None))) if rows.size else best
            for member in np.flatnonzero(moment.epochs):
                expected, going = int(moment.epochs[member]), bool(moment.going[member])
                seen[int(member)] = (int(moment.epoch[member]) if going else expected, expected, not going)
            done, expected, stopped = (sum(column) for column in zip(*seen.values(), strict=True))
            total = expected if len(seen) == members else epochs
            move(completed=done, figures=f"{members - stopped} alive  best {name} {best:.4f}", total=total)

        yield observe


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
