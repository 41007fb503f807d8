"""Rectified Adam."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jaxann.core.checks import check_range
from jaxann.core.factories import factory
from jaxann.core.products import Optimizer
from jaxann.core.typing import Array, Scalar, ScalarOrSchedule, ScheduledScalar
from jaxann.optimizers.base import bias_correction_factor, check_given, descent
from jaxann.optimizers.moments import check_moments, scaled_by_rms, update_moments, zero_moments
from jaxann.optimizers.scheduled import scheduled
from jaxann.schedules import value_at

__all__ = ["radam"]


@factory(Optimizer, traits=("finite_updates",))
@scheduled("b1")
def radam(
    learning_rate: ScalarOrSchedule,
    *,
    b1: ScheduledScalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    threshold: Scalar = 5.0,
):
    """update = -learning_rate r m_hat / (sqrt(v_hat + eps_root) + eps) if rho >= threshold, else -learning_rate m_hat.

    rho = R - 2 t b2^t / (1 - b2^t) with R = 2 / (1 - b2) - 1 is the number of gradients that v is the mean of, and
    r = sqrt((rho-4) (rho-2) R / ((R-4) (R-2) rho)) makes up for the spread of a mean of so few. With b2 = 0.999 the
    sixth step is the first that v takes part in.

    Args:
        learning_rate, b1, b2, eps, eps_root: as in `adam`.
        threshold: at least 4, below which r has no meaning.

    Peers: as optax; PyTorch asks rho > 5 and adds eps to sqrt(v) before v is corrected.

    Source: Liu et al. 2020.

    Raises:
        InputError: a number is out of range.
    """
    check_moments("radam", learning_rate, b1, b2, eps=eps, eps_root=eps_root)
    check_range("radam", "threshold", threshold, 4)

    def update(grads, state, params):
        check_given("radam", "params", params, "it has their dtypes")
        rate = value_at(learning_rate, state.step)
        after = update_moments(grads, state, b1, b2)

        def one(m, v):
            rho, most = _counted(b2, after.step, v.dtype)
            enough = rho >= jnp.asarray(threshold, rho.dtype)
            r = _rectified(jnp.where(enough, rho, 5), jnp.where(enough, most, 5))
            v = jnp.where(enough, bias_correction_factor(b2, after.step, v.dtype) * v, 1)
            m = bias_correction_factor(b1, after.step, m.dtype) * m
            return jnp.where(enough, scaled_by_rms(r * m, v, eps, eps_root), m)

        return descent(rate, jax.tree.map(one, after.mu, after.nu), params), after

    return zero_moments, update


def _rectified(rho: Array, most: Array) -> Array:
    return jnp.sqrt((rho - 4) * (rho - 2) * most / ((most - 4) * (most - 2) * rho))


def _counted(b2: Scalar, step: Array, dtype: Any) -> tuple[Array, Array]:
    """rho and R.

    With y = -log(b2) / 2 and h(x) = coth x - 1/x, R = coth y and rho = t + h(y) - t h(t y): at first the two terms of
    the formula above are hundreds of times their difference, which in float32 would be off by percents.
    """
    t, y = step.astype(dtype), -jnp.log(jnp.asarray(b2, dtype)) / 2
    first = t * y < 0.1
    small, large = jnp.where(first, y, 0), jnp.where(first, 1, y)
    most = 1 / jnp.tanh(y)
    return jnp.where(first, t + _h(small) - t * _h(t * small), most - 2 * t / jnp.expm1(2 * t * large)), most


def _h(x: Array) -> Array:
    """coth x - 1/x for |x| < 0.1, to the last digit of float64."""
    s = x * x
    return x * (1 / 3 - s * (1 / 45 - s * (2 / 945 - s * (1 / 4725 - s * (2 / 93555)))))
