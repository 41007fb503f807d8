"""L-BFGS: Newton's direction from the last changes of the gradient, and a search along it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxann.core.checks import check_choice, check_integer, check_range, fail, is_concrete, show
from jaxann.core.factories import factory
from jaxann.core.products import Optimizer
from jaxann.core.trees import global_norm, power_of_two, wide_dtype
from jaxann.core.typing import Array, Params, Scalar, ScalarOrSchedule
from jaxann.optimizers.base import check_given, check_learning_rate, widened, widest, zeros_like
from jaxann.optimizers.counting import next_step
from jaxann.optimizers.line_search import Point, wolfe_step
from jaxann.schedules import value_at

__all__ = ["LBFGSState", "lbfgs"]


_SMALLEST = 2.0**-60  # the least unit: a value divided by it is still finite


class LBFGSState(NamedTuple):
    """State of `lbfgs`.

    There is a row more than pairs are kept, r = memory_size + 1: the next pair is written there before it is judged.
    A pair counts as it does when both its vectors are multiplied by one number: this takes them to lengths whose
    product is about 1, so that no product of vectors overflows.
    """

    step: Array  # int32 (), updates made so far
    params: Params  # of the update before
    grads: Params  # of the update before
    moves: Params  # (r, size) for each leaf, changes of the parameters, the newest in row (pairs - 1) mod r
    turns: Params  # the same of the gradient
    crossed: Array  # (r, r), move i . turn j
    turned: Array  # (r, r), turn i . turn j
    rho: Array  # (r,), 1 / (move . turn), and 0 in rows not in use
    gamma: Array  # float (), (move . turn) / (turn . turn) of the newest
    pairs: Array  # int32 (), pairs taken since the last start, less a multiple of r where there are more than 2 r
    failures: Array  # int32 (), searches in a row that found no step down


@factory(Optimizer, static=("memory_size", "max_evaluations"), traits=("whole_batch",))
def lbfgs(
    learning_rate: ScalarOrSchedule = 1.0,
    *,
    memory_size: int = 10,
    line_search: str | None = "zoom",
    c1: Scalar = 1e-4,
    c2: Scalar = 0.9,
    max_evaluations: int = 25,
):
    """update = -a H g, H from the last `memory_size` changes s of w and y of g, a by a search along the line.

    H is the two-loop recursion, begun with (s'y / y'y) 1, and min(1, 1 / |g|) 1 before there is a pair; a pair with
    s'y <= 1e-10 |s| |y| is left out. The search ends at a with f(a) <= f(0) + c1 a f'(0) and |f'(a)| <= c2 |f'(0)|
    (strong Wolfe conditions). Where it finds no step down the weights stay and the pairs are forgotten, so that the
    next direction is the gradient's. The objective has to be the same function in every step: all examples, no noise.

    Args:
        learning_rate: number > 0, array, or schedule of the step: the first a that is tried, 1 as a rule.
        memory_size: pairs that are kept, each of twice the size of the parameters.
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
    check_integer("lbfgs", "memory_size", memory_size, 1)
    if line_search is not None:
        check_choice("lbfgs", "line_search", line_search, ("zoom",))
    check_range("lbfgs", "c1", c1, 0, 1, open_low=True, open_high=True)
    check_range("lbfgs", "c2", c2, 0, 1, open_low=True, open_high=True)
    if is_concrete(c1) and is_concrete(c2) and np.any(c1 >= c2):
        fail("lbfgs", "c1", f"less than c2 = {show(c2)}", c1)
    check_integer("lbfgs", "max_evaluations", max_evaluations, 1)

    def init(params):
        rows, dtype = memory_size + 1, widest(params)

        def zeros(*shape, dtype=dtype):
            return jnp.zeros(shape, dtype)

        def vectors():
            return jax.tree.map(lambda p: jnp.zeros((rows, p.size), wide_dtype(p.dtype)), params)

        last, products = (zeros_like(params), zeros_like(params)), (zeros(rows, rows), zeros(rows, rows))
        counts = zeros(dtype=jnp.int32), zeros(dtype=jnp.int32)
        return LBFGSState(zeros(dtype=jnp.int32), *last, vectors(), vectors(), *products, zeros(rows), zeros(), *counts)

    def update(grads, state, params, *, value: Any = None, value_fn: Any = None):
        check_given("lbfgs", "params", params, "their changes are kept")
        if line_search is not None:
            check_given("lbfgs", "value", value, "the search begins there")
            check_given("lbfgs", "value_fn", value_fn, "the search looks along the line")
        x, g = widened(params), widened(grads)
        still = _equal(x, state.params) & _equal(g, state.grads)
        state = _with_newest_pair(state, x, g)
        size = global_norm(g).astype(widest(params))
        # The objective in a unit in which the gradient is 1 to 2 long: a power of two, so that nothing is rounded.
        unit = jnp.where(jnp.isfinite(size) & (size > 0), power_of_two(jnp.maximum(size, _SMALLEST)), 1)
        near, shorter = _divided(g, unit), 1 / jnp.maximum(size, 1)
        direction = _two_loop(state, near, shorter)
        uphill = ~(_dot(near, direction) > 0)
        direction = jax.tree.map(
            lambda d, g: -jnp.where(uphill, shorter.astype(g.dtype) * g, d) * unit.astype(g.dtype), direction, near
        )
        slope = _dot(near, direction)
        step = value_at(learning_rate, state.step).astype(slope.dtype)
        failures = state.failures
        if line_search is not None:

            def at(a):
                there = jax.tree.map(lambda p, w, d: (w + a.astype(w.dtype) * d).astype(p.dtype), params, x, direction)
                seen, grads = jax.value_and_grad(value_fn)(there)
                wide = seen.astype(wide_dtype(seen.dtype))
                return wide / unit.astype(wide.dtype), _dot(_divided(widened(grads), unit), direction)

            # Twice in vain at this place, by the pairs and by the gradient: a third search would end the same way.
            settled = (failures >= 2) & still
            begun = jnp.asarray(value).astype(slope.dtype) / unit
            start = Point(jnp.zeros_like(slope), begun, jnp.where(settled, 0, slope))
            found = wolfe_step(at, start, step, c1=c1, c2=c2, most=max_evaluations)
            there = jax.tree.map(lambda w, d: w + found.step.astype(w.dtype) * d, x, direction)
            step = jnp.where(_equal(there, x), 0, found.step)  # a step that is lost in the weights is none
            failures = jnp.where(step > 0, 0, next_step(failures))

        def moved(d, p):  # NaN in the gradient is not to be hidden
            return (jnp.where(step > 0, step, 0).astype(d.dtype) * d).astype(p.dtype)

        forgotten = uphill | (failures > 0)
        after = state._replace(
            step=next_step(state.step),
            params=x,
            grads=g,
            rho=jnp.where(forgotten, 0, state.rho),
            pairs=jnp.where(forgotten, 0, state.pairs),
            failures=failures,
        )
        return jax.tree.map(moved, direction, params), after

    return init, update


