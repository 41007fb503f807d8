"""Trees of arrays by name: one dotted name a leaf, used by files, masks, reports and messages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer

from jaxann.core.checks import check_unmasked, fail
from jaxann.core.typing import Array

__all__ = [
    "cast",
    "check_arrays",
    "count",
    "flatten_named",
    "global_norm",
    "leaf_norm",
    "map_named",
    "norm_of_squares",
    "power_of_two",
    "squared_norm",
    "sum_of_squares",
    "unflatten_named",
    "wide_dtype",
]


_LANES, _LONG = 8, 2**5  # rows that a long sum is taken in; numbers from which on that pays


def flatten_named(tree: Any) -> dict[str, Any]:
    """Leaves by dotted name, `{"dense0": {"weight": w}}` -> `{"dense0.weight": w}`, in JAX's order (sorted keys)."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}


def unflatten_named(named: Mapping[str, Any]) -> dict[str, Any]:
    """Nested dicts from dotted names: the inverse of `flatten_named` for nested dicts.

    Raises:
        InputError: a name is both a leaf and a branch.
    """
    tree: dict[str, Any] = {}
    for name, leaf in named.items():
        *branches, last = name.split(".")
        node = tree
        for branch in branches:
            node = node.setdefault(branch, {})
            if not isinstance(node, dict):
                fail("unflatten_named", "named", f"without a leaf at {branch!r} on the way to {name!r}", " both")
        if last in node:
            fail("unflatten_named", "named", f"without two entries at {name!r}", " both a leaf and a branch")
        node[last] = leaf
    return tree


def check_arrays(function: str, argument: str, tree: Any) -> None:
    """Every leaf is an array that JAX takes, or a number.

    Args:
        function, argument: for the message, which names the first leaf that is none.
        tree: parameters, state, updates.

    Raises:
        InputError: a leaf is a tensor of another library, text, a shape, a list of numbers, masked, or was deleted; or
            the keys of a dict cannot be sorted.
    """
    try:
        leaves, structure = jax.tree.flatten(tree)
    except ValueError:  # JAX sorts them
        fail(function, argument, "nested dicts with names for keys", " keys of several types")
    if all(map(_is_array, leaves)):
        return
    for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
        number = isinstance(leaf, bool | int | float)
        listed = bool(path) and isinstance(path[-1], jax.tree_util.SequenceKey)
        while number and path and isinstance(path[-1], jax.tree_util.SequenceKey):
            path = path[:-1]
        name = f"{argument} {jax.tree_util.keystr(path, simple=True, separator='.')}".strip()
        check_unmasked(function, name, leaf)
        if _is_array(leaf) or isinstance(leaf, np.ma.MaskedArray) or (number and not listed):
            continue
        if structure == jax.tree.structure(0):
            fail(function, argument, "nested dicts of arrays", leaf)
        if isinstance(leaf, jax.Array):
            fail(function, name, "an array", " one that was deleted")
        if isinstance(leaf, jax.ShapeDtypeStruct):
            fail(function, name, "an array", f" a shape {leaf.shape} without numbers")
        hint = "tensor.detach().numpy() makes one." if hasattr(leaf, "detach") else None
        fail(function, name, "an array of numbers", " a list of numbers" if number else leaf, hint=hint)


def _is_array(leaf: Any) -> bool:
    if isinstance(leaf, jax.Array):
        return isinstance(leaf, Tracer) or not leaf.is_deleted()
    if not isinstance(leaf, np.ndarray | np.generic) or isinstance(leaf, np.ma.MaskedArray):
        return False
    if leaf.dtype == jax.dtypes.float0:  # what a gradient has for a leaf of whole numbers
        return True
    return leaf.dtype.kind in "fiubc" or jax.dtypes.issubdtype(leaf.dtype, np.number)


def map_named(function: Callable[[str, Any], Any], tree: Any) -> Any:
    """`function(name, leaf)` on every leaf; the tree keeps its structure."""
    return jax.tree_util.tree_map_with_path(
        lambda path, leaf: function(jax.tree_util.keystr(path, simple=True, separator="."), leaf), tree
    )


def wide_dtype(dtype: Any) -> Any:
    """float32 for floats of 16 bits and fewer, any other dtype as it is: what sums and statistics are kept in."""
    return jnp.dtype(jnp.float32) if jnp.dtype(dtype).itemsize < 4 and jnp.issubdtype(dtype, jnp.floating) else dtype


