"""Rprop: a step size for each parameter, told by the signs of its gradients alone."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxann.core.checks import check_range
from jaxann.core.factories import factory
from jaxann.core.products import Optimizer
from jaxann.core.typing import Array, Params, Scalar
from jaxann.optimizers.base import check_given, full_like, widened, zeros_like
from jaxann.optimizers.counting import next_step

__all__ = ["RpropState", "rprop"]


class RpropState(NamedTuple):
    """State of `rprop`."""

    step: Array  # int32 (), updates made so far
    sizes: Params  # step sizes
    signs: Params  # of the last gradients; 0 where they had just turned


@factory(Optimizer, traits=("finite_updates",))
def rprop(
    initial_step_size: Scalar = 0.01,
    *,
    eta_minus: Scalar = 0.5,
    eta_plus: Scalar = 1.2,
    min_step_size: Scalar = 1e-6,
    max_step_size: Scalar = 50.0,
):
    """update = -size sign(g);  size times eta_plus where the sign of g stays, eta_minus (and no step) where it turns.

    After a turn one step is made with the size as it is. For whole-batch gradients: the noise of mini-batches turns
    signs at random. A step size takes the place of the learning rate, so no schedule.

    Args:
        initial_step_size: >= 0, of every parameter.
        eta_minus: in (0, 1).
        eta_plus: at least 1.
        min_step_size, max_step_size: what sizes are held to when they change.

    Peers: as PyTorch (its lr is the initial step size). optax makes each step one update late, its first update is 0.
        Keras has none.

    Source: Riedmiller and Braun 1993; without the way back after a turn, Igel and Huesken 2000 (iRprop-).

    Raises:
        InputError: a number is out of range.
    """
    check_range("rprop", "initial_step_size", initial_step_size, 0)
    check_range("rprop", "eta_minus", eta_minus, 0, 1, open_low=True, open_high=True)
    check_range("rprop", "eta_plus", eta_plus, 1)
    check_range("rprop", "min_step_size", min_step_size, 0)
    check_range("rprop", "max_step_size", max_step_size, 0)

    def init(params):
        sizes = full_like("rprop", "initial_step_size", initial_step_size, params)
        return RpropState(jnp.zeros((), jnp.int32), sizes, zeros_like(params))

    def update(grads, state, params):
        check_given("rprop", "params", params, "it has their dtypes")
        now = jax.tree.map(jnp.sign, widened(grads))
        turns = jax.tree.map(lambda s, last: s * last, now, state.signs)  # 1, 0, or -1 where the gradient turned

        def sized(size, turn):
            plus, minus, low, high = (
                jnp.asarray(a, size.dtype) for a in (eta_plus, eta_minus, min_step_size, max_step_size)
            )
            changed = jnp.clip(size * jnp.where(turn > 0, plus, minus), low, high)
            return jnp.where(turn == 0, size, changed)

        sizes = jax.tree.map(sized, state.sizes, turns)
        signs = jax.tree.map(lambda s, turn: jnp.where(turn < 0, 0, s), now, turns)
        updates = jax.tree.map(lambda size, s, p: (-size * s).astype(p.dtype), sizes, signs, params)
        return updates, RpropState(next_step(state.step), sizes, signs)

    return init, update
