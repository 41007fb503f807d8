"""Observers: what the host calls between two chunks of epochs.

An observer is a function `observer(moment) -> None`, or a context manager that gives one when it is entered (and is
left when training ends, however it ends). It sees the new rows of the history, may ask for weights, and may end the run
by returning True. The progress bar and Ctrl-C are observers; without any, nothing is called and nothing is copied.

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

import numpy as np

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
        InputError: something else.
    """
    found = tuple(observers) if isinstance(observers, tuple | list) else (observers,)
    for one in found:
        if not callable(one) and not hasattr(one, "__enter__"):
            fail(function, "observers", "functions of a moment, or context managers that give one", one)
    return found


@contextlib.contextmanager
def observing(observers: Iterable[Any]) -> Iterator[Callable[[Moment], bool]]:
    """All observers as one function, True where one of them ends the run; each is called whatever the others say."""
    with contextlib.ExitStack() as stack:
        entered = [stack.enter_context(one) if hasattr(one, "__enter__") else one for one in observers]
        yield lambda moment: any([_is_true(one(moment)) for one in entered])


def _is_true(answer: Any) -> bool:
    """Whether an observer said True; a comparison with a number of the history gives numpy's."""
    return isinstance(answer, bool | np.bool_) and bool(answer)