def cast(tree: Any, dtype: Any) -> Any:
    """Floating-point leaves in another dtype; integers, flags and keys stay as they are."""
    return jax.tree.map(lambda a: a.astype(dtype) if jnp.issubdtype(a.dtype, jnp.floating) else a, tree)


def count(tree: Any) -> int:
    """Number of scalars in all leaves."""
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def sum_of_squares(leaf: Array) -> Array:
    """Sum of x^2 over one array of floating-point numbers, in float32 or better, as a scalar."""
    leaf = leaf.astype(wide_dtype(leaf.dtype))
    if any(axis is not None for axis in jax.typeof(leaf).sharding.spec):
        return jnp.sum(leaf * leaf)  # each device its own part: no axis is moved
    if jax.default_backend() != "cpu" or leaf.size < _LONG:
        return jnp.vdot(leaf, leaf)
    # XLA's CPU backend adds up a long row number by number. Several rows side by side are added in vector registers,
    # in a tenth to a third of the time, and with less rounding.
    numbers = leaf.reshape(-1)
    rest = numbers[leaf.size - leaf.size % _LANES :]
    first, *others = numbers[: leaf.size - rest.size].reshape(_LANES, -1)
    squares = first * first
    for row in others:
        squares += row * row
    return jnp.sum(squares) + jnp.vdot(rest, rest) if rest.size else jnp.sum(squares)


def global_norm(tree: Any) -> Array:
    """Euclidean norm of all leaves together, in float32 or better, of whatever size the numbers are."""
    return norm_of_squares(squared_norm, tree)


def leaf_norm(leaf: Array) -> Array:
    """Euclidean norm of one array, in float32 or better, of whatever size the numbers are."""
    return norm_of_squares(sum_of_squares, leaf)


def norm_of_squares(squares: Callable[[Any], Array], tree: Any) -> Array:
    """The roots of what `squares` makes of a tree, where squares of its numbers may be too great or too small.

    A sum of squares of ordinary size is used as it is. Where one is not finite, or so small that squares may have been
    lost, it is taken again, in a branch, of the numbers times a power of two. The slope at 0 is 0.

    Args:
        squares: sums of squares in float32 or better, one or more: they grow with the square of a factor of the tree.
        tree: of floating-point numbers.
    """
    found = squares(tree)
    limits = jnp.finfo(found.dtype)
    low = 2.0 ** (limits.minexp + limits.nmant + 43)
    # Powers that leave room for the slopes too: 2^64 and 2^-80 in float32.
    large, small = 2.0 ** (limits.maxexp // 2), 2.0 ** -(limits.maxexp * 5 // 8)
    over, under = ~jnp.isfinite(found), found < jnp.asarray(low, found.dtype)
    up, down = jnp.any(under & (found > 0)) | jnp.all(under), jnp.any(over)

    def square_root(square):
        return jnp.where(square == 0, 0, jnp.sqrt(jnp.where(square == 0, 1, square)))

    def again(tree):
        times = jnp.where(down, small, jnp.where(up, large, 1)).astype(found.dtype)
        # Behind a barrier: the compiler would take the factor out of the products again, as its square.
        wide = lax.optimization_barrier(jax.tree.map(lambda leaf: leaf.astype(found.dtype) * times, tree))
        other = square_root(squares(wide)) / times
        return jnp.where(jnp.where(down, over, under), other, square_root(found))

    return lax.cond(up | down, again, lambda tree: square_root(found), tree)


def power_of_two(number: Array) -> Array:
    """The greatest power of two up to a positive number, by which one multiplies and divides without rounding."""
    mantissa, exponent = jnp.frexp(number)
    return jnp.ldexp(jnp.full_like(mantissa, 0.5), exponent)


def squared_norm(tree: Any) -> Array:
    """Sum of x^2 over all leaves together, in float32 or better, as a scalar."""
    squares = [sum_of_squares(leaf) for leaf in jax.tree.leaves(tree)]
    if not squares:
        return jnp.zeros(())
    widest = np.result_type(*(square.dtype for square in squares))
    return sum((square.astype(widest) for square in squares[1:]), squares[0].astype(widest))
