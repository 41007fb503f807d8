"""Adam with Nesterov's momentum: NAdam and NAdamW."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxann.core.checks import check_range
from jaxann.core.factories import factory
from jaxann.core.patterns import Selection, selector
from jaxann.core.products import Optimizer
from jaxann.core.typing import Params, Scalar, ScalarOrSchedule, ScheduledScalar
from jaxann.optimizers.base import bias_correction_factor, check_given, descent, descent_with_decay
from jaxann.optimizers.counting import next_step
from jaxann.optimizers.moments import AdamState, check_moments, scaled_by_rms, update_moments, zero_moments
from jaxann.optimizers.scheduled import scheduled
from jaxann.optimizers.squares import bounded
from jaxann.schedules import value_at

__all__ = ["nadam", "nadamw"]


def _direction(grads: Params, state: AdamState, b1: Scalar, b2: Scalar, eps: Scalar, eps_root: Scalar):
    after = update_moments(grads, state, b1, b2)

    def one(m, v, g):
        share = jnp.asarray(b1, m.dtype)
        ahead = share * bias_correction_factor(b1, next_step(after.step), m.dtype)
        now = (1 - share) * bias_correction_factor(b1, after.step, m.dtype)
        return scaled_by_rms(ahead * m + now * g, bias_correction_factor(b2, after.step, v.dtype) * v, eps, eps_root)

    return jax.tree.map(one, after.mu, after.nu, bounded(grads)), after


@factory(Optimizer, traits=("finite_updates",))
@scheduled("b1")
def nadam(
    learning_rate: ScalarOrSchedule,
    *,
    b1: ScheduledScalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
):
    """n = b1 m / (1-b1^(t+1)) + (1-b1) g / (1-b1^t);  update = -learning_rate n / (sqrt(v_hat + eps_root) + eps).

    m and v are Adam's means, after this step's gradient: the step is taken with the mean as it would be one step on,
    were the next gradient the same.

    Args:
        learning_rate, b1, b2, eps, eps_root: as in `adam`.

    Peers: as optax; PyTorch and Keras let b1 itself rise by a schedule, from about half of it, so their first steps are
        shorter.

    Source: Dozat 2016.

    Raises:
        InputError: a number is out of range.
    """
    check_moments("nadam", learning_rate, b1, b2, eps=eps, eps_root=eps_root)

    def update(grads, state, params):
        check_given("nadam", "params", params, "it has their dtypes")
        rate = value_at(learning_rate, state.step)
        direction, after = _direction(grads, state, b1, b2, eps, eps_root)
        return descent(rate, direction, params), after

    return zero_moments, update


@factory(Optimizer, traits=("decays_by_mask", "finite_updates"))
@scheduled("b1", "weight_decay")
def nadamw(
    learning_rate: ScalarOrSchedule,
    *,
    b1: ScheduledScalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    weight_decay: ScheduledScalar = 1e-4,
    mask: Selection = None,
):
    """NAdam's step plus decoupled decay: update = -learning_rate (n / (sqrt(v_hat + eps_root) + eps) + decay w).

    Args:
        learning_rate, b1, b2, eps, eps_root: as in `adam`; n as in `nadam`.
        weight_decay, mask: as in `adamw`.

    Peers: as optax; PyTorch's NAdam with decoupled_weight_decay lets b1 rise by a schedule, see `nadam`.

    Source: Dozat 2016; Loshchilov and Hutter 2019.

    Raises:
        InputError: a number is out of range, or `params` is missing in the update.
    """
    check_moments("nadamw", learning_rate, b1, b2, eps=eps, eps_root=eps_root)
    check_range("nadamw", "weight_decay", weight_decay, 0)
    selector("nadamw", "mask", mask)

    def update(grads, state, params):
        check_given("nadamw", "params", params, "they decay")
        rate = value_at(learning_rate, state.step)
        direction, after = _direction(grads, state, b1, b2, eps, eps_root)
        return descent_with_decay("nadamw", rate, direction, params, weight_decay, mask), after

    return zero_moments, update
