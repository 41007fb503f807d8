"""LARS: steps in proportion to the length of each layer's weights, for large batches."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxann.core.checks import check_range
from jaxann.core.factories import factory
from jaxann.core.patterns import Selection, matrices
from jaxann.core.products import Optimizer
from jaxann.core.trees import leaf_norm
from jaxann.core.typing import Array, Params, Scalar, ScalarOrSchedule, ScheduledScalar
from jaxann.optimizers.base import (
    check_decay_rates,
    check_given,
    check_learning_rate,
    check_not_negative,
    widened,
    zeros_like,
)
from jaxann.optimizers.counting import next_step
from jaxann.optimizers.masking import check_selection, selected
from jaxann.optimizers.scheduled import scheduled
from jaxann.schedules import value_at

__all__ = ["LARSState", "lars", "trust_ratio"]


class LARSState(NamedTuple):
    """State of `lars`."""

    step: Array  # int32 (), updates made so far
    velocity: Params  # the learning rate is inside


def trust_ratio(weights: Array, direction: Array, coefficient: Scalar = 1.0, eps: Scalar = 0.0) -> Array:
    """coefficient |w| / (|u| + eps) over one leaf, and 1 where either length is 0."""
    length, size = leaf_norm(weights), leaf_norm(direction)
    nothing = (length == 0) | (size == 0)
    ratio = jnp.asarray(coefficient, size.dtype) * length / (jnp.where(nothing, 1, size) + jnp.asarray(eps, size.dtype))
    return jnp.where(nothing, 1, ratio)


@factory(Optimizer, traits=("decays_by_mask", "finite_updates"))
@scheduled("momentum", "weight_decay")
def lars(
    learning_rate: ScalarOrSchedule,
    *,
    trust_coefficient: Scalar = 1e-3,
    momentum: ScheduledScalar = 0.9,
    nesterov: bool = False,
    weight_decay: ScheduledScalar = 0.0,
    eps: Scalar = 0.0,
    mask: Selection = matrices,
):
    """u = g + decay w;  v = momentum v + learning_rate trust_coefficient |w| / (|u| + eps) u;  update = -v.

    The norms are of each leaf by itself; the ratio is 1 where one of them is 0. With Nesterov the update is
    -(momentum v + what has just entered v).

    Args:
        learning_rate: number >= 0, array, or schedule of the step. Leaves outside the mask take it as it is, so a rate
            of 1 to 10, which is common for LARS, wants a warmup.
        trust_coefficient: how far a leaf may move, as a share of its length.
        momentum: in [0, 1), number or schedule of the step.
        nesterov: look-ahead form.
        weight_decay: decay that counts in the ratio: number or schedule of the step.
        eps: added to |u|.
        mask: which leaves decay and are scaled by the ratio; None for all. The others, biases and the parameters of
            normalizations by default, take plain momentum.

    Peers: as optax, whose masks are two, of all leaves by default; PyTorch and Keras have none. The paper divides by
    |g| + decay |w|, equal where nothing decays.

    Source: You et al. 2017.

    Raises:
        InputError: a number is out of range, a pattern means no leaf, or `params` is missing in the update.
    """
    check_learning_rate("lars", learning_rate)
    check_range("lars", "trust_coefficient", trust_coefficient, 0, open_low=True)
    check_decay_rates("lars", momentum=momentum)
    check_not_negative("lars", weight_decay=weight_decay, eps=eps)
    check_selection("lars", "mask", mask)

    def init(params):
        check_selection("lars", "mask", mask, params)
        return LARSState(jnp.zeros((), jnp.int32), zeros_like(params))

    def update(grads, state, params):
        check_given("lars", "params", params, "their norms scale the step")
        rate = value_at(learning_rate, state.step)

        def entering(g, p, scaled):
            factor = rate.astype(g.dtype)
            if scaled:
                p = p.astype(g.dtype)
                g = g + jnp.asarray(weight_decay, g.dtype) * p
                factor = factor * trust_ratio(p, g, trust_coefficient, eps)
            return factor * g

        def kept(v):
            return jnp.asarray(momentum, v.dtype) * v

        new = jax.tree.map(entering, widened(grads), params, selected("lars", "mask", mask, params))
        velocity = jax.tree.map(lambda v, n: kept(v) + n, state.velocity, new)
        ahead = jax.tree.map(lambda v, n: kept(v) + n, velocity, new) if nesterov else velocity
        return jax.tree.map(lambda v, p: -v.astype(p.dtype), ahead, params), LARSState(next_step(state.step), velocity)

    return init, update