def _summed(function: Callable, *trees: Params, shape: tuple[int, ...] = ()) -> Any:
    """The sum over leaves of what a function makes of each, in the widest dtype; zeros of a shape for no leaves."""
    dtype = widest(trees[-1])
    terms = jax.tree.leaves(jax.tree.map(lambda *leaves: function(*leaves).astype(dtype), *trees))
    return sum(terms[1:], terms[0]) if terms else jnp.zeros(shape, dtype)


def _divided(tree: Params, unit: Array) -> Params:
    return jax.tree.map(lambda leaf: leaf / unit.astype(leaf.dtype), tree)


def _dot(a: Params, b: Params) -> Array:
    return _summed(jnp.vdot, a, b)


def _met(rows: Params, vector: Params, number: int) -> Array:
    """The product of each row with a vector; how many rows there are."""
    return _summed(lambda m, v: m @ v.reshape(-1), rows, vector, shape=(number,))


def _equal(a: Params, b: Params) -> Array:
    return _summed(lambda p, q: jnp.any(p != q), a, b) == 0


def _with_newest_pair(state: LBFGSState, x: Params, g: Params) -> LBFGSState:
    """The state with the newest pair, if it shows that the objective bends upward."""
    move, turn = jax.tree.map(jnp.subtract, x, state.params), jax.tree.map(jnp.subtract, g, state.grads)
    rows, dtype = state.rho.shape[0], state.gamma.dtype
    both = jnp.sqrt(global_norm(move).astype(dtype)) * jnp.sqrt(global_norm(turn).astype(dtype))
    scale = jnp.where(jnp.isfinite(both) & (both > 0), power_of_two(jnp.maximum(both, _SMALLEST)), 1)
    move, turn = _divided(move, scale), _divided(turn, scale)
    bend, square = _dot(move, turn), _dot(turn, turn)
    taken = (state.step > 0) & (bend > jnp.asarray(1e-10, dtype) * (both / scale) ** 2)
    row, pairs = state.pairs % rows, jnp.where(state.pairs > 2 * rows, state.pairs % rows + rows, state.pairs)
    pairs = pairs + taken.astype(jnp.int32)
    move, turn = jax.tree.map(lambda v: jnp.where(taken, v, 0), (move, turn))
    bend = jnp.where(taken, bend, 1)

    def written(m, v):  # in place where the buffer is donated
        return lax.dynamic_update_index_in_dim(m, v.reshape(-1), row, 0)

    moves, turns = jax.tree.map(written, state.moves, move), jax.tree.map(written, state.turns, turn)
    turned = _met(turns, turn, rows)
    return state._replace(
        moves=moves,
        turns=turns,
        crossed=state.crossed.at[row].set(_met(turns, move, rows)).at[:, row].set(_met(moves, turn, rows)),
        turned=state.turned.at[row].set(turned).at[:, row].set(turned),
        rho=state.rho.at[row].set(jnp.where(taken, 1 / bend, 0)).at[pairs % rows].set(0),
        gamma=jnp.where(taken, bend / jnp.where(taken, square, 1), state.gamma),
        pairs=pairs,
    )


def _two_loop(state: LBFGSState, g: Params, first: Array) -> Params:
    """H g by the two-loop recursion: from the newest pair back to the oldest, and forth; first g without a pair.

    Both loops need only products of the vectors with each other. So the vectors, which are long, are read twice, for
    their products with g and for the sum at the end, and the loops run over numbers.
    """
    rows, rho, zeros = state.rho.shape[0], state.rho, jnp.zeros_like(state.rho)
    gamma = jnp.where(state.pairs > 0, state.gamma, first)
    along, across = _met(state.moves, g, rows), _met(state.turns, g, rows)

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

    def joined(g, moves, turns):
        own = given.astype(g.dtype) @ moves - (gamma * shares).astype(g.dtype) @ turns
        return gamma.astype(g.dtype) * g + own.reshape(g.shape)

    return jax.tree.map(joined, g, state.moves, state.turns)
