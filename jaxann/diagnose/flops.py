"""Floating-point operations of a traced program, by the layer they belong to."""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import Any

import jax

__all__ = ["MARK", "flops_by_mark"]

MARK = "layer#"  # how a scope of a layer is called: MARK and its number
_NUMBER = re.compile(rf"{re.escape(MARK)}(\d+)")

# What moves, names or draws numbers, and does no arithmetic on them.
_FREE = frozenset(
    "broadcast_in_dim reshape transpose squeeze expand_dims convert_element_type bitcast_convert_type copy copy_p "
    "concatenate pad slice dynamic_slice dynamic_update_slice gather rev iota split select_n stop_gradient "
    "optimization_barrier computed_once gradient_once device_put sharding_constraint random_bits random_wrap "
    "random_unwrap random_fold_in random_split random_seed threefry2x32 random_clone create_token name "
    "reduce_precision empty".split()
)
_OVER_INPUT = ("reduce_", "arg", "cum", "sort")  # one operation for each number that goes in


def flops_by_mark(program: Any) -> Counter[int | None]:
    """Operations of a jaxpr by the number of the innermost layer that they stand in; None for none.

    A product of matrices (m, k) and (k, n) counts 2 m k n, a convolution alike, everything else one for each number it
    makes, or reads where it reduces. Of branches the longest counts, of a loop without a known end one round.
    """
    found: Counter[int | None] = Counter()
    _count(getattr(program, "jaxpr", program), 1, None, found)
    return found


def _count(jaxpr: Any, times: int, mark: int | None, found: Counter) -> None:
    for equation in jaxpr.eqns:
        inside = _NUMBER.findall(str(equation.source_info.name_stack))
        own = int(inside[-1]) if inside else mark
        inner = _inner(equation)
        if equation.primitive.name == "cond":
            tables = []
            for branch in inner:
                tables.append(Counter())
                _count(branch, times, own, tables[-1])
            found.update(max(tables, key=lambda table: sum(table.values())))
        elif inner:
            rounds = equation.params.get("length", 1) if equation.primitive.name == "scan" else 1
            for one in inner[:1]:
                _count(one, times * rounds, own, found)
        else:
            found[own] += times * _operations(equation)


def _inner(equation: Any) -> list[Any]:
    """The programs inside an equation: the body of a loop, the branches of a condition, a function that is called."""
    name = equation.primitive.name
    if name.startswith((*_OVER_INPUT, "scatter")):  # those hold how two numbers are put together
        return []
    if name == "while":
        return [equation.params["body_jaxpr"].jaxpr]
    leaves = jax.tree.leaves(
        list(equation.params.values()), is_leaf=lambda v: hasattr(v, "eqns") or hasattr(v, "jaxpr")
    )
    return [getattr(leaf, "jaxpr", leaf) for leaf in leaves if hasattr(leaf, "eqns") or hasattr(leaf, "jaxpr")]


def _size(variable: Any) -> int:
    return math.prod(getattr(variable.aval, "shape", ()))


CONVOLUTIONS = frozenset(("convolution", "convolution_input_gradient", "convolution_weight_gradient"))


def _of_convolution(name: str, left: tuple[int, ...], right: tuple[int, ...], geometry: Any) -> int:
    """Two for each number of a window, input and output of a group, position and example."""
    windows, places, groups = geometry
    if name.endswith("weight_gradient"):
        channels = left[-1] * right[-1]
    else:
        channels = right[-2] * right[-1] * groups
    return 2 * left[0] * math.prod(windows.count(places)) * math.prod(windows.size) * channels // groups


def _operations(equation: Any) -> int:
    name = equation.primitive.name
    made = sum(map(_size, equation.outvars))
    if name in _FREE:
        return 0
    if name == "dense_product":
        return 2 * made * equation.invars[0].aval.shape[1]
    if name in CONVOLUTIONS:
        left, right = (variable.aval.shape for variable in equation.invars)
        return _of_convolution(name, left, right, equation.params["geometry"])
    if name == "dot_general":
        (contracted, _), _ = equation.params["dimension_numbers"]
        shape = equation.invars[0].aval.shape
        return 2 * made * math.prod(shape[axis] for axis in contracted)
    if name == "conv_general_dilated":
        kernel = equation.invars[1].aval.shape
        features = kernel[equation.params["dimension_numbers"].rhs_spec[0]]
        return 2 * made * math.prod(kernel) // max(features, 1)
    if name.startswith("scatter"):
        return _size(equation.invars[2])
    return sum(map(_size, equation.invars)) if name.startswith(_OVER_INPUT) else made
