"""What a search may spend: epochs, seconds, and runs that are made again because they failed."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple, ParamSpec, TypeVar, cast

from jaxann.core.checks import check_integer, check_range
from jaxann.core.errors import CheckpointError, DivergedError, InputError, MissingDependencyError
from jaxann.core.notices import notify
from jaxann.tune.resampling import listed_folds

__all__ = ["UNLIMITED", "Allowance", "Budget", "attempted", "budget", "retried", "started", "whole_epochs"]

P = ParamSpec("P")
T = TypeVar("T")
_OWN = (CheckpointError, DivergedError, InputError, MissingDependencyError)  # would come again


class Budget(NamedTuple):
    """What a search may spend; made by `budget`."""

    epochs: int | None
    seconds: float | None
    retries: int


def budget(epochs: int | None = None, *, seconds: float | None = None, retries: int = 0) -> Budget:
    """What a search may spend, in the place of its `epochs`.

        table = ja.tune.halving(build, settings, data, key=key, epochs=ja.tune.budget(81, seconds=3600, retries=2), ...)

    When the seconds are over, no further chunk of epochs begins, a warning says so, and the search returns what it has:
    settings that came as far as they should rank before those that did not. One chunk is run in any case; the time of
    compiling counts.

    Args:
        epochs: of a run, as the search's own argument; None where the recipes have theirs.
        seconds: of the whole search, by the clock on the wall; None for no end.
        retries: how often a run that diverged begins again, from fresh weights and another key: attempt n of a run has
            the key `jax.random.fold_in(key, n)` of the key it had first. And how often the search (of `bayes`, a
            generation) is made again after an error that is none of jaxann's own, such as a device that was lost or a
            file that could not be read.

    Peers: Optuna's `timeout` of `Study.optimize` lets running trials end; Keras Tuner's `max_retries_per_trial` counts
    errors and results that are NaN, too.

    Raises:
        InputError: an argument is out of range.
    """
    if epochs is not None:
        check_integer("budget", "epochs", epochs)
    if seconds is not None:
        check_range("budget", "seconds", seconds, 0, open_low=True)
    check_integer("budget", "retries", retries, 0)
    return Budget(epochs, None if seconds is None else float(seconds), int(retries))


class Allowance(NamedTuple):
    """A budget of which time is running."""

    epochs: int | None
    retries: int
    deadline: float  # on time.monotonic()

    @property
    def is_timed(self) -> bool:
        """Whether there is a time by which the search has to end."""
        return self.deadline < math.inf

    def is_over(self) -> bool:
        """Whether the time is over."""
        return time.monotonic() >= self.deadline


UNLIMITED = Allowance(None, 0, math.inf)


def started(epochs: int | Budget | Allowance | None) -> tuple[int | None, Allowance]:
    """`(epochs, allowance)` of a search: a budget's time begins now, unless it is running already."""
    if isinstance(epochs, Budget):
        seconds = math.inf if epochs.seconds is None else epochs.seconds
        epochs = Allowance(epochs.epochs, epochs.retries, time.monotonic() + seconds)
    return (epochs.epochs, epochs) if isinstance(epochs, Allowance) else (epochs, UNLIMITED)


def whole_epochs(function: str, epochs: int | Budget | Allowance) -> tuple[int, Allowance]:
    """As `started`, of a search that has to know how many epochs there are.

    Raises:
        InputError: there is no whole number of them.
    """
    number, allowance = started(epochs)
    check_integer(function, "epochs", number)
    return cast(int, number), allowance


def attempted(function: str, allowance: Allowance, once: Callable[[], T]) -> T:
    """What `once()` returns, called again while retries and time are left after an error that is none of ours."""
    left = allowance.retries
    while True:
        try:
            return once()
        except _OWN:
            raise
        except Exception as error:
            if not left or allowance.is_over():
                raise
            what = f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
            told = f"{left} {'retry is' if left == 1 else 'retries are'} left"
        notify(f"{function}: failed with {what}; it begins again, {told}.", UserWarning)
        left -= 1


def retried(search: Callable[P, T]) -> Callable[P, T]:
    """Decorate a search: it is made again after an error as often as its budget allows, within the time of one."""

    @functools.wraps(search)
    def within(*args: P.args, **keywords: P.kwargs) -> T:
        if not isinstance(keywords.get("epochs"), Budget):
            return search(*args, **keywords)
        _, allowance = started(keywords["epochs"])  # pyright: ignore[reportArgumentType]
        running: Any = keywords | {"epochs": allowance}
        for one in ("folds", "outer"):
            if one in running:
                running[one] = listed_folds(running[one])  # what is read once would be gone at a retry
        return attempted(search.__name__, allowance, lambda: search(*args, **running))  # pyright: ignore

    return within
