"""One step for several gradients: large batches on a small machine."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxann.core.checks import check_count, is_concrete, show
from jaxann.core.errors import CheckpointError
from jaxann.core.factories import factory
from jaxann.core.products import Optimizer
from jaxann.core.typing import Array, Params, Scalar
from jaxann.optimizers.base import as_optimizer, leaf_learning_rates, learning_rate_of, wrapping, zeros_like
from jaxann.optimizers.counting import is_due, next_step
from jaxann.optimizers.masking import zero_updates
from jaxann.schedules import value_at

__all__ = ["AccumulateState", "accumulate"]


class _Fields(NamedTuple):
    calls: Array  # int32 (), gradients gathered since the last step
    total: Params  # their sum, each times its batch's weight, in float32 or better
    weight: Array  # float (), the sum of the weights
    inner: Any  # state of the rule that steps


class AccumulateState(_Fields):
    """State of `accumulate`.

    One of three fields, as it was before batches had weights, is read where nothing is gathered.

    Raises:
        CheckpointError: it has three fields, and gradients whose weights are not known.
    """

    __slots__ = ()

    def __new__(cls, calls: Array, total: Params, *rest: Any, **named: Any):
        """The state of four fields, or of the three it once had."""
        if not named and len(rest) == 1:  # calls, total, inner: as pickle and `cls(*fields)` give them
            return super().__new__(cls, calls, total, _no_weight(calls), *rest)
        return super().__new__(cls, calls, total, *rest, **named)


def _no_weight(calls: Any) -> Array:
    """The sum of the weights in a state that has none: 0 where nothing is gathered."""
    if not is_concrete(calls) or np.any(np.asarray(calls) != 0):
        expected = "0 in a state without `weight`, saved before gradients were weighed by what their batches count for"
        hint = "Train on to the next update with the version that saved it, or begin with accumulate(...).init(params)."
        raise CheckpointError(f"accumulate: calls of the state must be {expected}, got {show(calls)}.\n{hint}")
    return jnp.zeros(np.shape(calls), jnp.result_type(float))


@factory(
    Optimizer,
    convert={"optimizer": lambda rule: as_optimizer(rule, "accumulate", "optimizer")},
    traits=("finite_updates", "wrapper"),
)
def accumulate(optimizer: Optimizer, steps: Scalar):
    """The optimizer's update on sum_i n_i g_i / sum_i n_i at every steps-th call, exactly 0 at the others.

    n_i is the `weight` that the trainer gives: what batch i counts for, with class weights, ignored labels and
    padding, so that this is the step on the whole batch; 1 in a loop that gives none. Where nothing counted no update
    is made. The rule inside sees one update: its schedule counts updates, not calls, and its state moves with them. A
    rule that reads `value` or `value_fn` is given those of the last micro-batch. What is gathered when training ends is
    not used.

    Args:
        optimizer: the rule that steps. Put `accumulate` around everything else, so that nothing acts between steps.
        steps: micro-batches for one update, a whole number >= 1.

    Peers: optax's MultiSteps and Keras' gradient_accumulation_steps take every n_i for 1; with PyTorch one divides the
        loss by steps.

    Raises:
        InputError: steps is no whole number >= 1.
    """
    check_count("accumulate", "steps", steps, 1)

    def init(params):
        nothing = jnp.zeros((), jnp.int32), zeros_like(params), jnp.zeros((), jnp.result_type(float))
        return AccumulateState(*nothing, optimizer.init(params))

    def update(grads, state, params, *, weight=None, **more):
        calls, counts = next_step(state.calls), jnp.ones_like(state.weight)
        if weight is not None:
            counts = jnp.asarray(weight, counts.dtype)
            more["weight"] = state.weight + counts
        whole = state.weight + counts

        def gathered(t, g):
            return t + (g if weight is None else jnp.where(counts == 0, 0, counts.astype(t.dtype) * g)).astype(t.dtype)

        total = jax.tree.map(gathered, state.total, jax.tree.map(lambda t, g: g.astype(t.dtype), state.total, grads))

        def move(total, inner):
            mean = jax.tree.map(lambda t, g: (t * (1 / whole.astype(t.dtype))).astype(g.dtype), total, grads)
            updates, inner = optimizer.update(mean, inner, params, **more)
            updates = jax.tree.map(lambda u, g: u.astype(g.dtype), updates, grads)
            return updates, AccumulateState(jnp.zeros_like(calls), zero_updates(total), jnp.zeros_like(whole), inner)

        def wait(total, inner):
            return zero_updates(grads), AccumulateState(jnp.where(due, 0, calls), total, whole, inner)

        due = calls >= jnp.asarray(steps, jnp.int32)
        # A branch, not a selection: most calls have no need of the rule's whole step.
        return lax.cond(due & (whole != 0), move, wait, total, state.inner)

    def leaf_rates(step, params):
        every = jnp.asarray(steps, step.dtype)
        moves = is_due(next_step(step), every)
        rates = leaf_learning_rates(optimizer, step // every, params)
        return jax.tree.map(lambda rate: jnp.where(moves, rate, 0), rates)

    rate = learning_rate_of(optimizer)
    if callable(rate):  # the schedule inside counts updates, not calls
        inner, rate = rate, lambda step: value_at(inner, step // jnp.asarray(steps, step.dtype))
    functions = wrapping(optimizer, init, update, lambda state: state.inner)
    return functions._replace(learning_rate=rate, leaf_learning_rates=leaf_rates)
