"""Gradient descent: plain, with momentum, with Nesterov's momentum.

Batch, mini-batch and stochastic descent are this one rule with another batch size.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxann.core.checks import fail
from jaxann.core.factories import factory
from jaxann.core.products import Optimizer
from jaxann.core.typing import Array, Params, Scalar, ScalarOrSchedule, ScheduledScalar
from jaxann.optimizers.base import check_decay_rates, check_given, check_learning_rate, descent, widened, zeros_like
from jaxann.optimizers.counting import next_step
from jaxann.optimizers.scheduled import scheduled
from jaxann.schedules import value_at

__all__ = ["SGDState", "sgd"]


class SGDState(NamedTuple):
    """State of `sgd`."""

    step: Array  # int32 (), updates made so far
    velocity: Params | None  # like the parameters; None without momentum


@factory(Optimizer, traits=("finite_updates",))
@scheduled("momentum")
def sgd(
    learning_rate: ScalarOrSchedule,
    *,
    momentum: ScheduledScalar | None = None,
    nesterov: bool = False,
    dampening: Scalar | None = None,
    ema: bool = False,
    rate_in_velocity: bool = False,
):
    """v = momentum v + g;  update = -learning_rate v;  with Nesterov: -learning_rate (g + momentum v).

    Without momentum: -learning_rate g. The buffer starts at 0, so the first step is that of plain descent.

    Args:
        learning_rate: number >= 0, array, or schedule of the step.
        momentum: in [0, 1), number or schedule of the step; None keeps no buffer.
        nesterov: look-ahead form (Sutskever et al. 2013).
        dampening: in [0, 1), v = momentum v + (1 - dampening) g after the first step.
        ema: v = momentum v + (1 - momentum) g, a mean: steps 1 - momentum times as long.
        rate_in_velocity: v = momentum v + learning_rate g and update = -v, the classical heavy ball; other steps only
            while the rate changes.

    Peers: as optax and PyTorch, which have the rate outside the velocity; Keras has it inside, `rate_in_velocity=True`.
        dampening is PyTorch's.

    Source: Polyak 1964; Nesterov 1983; Sutskever et al. 2013.

    Raises:
        InputError: a number is out of range; nesterov, dampening, ema or rate_in_velocity without momentum; dampening
            with nesterov or ema.
    """
    check_learning_rate("sgd", learning_rate)
    given = {"momentum": momentum, "dampening": dampening}
    check_decay_rates("sgd", **{name: share for name, share in given.items() if share is not None})
    switches = {"nesterov": nesterov, "ema": ema, "rate_in_velocity": rate_in_velocity}
    for name, on in switches.items():
        if on and momentum is None:
            fail("sgd", "momentum", f"given when {name}=True", None)
    if dampening is not None and (momentum is None or nesterov or ema):
        fail("sgd", "dampening", "None without momentum and with nesterov or ema", dampening)

    def init(params):
        return SGDState(jnp.zeros((), jnp.int32), None if momentum is None else zeros_like(params))

    def update(grads, state, params):
        check_given("sgd", "params", params, "it has their dtypes")
        rate = value_at(learning_rate, state.step)
        grads, after = widened(grads), next_step(state.step)
        if momentum is None:
            return descent(rate, grads, params), SGDState(after, None)

        def kept(a):  # the part of the velocity that stays
            return jnp.asarray(momentum, a.dtype) * a

        def entering(g):
            if ema:
                g = (1 - jnp.asarray(momentum, g.dtype)) * g
            if dampening is not None:
                g = jnp.where(state.step == 0, 1, 1 - jnp.asarray(dampening, g.dtype)) * g
            return rate.astype(g.dtype) * g if rate_in_velocity else g

        velocity = jax.tree.map(lambda v, g: kept(v) + entering(g), state.velocity, grads)
        direction = jax.tree.map(lambda v, g: entering(g) + kept(v), velocity, grads) if nesterov else velocity
        outside = jnp.ones_like(rate) if rate_in_velocity else rate
        return descent(outside, direction, params), SGDState(after, velocity)

    return init, update
