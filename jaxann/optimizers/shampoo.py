"""Shampoo: gradients between inverse roots of their covariances, one for each axis."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxann.core.checks import check_choice, check_count, check_integer, check_range
from jaxann.core.factories import factory
from jaxann.core.patterns import Selection
from jaxann.core.products import Optimizer
from jaxann.core.trees import leaf_norm, power_of_two, wide_dtype
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
from jaxann.schedules import value_at

__all__ = ["ShampooState", "along", "covariance", "measured", "shampoo"]

Covariances = tuple[Array, ...]  # one matrix an axis


class ShampooState(NamedTuple):
    """State of `shampoo`."""

    step: Array  # int32 (), updates made so far
    mu: Params  # mean of the gradients
    nu: Params | None  # mean of the squared gradients, where Adam's length is grafted
    covariances: Params  # for each leaf a tuple of its blocks, for each block a tuple of its axes
    roots: Params  # their inverse roots, alike


def covariance(g: Array, axis: int) -> Array:
    """G G' with G the array as a matrix whose rows are along the axis."""
    others = tuple(a for a in range(g.ndim) if a != axis)
    return lax.dot_general(g, g, ((others, others), ((), ())), precision=lax.Precision.HIGHEST)


def measured(g: Array) -> Array:
    """The gradient in float32 or better, no longer than 2^62 in float32: squares and covariances of it are finite."""
    g = g.astype(wide_dtype(g.dtype))
    limit, small = 2.0 ** (jnp.finfo(g.dtype).maxexp // 2 - 2), 2.0**-16  # small: a long one's norm is finite too
    norm = leaf_norm(g * small)
    long = norm > limit * small
    return g * jnp.where(long, power_of_two(limit * small / jnp.where(long, norm, 1)), 1)


def along(g: Array, matrix: Array, axis: int) -> Array:
    """The array with each vector v along the axis replaced by v' matrix."""
    turned = lax.dot_general(g, matrix, (((axis,), (0,)), ((), ())), precision=lax.Precision.HIGHEST)
    return jnp.moveaxis(turned, -1, axis)


@factory(Optimizer, static=("block_size",), traits=("decays_by_mask",))
@scheduled("b1", "weight_decay")
def shampoo(
    learning_rate: ScalarOrSchedule,
    *,
    b1: ScheduledScalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-12,
    update_interval: Scalar = 10,
    block_size: int = 1024,
    graft: str | None = "adam",
    graft_eps: Scalar = 1e-8,
    weight_decay: ScheduledScalar = 0.0,
    mask: Selection = None,
):
    """L = b2 L + (1-b2) G G';  R = b2 R + (1-b2) G' G;  update = -learning_rate (c L^(-1/4) M R^(-1/4) + decay w).

    M = b1 M + (1-b1) G, and M, L and R are corrected for their start at 0 like Adam's means. A leaf of k axes has k
    such matrices and the exponent -1/(2k): a vector has one and -1/2, as a number has. c takes L^(-1/4) M R^(-1/4) to
    the length that another rule would have gone, leaf by leaf. The powers are made by eigendecomposition, in float32 or
    better, anew every `update_interval` steps, from the first on. Gradients of a leaf longer than 2^62 (in float32) are
    cut to a length of 2^61 to 2^62.

    Args:
        learning_rate: number >= 0, array, or schedule of the step; with a grafted length as for that rule.
        b1: in [0, 1), how slowly the mean of the gradients forgets, 0 for the gradient itself; or a schedule.
        b2: in [0, 1), how slowly the covariances forget.
        eps: added to all eigenvalues, as a share of the greatest; at least the dtype's rounding.
        update_interval: steps from one set of roots to the next, a whole number >= 1.
        block_size: longer axes are cut into blocks of this size, each with matrices of its own.
        graft: "adam" for the length of m_hat / (sqrt(v_hat) + graft_eps), "sgd" for that of M, None for c = 1.
        graft_eps: see graft.
        weight_decay, mask: as in `adamw`.

    Peers: PyTorch, Keras and optax have none; Meta's Distributed Shampoo is this rule with eps added as it is.

    Source: Gupta et al. 2018; Anil et al. 2020 (blocks, grafting).

    Raises:
        InputError: a number is out of range, a pattern means no leaf, or `params` is missing in the update.
    """
    check_moments("shampoo", learning_rate, b1, b2, graft_eps=graft_eps, weight_decay=weight_decay)
    check_range("shampoo", "eps", eps, 0)
    check_count("shampoo", "update_interval", update_interval, 1)
    check_integer("shampoo", "block_size", block_size, 1)
    if graft is not None:
        check_choice("shampoo", "graft", graft, ("adam", "sgd"))
    check_selection("shampoo", "mask", mask)

    def init(params):
        check_selection("shampoo", "mask", mask, params)

        def squares(p):
            blocks, dtype = _blocks(p.shape, block_size), wide_dtype(p.dtype)
            return tuple(tuple(jnp.zeros((s.stop - s.start,) * 2, dtype) for s in block) for block in blocks)

        nu = zeros_like(params) if graft == "adam" else None
        covariances, roots = jax.tree.map(squares, params), jax.tree.map(squares, params)
        return ShampooState(jnp.zeros((), jnp.int32), zeros_like(params), nu, covariances, roots)

    def update(grads, state, params):
        check_given("shampoo", "params", params, "they decay")
        rate = value_at(learning_rate, state.step)
        grads, step = jax.tree.map(measured, grads), next_step(state.step)
        mu = jax.tree.map(lambda m, g: ema_update(b1, m, g), state.mu, grads)
        nu = None if state.nu is None else jax.tree.map(lambda v, g: ema_update(b2, v, g * g), state.nu, grads)

        def gathered(g, old):
            blocks = zip(_cut(g, block_size), old, strict=True)
            return tuple(
                tuple(ema_update(b2, c, covariance(part, i)) for i, c in enumerate(own)) for part, own in blocks
            )

        def rooted(g, own):
            power = -0.5 / max(g.ndim, 1)
            return jax.tree.map(lambda c: _power(bias_correction_factor(b2, step, c.dtype) * c, power, eps), own)

        def direction(m, roots, v):
            m = bias_correction_factor(b1, step, m.dtype) * m
            blocks = []
            for part, own in zip(_cut(m, block_size), roots, strict=True):
                for axis, matrix in enumerate(own):
                    part = along(part, matrix, axis)
                blocks.append(part)
            u = _joined(blocks, m.shape, block_size)
            if graft is None:
                return u
            model = m if v is None else scaled_by_rms(m, bias_correction_factor(b2, step, v.dtype) * v, graft_eps)
            size = leaf_norm(u)
            return u * (leaf_norm(model) / jnp.where(size == 0, 1, size))

        covariances = jax.tree.map(gathered, grads, state.covariances)
        due = is_due(state.step, update_interval)
        roots = lax.cond(due, lambda: jax.tree.map(rooted, grads, covariances), lambda: state.roots)
        squares = jax.tree.map(lambda m: None, mu) if nu is None else nu
        steps = jax.tree.map(direction, mu, roots, squares)
        updates = descent_with_decay("shampoo", rate, steps, params, weight_decay, mask)
        return updates, ShampooState(step, mu, nu, covariances, roots)

    return init, update


def _blocks(shape: tuple[int, ...], size: int) -> list[tuple[slice, ...]]:
    """Where the blocks of an array lie, the last axis fastest; a number counts as a vector of one."""
    axes = [[slice(i, min(i + size, n)) for i in range(0, n, size)] for n in shape or (1,)]
    return list(itertools.product(*axes))


def _cut(leaf: Array, size: int) -> list[Array]:
    blocks = _blocks(leaf.shape, size)
    leaf = leaf.reshape(leaf.shape or (1,))
    return [leaf] if len(blocks) == 1 else [leaf[block] for block in blocks]


def _joined(blocks: list[Array], shape: tuple[int, ...], size: int) -> Array:
    if len(blocks) == 1:
        return blocks[0].reshape(shape)
    whole = jnp.zeros(shape, blocks[0].dtype) if blocks else jnp.zeros(shape)
    for part, block in zip(blocks, _blocks(shape, size), strict=True):
        whole = whole.at[block].set(part)
    return whole


def _power(covariance: Array, power: float, eps: Scalar) -> Array:
    """A negative power of a symmetric matrix; that of no gradients at all is 1."""
    values, vectors = jnp.linalg.eigh(covariance, symmetrize_input=False)
    greatest = values[-1]
    rounding = jnp.asarray(jnp.finfo(values.dtype).eps, values.dtype)
    floor = jnp.maximum(jnp.asarray(eps, values.dtype), rounding) * greatest
    raised = jnp.where(greatest > 0, jnp.maximum(values, 0) + floor, 1) ** jnp.asarray(power, values.dtype)
    return jnp.matmul(vectors * raised[None, :], vectors.T, precision=lax.Precision.HIGHEST)
