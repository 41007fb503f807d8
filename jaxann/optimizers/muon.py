"""Muon: momentum made orthogonal, for the matrices inside a network; AdamW for the rest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxann.core.checks import check_choice, check_range, fail
from jaxann.core.factories import factory
from jaxann.core.patterns import Selection, matrices
from jaxann.core.products import Optimizer, OptimizerFunctions
from jaxann.core.tables import named_functions
from jaxann.core.trees import leaf_norm, wide_dtype
from jaxann.core.typing import Array, Params, Scalar, ScalarOrSchedule, ScheduledScalar
from jaxann.optimizers.base import (
    bias_correction_factor,
    check_decay_rates,
    check_given,
    check_learning_rate,
    check_not_negative,
    ema_update,
    nonzero,
    widened,
    zeros_like,
)
from jaxann.optimizers.counting import next_step
from jaxann.optimizers.masking import check_selection, selected
from jaxann.optimizers.moments import scaled_by_rms
from jaxann.optimizers.scheduled import check_setting, scheduled
from jaxann.optimizers.squares import bounded
from jaxann.schedules import value_at
from jaxann.schedules.base import is_schedule

__all__ = ["MuonState", "hidden_matrices", "muon", "orthogonalized"]

_ENDS = ("embed", "head", "logits", "output", "token")


class MuonState(NamedTuple):
    """State of `muon`."""

    step: Array  # int32 (), updates made so far
    mu: Params  # mean of the gradients
    nu: Params  # mean of the squared gradients; None at the matrices that are made orthogonal


def hidden_matrices(name: str, leaf: Array) -> bool:
    """Whether a leaf is a weight matrix of two axes whose name speaks of no embedding and no output layer.

    None of the name's parts may contain embed, head, logits, output or token.
    """
    return leaf.ndim == 2 and matrices(name, leaf) and not any(end in name.lower() for end in _ENDS)


@factory(Optimizer)
@scheduled("beta", "weight_decay", "adam_weight_decay")
def muon(
    learning_rate: ScalarOrSchedule,
    *,
    adam_learning_rate: ScalarOrSchedule | None = None,
    mask: Selection = hidden_matrices,
    beta: ScheduledScalar = 0.95,
    nesterov: bool = True,
    ns_coeffs: Sequence[tuple[Scalar, Scalar, Scalar]] = ((3.4445, -4.775, 2.0315),) * 5,
    scaling: str = "original",
    weight_decay: ScheduledScalar = 0.0,
    eps: Scalar = 1e-8,
    adam_betas: tuple[ScheduledScalar, Scalar] = (0.9, 0.999),
    adam_eps: Scalar = 1e-8,
    adam_weight_decay: ScheduledScalar = 0.0,
):
    """M = beta M + (1-beta) G;  X = M's nearest orthogonal matrix;  update = -learning_rate (s X + decay W).

    With Nesterov X is made of N = beta M / (1-beta^(t+1)) + (1-beta) G / (1-beta^t), t = 1 for the first step, else of
    M / (1-beta^t). X begins as N / (|N| + eps) and goes through X = a X + (b X X' + c (X X')^2) X five times,
    which takes singular values from 0.01 to 1 into 0.68 to 1.14. s = sqrt(max(1, outputs / inputs)) for a weight
    `(inputs, outputs)`; a kernel counts as the matrix `(height width inputs, outputs)`. All other leaves take AdamW.

    Args:
        learning_rate: number >= 0, array, or schedule of the step. A matrix moves by about as much in every step: 0.02
            is common.
        adam_learning_rate: of the other leaves, the same where None; 3e-4 to 3e-3 is common.
        mask: which leaves are made orthogonal, of two axes or more: path patterns, or `(name, leaf) -> bool`.
            `hidden_matrices` goes by names: where those of the embedding or of the last layer do not tell, as in
            `models.mlp`, a pattern for the layers between should stand here.
        beta: in [0, 1), how slowly the mean of the matrices forgets: number or schedule of the step.
        nesterov: look-ahead form.
        ns_coeffs: (a, b, c) of each time of the iteration, so their number is that of the times.
        scaling: "original", or "match_rms_adamw" for s = 0.2 sqrt(max(inputs, outputs)), steps of the size of AdamW's,
            so that one rate does for both.
        weight_decay: decay of the matrices: number or schedule of the step.
        eps: least norm.
        adam_betas: b1 and b2 of `adamw`; b1 may be a schedule of the step.
        adam_eps, adam_weight_decay: its eps and weight_decay.

    Peers: as optax, which makes every leaf of two axes orthogonal and has Nesterov's form of AdamW for the rest.
        PyTorch takes matrices alone, of shape (outputs, inputs), iterates in bfloat16, does not correct M, and has
        decay 0.1, eps 1e-7. Keras has "match_rms_adamw" by default, does not correct M, and has decay 4e-3.

    Source: Jordan et al. 2024; Liu et al. 2025 (match_rms_adamw).

    Raises:
        InputError: a number is out of range, a pattern means no leaf, the mask means a vector, or `params` is missing
            in the update.
    """
    check_learning_rate("muon", learning_rate)
    if adam_learning_rate is not None and not is_schedule(adam_learning_rate):
        check_range("muon", "adam_learning_rate", adam_learning_rate, 0)
    check_decay_rates("muon", beta=beta)
    if not isinstance(adam_betas, tuple | list) or len(adam_betas) != 2:
        fail("muon", "adam_betas", "two numbers, b1 and b2", adam_betas)
    for check, decay_rate in zip((check_setting, check_range), adam_betas, strict=True):
        check("muon", "each of adam_betas", decay_rate, 0, 1, open_high=True)
    if not isinstance(ns_coeffs, tuple | list) or not ns_coeffs:
        fail("muon", "ns_coeffs", "three numbers for each time of the iteration", ns_coeffs)
    for coefficients in ns_coeffs:
        if not isinstance(coefficients, tuple | list) or len(coefficients) != 3:
            fail("muon", "each of ns_coeffs", "three numbers", coefficients)
        for coefficient in coefficients:
            check_range("muon", "each number in ns_coeffs", coefficient)
    first, b2 = adam_betas
    check_choice("muon", "scaling", scaling, ("original", "match_rms_adamw"))
    check_not_negative(
        "muon", weight_decay=weight_decay, eps=eps, adam_eps=adam_eps, adam_weight_decay=adam_weight_decay
    )
    check_selection("muon", "mask", mask)

    def init(params):
        check_selection("muon", "mask", mask, params)

        def square(p, matrix):
            if matrix and p.ndim < 2:
                fail("muon", "mask", "of leaves with two axes or more", f" one of shape {p.shape}")
            return None if matrix else jnp.zeros(p.shape, wide_dtype(p.dtype))

        nu = jax.tree.map(square, params, selected("muon", "mask", mask, params))
        return MuonState(jnp.zeros((), jnp.int32), zeros_like(params), nu)

    def update(grads, state, params):
        check_given("muon", "params", params, "they decay")
        rate = value_at(learning_rate, state.step)
        others = rate if adam_learning_rate is None else value_at(adam_learning_rate, state.step)
        b1 = value_at(first, state.step) if is_schedule(first) else first
        step, matrix = next_step(state.step), selected("muon", "mask", mask, params)
        # What squares are kept of is bounded; a matrix is made orthogonal, of whatever size it is.
        grads = jax.tree.map(lambda g, v: g if v is None else bounded(g), widened(grads), state.nu)
        mu = jax.tree.map(lambda m, g, is_one: ema_update(beta if is_one else b1, m, g), state.mu, grads, matrix)
        nu = jax.tree.map(lambda g, v: v if v is None else ema_update(b2, v, g * g), grads, state.nu)

        def direction(m, g):
            if not nesterov:
                return bias_correction_factor(beta, step, m.dtype) * m
            share = jnp.asarray(beta, m.dtype)
            return (
                share * bias_correction_factor(beta, next_step(step), m.dtype) * m
                + (1 - share) * bias_correction_factor(beta, step, m.dtype) * g
            )

        def one(g, m, v, p):
            if v is not None:
                m, v = (
                    bias_correction_factor(b1, step, m.dtype) * m,
                    bias_correction_factor(b2, step, v.dtype) * v,
                )
                u, decay, own = scaled_by_rms(m, v, adam_eps), adam_weight_decay, others
            else:
                x = direction(m, g).reshape(math.prod(m.shape[:-1]), m.shape[-1])
                u = orthogonalized(x, ns_coeffs, eps) * _scale(x.shape, scaling)
                u, decay, own = u.reshape(m.shape), weight_decay, rate
            u = u + jnp.asarray(decay, u.dtype) * p.astype(u.dtype)
            return (-own.astype(u.dtype) * u).astype(p.dtype)

        return jax.tree.map(one, grads, mu, nu, params), MuonState(step, mu, nu)

    def leaf_rates(step, params):
        other = learning_rate if adam_learning_rate is None else adam_learning_rate
        rate, other = value_at(learning_rate, step), value_at(other, step)
        return jax.tree.map(lambda matrix: rate if matrix else other, selected("muon", "mask", mask, params))

    return OptimizerFunctions(init, update, leaf_learning_rates=leaf_rates)


def orthogonalized(matrix: Array, coefficients: Sequence[Sequence[Scalar]], eps: Scalar) -> Array:
    """The matrix with all its singular values taken near 1 by Newton and Schulz's iteration of fifth order.

    X = a X + (b A + c A^2) X for each (a, b, c), with A = X X', or from the right with A = X' X where that is the
    smaller one.
    """
    x = matrix / nonzero(leaf_norm(matrix) + jnp.asarray(eps, matrix.dtype))
    tall = x.shape[0] > x.shape[1]
    for triple in coefficients:
        a, b, c = (jnp.asarray(coefficient, matrix.dtype) for coefficient in triple)
        square = x.T @ x if tall else x @ x.T
        polynomial = b * square + c * (square @ square)
        x = a * x + (x @ polynomial if tall else polynomial @ x)
    return x


def _scale(shape: tuple[int, ...], scaling: str) -> float:
    rows, columns = shape
    if scaling == "match_rms_adamw":
        return 0.2 * max(rows, columns) ** 0.5
    return max(1.0, columns / max(rows, 1)) ** 0.5


named_functions(hidden_matrices)
