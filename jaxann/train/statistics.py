"""Statistics of normalizations for weights that no step was made with.

An average of weights has other activations than the weights it is made of, so the running statistics gathered on the
way are not its own. They are gathered anew: one pass over the training data in training mode, and the plain mean of
the batches' own statistics, each batch counting as many times as it has examples. Source: Izmailov et al. 2018.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxann.core.products import Layer
from jaxann.core.typing import Array, Key, Params, State
from jaxann.layers.norm import STATISTICS
from jaxann.train.objective import apply_in
from jaxann.train.plan import default_float

__all__ = ["Layout", "renewed"]


class Layout(NamedTuple):
    """How data are cut into batches."""

    order: Any  # int32 (steps, batch), positions in the data; None for the data as they stand, one batch
    mask: Any  # (steps, batch), 0 for padding; None where there is none
    batch_size: int


def renewed(
    model: Layer, params: Params, state: State, x: Array, layout: Layout, key: Key, compute_dtype: str | None
) -> State:
    """The layers' state for these parameters; as it is for a model without any.

    Args:
        model, params, state: the model; its dropout is on, as in training.
        x: the training data.
        layout: the batches.
        key: randomness of the layers.
        compute_dtype: as in training.
    """
    if not any(map(_mean, jax.tree.leaves(state))):
        return state

    def look(sums, seen, number, index, row):
        batch = x if index is None else x.at[index].get(mode="promise_in_bounds")
        count = jnp.asarray(batch.shape[0], default_float()) if row is None else jnp.sum(row)
        noise = jax.random.fold_in(key, number)
        _, own = apply_in(
            model, params, state, batch, key=noise, train=STATISTICS, mask=row, compute_dtype=compute_dtype
        )  # fmt: skip
        # A batch that is not finite was no step either, and has no say here.
        fine = jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(own) if _mean(leaf)]))
        count = jnp.where(fine, count, 0)

        def add(s, a):
            return s + jnp.where(fine, count.astype(s.dtype) * a.astype(s.dtype), 0) if _mean(a) else s

        return jax.tree.map(add, sums, own), seen + count

    first = jax.tree.map(lambda a: jnp.zeros_like(a) if _mean(a) else a, state), jnp.zeros((), default_float())
    if layout.order is None:
        sums, seen = look(*first, jnp.int32(0), None, None)
    else:
        steps = layout.order.shape[0]
        inputs = (jnp.arange(steps, dtype=jnp.int32), layout.order, layout.mask)
        sums, seen = lax.scan(lambda loop, step: (look(*loop, *step), None), first, inputs)[0]
    total = jnp.where(seen > 0, seen, 1)
    return jax.tree.map(
        lambda s, a: jnp.where(seen > 0, s / total.astype(s.dtype), a) if _mean(a) else a, sums, state
    )  # fmt: skip


def _mean(leaf: Array) -> bool:
    """Whether a leaf of the state is something to be averaged: a count or a key is not."""
    return jnp.issubdtype(leaf.dtype, jnp.floating)
