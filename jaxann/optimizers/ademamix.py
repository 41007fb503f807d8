"""AdEMAMix: Adam with a second, very slow mean of the gradients."""

from __future__ import annotations

from typing import NamedTuple

import jax

from jaxann.core.factories import factory
from jaxann.core.patterns import Selection, selector
from jaxann.core.products import Optimizer
from jaxann.core.typing import Array, Params, Scalar, ScalarOrSchedule, ScheduledScalar
from jaxann.optimizers.base import (
    bias_correction_factor,
    check_decay_rates,
    check_given,
    check_not_negative,
    descent_with_decay,
    ema_update,
    zeros_like,
)
from jaxann.optimizers.moments import check_moments, scaled_by_rms, update_moments, zero_moments
from jaxann.optimizers.scheduled import scheduled
from jaxann.optimizers.squares import bounded
from jaxann.schedules import value_at
from jaxann.schedules.base import is_schedule

__all__ = ["AdEMAMixState", "ademamix"]


class AdEMAMixState(NamedTuple):
    """State of `ademamix`."""

    step: Array  # int32 (), updates made so far
    mu: Params  # fast mean of the gradients
    nu: Params  # mean of the squared gradients
    slow: Params  # slow mean of the gradients


@factory(Optimizer, traits=("decays_by_mask", "finite_updates"))
@scheduled("b1", "weight_decay")
def ademamix(
    learning_rate: ScalarOrSchedule,
    *,
    b1: ScheduledScalar = 0.9,
    b2: Scalar = 0.999,
    b3: ScalarOrSchedule = 0.9999,
    alpha: ScalarOrSchedule = 5.0,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    weight_decay: ScheduledScalar = 0.0,
    mask: Selection = None,
):
    """s = b3 s + (1-b3) g;  update = -learning_rate ((m_hat + alpha s) / (sqrt(v_hat + eps_root) + eps) + decay w).

    m_hat and v_hat are Adam's. The slow mean s is not corrected: it fills slowly, and its say grows with it.

    Args:
        learning_rate, b1, b2, eps, eps_root: as in `adam`.
        b3: in [0, 1), how slowly s forgets; or a schedule of the step (the paper lets it rise from b1).
        alpha: >= 0, the weight of s; or a schedule of the step (the paper lets it rise from 0).
        weight_decay, mask: as in `adamw`.

    Peers: as optax; PyTorch and Keras have none.

    Source: Pagliardini et al. 2024.

    Raises:
        InputError: a number is out of range.
    """
    check_moments("ademamix", learning_rate, b1, b2, eps=eps, eps_root=eps_root, weight_decay=weight_decay)
    if not is_schedule(b3):
        check_decay_rates("ademamix", b3=b3)
    if not is_schedule(alpha):
        check_not_negative("ademamix", alpha=alpha)
    selector("ademamix", "mask", mask)

    def init(params):
        return AdEMAMixState(*zero_moments(params), zeros_like(params))

    def update(grads, state, params):
        check_given("ademamix", "params", params, "they decay")
        rate, weight, share = (value_at(number, state.step) for number in (learning_rate, alpha, b3))
        step, mu, nu = update_moments(grads, state, b1, b2)
        slow = jax.tree.map(lambda s, g: ema_update(share, s, g), state.slow, bounded(grads))

        def one(m, v, s):
            m, v = bias_correction_factor(b1, step, m.dtype) * m, bias_correction_factor(b2, step, v.dtype) * v
            return scaled_by_rms(m + weight.astype(s.dtype) * s, v, eps, eps_root)

        direction = jax.tree.map(one, mu, nu, slow)
        updates = descent_with_decay("ademamix", rate, direction, params, weight_decay, mask)
        return updates, AdEMAMixState(step, mu, nu, slow)

    return init, update
