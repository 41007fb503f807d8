"""Observers: what the host calls between two chunks of epochs.

An observer is a function `observer(moment) -> None`, or a context manager that gives one when it is entered (and is
left when training ends, however it ends). It sees the new rows of the history, may ask for weights, and may end the run
by returning True; an answer other than True, False or None is refused. The progress bar and Ctrl-C are observers;
without any, nothing is called and nothing is copied.

    def log(moment):
        print(moment.epoch, moment.rows["validation_loss"][-1])
        return moment.rows["validation_loss"][-1] < 0.01                # good enough: end the run

    ja.fit(recipe, train, validation=validation, key=key, epochs=50, observers=(log,))
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import jax
import numpy as np

from jaxann.core.binding import misfit
from jaxann.core.checks import fail
from jaxann.core.typing import Params, State

__all__ = ["Moment", "Observer", "check_observers", "observing"]


@dataclass(frozen=True)
class Moment:
    """Where training stands between two chunks.

    Attributes:
        epoch: epochs done, in all: of a run, or int `(members,)` of a population.
        epochs: epochs wanted, likewise.
        rows: from name of the history's column to its values since the last call: `(new epochs,)` of a run, or
            `(members, new epochs)` of a population, NaN where a member ran none.
        going: whether there is a reason to go on, likewise: False after early stopping or divergence.
    """

    epoch: Any
    epochs: Any
    rows: Mapping[str, np.ndarray]
    going: Any
    _weights: Callable[[bool], tuple[Params, State]]

    def weights(self, *, best: bool = False) -> tuple[Params, State]:
        """`(params, state)` as they stand now, copied to the host; leading axis: members, of a population.

        Args:
            best: the weights that would be returned now: the best epoch's where they are kept, or the optimizer's
                average; else those that steps are made with.

        Raises:
            InputError: members of a population differ in structure.
        """
        return self._weights(best)


Observer: TypeAlias = Callable[[Moment], bool | None]


def check_observers(function: str, observers: Any) -> tuple:
    """A tuple of functions or context managers.

    Raises:
        InputError: something else: a class, a function that takes no moment.
    """
    found = tuple(observers) if isinstance(observers, tuple | list) else (observers,)
    for one in found:
        if isinstance(one, type) or not hasattr(one, "__enter__"):
            _check_function(function, "observers", one)
    return found


@contextlib.contextmanager
def observing(function: str, observers: Iterable[Any]) -> Iterator[Callable[[Moment], bool]]:
    """All observers as one function, True where one of them ends the run; each is called whatever the others say.

    Raises:
        InputError: what a context manager gives is no function of a moment; or, when called, an observer answers with
            something that is neither True, False nor None.
    """
    with contextlib.ExitStack() as stack:
        entered = [_entered(function, one, stack) if hasattr(one, "__enter__") else one for one in observers]
        yield lambda moment: any([_is_true(function, one, one(moment)) for one in entered])


def _entered(function: str, manager: Any, stack: contextlib.ExitStack) -> Any:
    given = stack.enter_context(manager)
    _check_function(function, "what a context manager among observers gives", given)
    return given


def _check_function(function: str, argument: str, value: Any) -> None:
    """Something to call with a moment, as far as its signature says; a class would make a new observer each time."""
    expected = "functions of a moment, or context managers that give one"
    if isinstance(value, type):
        fail(function, argument, expected, f" the class {value.__name__}", hint=f"One of it: {value.__name__}(...).")
    if not callable(value):
        fail(function, argument, expected, value)
    if (got := misfit(value, 1)) is not None:
        fail(function, argument, expected, f" {got}")


def _is_true(function: str, observer: Any, answer: Any) -> bool:
    """Whether an observer said True; a comparison with a number of the history gives an array's."""
    if answer is None or isinstance(answer, bool):
        return bool(answer)
    if isinstance(answer, np.bool_ | np.ndarray | jax.Array) and answer.dtype == bool and answer.ndim == 0:
        return bool(answer)
    fail(function, f"what observer {_name(observer)} returns", "True, which ends the run, False or None", answer)


def _name(observer: Any) -> str:
    return getattr(observer, "__name__", type(observer).__name__)
