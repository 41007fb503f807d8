"""Adam and AdamW."""

from __future__ import annotations

import jax

from jaxann.core.checks import check_range
from jaxann.core.factories import factory
from jaxann.core.patterns import Selection, selector
from jaxann.core.products import Optimizer
from jaxann.core.typing import Params, Scalar, ScalarOrSchedule, ScheduledScalar
from jaxann.optimizers.base import check_given, descent, descent_with_decay
from jaxann.optimizers.moments import (
    AdamState,
    bias_corrected,
    check_moments,
    scaled_by_rms,
    update_moments,
    zero_moments,
)
from jaxann.optimizers.scheduled import scheduled
from jaxann.schedules import value_at

__all__ = ["AdamState", "adam", "adamw"]


def _direction(grads: Params, state: AdamState, b1: Scalar, b2: Scalar, eps: Scalar, eps_root: Scalar):
    """The step before the learning rate, m_hat / (sqrt(v_hat + eps_root) + eps), and the new state."""
    after = update_moments(grads, state, b1, b2)
    mu, nu = bias_corrected(after.mu, b1, after.step), bias_corrected(after.nu, b2, after.step)
    return jax.tree.map(lambda m, v: scaled_by_rms(m, v, eps, eps_root), mu, nu), after


@factory(Optimizer, traits=("finite_updates",))
@scheduled("b1")
def adam(
    learning_rate: ScalarOrSchedule,
    *,
    b1: ScheduledScalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
):
    """m = b1 m + (1-b1) g;  v = b2 v + (1-b2) g^2;  update = -learning_rate m_hat / (sqrt(v_hat + eps_root) + eps).

    m_hat = m / (1 - b1^t) and v_hat = v / (1 - b2^t) remove the pull of the zero start; t = 1 for the first step.
    Nesterov's form of it is `nadam`.

    Args:
        learning_rate: number >= 0, array, or schedule of the step.
        b1, b2: in [0, 1), how slowly the two means forget; b1 may be a schedule of the step.
        eps: outside the root.
        eps_root: inside the root; a small positive number makes derivatives through the optimizer finite at v = 0.

    Peers: as optax and PyTorch; Keras has eps = 1e-7 and adds it to sqrt(v) before v is corrected. PyTorch's
        weight_decay here is added to the gradient: `add_decayed_weights` in a chain before it.

    Source: Kingma and Ba 2015.

    Raises:
        InputError: a number is out of range.
    """
    check_moments("adam", learning_rate, b1, b2, eps=eps, eps_root=eps_root)

    def update(grads, state, params):
        check_given("adam", "params", params, "it has their dtypes")
        rate = value_at(learning_rate, state.step)
        direction, after = _direction(grads, state, b1, b2, eps, eps_root)
        return descent(rate, direction, params), after

    return zero_moments, update


@factory(Optimizer, traits=("decays_by_mask", "finite_updates"))
@scheduled("b1", "weight_decay")
def adamw(
    learning_rate: ScalarOrSchedule,
    *,
    b1: ScheduledScalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    weight_decay: ScheduledScalar = 1e-4,
    mask: Selection = None,
):
    """Adam's step plus decoupled decay: update = -learning_rate (m_hat / (sqrt(v_hat + eps_root) + eps) + decay w).

    Args:
        learning_rate, b1, b2, eps, eps_root: as in `adam`.
        weight_decay: decay, multiplied by the learning rate: number >= 0, array, or schedule of the step.
        mask: which leaves decay: path patterns (`"*.weight"`), or `(name, leaf) -> bool`; None for all of them.
            `optimizers.matrices` leaves out biases and the parameters of normalizations.

    Peers: as optax (decay 1e-4) and PyTorch (decay 1e-2), both of all leaves; Keras has decay 4e-3 and its own eps, see
        `adam`.

    Source: Loshchilov and Hutter 2019.

    Raises:
        InputError: a number is out of range, or `params` is missing in the update.
    """
    check_moments("adamw", learning_rate, b1, b2, eps=eps, eps_root=eps_root)
    check_range("adamw", "weight_decay", weight_decay, 0)
    selector("adamw", "mask", mask)

    def update(grads, state, params):
        check_given("adamw", "params", params, "they decay")
        rate = value_at(learning_rate, state.step)
        direction, after = _direction(grads, state, b1, b2, eps, eps_root)
        return descent_with_decay("adamw", rate, direction, params, weight_decay, mask), after

    return zero_moments, update
