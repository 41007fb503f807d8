"""Predictions of many members at once."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax import lax

from jaxann.core.checks import check_integer, fail
from jaxann.core.typing import Array, Params, State
from jaxann.train.inputs import as_array
from jaxann.train.objective import apply_in
from jaxann.train.predict import as_model_takes, padded_block, rows_bucket
from jaxann.train.recipes import Group, ingredients_of

__all__ = ["predict_members"]


@functools.partial(jax.jit, static_argnames=("recipe", "compute_dtype", "one_by_one"))
def _forward(
    recipe: Any, leaves: Any, params: Params, state: State, x: Array, compute_dtype: str | None, one_by_one: bool
) -> Array:
    def member(one):
        own, params, state = one
        model = ingredients_of(recipe, own).model
        return apply_in(model, params, state, x, compute_dtype=compute_dtype)[0]

    stacked = (leaves, params, state)
    return lax.map(member, stacked) if one_by_one else jax.vmap(member)(stacked)


def predict_members(groups: Sequence[tuple[Group, Params, State]], members: int, x: Any, batch_size: int) -> np.ndarray:
    """`(members, rows, ...outputs)` in evaluation mode; rows are padded to a power of two, as in `predict`.

    Raises:
        InputError: x is not finite, does not fit, or members' outputs differ in shape.
    """
    check_integer("predict", "batch_size", batch_size)
    x = as_array("predict", "x", x, features=True)
    if np.dtype(x.dtype).kind in "iub":
        group, *weights = groups[0]
        own, params, state = jax.tree.map(lambda a: a[0], (group.leaves, *weights))
        x = as_model_takes(ingredients_of(group.recipe, own).model, params, state, x)
    one_by_one = jax.default_backend() == "cpu"
    found: dict[int, np.ndarray] = {}
    for group, params, state in groups:
        blocks = []
        for first in range(0, max(len(x), 1), batch_size):
            block = np.asarray(x[first : first + batch_size])
            padded = padded_block(block, rows_bucket(len(block), batch_size))
            dtype = group.plan.compute_dtype
            out = _forward(group.recipe, group.leaves, params, state, padded, dtype, one_by_one)
            blocks.append(np.asarray(out)[:, : len(block)])
        outputs = np.concatenate(blocks, axis=1)
        found |= dict(zip(group.members.tolist(), outputs, strict=True))
    shapes = {output.shape for output in found.values()}
    if len(shapes) > 1:
        fail("predict", "population", "of members with outputs of one shape", f" shapes {sorted(shapes)}")
    return np.stack([found[i] for i in range(members)])
