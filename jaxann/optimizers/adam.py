"""Adam and AdamW."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxann.core.checks import check_range
from jaxann.core.factories import factory
from jaxann.core.patterns import Selection, chosen, selector
from jaxann.core.products import Optimizer
from jaxann.core.typing import Array, Params, Scalar
from jaxann.optimizers.base import (
    check_learning_rate,
    descended,
    mix,
    need,
    unbiasing,
    widened,
    zeros_like,
)
from jaxann.schedules import value_at

__all__ = ["AdamState", "adam", "adamw"]


class AdamState(NamedTuple):
    """Memory of `adam` and `adamw`."""

    step: Array  # int32 (), updates made so far
    mu: Params  # mean of the gradients
    nu: Params  # mean of the squared gradients


def _check(function: str, learning_rate: Any, b1: Scalar, b2: Scalar, eps: Scalar, eps_root: Scalar) -> None:
    check_learning_rate(function, learning_rate)
    check_range(function, "b1", b1, 0, 1, open_high=True)
    check_range(function, "b2", b2, 0, 1, open_high=True)
    check_range(function, "eps", eps, 0)
    check_range(function, "eps_root", eps_root, 0)


def _init(params: Params) -> AdamState:
    return AdamState(jnp.zeros((), jnp.int32), zeros_like(params), zeros_like(params))


def _direction(grads: Params, state: AdamState, b1: Scalar, b2: Scalar, eps: Scalar, eps_root: Scalar):
    """The step before the learning rate, m_hat / (sqrt(v_hat + eps_root) + eps), and the new memory."""
    grads = widened(grads)
    step = state.step + 1
    mu = jax.tree.map(lambda m, g: mix(b1, m, g), state.mu, grads)
    nu = jax.tree.map(lambda v, g: mix(b2, v, g * g), state.nu, grads)

    def one(m, v):
        m, v = unbiasing(b1, step, m.dtype) * m, unbiasing(b2, step, v.dtype) * v
        return m / (jnp.sqrt(v + jnp.asarray(eps_root, v.dtype)) + jnp.asarray(eps, v.dtype))

    return jax.tree.map(one, mu, nu), AdamState(step, mu, nu)


@factory(Optimizer)
def adam(learning_rate: Any, *, b1: Scalar = 0.9, b2: Scalar = 0.999, eps: Scalar = 1e-8, eps_root: Scalar = 0.0):
    """m = b1 m + (1-b1) g;  v = b2 v + (1-b2) g^2;  update = -learning_rate m_hat / (sqrt(v_hat + eps_root) + eps).

    m_hat = m / (1 - b1^t) and v_hat = v / (1 - b2^t) remove the pull of the zero start; t = 1 for the first step.

    Args:
        learning_rate: number >= 0, array, or schedule of the step.
        b1, b2: in [0, 1), how slowly the two means forget.
        eps: outside the root, as optax and PyTorch (Keras' 1e-7 stands before the correction of v).
        eps_root: inside the root; a small positive number makes derivatives through the optimizer finite at v = 0.

    Source: Kingma and Ba 2015.

    Raises:
        InputError: a number is out of range.
    """
    _check("adam", learning_rate, b1, b2, eps, eps_root)

    def update(grads, state, params):
        need("adam", "params", params, "it has their dtypes")
        rate = value_at(learning_rate, state.step)
        direction, after = _direction(grads, state, b1, b2, eps, eps_root)
        return descended(rate, direction, params), after

    return _init, update


@factory(Optimizer)
def adamw(
    learning_rate: Any,
    *,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    weight_decay: Scalar = 1e-4,
    mask: Selection = None,
):
    """Adam's step plus decoupled decay: update = -learning_rate (m_hat / (sqrt(v_hat + eps_root) + eps) + decay w).

    Args:
        learning_rate, b1, b2, eps, eps_root: as in `adam`.
        weight_decay: decay, multiplied by the scheduled learning rate; optax has 1e-4, PyTorch 1e-2, Keras 4e-3.
        mask: which leaves decay: path patterns (`"*.weight"`), or `(name, leaf) -> bool`; None for all of them, as
            optax and PyTorch. `optimizers.matrices` leaves out biases and the parameters of normalizations.

    Source: Loshchilov and Hutter 2019.

    Raises:
        InputError: a number is out of range, or `params` is missing in the update.
    """
    _check("adamw", learning_rate, b1, b2, eps, eps_root)
    check_range("adamw", "weight_decay", weight_decay, 0)
    selector("adamw", "mask", mask)

    def update(grads, state, params):
        need("adamw", "params", params, "they decay")
        rate = value_at(learning_rate, state.step)
        direction, after = _direction(grads, state, b1, b2, eps, eps_root)
        decayed = chosen("adamw", "mask", mask, params)

        def one(d, p, decays):
            if decays:
                d = d + jnp.asarray(weight_decay, d.dtype) * p.astype(d.dtype)
            return (-rate.astype(d.dtype) * d).astype(p.dtype)

        return jax.tree.map(one, direction, params, decayed), after

    return _init, update
