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
    """Memory of `lbfgs`; the leaves stand in one vector of n numbers.

    There is a row more than pairs are kept, r = memory + 1: the next pair is written there before it is judged.
    """

    step: Array  # int32 (), updates made so far
    params: Array  # (n,), of the update before
    grads: Array  # (n,), of the update before
    moves: Array  # (r, n), changes of the parameters, the newest in row (pairs - 1) mod r
    turns: Array  # (r, n), changes of the gradient
    crossed: Array  # (r, r), move i . turn j
    turned: Array  # (r, r), turn i . turn j
    rho: Array  # (r,), 1 / (move . turn), and 0 in rows not in use
    gamma: Array  # float (), (move . turn) / (turn . turn) of the newest
    pairs: Array  # int32 (), pairs taken since the last start
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

        rows = memory + 1
        last, pairs = (zeros(size), zeros(size)), (zeros(rows, size), zeros(rows, size))
        products = zeros(rows, rows), zeros(rows, rows), zeros(rows), zeros()
        counts = zeros(dtype=jnp.int32), zeros(dtype=jnp.int32)
        return LBFGSState(zeros(dtype=jnp.int32), *last, *pairs, *products, *counts)

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
    vector = jnp.concatenate(parts) if parts else jnp.zeros(0, dtype)
    return lax.optimization_barrier(vector)  # laid out once, not looked up leaf by leaf wherever it is used


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
    move, turn, safe = jnp.where(taken, move, 0), jnp.where(taken, turn, 0), jnp.where(taken, bend, 1)
    rows = state.rho.shape[0]
    row, pairs = state.pairs % rows, state.pairs + taken.astype(jnp.int32)
    moves = lax.dynamic_update_index_in_dim(state.moves, move, row, 0)  # in place where the memory is given up
    turns = lax.dynamic_update_index_in_dim(state.turns, turn, row, 0)
    turned = turns @ turn
    return state._replace(
        moves=moves,
        turns=turns,
        crossed=state.crossed.at[row].set(turns @ move).at[:, row].set(moves @ turn),
        turned=state.turned.at[row].set(turned).at[:, row].set(turned),
        rho=state.rho.at[row].set(jnp.where(taken, 1 / safe, 0)).at[pairs % rows].set(0),
        gamma=jnp.where(taken, safe / jnp.where(taken, square, 1), state.gamma),
        pairs=pairs,
    )


def _two_loop(state: LBFGSState, g: Array) -> Array:
    """H g by the two-loop recursion: from the newest pair back to the oldest, and forth again.

    Both loops need only products of the vectors with each other. So the vectors, which are long, are read twice, for
    their products with g and for the sum at the end, and the loops run over numbers.
    """
    rows, rho, zeros = state.rho.shape[0], state.rho, jnp.zeros_like(state.rho)
    gamma = jnp.where(state.pairs > 0, state.gamma, _first_scale(g))
    along, across = state.moves @ g, state.turns @ g

    def back(i, shares):  # with q = g - sum of shares turns: the share of a turn is rho (move . q)
        row = (state.pairs - 1 - i) % rows
        return shares.at[row].set(rho[row] * (along[row] - jnp.vdot(state.crossed[row], shares)))

    shares = lax.fori_loop(0, rows - 1, back, zeros)
    across = gamma * (across - state.turned @ shares)

    def forth(i, given):  # with r = gamma q + sum of given moves: what is given of a move is its share - rho (turn . r)
        row = (state.pairs + 1 + i) % rows
        met = across[row] + jnp.vdot(state.crossed[:, row], given)
        return given.at[row].set(shares[row] - rho[row] * met)

    given = lax.fori_loop(0, rows - 1, forth, zeros)
    return gamma * g + given @ state.moves - gamma * (shares @ state.turns)
