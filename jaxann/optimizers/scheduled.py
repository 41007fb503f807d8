"""Settings beside the learning rate that may be schedules: weight decay, momentum and the first decay rate b1.

A rule's body reads them as numbers. Where one is a schedule, the body is built anew in every update, with the value at
the rule's own step (which counts updates: steps left out, and gradients that are only gathered, do not count), as
optax's `inject_hyperparams` and a loop that sets PyTorch's `param_groups` do it. Bias corrections go by the value now.
With plain numbers nothing is added to the program.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxann.core.binding import accepts
from jaxann.core.checks import is_concrete
from jaxann.core.products import OptimizerFunctions
from jaxann.core.typing import Schedule
from jaxann.schedules import value_at
from jaxann.schedules.base import is_schedule

__all__ = ["scheduled"]

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

        return build  # type: ignore[return-value]

    return decorate


def _at_every_step(
    body: Callable[..., Any], args: tuple, keywords: dict[str, Any], moving: dict[str, Schedule]
) -> OptimizerFunctions:
    """The rule with the settings that move taken at its step; built once with the first values, for the checks."""
    first = {name: _first_value(schedule) for name, schedule in moving.items()}
    functions = OptimizerFunctions(*body(*args, **keywords | first))

    def update(grads, state, params, **given):
        now = {name: value_at(schedule, state.step) for name, schedule in moving.items()}
        step = body(*args, **keywords | now)[1]
        return step(grads, state, params, **{name: v for name, v in given.items() if accepts(step, name)})

    return functions._replace(update=update)


def _first_value(schedule: Schedule) -> Any:
    """The value at step 0, which can be looked at where the schedule's numbers can; else what it has of a number."""
    numbers = jax.tree.leaves(schedule)
    if all(callable(n) or (is_concrete(n) and np.ndim(n) == 0) for n in numbers):
        return value_at(schedule, jnp.zeros((), jnp.int32))
    return jax.ShapeDtypeStruct((), jnp.result_type(float))
