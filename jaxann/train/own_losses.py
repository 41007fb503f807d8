"""What a loss of a person's own makes of predictions and targets, looked at while a program is traced.

Two faults give numbers that look like a loss: predictions (n, 1) against targets (n,), which broadcast to each
prediction with each target, whether the pairs come out as such or are averaged inside; and a value that does not depend
on the predictions in a way that has a slope, of which nothing is learnt. The losses of this library have neither.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Literal

from jaxann.core.binding import bound
from jaxann.core.checks import fail
from jaxann.core.typing import Array, Targets
from jaxann.train.batches import example_count

__all__ = ["check_own_loss", "compares_examples"]

_HINT = "Predictions (n, k) against targets (n,) broadcast to (n, n): give both one shape."


def check_own_loss(loss: Callable, values: Array, predictions: Any, targets: Targets) -> None:
    """The values belong to one example each, and have a gradient by the predictions.

    Args:
        loss: as the recipe has it.
        values, predictions, targets: arrays or shapes, of one call.

    Raises:
        InputError: examples are paired with each other, or the gradient is 0 whatever the predictions are.
    """
    if hasattr(bound(loss)[0], "pointwise"):  # one of ours has said what it does
        return
    examples = example_count(targets)
    if _may_be_of_pairs(values, targets):
        _refuse_pairs(loss, predictions, targets)
    if not compares_examples(loss) and _pairs_inside(loss, predictions, targets):
        hint = f"{_HINT} A loss that compares examples takes where=."
        fail("loss", "values", f"of each example alone, ({examples},)", " those of all pairs, averaged", hint=hint)
    if not _has_slope(loss, predictions, targets):
        hint = "A step, a rounded number or a lax.stop_gradient has none; it may be a metric."
        fail("loss", "values", "such that they have a gradient by the predictions", " 0 whatever these are", hint=hint)


def compares_examples(loss: Callable) -> bool:
    """Whether a loss wants to know which examples there are: it has an argument `where`."""
    try:
        return "where" in inspect.signature(bound(loss)[0]).parameters
    except (TypeError, ValueError):  # an object without a signature
        return False


def _may_be_of_pairs(values: Array, targets: Targets) -> bool:
    """Whether the second axis is as long as the batch although no second axis of the targets is."""
    examples = example_count(targets)
    seconds = {tuple(np.shape(leaf))[1:2] for leaf in jax.tree.leaves(targets)}
    return values.ndim > 1 and values.shape[1] == examples > 1 and (examples,) not in seconds


def _refuse_pairs(loss: Callable, predictions: Any, targets: Targets) -> None:
    """Refuse a second axis that grows with the batch: of one example more it would have one place more.

    A loss that can be called with this number of examples alone has taken one axis for another.
    """
    examples = example_count(targets)
    longer = _of(examples + 1, (predictions, targets))
    try:
        found = jax.eval_shape(loss, *longer).shape
    except (TypeError, ValueError):
        found = (examples + 1, examples + 1)
    if found[1:2] == (examples + 1,):
        got = f" shape {(examples, examples)}"
        fail("loss", "values", f"of each example alone, ({examples}, ...)", got, hint=_HINT)


def _pairs_inside(loss: Callable, predictions: Any, targets: Targets) -> bool:
    """Whether predictions (n, 1) and targets (n,) meet in an array of all pairs; looked for with one example more."""
    shapes = [getattr(one, "shape", None) for one in (predictions, targets)]
    if shapes[0] is None or shapes[1] is None or len(shapes[1]) != 1 or shapes[0] != (*shapes[1], 1):
        return False
    count = shapes[1][0] + 1
    try:
        program = jax.make_jaxpr(loss)(*_of(count, (predictions, targets)))
    except (TypeError, ValueError):  # made for this number of examples
        return False
    return any(shape[:2] == (count, count) for shape in _shapes_in(program.jaxpr))


def _of(examples: int, tree: Any) -> Any:
    """The shapes of so many examples."""
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((examples, *np.shape(leaf)[1:]), leaf.dtype), tree)


def _shapes_in(jaxpr: Any) -> Iterator[tuple[int, ...]]:
    for step in jaxpr.eqns:
        yield from (np.shape(variable.aval) for variable in step.outvars)
        for inner in jax.tree.leaves(list(step.params.values()), is_leaf=lambda value: hasattr(value, "eqns")):
            inner = getattr(inner, "jaxpr", inner)
            if hasattr(inner, "eqns"):
                yield from _shapes_in(inner)


def _has_slope(loss: Callable, predictions: Any, targets: Targets) -> bool:
    """Whether anything of dC/dvalues reaches dC/dpredictions; of a sign, a comparison or a constant nothing does."""
    leaves, structure = jax.tree.flatten(predictions)
    moved = [jnp.issubdtype(leaf.dtype, jnp.floating) for leaf in leaves]
    if not any(moved):
        return True

    def backward(cotangent: Array, leaves: list[Array], targets: Targets) -> Any:
        def of_moved(*given: Array) -> Array:
            each = iter(given)
            whole = [next(each) if is_moved else leaf for leaf, is_moved in zip(leaves, moved, strict=True)]
            return loss(jax.tree.unflatten(structure, whole), targets)

        values, vjp = jax.vjp(of_moved, *(leaf for leaf, is_moved in zip(leaves, moved, strict=True) if is_moved))
        return vjp(jnp.broadcast_to(cotangent.astype(values.dtype), values.shape))

    cotangent = jax.ShapeDtypeStruct((), jnp.float32)
    program = jax.make_jaxpr(backward)(cotangent, *_shapes((leaves, targets)))
    return _reaches(program.jaxpr, program.jaxpr.invars[0])


def _shapes(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(np.shape(leaf), leaf.dtype), tree)


def _reaches(jaxpr: Any, start: Any) -> bool:
    """Whether a result of a program may depend on one of its inputs; what is called inside counts as one step."""
    touched = {start}
    for step in jaxpr.eqns:
        if any(not isinstance(variable, Literal) and variable in touched for variable in step.invars):
            touched.update(step.outvars)
    return any(not isinstance(variable, Literal) and variable in touched for variable in jaxpr.outvars)
