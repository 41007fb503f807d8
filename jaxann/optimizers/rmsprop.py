"""RMSProp: plain, centered, with momentum."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxann.core.checks import fail
from jaxann.core.factories import factory
from jaxann.core.products import Optimizer
from jaxann.core.typing import Array, Params, Scalar, ScalarOrSchedule, ScheduledScalar
from jaxann.optimizers.base import (
    bias_correction_factor,
    check_decay_rates,
    check_given,
    check_learning_rate,
    check_not_negative,
    ema_update,
    full_like,
    nonzero,
    zeros_like,
)
from jaxann.optimizers.counting import next_step
from jaxann.optimizers.scheduled import scheduled
from jaxann.optimizers.squares import bounded
from jaxann.schedules import value_at

__all__ = ["RMSPropState", "rmsprop"]


class RMSPropState(NamedTuple):
    """State of `rmsprop`."""

    step: Array  # int32 (), updates made so far
    nu: Params  # mean of the squared gradients
    mu: Params | None  # mean of the gradients; None unless centered
    velocity: Params | None  # None without momentum


@factory(Optimizer, traits=("finite_updates",))
@scheduled("momentum")
def rmsprop(
    learning_rate: ScalarOrSchedule,
    *,
    decay: Scalar = 0.9,
    eps: Scalar = 1e-8,
    initial_scale: Scalar = 0.0,
    eps_in_sqrt: bool = True,
    centered: bool = False,
    momentum: ScheduledScalar | None = None,
    nesterov: bool = False,
    bias_correction: bool = False,
):
    """v = decay v + (1-decay) g^2;  u = learning_rate g / sqrt(v + eps);  update = -u.

    With momentum b = momentum b + u and update = -b, with Nesterov's -(u + momentum b). Centered: v - m^2, held to 0 or
    more, stands for v in the root, with m = decay m + (1-decay) g. Where gradients hardly vary that difference goes to
    0 and the steps to learning_rate g / sqrt(eps): an eps of 1e-6 or more keeps them in bounds.

    Args:
        learning_rate: number >= 0, array, or schedule of the step.
        decay: in [0, 1), how slowly the means forget.
        eps: inside the root, or with `eps_in_sqrt=False` outside, g / (sqrt(v) + eps).
        initial_scale: what v starts at.
        eps_in_sqrt: where eps stands.
        centered: whether the mean gradient is taken out.
        momentum: in [0, 1), number or schedule of the step; None keeps no buffer.
        nesterov: look-ahead form of the momentum.
        bias_correction: whether v and m are divided by 1 - decay^t.

    Peers: as optax, which does not hold v - m^2 to 0 or more. PyTorch: `decay=0.99, eps_in_sqrt=False`, and the rate
        outside the buffer. Keras has eps = 1e-7; the first TensorFlow had `initial_scale=1.0, eps=1e-10`.

    Source: Tieleman and Hinton 2012; Graves 2013 (centered).

    Raises:
        InputError: a number is out of range, or nesterov without momentum.
    """
    check_learning_rate("rmsprop", learning_rate)
    check_decay_rates("rmsprop", decay=decay, **({} if momentum is None else {"momentum": momentum}))
    check_not_negative("rmsprop", eps=eps, initial_scale=initial_scale)
    if nesterov and momentum is None:
        fail("rmsprop", "momentum", "given when nesterov=True", None)

    def init(params):
        mu = zeros_like(params) if centered else None
        velocity = None if momentum is None else zeros_like(params)
        nu = full_like("rmsprop", "initial_scale", initial_scale, params)
        return RMSPropState(jnp.zeros((), jnp.int32), nu, mu, velocity)

    def update(grads, state, params):
        check_given("rmsprop", "params", params, "it has their dtypes")
        rate = value_at(learning_rate, state.step)
        grads, step, mu, velocity = bounded(grads), next_step(state.step), None, None

        def divisor(v, *m):
            small = jnp.asarray(eps, v.dtype)
            fix = bias_correction_factor(decay, step, v.dtype) if bias_correction else jnp.ones((), v.dtype)
            v = fix * v
            if m:
                v = jnp.maximum(v - (fix * m[0]) * (fix * m[0]), 0)
            return jnp.sqrt(nonzero(v + small)) if eps_in_sqrt else nonzero(jnp.sqrt(v) + small)

        nu = jax.tree.map(lambda v, g: ema_update(decay, v, g * g), state.nu, grads)
        divisors = jax.tree.map(divisor, nu)
        if centered:
            mu = jax.tree.map(lambda m, g: ema_update(decay, m, g), state.mu, grads)
            divisors = jax.tree.map(divisor, nu, mu)
        move = jax.tree.map(lambda g, r: rate.astype(g.dtype) * g / r, grads, divisors)
        if momentum is not None:
            velocity = jax.tree.map(lambda b, u: jnp.asarray(momentum, u.dtype) * b + u, state.velocity, move)
            ahead = jax.tree.map(lambda b, u: u + jnp.asarray(momentum, u.dtype) * b, velocity, move)
            move = ahead if nesterov else velocity
        return jax.tree.map(lambda u, p: (-u).astype(p.dtype), move, params), RMSPropState(step, nu, mu, velocity)

    return init, update
