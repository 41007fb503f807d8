"""L-BFGS: Newton's direction from the last changes of the gradient, and a search along it."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxann.core.checks import check_choice, check_integer, check_range, fail, is_concrete
from jaxann.core.factories import factory
from jaxann.core.products import Optimizer
from jaxann.core.typing import Array, Params, Scalar
from jaxann.optimizers.base import check_learning_rate, need, root, widest
from jaxann.optimizers.line_search import Point, wolfe_step
from jaxann.schedules import value_at

__all__ = ["LBFGSState", "lbfgs"]


class LBFGSState(NamedTuple):
    """Memory of `lbfgs`; the leaves stand in one vector of n numbers."""

    step: Array  # int32 (), updates made so far
    params: Array  # (n,), of the update before
    grads: Array  # (n,), of the update before
    moves: Array  # (memory, n), changes of the parameters, the newest in row (pairs - 1) mod memory
    turns: Array  # (memory, n), changes of the gradient
    rho: Array  # (memory,), 1 / (move . turn), and 0 in rows not in use
    gamma: Array  # float (), (move . turn) / (turn . turn) of the newest
    pairs: Array  # int32 (), rows ever filled
    failures: Array  # int32 (), searches in a row that found no step down


@factory(Optimizer, static=("memory", "max_evaluations"))
def lbfgs(
    learning_rate: Any = 1.0,
    *,
    memory: int = 10,
    line_search: str | None = "zoom",
    c1: Scalar = 1e-4,
    c2: Scalar = 0.9,
    max_evaluations: int = 25,
):
    """update = -a H g, H from the last `memory` changes s of w and y of g, a by a search along the line.

    H is the two-loop recursion, begun with (s'y / y'y) 1, and min(1, 1 / |g|) 1 before there is a pair; a pair with
    s'y <= 1e-10 |s| |y| is left out. The search ends at a with f(a) <= f(0) + c1 a f'(0) and |f'(a)| <= c2 |f'(0)|
    (strong Wolfe conditions). Where it finds no step down the weights stay and the pairs are forgotten, so that the
    next direction is the gradient's. The objective has to be the same function in every step: all examples, no noise.

    Args:
        learning_rate: number > 0, array, or schedule of the step: the first a that is tried, 1 as a rule.
        memory: pairs that are kept, each of twice the size of the parameters.
        line_search: "zoom", or None to take a = learning_rate as it is.
        c1, c2: 0 < c1 < c2 < 1.
        max_evaluations: gradients in one search; one is enough as a rule.

    Peers: as optax's direction; its search has the same c1 and c2, begins at 1 and takes up to 20 evaluations. PyTorch
        takes 1 as its first step with line_search_fn=None, "strong_wolfe" is this search, and 20 iterations are one
        step there. Keras has none.

    Source: Liu and Nocedal 1989; Nocedal and Wright 2006, chapters 3 and 7.

    Raises:
        InputError: a number is out of range, or `params`, `value` or `value_fn` is missing in the update.
    """
    check_learning_rate("lbfgs", learning_rate)
    check_integer("lbfgs", "memory", memory, 1)
    if line_search is not None:
        check_choice("lbfgs", "line_search", line_search, ("zoom",))
    check_range("lbfgs", "c1", c1, 0, 1, open_low=True, open_high=True)
    check_range("lbfgs", "c2", c2, 0, 1, open_low=True, open_high=True)
    if is_concrete(c1) and is_concrete(c2) and c1 >= c2:
        fail("lbfgs", "c1", f"less than c2 = {c2:g}", c1)
    check_integer("lbfgs", "max_evaluations", max_evaluations, 1)

    def init(params):
        dtype, size = widest(params), sum(leaf.size for leaf in jax.tree.leaves(params))

        def zeros(*shape, dtype=dtype):
            return jnp.zeros(shape, dtype)

        pairs = zeros(memory, size), zeros(memory, size), zeros(memory), zeros()
        counts = zeros(dtype=jnp.int32), zeros(dtype=jnp.int32)
        return LBFGSState(zeros(dtype=jnp.int32), zeros(size), zeros(size), *pairs, *counts)

    def update(grads, state, params, *, value=None, value_fn=None):
        need("lbfgs", "params", params, "their changes are kept")
        x, g = _flat(params), _flat(grads)
        state = _remembered(state, x, g)
        direction = -_two_loop(state, g)
        slope = jnp.vdot(g, direction)
        uphill = ~(slope < 0)
        direction = jnp.where(uphill, -_first_scale(g) * g, direction)
        slope = jnp.where(uphill, jnp.vdot(g, direction), slope)
        step = value_at(learning_rate, state.step).astype(g.dtype)
        failures = state.failures
        if line_search is not None:
            need("lbfgs", "value", value, "the search begins there")
            need("lbfgs", "value_fn", value_fn, "the search looks along the line")

            def at(a):
                seen, grads = jax.value_and_grad(value_fn)(_like(params, x + a * direction))
                return seen, jnp.vdot(_flat(grads), direction)

            # Twice in vain at the same place, by the pairs and by the gradient: a third search would end the same way.
            settled = (failures >= 2) & jnp.all(g == state.grads) & jnp.all(x == state.params)
            start = Point(jnp.zeros_like(slope), jnp.asarray(value).astype(g.dtype), jnp.where(settled, 0, slope))
            unit = jnp.asarray(jnp.finfo(g.dtype).eps, g.dtype) * _most(x)
            least = unit / jnp.where(slope == 0, 1, _most(direction))
            found = wolfe_step(at, start, step, c1=c1, c2=c2, most=max_evaluations, least=least)
            step, failures = found.step, jnp.where(found.step > 0, 0, failures + 1)
        moved = jnp.where(step > 0, step * direction, 0 * g)  # NaN in g is not to be hidden
        forgotten = uphill | (failures > 0)
        after = state._replace(
            step=state.step + 1,
            params=x,
            grads=g,
            rho=jnp.where(forgotten, 0, state.rho),
            pairs=jnp.where(forgotten, 0, state.pairs),
            failures=failures,
        )
        return _like(params, moved), after

    return init, update


def _flat(tree: Params) -> Array:
    """All leaves in one vector, in float32 or better."""
    dtype = widest(tree)
    parts = [leaf.astype(dtype).reshape(-1) for leaf in jax.tree.leaves(tree)]
    return jnp.concatenate(parts) if parts else jnp.zeros(0, dtype)


def _like(tree: Params, vector: Array) -> Params:
    """A vector in the shapes and dtypes of a tree."""
    leaves, structure = jax.tree.flatten(tree)
    parts, begin = [], 0
    for leaf in leaves:
        parts.append(vector[begin : begin + leaf.size].reshape(leaf.shape).astype(leaf.dtype))
        begin += leaf.size
    return jax.tree.unflatten(structure, parts)


def _most(vector: Array) -> Array:
    return jnp.max(jnp.abs(vector), initial=0)


def _first_scale(g: Array) -> Array:
    """A first step no longer than 1."""
    return 1 / jnp.maximum(root(jnp.vdot(g, g)), 1)


def _remembered(state: LBFGSState, x: Array, g: Array) -> LBFGSState:
    """The memory with the newest pair, if it shows that the objective bends upward."""
    move, turn = x - state.params, g - state.grads
    bend, square = jnp.vdot(move, turn), jnp.vdot(turn, turn)
    least = jnp.asarray(1e-10, bend.dtype) * jnp.sqrt(jnp.vdot(move, move)) * jnp.sqrt(square)
    taken = (state.step > 0) & (bend > least)
    row = state.pairs % state.rho.shape[0]
    safe = jnp.where(taken, bend, 1)
    return state._replace(
        moves=state.moves.at[row].set(jnp.where(taken, move, state.moves[row])),
        turns=state.turns.at[row].set(jnp.where(taken, turn, state.turns[row])),
        rho=state.rho.at[row].set(jnp.where(taken, 1 / safe, state.rho[row])),
        gamma=jnp.where(taken, safe / jnp.where(taken, square, 1), state.gamma),
        pairs=state.pairs + taken.astype(jnp.int32),
    )


def _two_loop(state: LBFGSState, g: Array) -> Array:
    """H g; from the newest pair back to the oldest, and forth again."""
    memory = state.rho.shape[0]

    def back(i, carry):
        q, shares = carry
        row = (state.pairs - 1 - i) % memory
        share = state.rho[row] * jnp.vdot(state.moves[row], q)
        return q - share * state.turns[row], shares.at[row].set(share)

    def forth(i, r):
        row = (state.pairs + i) % memory
        return r + state.moves[row] * (shares[row] - state.rho[row] * jnp.vdot(state.turns[row], r))

    q, shares = lax.fori_loop(0, memory, back, (g, jnp.zeros_like(state.rho)))
    return lax.fori_loop(0, memory, forth, jnp.where(state.pairs > 0, state.gamma, _first_scale(g)) * q)
