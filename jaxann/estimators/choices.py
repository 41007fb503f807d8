"""What the names among an estimator's arguments stand for: activations, optimizers and schedules of the library."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxann import activations, optimizers, schedules
from jaxann.core.checks import check_choice, fail
from jaxann.core.factories import factory
from jaxann.core.products import Layer, Optimizer, Schedule
from jaxann.core.typing import Scalar

__all__ = ["SCHEDULES", "activation_of", "optimizer_names", "optimizer_of", "rate_of"]

SCHEDULES = ("adaptive", "constant", "cosine", "invscaling", "linear", "one_cycle")
_SMALLEST_RATE = 1e-6  # below which "adaptive" ends training
_CUT = 5.0  # by how much it divides the rate


def activation_of(function: str, activation: Any) -> Any:
    """A function or layer for `models.mlp`; "logistic" is scikit-learn's name of the sigmoid.

    Raises:
        InputError: it is no activation.
    """
    if isinstance(activation, Layer):
        return activation
    name: Any = "sigmoid" if isinstance(activation, str) and activation == "logistic" else activation
    if isinstance(name, str):
        names = [n for n in activations.__all__ if n not in ("by_name", "straight_through")]
        check_choice(function, "activation", name, (*names, "logistic"))
    elif not callable(name):
        fail(function, "activation", "a name, a function or a layer", activation)
    found: Any = name
    return activations.by_name(found)


def optimizer_names() -> tuple[str, ...]:
    """Optimizers that need nothing but a learning rate, and `lbfgs`."""
    found = []
    for name in optimizers.__all__:
        made = getattr(optimizers, name)
        if inspect.isclass(made) or not hasattr(made, "__wrapped__"):
            continue
        given = inspect.signature(made).parameters
        needed = [p for p, what in given.items() if what.default is inspect.Parameter.empty]
        if "learning_rate" in given and needed in ([], ["learning_rate"]):
            found.append(name)
    return tuple(found)


def rate_of(function: str, settings: Any, *, steps: int, examples: int) -> tuple[Any, int]:
    """The learning rate, a number or a schedule, and how often it is cut before training ends (0 but for "adaptive").

    Args:
        function: for messages.
        settings: an estimator's `learning_rate`, `learning_rate_init`, `power_t`, `max_iter` and `n_iter_no_change`.
        steps: of an epoch.
        examples: of an epoch, which "invscaling" counts.

    Raises:
        InputError: there is no such schedule.
    """
    given, rate = settings.learning_rate, np.float32(settings.learning_rate_init)
    if isinstance(given, Schedule):
        return given, 0
    if not isinstance(given, str):
        if callable(given):
            return schedules.custom(given), 0
        fail(function, "learning_rate", f"a schedule, or one of {', '.join(SCHEDULES)}", given)
    check_choice(function, "learning_rate", given, SCHEDULES)
    total = np.float32(steps * settings.max_iter)
    if given == "cosine":
        return schedules.cosine(rate, total), 0
    if given == "linear":
        return schedules.polynomial(rate, total, np.float32(1)), 0
    if given == "one_cycle":
        return schedules.one_cycle(rate, total), 0
    if given == "invscaling":
        return _inverse_scaling(rate, np.float32(steps), np.float32(examples), np.float32(settings.power_t)), 0
    if given == "adaptive":
        cuts = max(0, int(np.ceil(np.log(float(rate) / _SMALLEST_RATE) / np.log(_CUT))))
        patience = np.float32(settings.n_iter_no_change + 1)
        cut = schedules.reduce_on_plateau(
            rate, factor=np.float32(1 / _CUT), patience=patience, rtol=np.float32(0), atol=np.float32(settings.tol)
        )
        return cut, cuts
    return rate, 0


@factory(Schedule)
def _inverse_scaling(rate: Scalar, steps: Scalar, examples: Scalar, power: Scalar):
    """rate / (1 + examples epoch)^power, with epoch = floor(count / steps): scikit-learn's "invscaling"."""

    def at(count):
        epoch = jnp.floor(jnp.asarray(count, jnp.float32) / steps)
        return rate / (1 + examples * epoch) ** power

    return at


def optimizer_of(function: str, settings: Any, rate: Any) -> Optimizer:
    """The rule that takes the steps: a product as it is, or one by name with that rate.

    Args:
        function: for messages.
        settings: an estimator's `solver` and the numbers of scikit-learn's solvers.
        rate: a number or a schedule.

    Raises:
        InputError: there is no such optimizer.
    """
    solver: Any = settings.solver
    if isinstance(solver, Optimizer):
        return solver
    if not isinstance(solver, str):
        if hasattr(solver, "init") and hasattr(solver, "update"):
            return optimizers.as_optimizer(solver)
        fail(function, "solver", "an optimizer, or the name of one", solver)
    if solver == "sgd":
        nesterov = bool(settings.nesterovs_momentum and settings.momentum > 0)
        return optimizers.sgd(rate, momentum=np.float32(settings.momentum), nesterov=nesterov)
    if solver == "adam":
        numbers = {"b1": settings.beta_1, "b2": settings.beta_2, "eps": settings.epsilon}
        return optimizers.adam(rate, **{name: np.float32(number) for name, number in numbers.items()})
    if solver == "lbfgs":
        return optimizers.lbfgs()
    check_choice(function, "solver", solver, optimizer_names())
    made: Callable[..., Optimizer] = getattr(optimizers, solver)
    return made(rate)
