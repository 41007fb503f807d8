"""What to do with gradients that are not finite."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxann.core.checks import check_count
from jaxann.core.factories import factory
from jaxann.core.products import Optimizer
from jaxann.core.typing import Array, Scalar
from jaxann.optimizers.base import as_optimizer, wrapping
from jaxann.optimizers.counting import next_step
from jaxann.optimizers.masking import zero_updates

__all__ = ["FiniteState", "ZeroNansState", "apply_if_finite", "zero_nans"]


class ZeroNansState(NamedTuple):
    """What `zero_nans` has seen."""

    found: Any  # bool () for each leaf: whether the last gradient had a NaN there


@factory(Optimizer, traits=("finite_updates",))
def zero_nans():
    """0 where g is NaN, else g; infinities stay. The state tells which leaves had a NaN in the last gradient.

    In `fit` the finite guard comes first and drops the whole step, so this is for loops of your own.

    Peers: as optax; PyTorch and Keras have none.
    """

    def init(params):
        return ZeroNansState(jax.tree.map(lambda p: jnp.zeros((), jnp.bool_), params))

    def update(grads, state, params):
        found = jax.tree.map(lambda g: jnp.any(jnp.isnan(g)), grads)
        return jax.tree.map(lambda g: jnp.where(jnp.isnan(g), 0, g), grads), ZeroNansState(found)

    return init, update


class FiniteState(NamedTuple):
    """State of `apply_if_finite`."""

    bad_in_row: Array  # int32 (), gradients that were not finite since the last finite one
    skipped: Array  # int32 (), gradients that were not finite, in all
    inner: Any  # state of the rule that steps


@factory(
    Optimizer,
    convert={"optimizer": lambda rule: as_optimizer(rule, "apply_if_finite", "optimizer")},
    traits=("finite_updates", "wrapper"),
)
def apply_if_finite(optimizer: Optimizer, max_consecutive: Scalar):
    """The optimizer's update where every gradient is finite, else exactly 0 and its state as it was.

    After max_consecutive bad gradients in a row the next bad one is let through, so that a run that is lost is seen to
    be lost. In `fit` the finite guard does this by itself, with `on_nonfinite="skip"`.

    Args:
        optimizer: the rule that steps.
        max_consecutive: bad gradients in a row that are left out, a whole number >= 0.

    Peers: as optax (max_consecutive_errors); PyTorch's GradScaler leaves out every bad step.

    Raises:
        InputError: max_consecutive is no whole number >= 0.
    """
    check_count("apply_if_finite", "max_consecutive", max_consecutive, 0)

    def init(params):
        return FiniteState(jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32), optimizer.init(params))

    def update(grads, state, params, **more):
        finite = jnp.asarray(True)
        for g in jax.tree.leaves(grads):
            finite &= jnp.all(jnp.isfinite(g))
        in_row = jnp.where(finite, 0, next_step(state.bad_in_row))

        def move(inner):
            updates, inner = optimizer.update(grads, inner, params, **more)
            return jax.tree.map(lambda u, g: u.astype(g.dtype), updates, grads), inner

        let_through = finite | (in_row > jnp.asarray(max_consecutive, jnp.int32))
        updates, inner = lax.cond(let_through, move, lambda inner: (zero_updates(grads), inner), state.inner)
        return updates, FiniteState(in_row, jnp.where(finite, state.skipped, next_step(state.skipped)), inner)

    return wrapping(optimizer, init, update, lambda state: state.inner)
