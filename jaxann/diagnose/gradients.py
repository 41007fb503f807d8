"""The gradient check: a function's derivatives against differences of its values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxann.core import programs
from jaxann.core.checks import OUTSIDE, check_choice, check_flag, check_integer, check_range, check_untraced, fail
from jaxann.core.trees import flatten_named
from jaxann.core.typing import Array, Params
from jaxann.diagnose.differences import FLOOR, KINK, Derivatives, compare, complex_derivatives, steps_for
from jaxann.diagnose.findings import Finding, GradientCheck, LeafCheck, verdict
from jaxann.diagnose.problem import Leaf, Problem, narrowest, read_problem

__all__ = ["check_gradients"]

_NAME = "check_gradients"


def check_gradients(
    fn: Callable,
    args: tuple,
    *,
    gradients: Params | Callable[..., Params] = None,
    argnums: int | tuple[int, ...] | None = None,
    directions: int | None = None,
    most: int | None = 1000,
    method: str = "central",
    step: float | None = None,
    jit: bool = True,
) -> GradientCheck:
    """n = (f(theta + h) - f(theta - h)) / (2 h) against a = df/dtheta: error = |a - n| / max(|a|, |n|, 1e-8).

    For every entry of every floating-point argument, or a random choice of them, in float64 whatever the arguments
    are: "good" below 1e-7, "acceptable" below 1e-5, "wrong" above 1e-3, "suspicious" between. For your own losses,
    layers, and functions with derivatives of their own (`jax.custom_jvp`, `jax.custom_vjp`).

        result = ja.diagnose.check_gradients(loss_of, (params, x))
        print(result)
        assert result.ok, result.worst

    Args:
        fn: a function of the arguments. What is not a scalar is added up with fixed random weights (of a tree, all its
            floats). It is called with float64; inside it must not round to a narrower float, or only three digits can
            be checked, and the result says so.
        args: its positional arguments, a tuple. Integers, flags, keys and texts among them are passed on and left out.
        gradients: what is to be checked in place of `jax.grad`: a tuple with one entry an argument (or the entry
            itself, for one argument), or a function of the arguments that returns that. Of the value of fn, which then
            must be a scalar.
        argnums: which arguments to differentiate; None for all. State and the like are better left out.
        directions: for large nets, that many random directions v in each array instead of its entries: <g, v> against
            the slope along v, in which every entry takes part.
        most: entries of each array at most, chosen at random; None for all.
        method: "central", or "complex" for holomorphic functions, Im f(theta + i h) / h at h = 1e-30: right to the
            last digits, but no abs, max, relu, comparison or conjugate may occur in it.
        step: h for |theta| <= 1, else in proportion; eps^(1/3), 6e-6, when None.
        jit: whether fn can be compiled; False calls it once for every difference.

    Returns:
        A `GradientCheck`: `ok`, `verdict`, `worst` (path, index, both numbers, error), `leaves`; prints as a table.

    Rounding, 4 eps |f| / h, can hide a small slope: a longer step is taken then, and from an error above 1e-7 what
    the difference leaves open; where it leaves everything open the verdict is "unknown". At a kink (relu at 0) left
    and right slopes differ and the gradient is only asked to lie between them; such entries are counted and left out,
    and so are points too bent for the step.

    Differs from `jax.test_util.check_grads`, which stops at the first difference, in the dtype that is given, and
    names no parameter; and from PyTorch's `gradcheck`, which knows no kinks.

    Source: Nocedal and Wright 2006, section 8.1 (the step); Squire and Trapp 1998 (complex step).

    Raises:
        InputError: args are not a tuple or hold nothing to differentiate, fn returns no number or one that is not
            finite, gradients do not fit, or an option is out of its range.
    """
    positions = _options(args, argnums, directions, most, method, step)
    check_untraced(_NAME, "args", args, OUTSIDE)
    check_flag(_NAME, "jit", jit)
    with jax.enable_x64(True):
        problem = read_problem(_NAME, fn, args, positions, weigh=gradients is None)
        if gradients is None:
            slope = jax.grad(lambda vector: problem.total(vector)[0])
            analytic = np.asarray((programs.jit(slope) if jit else slope)(jnp.asarray(problem.vector)))
        else:
            analytic = _given(problem, gradients(*problem.arguments) if callable(gradients) else gradients, positions)
        ways = _by_direction(problem, directions, analytic) if directions else _by_entry(problem, most, analytic)

        def derivatives(precision: np.dtype) -> Derivatives:
            if method == "complex":
                return complex_derivatives(problem.total, ways.move, ways.rows, ways.claimed, jit=jit)
            steps = steps_for(ways.sizes, precision, step)
            return compare(problem.total, ways.move, ways.rows, steps, ways.claimed, precision=precision, jit=jit)

        precision, notes = np.dtype(np.float64), ()
        found = derivatives(precision)
        # Of a function that rounds to float32 the short steps show nothing but the rounding, or nothing at all.
        rough, silent = np.median(found.disagreement) > KINK, found.numeric == 0
        if jit and (rough or silent.any()):
            narrow = narrowest(jax.make_jaxpr(problem.total)(jnp.asarray(problem.vector)).jaxpr)
            again = found if narrow == np.float64 else derivatives(narrow)
            if narrow != np.float64 and (rough or (np.abs(again.numeric[silent]) > FLOOR).any()):
                precision, found, notes = narrow, again, (_narrow_note(narrow.name),)
        if found.hidden.any():
            notes = (*notes, _HIDDEN)
    owners = ways.owners
    leaves = tuple(
        _leaf_check(leaf, np.flatnonzero(owners == i), ways, found, precision.name)
        for i, leaf in enumerate(problem.leaves)
    )
    return GradientCheck(leaves, problem.left_out, method, precision.name, directions is not None, notes)


class _Directions(NamedTuple):
    """Along which directions the function is looked at."""

    rows: np.ndarray  # their numbers
    owners: np.ndarray  # the leaf that each belongs to
    places: list  # its place in the leaf
    sizes: np.ndarray  # size of theta there
    claimed: np.ndarray  # the slope that the gradient claims
    move: Callable  # (row, length) -> the vector moved


def _by_entry(problem: Problem, most: int | None, analytic: np.ndarray) -> _Directions:
    generator = np.random.default_rng(0)
    picked = [
        np.arange(leaf.size) if most is None or leaf.size <= most
        else np.sort(generator.choice(leaf.size, most, replace=False))
        for leaf in problem.leaves
    ]  # fmt: skip
    rows = np.concatenate([leaf.start + entries for leaf, entries in zip(problem.leaves, picked, strict=True)])
    owners = np.repeat(np.arange(len(picked)), [len(entries) for entries in picked])
    places = [problem.leaves[owner].index(row) for owner, row in zip(owners, rows, strict=True)]
    vector = jnp.asarray(problem.vector)

    def move(row: Array, length: Array) -> Array:
        return vector.astype(length.dtype).at[row].add(length)

    return _Directions(rows, owners, places, np.abs(problem.vector[rows]), analytic[rows], move)


def _by_direction(problem: Problem, count: int, analytic: np.ndarray) -> _Directions:
    """Random directions of length 1, one leaf moving at a time, so that a fault is found in its leaf."""
    total, leaves = len(problem.vector), problem.leaves
    ways = np.random.default_rng(0).normal(size=(count, total))
    owner_of = np.repeat(np.arange(len(leaves)), [leaf.size for leaf in leaves])
    claimed, sizes = np.zeros((len(leaves), count)), np.zeros((len(leaves), count))
    for i, leaf in enumerate(leaves):
        part = slice(leaf.start, leaf.start + leaf.size)
        ways[:, part] /= np.linalg.norm(ways[:, part], axis=1, keepdims=True)
        claimed[i] = ways[:, part] @ analytic[part]
        sizes[i] = np.sqrt(np.mean(problem.vector[part] ** 2))
    vector, all_ways, all_owners = jnp.asarray(problem.vector), jnp.asarray(ways), jnp.asarray(owner_of)

    def move(row: Array, length: Array) -> Array:
        way = jnp.where(all_owners == row // count, all_ways[row % count], 0.0)
        return vector.astype(length.dtype) + length * way.astype(length.dtype)

    rows = np.arange(len(leaves) * count)
    return _Directions(rows, rows // count, list(map(int, rows % count)), sizes.ravel(), claimed.ravel(), move)


def _leaf_check(leaf: Leaf, chosen: np.ndarray, ways: _Directions, found: Derivatives, precision: str) -> LeafCheck:
    kinks = found.kink[chosen]
    worst = None
    if not kinks.all():
        at = int(chosen[np.where(kinks, -1.0, found.error[chosen]).argmax()])
        error = float(found.error[at])
        worst = Finding(
            leaf.name, ways.places[at], float(ways.claimed[at]), float(found.numeric[at]), error,
            "unknown" if found.hidden[at] else verdict(error, precision),
        )  # fmt: skip
    return LeafCheck(leaf.name, leaf.size, len(chosen), int(kinks.sum()), worst)


def _options(args: Any, argnums: Any, directions: Any, most: Any, method: str, step: Any) -> tuple[int, ...]:
    """Check them; the numbers of the arguments to differentiate."""
    if not isinstance(args, tuple):
        fail(_NAME, "args", "a tuple, one entry an argument of fn", args, hint="One argument: (params,).")
    check_choice(_NAME, "method", method, ("central", "complex"))
    if directions is not None:
        check_integer(_NAME, "directions", directions)
    if most is not None:
        check_integer(_NAME, "most", most)
    if step is not None:
        check_range(_NAME, "step", step, 0, open_low=True)
    if argnums is None:
        return tuple(range(len(args)))
    positions = argnums if isinstance(argnums, tuple) else (argnums,)
    for position in positions:
        check_integer(_NAME, "argnums", position, 0)
        if position >= len(args):
            fail(_NAME, "argnums", f"below {len(args)}, the number of arguments", position)
    return positions


def _given(problem: Problem, gradients: Any, positions: tuple[int, ...]) -> np.ndarray:
    """The gradients that were handed in, as one vector in the order of the problem's leaves."""
    if len(positions) == 1 and not (isinstance(gradients, tuple) and len(gradients) == 1):
        gradients = (gradients,)
    if not isinstance(gradients, tuple) or len(gradients) != len(positions):
        fail(_NAME, "gradients", f"a tuple of {len(positions)}, one entry a differentiated argument", gradients)
    named = {position: flatten_named(entry) for position, entry in zip(positions, gradients, strict=True)}
    vectors = []
    for leaf in problem.leaves:
        given = named[leaf.argument].get(leaf.inner)
        if given is None or np.shape(given) != leaf.shape:
            got = " nothing there" if given is None else f" shape {np.shape(given)}"
            fail(_NAME, "gradients", f"of the arguments' structure, at {leaf.name} of shape {leaf.shape}", got)
        vectors.append(np.asarray(given).astype(np.float64).ravel())
    return np.concatenate(vectors)


_HIDDEN = (
    "The value of fn is so large that rounding hides its slope, and the differences tell nothing. Take away what is "
    "added to it."
)


def _narrow_note(name: str) -> str:
    digits = "about three digits" if name == "float32" else "no digit"
    return (
        f"fn rounds to {name} inside; differences of it keep {digits}. Let it compute in the dtype of its arguments "
        "for a sharper check."
    )
