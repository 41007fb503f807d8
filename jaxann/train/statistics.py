"""Statistics of normalizations for weights that no step was made with.

An average of weights has other activations than the weights it is made of, so the running statistics gathered on the
way are not its own. They are gathered anew: one pass over the training data in training mode, in which every batch
normalization keeps the plain mean over all examples. Source: Izmailov et al. 2018.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxann.core.factories import remade
from jaxann.core.products import Layer
from jaxann.core.typing import Array, Key, Params, State
from jaxann.train.objective import apply_in

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
    if not jax.tree.leaves(state):
        return state

    def look(state, seen, number, index, row):
        batch = x if index is None else x.at[index].get(mode="promise_in_bounds")
        count = jnp.asarray(batch.shape[0], jnp.float32) if row is None else jnp.sum(row).astype(jnp.float32)
        after = seen + count
        _, new = apply_in(
            remade(model, "layers.batch_norm", decay=seen / jnp.where(after == 0, 1, after)),
            params,
            state,
            batch,
            key=jax.random.fold_in(key, number),
            train=True,
            mask=row,
            compute_dtype=compute_dtype,
        )
        # A batch of padding alone counts nothing.
        return jax.tree.map(lambda a, b: jnp.where(count == 0, a, b), state, new), after

    seen = jnp.zeros((), jnp.float32)
    if layout.order is None:
        return look(state, seen, jnp.int32(0), None, layout.mask)[0]
    steps = layout.order.shape[0]
    inputs = (jnp.arange(steps, dtype=jnp.int32), layout.order, layout.mask)
    return lax.scan(lambda loop, step: (look(*loop, *step), None), (state, seen), inputs)[0][0]
