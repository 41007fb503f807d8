"""Settings beside the learning rate that may be schedules: weight decay, momentum and the first decay rate b1.

A rule's body reads them as numbers. Where one is a schedule, the body is built anew in every update, with the value at
the rule's own step (which counts updates: steps left out, and gradients that are only gathered, do not count), as
optax's `inject_hyperparams` and a loop that sets PyTorch's `param_groups` do it. Bias corrections go by the value now.
With plain numbers nothing is added to the program.

What a schedule will give is looked at when the rule is made, from its first step to beyond its last: as far as the
numbers of steps that it was made of reach. Of a function of one's own only step 0 is, as nobody knows how far it goes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

import jax
import jax.numpy as jnp
import numpy as np

from jaxann.core.binding import accepts
from jaxann.core.checks import check_range, is_concrete
from jaxann.core.errors import InputError
from jaxann.core.products import OptimizerFunctions
from jaxann.core.products import Schedule as ScheduleProduct
from jaxann.core.typing import Schedule
from jaxann.schedules import value_at
from jaxann.schedules.base import is_schedule

__all__ = ["check_setting", "scheduled"]

_PLACES, _TURNS = 256, 48  # steps looked at, and how many of them next to a number of the schedule
_FARTHEST = 2**30

Body = TypeVar("Body", bound=Callable[..., Any])


def scheduled(*names: str) -> Callable[[Body], Body]:
    """Decorate the body of an optimizer's factory: these keywords may be numbers or schedules of the step.

    The rule's state has to have its count of updates as `step`.
    """

    def decorate(body: Body) -> Body:
        @functools.wraps(body)
        def build(*args: Any, **keywords: Any) -> Any:
            moving = {name: keywords[name] for name in names if is_schedule(keywords.get(name))}
            return _at_every_step(body, args, keywords, moving) if moving else body(*args, **keywords)

        return cast(Body, build)

    return decorate


def _at_every_step(
    body: Callable[..., Any], args: tuple, keywords: dict[str, Any], moving: dict[str, Schedule]
) -> OptimizerFunctions:
    """The rule with the settings that move taken at its step; their first and extreme values go through its checks."""
    found = {name: _values(schedule) for name, schedule in moving.items()}
    first = {name: values[0][1] for name, values in found.items()}
    functions = OptimizerFunctions(*body(*args, **keywords | first))
    for name, values in found.items():
        for step, value in values[1:]:
            _check(lambda n=name, v=value: body(*args, **keywords | first | {n: v}), name, step)

    def update(grads, state, params, **given):
        now = {name: value_at(schedule, state.step) for name, schedule in moving.items()}
        step = body(*args, **keywords | now)[1]
        return step(grads, state, params, **{name: v for name, v in given.items() if accepts(step, name)})

    return functions._replace(update=update)


def check_setting(
    function: str, argument: str, value: Any, low: float, high: float | None = None, **open: bool
) -> None:
    """`check_range` of a number, or of what a schedule gives at its first and extreme steps."""
    if not is_schedule(value):
        check_range(function, argument, value, low, high, **open)
        return
    for step, number in _values(value):
        _check(lambda n=number: check_range(function, argument, n, low, high, **open), argument, step)


def _check(checks: Callable[[], Any], name: str, step: int) -> None:
    """The checks of a value, which say of a later one where it is."""
    try:
        checks()
    except InputError as error:
        text = str(error).partition("\n")[0]
        raise InputError(f"{text}\nThat is what the schedule of {name} gives at step {step}.") from None


def _values(schedule: Schedule) -> tuple[tuple[int, Any], ...]:
    """Steps with values: 0, and where the least and the greatest are; what is known of a number where it is traced."""
    numbers = jax.tree.leaves(schedule)
    if not all(callable(n) or (is_concrete(n) and np.ndim(n) == 0) for n in numbers):
        return ((0, jax.ShapeDtypeStruct((), jnp.result_type(float))),)
    if not isinstance(schedule, ScheduleProduct) or any(map(callable, numbers)):
        return ((0, value_at(schedule, jnp.zeros((), jnp.int32))),)
    return _extremes(schedule)


@functools.lru_cache(maxsize=128)
def _extremes(schedule: ScheduleProduct) -> tuple[tuple[int, Any], ...]:
    """Of a schedule whose numbers are all known; equal ones are looked at once.

    Its longest times are among its numbers, and none of its pieces is longer than their sum.
    """
    numbers = [float(n) for n in jax.tree.leaves(schedule)]
    whole = [int(n) for n in numbers if n == int(n) and 1 < n < _FARTHEST]
    last = min(2 * sum(whole), _FARTHEST)
    turns = [n for one in whole for n in (one - 1, one, one + 1)][:_TURNS]
    steps = np.concatenate([np.linspace(0, last, _PLACES - _TURNS).astype(np.int32), np.asarray(turns, np.int32)])
    steps = np.resize(steps, _PLACES)  # one size, so that all schedules share the programs of their operations
    found = value_at(schedule, jnp.asarray(steps))
    if not is_concrete(found):  # a function of one's own that holds a traced number
        return ((0, jax.ShapeDtypeStruct((), found.dtype)),)
    values = np.asarray(found)
    places = [0, *dict.fromkeys((_worst(values, np.argmin), _worst(values, np.argmax)))]
    return tuple((int(steps[place]), np.asarray(values[place])) for place in places)


def _worst(values: np.ndarray, extreme: Callable[[np.ndarray], Any]) -> int:
    """Where the extreme is, or the first that is not finite."""
    bad = ~np.isfinite(values)
    return int(np.argmax(bad) if bad.any() else extreme(values))
