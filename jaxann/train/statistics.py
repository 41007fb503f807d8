"""Statistics of normalizations for weights that no step was made with.

An average of weights has other activations than the weights it is made of, so the running statistics gathered on the
way are not its own. They are gathered anew: one pass over the training data in training mode, and the plain mean of
the batches' own statistics, each batch counting as many times as it has examples. Source: Izmailov et al. 2018.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

from jaxann.core.modes import TrainMode
from jaxann.core.typing import Array, Key, Params, State
from jaxann.train.augmented import augmented, resizes
from jaxann.train.batches import Batch, Order, default_float, example_count, gather
from jaxann.train.objective import apply_in
from jaxann.train.recipe import Recipe

__all__ = ["renewed"]


def renewed(recipe: Recipe, params: Params, state: State, data: Batch, order: Order, key: Key) -> State:
    """The layers' state for these parameters; as it is for a model without any.

    Args:
        recipe: its model; dropout is on, as in training.
        params, state: the weights.
        data: the training data as they stand, or augmented where that changes their shapes; examples of weight 0 have
            no share.
        order: the batches.
        key: randomness of the layers.
    """
    if not any(map(_mean, jax.tree.leaves(state))):
        return state
    resized = resizes(recipe, data.x, data.y)

    def look(sums, seen, number, index, row):
        batch, y, weights = gather(data, index, row)
        if weights is not None and weights is not row:
            row = jnp.any(weights.reshape(weights.shape[0], -1) != 0, -1).astype(default_float())
        count = jnp.asarray(example_count(batch), default_float()) if row is None else jnp.sum(row)
        own_key = jax.random.fold_in(key, number)
        if resized:
            batch, *_ = augmented(recipe.augment, own_key, batch, y, row)
        _, own = apply_in(
            recipe.model,
            params,
            state,
            batch,
            key=own_key,
            train=TrainMode.STATISTICS,
            example_mask=row,
            dtype=recipe.compute_dtype,
        )
        # A batch that is not finite was no step either, and has no say here.
        fine = jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(own) if _mean(leaf)]))
        count = jnp.where(fine, count, 0)

        def add(s, a):
            return s + jnp.where(fine, count.astype(s.dtype) * a.astype(s.dtype), 0) if _mean(a) else s

        return jax.tree.map(add, sums, own), seen + count

    first = jax.tree.map(lambda a: jnp.zeros_like(a) if _mean(a) else a, state), jnp.zeros((), default_float())
    if order.index is None:
        sums, seen = look(*first, jnp.int32(0), None, None)
    else:
        steps = order.index.shape[0]
        inputs = (jnp.arange(steps, dtype=jnp.int32), order.index, order.mask)
        sums, seen = lax.scan(lambda loop, step: (look(*loop, *step), None), first, inputs)[0]
    total = jnp.where(seen > 0, seen, 1)
    return jax.tree.map(
        lambda s, a: jnp.where(seen > 0, s / total.astype(s.dtype), a) if _mean(a) else a, sums, state
    )  # fmt: skip


def _mean(leaf: Array) -> bool:
    """Whether a leaf of the state is something to be averaged: a count or a key is not."""
    return jnp.issubdtype(leaf.dtype, jnp.floating)
