"""Whether each value of a loss is that of its own place alone, read off the steps that the loss is made of.

Where a value has the weight 0, its prediction and target may be anything: both become 0 before the loss sees them, or
its gradient would be 0 times infinity. That may be done only where no other value looks at them. A loss of ours says so
itself; of a person's own the traced program is followed from the inputs to the values: a step that keeps to its place
(arithmetic, sums over later axes, a label looked up in its own row) is known, any other counts as one that does not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Literal

from jaxann.core.binding import bound

__all__ = ["keeps_to_places"]

_ELEMENTWISE = frozenset(
    "abs acos acosh add and asin asinh atan atan2 atanh cbrt ceil clamp convert_element_type copy cos cosh digamma div "
    "eq erf erf_inv erfc exp exp2 expm1 floor ge gt integer_pow is_finite le lgamma log log1p logistic lt max min mul "
    "ne neg nextafter not optimization_barrier or pow reduce_precision rem round rsqrt select_n sign sin sinh sqrt "
    "square stop_gradient sub tan tanh xor".split()
)
_CALLS = frozenset("checkpoint closed_call core_call custom_jvp_call custom_vjp_call jit pjit remat remat2".split())
_ALONG = frozenset("argmax argmin reduce_and reduce_max reduce_min reduce_or reduce_prod reduce_sum".split())
_RUNNING = frozenset("cumlogsumexp cummax cummin cumprod cumsum".split())


def keeps_to_places(loss: Callable, predictions: Any, targets: Any, shape: tuple[int, ...]) -> bool:
    """Whether values of this shape are known to depend each on the predictions and targets at its own place alone.

    Args:
        loss: `(predictions, targets) -> values`.
        predictions, targets: arrays or shapes, or trees of them; a leaf with other leading axes is left alone.
        shape: of the values, and of the leading axes of what belongs to them.
    """
    if getattr(bound(loss)[0], "pointwise", False):
        return True
    try:
        program = jax.make_jaxpr(loss)(*jax.tree.map(_shape, (predictions, targets)))
    except (TypeError, ValueError):  # what is wrong with it is said where it is called in earnest
        return False
    placed = [leaf.shape[: len(shape)] == shape for leaf in jax.tree.leaves((predictions, targets))]
    if len(program.out_avals) != 1 or program.out_avals[0].shape != shape:
        return False
    return _followed(program.jaxpr, placed, shape) is not None


def _shape(leaf: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(np.shape(leaf), jnp.result_type(leaf))


def _followed(jaxpr: Any, placed: list[bool], shape: tuple[int, ...]) -> list[bool] | None:
    """Which results of a program belong to places, for the inputs that do; None where a step may leave its place."""
    known = dict(zip(jaxpr.invars, placed, strict=True))

    def of(variable: Any) -> bool:
        return not isinstance(variable, Literal) and known.get(variable, False)

    for step in jaxpr.eqns:
        given = [of(variable) for variable in step.invars]
        if not any(given):
            continue
        name = step.primitive.name
        if name in _CALLS:
            inner = step.params.get("jaxpr", step.params.get("call_jaxpr", step.params.get("fun_jaxpr")))
            inner = getattr(inner, "jaxpr", inner)
            found = None if inner is None or len(inner.invars) != len(given) else _followed(inner, given, shape)
            if found is None:
                return None
        elif _stays(name, step, given, shape):
            found = [True] * len(step.outvars)
        else:
            return None
        known.update(zip(step.outvars, found, strict=True))
    return [of(variable) for variable in jaxpr.outvars]


def _stays(name: str, step: Any, given: list[bool], shape: tuple[int, ...]) -> bool:
    """Whether one step leaves everything at its place, the leading axes."""
    count, params = len(shape), step.params
    own = list(range(count))
    inputs = [variable.aval.shape for variable, is_placed in zip(step.invars, given, strict=True) if is_placed]
    results = [variable.aval.shape for variable in step.outvars]
    if any(result[:count] != shape for result in results) or any(one[:count] != shape for one in inputs):
        return False
    if name in _ELEMENTWISE:
        return all(len(one) == len(result) for one in inputs for result in results)  # a later axis may be of length 1
    if name in _ALONG:
        return min(params["axes"], default=count) >= count
    if name in _RUNNING:
        return params["axis"] >= count
    if name in ("concatenate", "sort"):
        return params["dimension"] >= count
    if name == "broadcast_in_dim":
        return list(params["broadcast_dimensions"])[:count] == own
    if name == "reshape":
        return params["dimensions"] is None
    if name == "squeeze":
        return min(params["dimensions"], default=count) >= count
    if name == "transpose":
        return list(params["permutation"])[:count] == own
    if name == "slice":
        return not any(params["start_indices"][:count]) and set((params["strides"] or ())[:count]) <= {1}
    if name == "pad":
        return given == [True, False] and all(tuple(ends) == (0, 0, 0) for ends in params["padding_config"][:count])
    if name == "gather":
        return _looks_up_its_own(params["dimension_numbers"], given, count, own)
    if name == "dot_general":
        (_, of_right), (left, right) = params["dimension_numbers"]
        if all(given):
            return list(left)[:count] == own == list(right)[:count]
        (of_left, _), _ = params["dimension_numbers"]
        return given == [True, False] and not left and min(of_left, default=count) >= count and bool(of_right)
    return False


def _looks_up_its_own(numbers: Any, given: list[bool], count: int, own: list[int]) -> bool:
    """Whether a table of each place is looked up at indices of that place, or one table of all."""
    if min(numbers.offset_dims, default=count) < count:
        return False
    by_row = list(numbers.operand_batching_dims)[:count] == own == list(numbers.start_indices_batching_dims)[:count]
    return by_row or given == [False, True]
