"""AdaMax and AdaMaxW: Adam with a running maximum in the place of the root of the mean square."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxann.core.checks import check_range
from jaxann.core.factories import factory
from jaxann.core.patterns import Selection, selector
from jaxann.core.products import Optimizer
from jaxann.core.typing import Array, Params, Scalar, ScalarOrSchedule, ScheduledScalar
from jaxann.optimizers.base import (
    bias_correction_factor,
    check_given,
    descent,
    descent_with_decay,
    ema_update,
    nonzero,
    widened,
)
from jaxann.optimizers.counting import next_step
from jaxann.optimizers.moments import check_moments, zero_moments
from jaxann.optimizers.scheduled import scheduled
from jaxann.schedules import value_at

__all__ = ["AdaMaxState", "adamax", "adamaxw"]


class AdaMaxState(NamedTuple):
    """State of `adamax` and `adamaxw`."""

    step: Array  # int32 (), updates made so far
    mu: Params  # mean of the gradients
    size: Params  # the largest gradient, older ones fading


def _init(params: Params) -> AdaMaxState:
    return AdaMaxState(*zero_moments(params))


def _direction(grads: Params, state: AdaMaxState, b1: Scalar, b2: Scalar, eps: Scalar):
    grads, step = widened(grads), next_step(state.step)

    def largest(u, g):
        return jnp.maximum(jnp.asarray(b2, u.dtype) * u, jnp.abs(g) + jnp.asarray(eps, u.dtype))

    mu = jax.tree.map(lambda m, g: ema_update(b1, m, g), state.mu, grads)
    size = jax.tree.map(largest, state.size, grads)
    direction = jax.tree.map(lambda m, u: bias_correction_factor(b1, step, m.dtype) * m / nonzero(u), mu, size)
    return direction, AdaMaxState(step, mu, size)


@factory(Optimizer, traits=("finite_updates",))
@scheduled("b1")
def adamax(learning_rate: ScalarOrSchedule, *, b1: ScheduledScalar = 0.9, b2: Scalar = 0.999, eps: Scalar = 1e-8):
    """m = b1 m + (1-b1) g;  u = max(b2 u, |g| + eps);  update = -learning_rate m_hat / u,  m_hat = m / (1 - b1^t).

    Args:
        learning_rate: number >= 0, array, or schedule of the step.
        b1, b2: in [0, 1), how slowly the mean and the maximum forget; b1 may be a schedule.
        eps: added to each |g|; at 0 a gradient that has always been 0 gives NaN.

    Peers: as optax and PyTorch; Keras has eps = 1e-7 and adds it to u.

    Source: Kingma and Ba 2015, section 7.

    Raises:
        InputError: a number is out of range.
    """
    check_moments("adamax", learning_rate, b1, b2, eps=eps)

    def update(grads, state, params):
        check_given("adamax", "params", params, "it has their dtypes")
        rate = value_at(learning_rate, state.step)
        direction, after = _direction(grads, state, b1, b2, eps)
        return descent(rate, direction, params), after

    return _init, update


@factory(Optimizer, traits=("decays_by_mask", "finite_updates"))
@scheduled("b1", "weight_decay")
def adamaxw(
    learning_rate: ScalarOrSchedule,
    *,
    b1: ScheduledScalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    weight_decay: ScheduledScalar = 1e-4,
    mask: Selection = None,
):
    """AdaMax's step plus decoupled decay: update = -learning_rate (m_hat / u + decay w).

    Args:
        learning_rate, b1, b2, eps: as in `adamax`.
        weight_decay, mask: as in `adamw`.

    Peers: as optax; PyTorch's weight_decay in Adamax is added to the gradient: `add_decayed_weights` before `adamax`.

    Source: Kingma and Ba 2015; Loshchilov and Hutter 2019.

    Raises:
        InputError: a number is out of range, or `params` is missing in the update.
    """
    check_moments("adamaxw", learning_rate, b1, b2, eps=eps)
    check_range("adamaxw", "weight_decay", weight_decay, 0)
    selector("adamaxw", "mask", mask)

    def update(grads, state, params):
        check_given("adamaxw", "params", params, "they decay")
        rate = value_at(learning_rate, state.step)
        direction, after = _direction(grads, state, b1, b2, eps)
        return descent_with_decay("adamaxw", rate, direction, params, weight_decay, mask), after

    return _init, update
