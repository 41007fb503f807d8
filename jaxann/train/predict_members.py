"""Predictions of many members at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax import lax

from jaxann.core.checks import check_integer, check_untraced, fail
from jaxann.core.programs import jit
from jaxann.core.typing import Inputs, Params, State
from jaxann.train.batches import example_count
from jaxann.train.blocks import as_model_takes, blocks_of
from jaxann.train.grouping import Group, TracedBuild, member_recipe
from jaxann.train.inputs import as_inputs
from jaxann.train.learned import check_missing
from jaxann.train.objective import apply_in
from jaxann.train.weights import model_weights

__all__ = ["predict_members"]

_ONE_BY_ONE = (
    "Inside jit, vmap and grad: jax.vmap(lambda p, s: ja.predict(model, p, s, x))(population.params, population.state),"
    " or ja.predict with the params and state of population.member(i)."
)


@jit(static_argnames=("traced", "one_by_one"))
def _forward(traced: TracedBuild | None, leaves: Any, params: Params, state: State, x: Inputs, one_by_one: bool) -> Any:
    def member(one):
        own, params, state = one
        recipe = member_recipe(traced, own)
        return apply_in(recipe.model, params, state, x, dtype=recipe.compute_dtype)[0]

    stacked = (leaves, params, state)
    return lax.map(member, stacked) if one_by_one else jax.vmap(member)(stacked)


def predict_members(groups: Sequence[tuple[Group, Params, State]], members: int, x: Inputs, batch_size: int) -> Any:
    """`(members, rows, ...)` in evaluation mode; rows are padded to a power of two, as in `predict`.

    Raises:
        InputError: x is not finite, does not fit, or members' predictions differ in shape.
    """
    check_integer("predict", "batch_size", batch_size)
    check_untraced("Population.predict", "each argument", x, _ONE_BY_ONE)
    firsts = [jax.tree.map(lambda a: a[0], (group.leaves, *weights)) for group, *weights in groups]
    models = [member_recipe(group.traced, own).model for (group, *_), (own, *_) in zip(groups, firsts, strict=True)]
    fills = all("takes_missing" in model.traits for model in models)
    x = as_inputs("predict", "x", x, features=True, missing=fills)
    for model in models if fills else ():
        check_missing("predict", "x", model, x)
    x = as_model_takes(models[0], x)
    _, params, state = firsts[0]
    model_weights("predict", models[0], params, state, x)
    rows, one_by_one = example_count(x), jax.default_backend() == "cpu"
    found: dict[int, Any] = {}
    for group, params, state in groups:
        blocks = []
        for block, count in blocks_of(x, max(rows, 1), batch_size):
            seen = _forward(group.traced, group.leaves, params, state, block, one_by_one)
            kept = min(count, rows)
            blocks.append(jax.tree.map(lambda a, c=kept: np.asarray(a)[:, :c], seen))
        whole = jax.tree.map(lambda *a: np.concatenate(a, axis=1), *blocks)
        for place, member in enumerate(group.members.tolist()):
            found[member] = jax.tree.map(lambda a, p=place: a[p], whole)
    shapes = {tuple(leaf.shape for leaf in jax.tree.leaves(one)) for one in found.values()}
    if len(shapes) > 1:
        told = f" shapes {sorted(shape[0] if len(shape) == 1 else shape for shape in shapes)}"
        fail("predict", "population", "of members with predictions of one shape", told)
    return jax.tree.map(lambda *a: np.stack(a), *(found[i] for i in range(members)))
