"""AMSGrad."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxann.core.checks import check_range
from jaxann.core.factories import factory
from jaxann.core.patterns import Selection, selector
from jaxann.core.products import Optimizer
from jaxann.core.typing import Array, Params, Scalar, ScalarOrSchedule, ScheduledScalar
from jaxann.optimizers.base import bias_correction_factor, check_given, descent, descent_with_decay, zeros_like
from jaxann.optimizers.moments import check_moments, scaled_by_rms, update_moments, zero_moments
from jaxann.optimizers.scheduled import scheduled
from jaxann.schedules import value_at

__all__ = ["AMSGradState", "amsgrad"]


class AMSGradState(NamedTuple):
    """State of `amsgrad`."""

    step: Array  # int32 (), updates made so far
    mu: Params  # mean of the gradients
    nu: Params  # mean of the squared gradients
    nu_max: Params  # the largest it has been, corrected or not as `bias_correct_max` says


@factory(Optimizer, traits=("decays_by_mask", "finite_updates"))
@scheduled("b1", "weight_decay")
def amsgrad(
    learning_rate: ScalarOrSchedule,
    *,
    b1: ScheduledScalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    bias_correct_max: bool = True,
    weight_decay: ScheduledScalar = 0.0,
    mask: Selection = None,
):
    """m, v as in adam;  v_max = max(v_max, v_hat);  update = -learning_rate (m_hat / (sqrt(v_max + eps_root) + eps)
    + decay w).

    A parameter's own rate can only shrink. The decay is decoupled, as in `adamw`.

    Args:
        learning_rate, b1, b2, eps, eps_root: as in `adam`.
        bias_correct_max: whether the largest of v / (1 - b2^t) is kept, or the largest v, corrected when it is used.
        weight_decay, mask: decay, multiplied by the scheduled learning rate, and which leaves decay, as in `adamw`.

    Peers: as optax, which has no decay in it; PyTorch's Adam and AdamW (decay 1e-2) with amsgrad=True keep the largest
        v before its correction, `bias_correct_max=False`; Keras as PyTorch, with its own eps, see `adam`.

    Source: Reddi et al. 2018.

    Raises:
        InputError: a number is out of range, or `params` is missing in the update.
    """
    check_moments("amsgrad", learning_rate, b1, b2, eps=eps, eps_root=eps_root)
    check_range("amsgrad", "weight_decay", weight_decay, 0)
    selector("amsgrad", "mask", mask)
    decays = not (isinstance(weight_decay, float | int) and weight_decay == 0)

    def init(params):
        return AMSGradState(*zero_moments(params), zeros_like(params))

    def update(grads, state, params):
        check_given("amsgrad", "params", params, "it has their dtypes")
        rate = value_at(learning_rate, state.step)
        step, mu, nu = update_moments(grads, state, b1, b2)

        def corrected(v):
            return bias_correction_factor(b2, step, v.dtype) * v

        def larger(most, v):
            return jnp.maximum(most, corrected(v) if bias_correct_max else v)

        def one(m, most):
            most = most if bias_correct_max else corrected(most)
            return scaled_by_rms(bias_correction_factor(b1, step, m.dtype) * m, most, eps, eps_root)

        nu_max = jax.tree.map(larger, state.nu_max, nu)
        direction, after = jax.tree.map(one, mu, nu_max), AMSGradState(step, mu, nu, nu_max)
        if not decays:
            return descent(rate, direction, params), after
        return descent_with_decay("amsgrad", rate, direction, params, weight_decay, mask), after

    return init, update
