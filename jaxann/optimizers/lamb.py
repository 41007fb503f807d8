"""LAMB: Adam's direction, each leaf moved in proportion to its length, for large batches."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxann.core.checks import check_range
from jaxann.core.factories import factory
from jaxann.core.patterns import Selection
from jaxann.core.products import Optimizer
from jaxann.core.typing import Scalar, ScalarOrSchedule, ScheduledScalar
from jaxann.optimizers.base import bias_correction_factor, check_given
from jaxann.optimizers.lars import trust_ratio
from jaxann.optimizers.masking import check_selection, selected
from jaxann.optimizers.moments import check_moments, scaled_by_rms, update_moments, zero_moments
from jaxann.optimizers.scheduled import scheduled
from jaxann.schedules import value_at

__all__ = ["lamb"]


@factory(Optimizer, traits=("decays_by_mask", "finite_updates"))
@scheduled("b1", "weight_decay")
def lamb(
    learning_rate: ScalarOrSchedule,
    *,
    b1: ScheduledScalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-6,
    eps_root: Scalar = 0.0,
    weight_decay: ScheduledScalar = 0.0,
    mask: Selection = None,
):
    """u = m_hat / (sqrt(v_hat + eps_root) + eps) + decay w;  update = -learning_rate (|w| / |u|) u.

    m_hat and v_hat are Adam's. The norms are of each leaf by itself; the ratio is 1 where one of them is 0. So the
    learning rate is the share of its length by which a leaf moves.

    Args:
        learning_rate, b1, b2, eps, eps_root: as in `adam`.
        weight_decay: decay that counts in the ratio: number or schedule of the step.
        mask: which leaves decay: path patterns, or `(name, leaf) -> bool`; None for all of them.

    Peers: as optax; Keras has eps = 1e-7 and takes its decay off beside the ratio; PyTorch has none.

    Source: You et al. 2020.

    Raises:
        InputError: a number is out of range, a pattern means no leaf, or `params` is missing in the update.
    """
    check_moments("lamb", learning_rate, b1, b2, eps=eps, eps_root=eps_root)
    check_range("lamb", "weight_decay", weight_decay, 0)
    check_selection("lamb", "mask", mask)

    def init(params):
        check_selection("lamb", "mask", mask, params)
        return zero_moments(params)

    def update(grads, state, params):
        check_given("lamb", "params", params, "their norms scale the step")
        rate = value_at(learning_rate, state.step)
        after = update_moments(grads, state, b1, b2)

        def one(m, v, p, decays):
            m, v = (
                bias_correction_factor(b1, after.step, m.dtype) * m,
                bias_correction_factor(b2, after.step, v.dtype) * v,
            )
            u, w = scaled_by_rms(m, v, eps, eps_root), p.astype(m.dtype)
            if decays:
                u = u + jnp.asarray(weight_decay, u.dtype) * w
            return (-rate.astype(u.dtype) * trust_ratio(w, u) * u).astype(p.dtype)

        return jax.tree.map(one, after.mu, after.nu, params, selected("lamb", "mask", mask, params)), after

    return init, update
