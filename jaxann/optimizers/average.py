"""Averages of the weights: training steps as before, what is evaluated and kept is the average.

Each rule wraps the optimizer whose weights it averages. The average moves by a + share (w - a); the shares are such
that their weights sum to exactly 1 at every step, so nothing has to be corrected afterwards. Where the optimizer inside
evaluates elsewhere than it steps, the average is of its evaluation points.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxann.core.checks import check_count, check_range
from jaxann.core.factories import factory
from jaxann.core.products import Optimizer, OptimizerFunctions
from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array, Params, Scalar
from jaxann.optimizers.base import apply_updates, as_optimizer, check_given, wrapping
from jaxann.optimizers.counting import next_step

__all__ = ["AverageState", "copied", "ema", "polyak", "swa"]


class AverageState(NamedTuple):
    """State of `ema`, `polyak` and `swa`."""

    step: Array  # int32 (), updates made so far
    average: Params  # in float32 or better
    inner: Any  # state of the rule that steps


def copied(params: Params) -> Params:
    """Every leaf in float32 or better, in a buffer of its own."""
    return jax.tree.map(lambda p: jnp.array(p, wide_dtype(p.dtype), copy=True), params)


def _averaging(function: str, optimizer: Optimizer, share_at: Callable[[Array, Any], Array]) -> OptimizerFunctions:
    """The three functions of an average; `share_at(t, dtype)` is the newest weights' share after update t = 1, ..."""

    def init(params):
        return AverageState(jnp.zeros((), jnp.int32), copied(params), optimizer.init(params))

    def update(grads, state, params, **more):
        check_given(function, "params", params, "they are averaged")
        updates, inner = optimizer.update(grads, state.inner, params, **more)
        point = optimizer.evaluation_params(inner, apply_updates(params, updates))
        step = next_step(state.step)

        def one(a, p):
            p, share = p.astype(a.dtype), share_at(step, a.dtype)
            return jnp.where(share < 1, a + share * (p - a), p)

        return updates, AverageState(step, jax.tree.map(one, state.average, point), inner)

    def evaluate(state, params):
        return jax.tree.map(lambda a, p: a.astype(p.dtype), state.average, params)

    functions = wrapping(optimizer, init, update, lambda state: state.inner)
    return functions._replace(evaluation_params=evaluate)


@factory(
    Optimizer,
    convert={"optimizer": lambda rule: as_optimizer(rule, "ema", "optimizer")},
    traits=("finite_updates", "wrapper"),
)
def ema(optimizer: Optimizer, decay: Scalar = 0.999, *, debias: bool = True):
    """a = decay a + (1 - decay) w over the weights w after each update; evaluated at a / (1 - decay^t), a_0 = 0.

    Without `debias` the average starts at the initial weights and is evaluated as it is. The window is about
    1 / (1 - decay) updates.

    Args:
        optimizer: the rule that steps.
        decay: in [0, 1).
        debias: forget the initial weights.

    Peers: debias=True as optax's ema fed with the weights; in a chain of optax, ema averages the updates instead.
    debias=False as PyTorch's AveragedModel with get_ema_multi_avg_fn, first updated with the initial weights; Keras'
    use_ema starts at the weights after the first step.

    Raises:
        InputError: decay is not in [0, 1).
    """
    check_range("ema", "decay", decay, 0, 1, open_high=True)

    def share_at(t, dtype):
        d = jnp.asarray(decay, dtype)
        if not debias:
            return 1 - d
        forgotten = t.astype(dtype) * jnp.log(jnp.where(d > 0, d, 1))  # decay^t = exp(this), 1 - decay^t without loss
        return jnp.where(d > 0, (1 - d) / -jnp.expm1(jnp.where(d > 0, forgotten, -1)), 1)

    return _averaging("ema", optimizer, share_at)


def _share_of_cycle(t: Array, dtype: Any, start: Scalar, every: Scalar) -> Array:
    """1 / n at the end of the n-th cycle, 0 inside a later one; 1 until the first has ended."""
    passed = t - jnp.asarray(start, jnp.int32)
    length = jnp.asarray(every, jnp.int32)
    n = passed // length
    ends = passed % length == 0
    share = jnp.where(ends, 1 / jnp.maximum(n, 1).astype(dtype), jnp.zeros((), dtype))
    return jnp.where(n < 1, jnp.ones((), dtype), share)


@factory(
    Optimizer,
    convert={"optimizer": lambda rule: as_optimizer(rule, "polyak", "optimizer")},
    traits=("finite_updates", "wrapper"),
)
def polyak(optimizer: Optimizer, *, start: Scalar = 0):
    """a = (w_(start+1) + ... + w_t) / (t - start), the equal average of the weights after each update.

    Up to update `start` the weights are evaluated as they are.

    Args:
        optimizer: the rule that steps; a constant or slowly falling rate lets the iterates wander around the minimum.
        start: updates that are left out, a whole number >= 0.

    Peers: as PyTorch's AveragedModel updated at every step; PyTorch's ASGD has it built in (t0). optax has none.

    Source: Polyak and Juditsky 1992.

    Raises:
        InputError: start is no whole number >= 0.
    """
    check_count("polyak", "start", start, 0)
    return _averaging("polyak", optimizer, lambda t, dtype: _share_of_cycle(t, dtype, start, 1))


@factory(
    Optimizer,
    convert={"optimizer": lambda rule: as_optimizer(rule, "swa", "optimizer")},
    traits=("finite_updates", "wrapper"),
)
def swa(optimizer: Optimizer, *, start: Scalar, every: Scalar):
    """a = (w_(start+every) + w_(start+2 every) + ...) / n, the equal average of the weights at the ends of cycles.

    Cycles of `every` updates begin after update `start`; until the first has ended the weights are evaluated as they
    are. Use it with a rate that is constant or falls within each cycle. Running statistics of batch normalization are
    not averaged: `fit` measures them again with the averaged weights, a loop of your own has to.

    Args:
        optimizer: the rule that steps.
        start: updates before the first cycle, a whole number >= 0.
        every: updates of a cycle, a whole number >= 1; often those of an epoch.

    Peers: as PyTorch's AveragedModel updated at the end of every cycle; the paper counts the weights at `start` too.
    Keras and optax have none.

    Source: Izmailov et al. 2018.

    Raises:
        InputError: start or every is no whole number in range.
    """
    check_count("swa", "start", start, 0)
    check_count("swa", "every", every, 1)
    return _averaging("swa", optimizer, lambda t, dtype: _share_of_cycle(t, dtype, start, every))
