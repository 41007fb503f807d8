"""SM3: Adagrad with one accumulator for each row and each column."""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxann.core.factories import factory
from jaxann.core.products import Optimizer
from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array, Params, Scalar, ScalarOrSchedule, ScheduledScalar
from jaxann.optimizers.base import (
    check_decay_rates,
    check_given,
    check_learning_rate,
    check_not_negative,
    descent,
    ema_update,
    zeros_like,
)
from jaxann.optimizers.counting import next_step
from jaxann.optimizers.scheduled import scheduled
from jaxann.optimizers.squares import bounded, capped
from jaxann.schedules import value_at

__all__ = ["SM3State", "sm3"]


class SM3State(NamedTuple):
    """State of `sm3`."""

    step: Array  # int32 (), updates made so far
    mu: Params  # mean of the scaled gradients
    covers: Params  # for each leaf a tuple: one vector for each of its axes, or one array for a leaf of none or one


@factory(Optimizer, traits=("finite_updates",))
@scheduled("momentum")
def sm3(learning_rate: ScalarOrSchedule, *, momentum: ScheduledScalar = 0.9, eps: Scalar = 1e-8):
    """a = min over axes of s + g^2;  m = momentum m + (1-momentum) g / sqrt(a + eps);  update = -learning_rate m.

    Each axis of a leaf has a vector s, which becomes the maximum of a over the other axes: a matrix of r by c costs
    r + c numbers and no r c. A leaf of one axis is Adagrad's. Where a = 0 nothing is added.

    Args:
        learning_rate: number >= 0, array, or schedule of the step.
        momentum: in [0, 1), of the mean of the scaled gradients: number or schedule of the step.
        eps: inside the root.

    Peers: as optax, which refuses leaves without an axis; PyTorch and Keras have none.

    Source: Anil et al. 2019 (SM3-II).

    Raises:
        InputError: a number is out of range.
    """
    check_learning_rate("sm3", learning_rate)
    check_decay_rates("sm3", momentum=momentum)
    check_not_negative("sm3", eps=eps)

    def init(params):
        def empty(p):
            dtype = wide_dtype(p.dtype)
            return tuple(jnp.zeros(n, dtype) for n in p.shape) if p.ndim > 1 else (jnp.zeros(p.shape, dtype),)

        return SM3State(jnp.zeros((), jnp.int32), zeros_like(params), jax.tree.map(empty, params))

    def update(grads, state, params):
        check_given("sm3", "params", params, "it has their dtypes")
        rate = value_at(learning_rate, state.step)
        grads = bounded(grads)

        def scaled(g, a):
            some = jnp.where(a == 0, jnp.inf, a)  # g / inf: 0, and so is its slope
            return g / jnp.sqrt(some + jnp.asarray(eps, a.dtype))

        squares = jax.tree.map(lambda g, cover: capped(_smallest_cover(cover, g.ndim) + g * g), grads, state.covers)
        mu = jax.tree.map(lambda m, g, a: ema_update(momentum, m, scaled(g, a)), state.mu, grads, squares)
        return descent(rate, mu, params), SM3State(next_step(state.step), mu, jax.tree.map(_covers, squares))

    return init, update


def _smallest_cover(cover: tuple[Array, ...], axes: int) -> Array:
    """The least of the vectors that meet in an element; lone axes are left for g's shape to fill."""
    if axes < 2:
        return cover[0]
    shape = tuple(vector.shape[0] for vector in cover)
    broadcasts = (lax.broadcast_in_dim(vector, shape, (axis,)) for axis, vector in enumerate(cover))
    return functools.reduce(jnp.minimum, broadcasts)


def _covers(squares: Array) -> tuple[Array, ...]:
    """The greatest element over all axes but one, for each."""
    if squares.ndim < 2:
        return (squares,)
    axes = range(squares.ndim)
    return tuple(jnp.max(squares, axis=tuple(a for a in axes if a != axis), initial=0) for axis in axes)
