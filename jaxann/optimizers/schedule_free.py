"""Schedule-free learning: a mean of the weights in the place of momentum and of a falling rate."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxann.core.checks import check_range, fail
from jaxann.core.factories import factory
from jaxann.core.products import Optimizer
from jaxann.core.typing import Array, Params, Scalar, ScalarOrSchedule
from jaxann.optimizers.average import copied
from jaxann.optimizers.base import as_optimizer, check_given, check_learning_rate, learning_rate_of, wrapping
from jaxann.optimizers.counting import next_step
from jaxann.optimizers.scheduled import check_setting
from jaxann.schedules import value_at
from jaxann.schedules.base import is_schedule

__all__ = ["ScheduleFreeState", "schedule_free"]


class ScheduleFreeState(NamedTuple):
    """State of `schedule_free`."""

    step: Array  # int32 (), updates made so far
    max_rate: Array  # float (), the greatest learning rate so far
    weight_sum: Array  # float (), of all steps' weights
    z: Params  # where the inner rule steps, in float32 or better
    inner: Any  # state of the inner rule


@factory(
    Optimizer,
    convert={"optimizer": lambda rule: as_optimizer(rule, "schedule_free", "optimizer")},
    traits=("finite_updates", "wrapper"),
)
def schedule_free(
    optimizer: Optimizer,
    learning_rate: ScalarOrSchedule | None = None,
    *,
    b1: ScalarOrSchedule = 0.9,
    weight_lr_power: Scalar = 2.0,
):
    """z = z + optimizer(g at y);  x = (1-c) x + c z;  y = b1 x + (1-b1) z;  evaluated at x.

    c = k / (sum of k so far) with k = (greatest learning rate so far)^weight_lr_power, so x is a mean of the z. The
    parameters are y; x = (y - (1-b1) z) / b1 is not kept.

    Args:
        optimizer: the rule that moves z, without momentum: `sgd(1.0)` or `adam(1e-3, b1=0.0)`, with a rate that may
            begin with a warmup and does not fall.
        learning_rate: what the weights are made of: the optimizer's own where None.
        b1: in (0, 1], how near to the mean the gradients are taken; number, array, or schedule of the step.
        weight_lr_power: 0 for equal weights.

    Peers: as optax, which evaluates a schedule one step on for the weights; Keras has it around AdamW alone, with equal
        weights; PyTorch has none.

    Source: Defazio et al. 2024.

    Raises:
        InputError: a number is out of range, the optimizer has no learning rate and none is given, or it evaluates
            elsewhere than it steps itself.
    """
    rate_given = learning_rate_of(optimizer) if learning_rate is None else learning_rate
    if rate_given is None:
        fail("schedule_free", "learning_rate", "given: the optimizer has none", None)
    check_learning_rate("schedule_free", rate_given)
    check_setting("schedule_free", "b1", b1, 0, 1, open_low=True)
    check_range("schedule_free", "weight_lr_power", weight_lr_power, 0)
    if optimizer.averages:
        fail("schedule_free", "optimizer", "one that is evaluated where it steps", optimizer)

    def init(params):
        dtype = jnp.result_type(float)
        zeros = jnp.zeros((), jnp.int32), jnp.zeros((), dtype), jnp.zeros((), dtype)
        return ScheduleFreeState(*zeros, copied(params), optimizer.init(params))

    def update(grads, state, params, **more):
        check_given("schedule_free", "params", params, "they lie between the mean and the inner rule's")
        moved, inner = optimizer.update(grads, state.inner, params, **more)
        rate = jnp.maximum(state.max_rate, value_at(rate_given, state.step).astype(state.max_rate.dtype))
        weight = rate ** jnp.asarray(weight_lr_power, rate.dtype)
        total = state.weight_sum + weight
        share = jnp.where(total == 0, 0, weight / jnp.where(total == 0, 1, total))

        def one(z, after, y):  # the new y less the old one, with x = (y - (1-b1) z) / b1 put in
            c, b = share.astype(z.dtype), nearness(state.step, z.dtype)
            if not is_schedule(b1):
                return (c * (after - y.astype(z.dtype)) + (1 - c) * (1 - b) * (after - z)).astype(y.dtype)
            x = mean(state, z, y)
            x = x + c * (after - x)
            return (b * x + (1 - b) * after - y.astype(z.dtype)).astype(y.dtype)

        z = jax.tree.map(lambda z, u: z + u.astype(z.dtype), state.z, moved)
        updates = jax.tree.map(one, state.z, z, params)
        return updates, ScheduleFreeState(next_step(state.step), rate, total, z, inner)

    def nearness(step, dtype):
        return value_at(b1, step).astype(dtype) if is_schedule(b1) else jnp.asarray(b1, dtype)

    def mean(state, z, y):  # y was made with b1 as it was in the update before
        b = nearness(jnp.maximum(state.step - 1, 0), z.dtype)
        return (y.astype(z.dtype) - (1 - b) * z) / b

    def evaluate(state, params):
        return jax.tree.map(lambda z, y: mean(state, z, y).astype(y.dtype), state.z, params)

    functions = wrapping(optimizer, init, update, lambda state: state.inner)
    return functions._replace(evaluation_params=evaluate)
