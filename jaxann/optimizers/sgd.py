"""Gradient descent: plain, with momentum, with Nesterov's momentum.

Batch, mini-batch and stochastic descent are this one rule with another batch size.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxann.core.checks import check_range, fail
from jaxann.core.factories import factory
from jaxann.core.products import Optimizer
from jaxann.core.typing import Array, Params, Scalar
from jaxann.optimizers.base import check_learning_rate, descended, need, widened, zeros_like
from jaxann.schedules import value_at

__all__ = ["SGDState", "sgd"]


class SGDState(NamedTuple):
    """Memory of `sgd`."""

    step: Array  # int32 (), updates made so far
    velocity: Params | None  # like the parameters; None without momentum


@factory(Optimizer)
def sgd(learning_rate: Any, *, momentum: Scalar | None = None, nesterov: bool = False):
    """v = momentum v + g;  update = -learning_rate v;  with Nesterov: -learning_rate (g + momentum v).

    Without momentum: -learning_rate g. The buffer starts at 0, so the first step is that of plain descent. The rate is
    outside the buffer, as in optax and PyTorch; Keras puts it inside, which differs when the rate changes.

    Args:
        learning_rate: number >= 0, array, or schedule of the step.
        momentum: in [0, 1); None keeps no buffer.
        nesterov: look-ahead form (Sutskever et al. 2013).

    Raises:
        InputError: a number is out of range, or nesterov without momentum.
    """
    check_learning_rate("sgd", learning_rate)
    if momentum is not None:
        check_range("sgd", "momentum", momentum, 0, 1, open_high=True)
    if nesterov and momentum is None:
        fail("sgd", "momentum", "given when nesterov=True", None)

    def init(params):
        return SGDState(jnp.zeros((), jnp.int32), None if momentum is None else zeros_like(params))

    def update(grads, state, params):
        need("sgd", "params", params, "it has their dtypes")
        rate = value_at(learning_rate, state.step)
        grads, velocity = widened(grads), None
        direction = grads
        if momentum is not None:
            velocity = jax.tree.map(lambda v, g: jnp.asarray(momentum, g.dtype) * v + g, state.velocity, grads)
            direction = velocity
            if nesterov:
                direction = jax.tree.map(lambda v, g: g + jnp.asarray(momentum, g.dtype) * v, velocity, grads)
        return descended(rate, direction, params), SGDState(state.step + 1, velocity)

    return init, update
