"""Muon: momentum made orthogonal, for the matrices inside a network; AdamW for the rest."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxann.core.checks import check_choice, check_integer, check_range, fail
from jaxann.core.factories import factory, named_functions
from jaxann.core.patterns import Selection, matrices
from jaxann.core.products import Optimizer
from jaxann.core.trees import sum_of_squares, wide_dtype
from jaxann.core.typing import Array, Params, Scalar
from jaxann.optimizers.base import (
    check_learning_rate,
    check_not_negative,
    check_shares,
    mix,
    need,
    root,
    unbiasing,
    widened,
    zeros_like,
)
from jaxann.optimizers.masking import check_meant, meant
from jaxann.optimizers.means import over_root
from jaxann.schedules import value_at

__all__ = ["MuonState", "hidden_matrices", "muon", "orthogonalized"]

_ENDS = ("embed", "head", "logits", "output", "token")


class MuonState(NamedTuple):
    """Memory of `muon`."""

    step: Array  # int32 (), updates made so far
    mu: Params  # mean of the gradients
    nu: Params  # mean of the squared gradients; None at the matrices that are made orthogonal


def hidden_matrices(name: str, leaf: Array) -> bool:
    """Whether a leaf is a weight matrix of two axes whose name speaks of no embedding and no output layer.

    None of the name's parts may contain embed, head, logits, output or token.
    """
    return leaf.ndim == 2 and matrices(name, leaf) and not any(end in name.lower() for end in _ENDS)


@factory(Optimizer, static=("ns_steps",))
def muon(
    learning_rate: Any,
    *,
    adam_learning_rate: Any = None,
    mask: Selection = hidden_matrices,
    beta: Scalar = 0.95,
    nesterov: bool = True,
    ns_steps: int = 5,
    ns_coeffs: tuple[Scalar, Scalar, Scalar] = (3.4445, -4.775, 2.0315),
    scaling: str = "original",
    weight_decay: Scalar = 0.0,
    eps: Scalar = 1e-8,
    adam_b1: Scalar = 0.9,
    adam_b2: Scalar = 0.999,
    adam_eps: Scalar = 1e-8,
    adam_weight_decay: Scalar = 0.0,
):
    """M = beta M + (1-beta) G;  X = M's nearest orthogonal matrix;  update = -learning_rate (s X + decay W).

    With Nesterov X is made of N = beta M / (1-beta^(t+1)) + (1-beta) G / (1-beta^t), t = 1 for the first step, else of
    M / (1-beta^t). X begins as N / (|N| + eps) and goes through X = a X + (b X X' + c (X X')^2) X `ns_steps` times,
    which takes singular values from 0.01 to 1 into 0.68 to 1.14. s = sqrt(max(1, outputs / inputs)) for a weight
    `(inputs, outputs)`; a kernel counts as the matrix `(height width inputs, outputs)`. All other leaves take AdamW.

    Args:
        learning_rate: number >= 0, array, or schedule of the step. A matrix moves by about as much in every step: 0.02
            is common.
        adam_learning_rate: of the other leaves, the same where None; 3e-4 to 3e-3 is common.
        mask: which leaves are made orthogonal, of two axes or more: path patterns, or `(name, leaf) -> bool`.
            `hidden_matrices` goes by names: where those of the embedding or of the last layer do not tell, as in
            `models.mlp`, a pattern for the layers between should stand here.
        beta: in [0, 1), how slowly the mean of the matrices forgets.
        nesterov: look-ahead form.
        ns_steps: times of the iteration.
        ns_coeffs: a, b, c.
        scaling: "original", or "match_rms_adamw" for s = 0.2 sqrt(max(inputs, outputs)), steps of the size of AdamW's,
            so that one rate does for both.
        weight_decay: decay of the matrices.
        eps: least norm.
        adam_b1, adam_b2, adam_eps, adam_weight_decay: as in `adamw`.

    Peers: as optax, which makes every leaf of two axes orthogonal and has Nesterov's form of AdamW for the rest.
        PyTorch takes matrices alone, of shape (outputs, inputs), iterates in bfloat16, does not correct M, and has
        decay 0.1, eps 1e-7. Keras has "match_rms_adamw" by default, does not correct M, and has decay 4e-3.

    Source: Jordan et al. 2024; Liu et al. 2025 (match_rms_adamw).

    Raises:
        InputError: a number is out of range, a pattern means no leaf, the mask means a vector, or `params` is missing
            in the update.
    """
    check_learning_rate("muon", learning_rate)
    if adam_learning_rate is not None and not callable(adam_learning_rate):
        check_range("muon", "adam_learning_rate", adam_learning_rate, 0)
    check_shares("muon", beta=beta, adam_b1=adam_b1, adam_b2=adam_b2)
    check_integer("muon", "ns_steps", ns_steps, 1)
    if not isinstance(ns_coeffs, tuple | list) or len(ns_coeffs) != 3:
        fail("muon", "ns_coeffs", "three numbers", ns_coeffs)
    for coefficient in ns_coeffs:
        check_range("muon", "each of ns_coeffs", coefficient)
    check_choice("muon", "scaling", scaling, ("original", "match_rms_adamw"))
    check_not_negative(
        "muon", weight_decay=weight_decay, eps=eps, adam_eps=adam_eps, adam_weight_decay=adam_weight_decay
    )
    check_meant("muon", "mask", mask)

    def init(params):
        check_meant("muon", "mask", mask, params)

        def square(p, matrix):
            if matrix and p.ndim < 2:
                fail("muon", "mask", "of leaves with two axes or more", f" one of shape {p.shape}")
            return None if matrix else jnp.zeros(p.shape, wide_dtype(p.dtype))

        nu = jax.tree.map(square, params, meant("muon", "mask", mask, params))
        return MuonState(jnp.zeros((), jnp.int32), zeros_like(params), nu)

    def update(grads, state, params):
        need("muon", "params", params, "they decay")
        rate = value_at(learning_rate, state.step)
        others = rate if adam_learning_rate is None else value_at(adam_learning_rate, state.step)
        step, grads, matrix = state.step + 1, widened(grads), meant("muon", "mask", mask, params)
        mu = jax.tree.map(lambda m, g, is_one: mix(beta if is_one else adam_b1, m, g), state.mu, grads, matrix)
        nu = jax.tree.map(lambda g, v: v if v is None else mix(adam_b2, v, g * g), grads, state.nu)

        def direction(m, g):
            if not nesterov:
                return unbiasing(beta, step, m.dtype) * m
            share = jnp.asarray(beta, m.dtype)
            return share * unbiasing(beta, step + 1, m.dtype) * m + (1 - share) * unbiasing(beta, step, m.dtype) * g

        def one(g, m, v, p):
            if v is not None:
                m, v = unbiasing(adam_b1, step, m.dtype) * m, unbiasing(adam_b2, step, v.dtype) * v
                u, decay, own = over_root(m, v, adam_eps), adam_weight_decay, others
            else:
                x = direction(m, g).reshape(-1, m.shape[-1])
                u = orthogonalized(x, ns_coeffs, ns_steps, eps) * _scale(x.shape, scaling)
                u, decay, own = u.reshape(m.shape), weight_decay, rate
            u = u + jnp.asarray(decay, u.dtype) * p.astype(u.dtype)
            return (-own.astype(u.dtype) * u).astype(p.dtype)

        return jax.tree.map(one, grads, mu, nu, params), MuonState(step, mu, nu)

    return init, update


def orthogonalized(matrix: Array, coefficients: Any, steps: int, eps: Scalar) -> Array:
    """The matrix with all its singular values taken near 1 by Newton and Schulz's iteration of fifth order.

    X = a X + (b A + c A^2) X with A = X X', or from the right with A = X' X where that is the smaller one.
    """
    a, b, c = (jnp.asarray(coefficient, matrix.dtype) for coefficient in coefficients)
    x = matrix / (root(sum_of_squares(matrix)) + jnp.asarray(eps, matrix.dtype))
    tall = x.shape[0] > x.shape[1]
    for _ in range(steps):
        square = x.T @ x if tall else x @ x.T
        polynomial = b * square + c * (square @ square)
        x = a * x + (x @ polynomial if tall else polynomial @ x)
    return x


def _scale(shape: tuple[int, ...], scaling: str) -> float:
    inputs, outputs = shape
    if scaling == "match_rms_adamw":
        return 0.2 * max(inputs, outputs) ** 0.5
    return max(1.0, outputs / max(inputs, 1)) ** 0.5


named_functions(hidden_matrices)
