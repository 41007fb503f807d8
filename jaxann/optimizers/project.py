"""After the step: weights pulled to exactly 0, or back into a ball."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxann.core.checks import check_range, fail
from jaxann.core.factories import factory
from jaxann.core.patterns import Selection, matrices
from jaxann.core.products import Optimizer
from jaxann.core.trees import norm_of_squares, wide_dtype
from jaxann.core.typing import Array, Scalar
from jaxann.optimizers.base import (
    apply_updates,
    as_optimizer,
    check_given,
    leaf_learning_rates,
    learning_rate_of,
    wrapping,
)
from jaxann.optimizers.counting import next_step
from jaxann.optimizers.frozen import frozen_leaves
from jaxann.optimizers.masking import check_selection, selected

__all__ = ["ProximalState", "max_norm", "proximal_l1"]


class ProximalState(NamedTuple):
    """State of `proximal_l1`."""

    step: Array  # int32 (), updates made so far
    inner: Any  # state of the rule that steps


@factory(
    Optimizer,
    convert={"optimizer": lambda rule: as_optimizer(rule, "proximal_l1", "optimizer")},
    traits=("finite_updates", "wrapper"),
)
def proximal_l1(optimizer: Optimizer, strength: Scalar, *, mask: Selection = matrices):
    """w = sgn(u) max(|u| - rate strength, 0) with u = w + the optimizer's update: the L1 penalty with exact zeros.

    The rate is the one in force at each leaf, 0 for a frozen one. The penalty must not be in the objective as well.
    With an adaptive rule the threshold stays rate times strength for every weight, as decoupled decay does.

    Args:
        optimizer: the rule that steps; one with a learning rate.
        strength: factor of the sum of |w|, >= 0.
        mask: which leaves are shrunk: path patterns, a rule `(name, leaf) -> bool`, or None for all. By default weight
            matrices and kernels.

    Peers: PyTorch, Keras and optax have none; an L1 term in their objective gives the subgradient, and no exact zeros.

    Source: Daubechies, Defrise and De Mol 2004; Beck and Teboulle 2009.

    Raises:
        InputError: strength is negative, the optimizer has no learning rate, a pattern means no leaf, or `params` is
            missing in the update.
    """
    check_range("proximal_l1", "strength", strength, 0)
    check_selection("proximal_l1", "mask", mask)
    if learning_rate_of(optimizer) is None:
        fail("proximal_l1", "optimizer", "one with a learning rate", optimizer)

    def init(params):
        check_selection("proximal_l1", "mask", mask, params)
        return ProximalState(jnp.zeros((), jnp.int32), optimizer.init(params))

    def update(grads, state, params, **more):
        check_given("proximal_l1", "params", params, "they are shrunk")
        updates, inner = optimizer.update(grads, state.inner, params, **more)
        rates = leaf_learning_rates(optimizer, state.step, params)

        def one(u, p, rate, shrinks):
            if not shrinks:
                return u
            dtype = wide_dtype(p.dtype)
            w, threshold = p.astype(dtype) + u.astype(dtype), rate.astype(dtype) * jnp.asarray(strength, dtype)
            shrunk = jnp.where(jnp.abs(w) <= threshold, 0, w - jnp.sign(w) * threshold)
            return shrunk.astype(p.dtype) - p

        chosen = selected("proximal_l1", "mask", mask, params)
        return jax.tree.map(one, updates, params, rates, chosen), ProximalState(next_step(state.step), inner)

    return wrapping(optimizer, init, update, lambda state: state.inner)


@factory(
    Optimizer,
    static=("axis",),
    convert={"optimizer": lambda rule: as_optimizer(rule, "max_norm", "optimizer")},
    traits=("finite_updates", "wrapper"),
)
def max_norm(
    optimizer: Optimizer, limit: Scalar = 3.0, *, axis: int | tuple[int, ...] | None = None, mask: Selection = matrices
):
    """w = u min(1, limit / |u|) with u = w + the optimizer's update, |u| over the weights into one output unit.

    A leaf that a rule inside holds (`freeze`, `partition`) stays as it is.

    Args:
        optimizer: the rule that steps.
        limit: greatest length, > 0.
        axis: the axes a length is taken over; None for all but the last, which are the columns of a dense weight
            `(in, out)` and the filters of a kernel `(height, width, in, out)`.
        mask: which leaves are held: path patterns, a rule `(name, leaf) -> bool`, or None for all. By default weight
            matrices and kernels.

    Peers: as Keras' MaxNorm constraint, whose limit is 2, axis 0, and which adds 1e-7 to the length; PyTorch's renorm
    by hand. optax has projections.projection_l2_ball for one vector.

    Source: Srebro, Rennie and Jaakkola 2005; Srivastava et al. 2014.

    Raises:
        InputError: limit is not positive, axis is no axis of a leaf, a pattern means no leaf, or `params` is missing in
            the update.
    """
    check_range("max_norm", "limit", limit, 0, open_low=True)
    check_selection("max_norm", "mask", mask)
    axes = axis if isinstance(axis, tuple) or axis is None else (axis,)
    if axes is not None and not all(isinstance(a, int) and not isinstance(a, bool) for a in axes):
        fail("max_norm", "axis", "an axis, several, or None", axis)

    def init(params):
        check_selection("max_norm", "mask", mask, params)
        for leaf, held in zip(*map(jax.tree.leaves, (params, selected("max_norm", "mask", mask, params))), strict=True):
            if held and axes is not None and not all(-leaf.ndim <= a < leaf.ndim for a in axes):
                fail("max_norm", "axis", f"axes of every leaf that is held, one has {leaf.ndim}", axis)
        return optimizer.init(params)

    def update(grads, state, params, **more):
        check_given("max_norm", "params", params, "they are held in the ball")
        holds = selected("max_norm", "mask", mask, params)
        frozen = frozen_leaves(optimizer, state, params)
        updates, state = optimizer.update(grads, state, params, **more)

        def one(u, p, inside, still):
            if not inside or still is True:
                return u
            w = apply_updates(p, u).astype(wide_dtype(p.dtype))
            over = axes if axes is not None else tuple(range(max(p.ndim - 1, 0)))
            norm = norm_of_squares(lambda wide: jnp.sum(wide * wide, over, keepdims=True), w)
            bound = jnp.asarray(limit, w.dtype)
            outside = norm > bound
            factor = jnp.where(outside, bound / jnp.where(outside, norm, 1), 1)
            move = jnp.where(outside, (w * factor).astype(p.dtype) - p, u.astype(p.dtype))
            return move if still is False else jnp.where(still, u.astype(p.dtype), move)

        return jax.tree.map(one, updates, params, holds, frozen), state

    return wrapping(optimizer, init, update, lambda state: state)
