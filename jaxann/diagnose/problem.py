"""What is to be checked, as one function of one vector in float64."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jaxann.core.checks import check_unmasked, fail
from jaxann.core.typing import Array

__all__ = ["Leaf", "Problem", "narrowest", "read_problem"]


class Leaf(NamedTuple):
    """One array of the arguments that is differentiated, and where it lies in the vector."""

    name: str
    inner: str  # the name within its argument
    shape: tuple[int, ...]
    start: int
    size: int
    argument: int

    def index(self, entry: int) -> tuple[int, ...]:
        """Place within the array of the vector's entry."""
        return tuple(int(i) for i in np.unravel_index(entry - self.start, self.shape))


class Problem(NamedTuple):
    """A function of a vector; `total` gives its value and the sum of what it was added up from, without signs."""

    leaves: tuple[Leaf, ...]
    left_out: tuple[str, ...]
    vector: np.ndarray
    total: Callable[[Array], tuple[Array, Array]]
    arguments: tuple[Any, ...]  # in float64


def _is_float(leaf: Any) -> bool:
    known = isinstance(leaf, float | np.ndarray | np.generic | jax.Array)
    return known and jnp.issubdtype(jnp.result_type(leaf), jnp.floating)


def _argument_names(fn: Callable, count: int) -> list[str]:
    try:
        given = [
            p
            for p in inspect.signature(fn).parameters.values()
            if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        ]
    except (TypeError, ValueError):
        given = []
    return [given[i].name if i < len(given) else f"argument {i}" for i in range(count)]


def read_problem(function: str, fn: Callable, args: tuple, argnums: tuple[int, ...], *, weigh: bool) -> Problem:
    """Take the arguments apart: floats are widened, those to be differentiated go into the vector.

    Called, and its `total` too, where 64-bit numbers are switched on. `weigh`: whether what is no scalar may be added
    up with weights.
    """
    leaves: list[Leaf] = []
    left_out: list[str] = []
    vectors: list[np.ndarray] = []
    constants: list[Any] = []
    slots: list[int] = []
    names, start = _argument_names(fn, len(args)), 0
    for position, argument in enumerate(args):
        for path, leaf in jax.tree_util.tree_flatten_with_path(argument)[0]:
            inner = jax.tree_util.keystr(path, simple=True, separator=".")
            name = f"{names[position]}.{inner}" if inner else names[position]
            if isinstance(leaf, Tracer):
                fail(
                    function, "args", "arrays with values, not within a compiled or differentiated function", f" {name}"
                )
            check_unmasked(function, f"args, in {name},", leaf)
            if not _is_float(leaf):
                left_out.append(name)
                constants.append(leaf)
                continue
            wide = np.asarray(leaf).astype(np.float64)
            if not np.isfinite(wide).all():
                fail(function, f"args, in {name},", "finite in every place", f" {wide[~np.isfinite(wide)][0]}")
            constants.append(jnp.asarray(wide))
            if position not in argnums:
                left_out.append(name)
            elif wide.size:
                slots.append(len(constants) - 1)
                leaves.append(Leaf(name, inner, wide.shape, start, wide.size, position))
                vectors.append(wide.ravel())
                start += wide.size
    if not leaves:
        fail(
            function,
            "args",
            "arrays with at least one of floating-point numbers to differentiate",
            f" {len(constants)} without one" if constants else " none",
        )
    structure = jax.tree.structure(args)

    def total(vector: Array) -> tuple[Array, Array]:
        filled = list(constants)
        for slot, leaf in zip(slots, leaves, strict=True):
            filled[slot] = vector[leaf.start : leaf.start + leaf.size].reshape(leaf.shape)
        return _added_up(function, fn(*jax.tree.unflatten(structure, filled)), weigh)

    arguments = jax.tree.unflatten(structure, constants)
    return Problem(tuple(leaves), tuple(left_out), np.concatenate(vectors), total, arguments)


def _added_up(function: str, output: Any, weigh: bool) -> tuple[Array, Array]:
    """One number from whatever a function returns: a scalar as it is, else a sum with fixed random weights."""
    values = [
        jnp.asarray(v) for v in jax.tree.leaves(output) if isinstance(v, float | np.ndarray | np.generic | jax.Array)
    ]
    values = [v for v in values if jnp.issubdtype(v.dtype, jnp.inexact) and v.size]
    if not values:
        fail(function, "fn", "a function that returns floating-point numbers", " one that returns none")
    kind = jnp.complex128 if any(jnp.issubdtype(v.dtype, jnp.complexfloating) for v in values) else jnp.float64
    if len(values) == 1 and values[0].ndim == 0:
        value = values[0].astype(kind)
        return value, jnp.abs(value.real)
    if not weigh:
        shapes = ", ".join(str(value.shape) for value in values)
        fail(
            function, "fn", "a function that returns a scalar where gradients are given", f" one that returns {shapes}"
        )
    generator = np.random.default_rng(0)
    weights = [jnp.asarray(generator.normal(size=value.shape)).astype(kind) for value in values]
    terms = jnp.concatenate([(value.astype(kind) * w).ravel() for value, w in zip(values, weights, strict=True)])
    return jnp.sum(terms), jnp.sum(jnp.abs(terms.real))


def narrowest(program: Any) -> np.dtype:
    """The narrowest float that a float64 is rounded to anywhere in a program (a jaxpr); float64 where none is."""
    found = np.dtype(np.float64)
    for equation in _equations(program):
        if equation.primitive.name == "convert_element_type":
            before, after = equation.invars[0].aval.dtype, equation.outvars[0].aval.dtype
            if before == np.float64 and jnp.issubdtype(after, jnp.floating) and after.itemsize < found.itemsize:
                found = after
    return found


def _equations(program: Any) -> Iterator[Any]:
    for equation in program.eqns:
        yield equation
        for value in equation.params.values():
            for inner in value if isinstance(value, tuple | list) else (value,):
                inner = getattr(inner, "jaxpr", inner)
                if hasattr(inner, "eqns"):
                    yield from _equations(inner)
