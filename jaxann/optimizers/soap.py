"""SOAP: Adam in the eigenbases of Shampoo's covariances."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxann.core.checks import check_count, check_integer
from jaxann.core.factories import factory
from jaxann.core.patterns import Selection
from jaxann.core.products import Optimizer
from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array, Params, Scalar, ScalarOrSchedule, ScheduledScalar
from jaxann.optimizers.base import (
    bias_correction_factor,
    check_given,
    descent_with_decay,
    ema_update,
    zeros_like,
)
from jaxann.optimizers.counting import is_due, next_step
from jaxann.optimizers.masking import check_selection
from jaxann.optimizers.moments import check_moments, scaled_by_rms
from jaxann.optimizers.scheduled import scheduled
from jaxann.optimizers.shampoo import along, covariance, measured
from jaxann.optimizers.squares import capped
from jaxann.schedules import value_at

__all__ = ["SOAPState", "soap"]


class SOAPState(NamedTuple):
    """State of `soap`."""

    step: Array  # int32 (), calls made so far
    mu: Params  # mean of the gradients, as they come
    nu: Params  # mean of the squares of the turned gradients
    covariances: Params  # for each leaf a tuple: one matrix an axis, None for an axis that is not turned
    bases: Params  # their eigenvectors, alike


@factory(Optimizer, static=("max_precond_dim",), traits=("decays_by_mask",))
@scheduled("b1", "weight_decay")
def soap(
    learning_rate: ScalarOrSchedule = 3e-3,
    *,
    b1: ScheduledScalar = 0.95,
    b2: Scalar = 0.95,
    eps: Scalar = 1e-8,
    weight_decay: ScheduledScalar = 0.01,
    precondition_frequency: Scalar = 10,
    max_precond_dim: int = 10000,
    mask: Selection = None,
):
    """N = Q_L' M_hat Q_R / (sqrt(V_hat) + eps);  update = -learning_rate (Q_L N Q_R' + decay w).

    L = b2 L + (1-b2) G G' and R = b2 R + (1-b2) G' G; Q_L and Q_R are their eigenvectors. M is the mean of G by b1, V
    that of (Q_L' G Q_R)^2 by b2, both corrected as in Adam. The first call only makes the bases, of its gradient, and
    moves no leaf of two axes or more. Later G enters L and R after the step, and every `precondition_frequency` calls
    Q becomes the orthogonal factor of L Q (one power iteration), its columns and V sorted by their eigenvalues first.
    Kernels have one matrix for each axis. Leaves of no or one axis take AdamW, from the first call on. Gradients are
    cut as in `shampoo`.

    Args:
        learning_rate: number >= 0, array, or schedule of the step.
        b1, b2, eps: as in `adam`; b2 is also how slowly the covariances forget.
        weight_decay, mask: as in `adamw`.
        precondition_frequency: calls from one pair of bases to the next, a whole number >= 1.
        max_precond_dim: longer axes are not turned.

    Peers: PyTorch, Keras and optax have none; the authors' code adds eps to sqrt(V) before V is corrected.

    Source: Vyas et al. 2024.

    Raises:
        InputError: a number is out of range, a pattern means no leaf, or `params` is missing in the update.
    """
    check_moments("soap", learning_rate, b1, b2, eps=eps, weight_decay=weight_decay)
    check_count("soap", "precondition_frequency", precondition_frequency, 1)
    check_integer("soap", "max_precond_dim", max_precond_dim, 1)
    check_selection("soap", "mask", mask)

    def init(params):
        check_selection("soap", "mask", mask, params)

        def squares(p):
            sizes = p.shape if p.ndim > 1 else ()
            return tuple(jnp.zeros((n, n), wide_dtype(p.dtype)) if n <= max_precond_dim else None for n in sizes)

        matrices = jax.tree.map(squares, params), jax.tree.map(squares, params)
        return SOAPState(jnp.zeros((), jnp.int32), zeros_like(params), zeros_like(params), *matrices)

    def update(grads, state, params):
        check_given("soap", "params", params, "they decay")
        rate = value_at(learning_rate, state.step)
        grads, first = jax.tree.map(measured, grads), state.step == 0

        def update_moments(g, m, v, bases):
            turned = _turned(g, bases)
            new_m, new_v = ema_update(b1, m, g), ema_update(b2, v, capped(turned * turned))
            return (jnp.where(first, m, new_m), jnp.where(first, v, new_v)) if g.ndim > 1 else (new_m, new_v)

        def direction(m, v, bases):
            step = state.step if m.ndim > 1 else next_step(state.step)
            step = jnp.maximum(step, 1)
            m, v = bias_correction_factor(b1, step, m.dtype) * m, bias_correction_factor(b2, step, v.dtype) * v
            return _turned_back(scaled_by_rms(_turned(m, bases), v, eps), bases)

        def gathered(g, old):
            return tuple(c if c is None else ema_update(b2, c, covariance(g, axis)) for axis, c in enumerate(old))

        both = jax.tree.map(update_moments, grads, state.mu, state.nu, state.bases)
        mu = jax.tree.map(lambda g, pair: pair[0], grads, both)
        nu = jax.tree.map(lambda g, pair: pair[1], grads, both)
        steps = jax.tree.map(direction, mu, nu, state.bases)
        moved = descent_with_decay("soap", rate, steps, params, weight_decay, mask)
        updates = jax.tree.map(lambda u: jnp.where(first, 0, u) if u.ndim > 1 else u, moved)

        covariances = jax.tree.map(gathered, grads, state.covariances)
        due = is_due(state.step, precondition_frequency)
        branch = jnp.where(first, 0, jnp.where(due, 1, 2))

        def begun():
            return jax.tree.map(lambda c: jnp.linalg.eigh(c)[1][:, ::-1], covariances), nu

        def renewed():
            pairs = jax.tree.map(_renewed, nu, state.bases, covariances)
            bases, sorted_nu = (jax.tree.map(lambda v, pair, i=i: pair[i], nu, pairs) for i in (0, 1))
            return bases, sorted_nu

        bases, nu = lax.switch(branch, (begun, renewed, lambda: (state.bases, nu)))
        return updates, SOAPState(next_step(state.step), mu, nu, covariances, bases)

    return init, update


def _turned(leaf: Array, bases: tuple[Array | None, ...]) -> Array:
    """Q_L' G Q_R."""
    for axis, basis in enumerate(bases):
        leaf = leaf if basis is None else along(leaf, basis, axis)
    return leaf


def _turned_back(leaf: Array, bases: tuple[Array | None, ...]) -> Array:
    """Q_L G Q_R'."""
    for axis, basis in enumerate(bases):
        leaf = leaf if basis is None else along(leaf, basis.T, axis)
    return leaf


def _renewed(nu: Array, bases: tuple[Array | None, ...], covariances: tuple[Array | None, ...]) -> tuple:
    """One power iteration from the bases, sorted by the eigenvalues they give; the squares sorted alike."""
    after = []
    for axis, (basis, c) in enumerate(zip(bases, covariances, strict=True)):
        if basis is None or c is None:
            after.append(None)
            continue
        image = jnp.matmul(c, basis, precision=lax.Precision.HIGHEST)
        order = jnp.argsort(-jnp.sum(basis * image, 0))
        nu = jnp.take(nu, order, axis=axis)
        after.append(jnp.linalg.qr(image[:, order])[0])
    return tuple(after), nu
