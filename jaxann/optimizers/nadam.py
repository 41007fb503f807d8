"""Adam with Nesterov's momentum: NAdam and NAdamW."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jaxann.core.checks import check_range
from jaxann.core.factories import factory
from jaxann.core.patterns import Selection, selector
from jaxann.core.products import Optimizer
from jaxann.core.typing import Params, Scalar
from jaxann.optimizers.base import decayed, descended, need, unbiasing, widened
from jaxann.optimizers.means import AdamState, averaged, check_means, over_root, zero_means
from jaxann.schedules import value_at

__all__ = ["nadam", "nadamw"]


def _direction(grads: Params, state: AdamState, b1: Scalar, b2: Scalar, eps: Scalar, eps_root: Scalar):
    after = averaged(grads, state, b1, b2)

    def one(m, v, g):
        share = jnp.asarray(b1, m.dtype)
        ahead = share * unbiasing(b1, after.step + 1, m.dtype)
        now = (1 - share) * unbiasing(b1, after.step, m.dtype)
        return over_root(ahead * m + now * g, unbiasing(b2, after.step, v.dtype) * v, eps, eps_root)

    return jax.tree.map(one, after.mu, after.nu, widened(grads)), after


@factory(Optimizer)
def nadam(learning_rate: Any, *, b1: Scalar = 0.9, b2: Scalar = 0.999, eps: Scalar = 1e-8, eps_root: Scalar = 0.0):
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
    check_means("nadam", learning_rate, b1, b2, eps=eps, eps_root=eps_root)

    def update(grads, state, params):
        need("nadam", "params", params, "it has their dtypes")
        rate = value_at(learning_rate, state.step)
        direction, after = _direction(grads, state, b1, b2, eps, eps_root)
        return descended(rate, direction, params), after

    return zero_means, update


@factory(Optimizer)
def nadamw(
    learning_rate: Any,
    *,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    weight_decay: Scalar = 1e-4,
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
    check_means("nadamw", learning_rate, b1, b2, eps=eps, eps_root=eps_root)
    check_range("nadamw", "weight_decay", weight_decay, 0)
    selector("nadamw", "mask", mask)

    def update(grads, state, params):
        need("nadamw", "params", params, "they decay")
        rate = value_at(learning_rate, state.step)
        direction, after = _direction(grads, state, b1, b2, eps, eps_root)
        return decayed("nadamw", rate, direction, params, weight_decay, mask), after

    return zero_means, update
