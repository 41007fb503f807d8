"""Two sets of weights: fast ones that step, slow ones that follow."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxann.core.checks import check_count, check_range, fail
from jaxann.core.factories import factory
from jaxann.core.products import Optimizer
from jaxann.core.typing import Array, Params, Scalar
from jaxann.optimizers.average import copied
from jaxann.optimizers.base import apply_updates, as_optimizer, check_given, wrapping
from jaxann.optimizers.counting import is_due, next_step

__all__ = ["LookaheadState", "lookahead"]


class LookaheadState(NamedTuple):
    """State of `lookahead`."""

    step: Array  # int32 (), updates made so far
    slow: Params  # the slow weights, in float32 or better
    inner: Any  # state of the rule that steps


@factory(
    Optimizer,
    convert={"optimizer": lambda rule: as_optimizer(rule, "lookahead", "optimizer")},
    traits=("finite_updates", "wrapper"),
)
def lookahead(optimizer: Optimizer, *, sync_period: Scalar = 5, slow_step_size: Scalar = 0.5):
    """Every sync_period updates: slow = slow + slow_step_size (fast - slow), fast = slow; evaluated at slow.

    Between them the fast weights, which are the parameters, go the optimizer's way. Its state goes on.

    Args:
        optimizer: the rule of the fast weights.
        sync_period: updates from one meeting to the next, a whole number >= 1.
        slow_step_size: in (0, 1].

    Peers: as optax with reset_state=False, which asks for parameters in pairs and has no defaults; PyTorch and Keras
    have none.

    Source: Zhang et al. 2019.

    Raises:
        InputError: a number is out of range, or the optimizer averages its weights itself.
    """
    if optimizer.averages:
        hint = "An average goes around it: ema(lookahead(...))."
        fail("lookahead", "optimizer", "one that is evaluated where it steps", optimizer, hint=hint)
    check_count("lookahead", "sync_period", sync_period, 1)
    check_range("lookahead", "slow_step_size", slow_step_size, 0, 1, open_low=True)

    def init(params):
        return LookaheadState(jnp.zeros((), jnp.int32), copied(params), optimizer.init(params))

    def update(grads, state, params, **more):
        check_given("lookahead", "params", params, "they are the fast weights")
        updates, inner = optimizer.update(grads, state.inner, params, **more)
        step = next_step(state.step)
        meet = is_due(step, sync_period)
        fast = apply_updates(params, updates)

        def follow(s, f):
            return jnp.where(meet, s + jnp.asarray(slow_step_size, s.dtype) * (f.astype(s.dtype) - s), s)

        slow = jax.tree.map(follow, state.slow, fast)
        updates = jax.tree.map(lambda u, s, p: jnp.where(meet, s.astype(p.dtype) - p, u.astype(p.dtype)),
                               updates, slow, params)  # fmt: skip
        return updates, LookaheadState(step, slow, inner)

    def evaluate(state, params):
        slow = jax.tree.map(lambda s, p: s.astype(p.dtype), state.slow, params)
        return optimizer.evaluation_params(state.inner, slow)

    functions = wrapping(optimizer, init, update, lambda state: state.inner)
    return functions._replace(evaluation_params=evaluate)
