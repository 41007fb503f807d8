"""The mean that training minimizes: the one place where values of a loss are averaged.

    C = sum_i w_i l_i / sum_i w_i,   l_i the mean of example i's values

so that padding (w = 0) changes nothing and every example counts the same in every batch.
"""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp

from jaxann.core.checks import fail
from jaxann.core.products import Layer
from jaxann.core.trees import cast as cast_tree
from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array, Key, Params, State

__all__ = ["apply_in", "example_values", "objective", "weighted_mean"]


def example_values(loss: Callable, predictions: Array, targets: Array) -> Array:
    """One value an example, `(batch,)`: the loss's values averaged over whatever follows the batch axis.

    Raises:
        InputError: the loss returned a scalar, or lost the batch axis.
    """
    values = loss(predictions, targets)
    if values.ndim == 0 or values.shape[0] != targets.shape[0]:
        hint = "A loss never averages; the trainer takes the weighted mean."
        fail("loss", "values", f"one for each example ({targets.shape[0]},)", f" shape {values.shape}", hint=hint)
    return jnp.mean(values.reshape(values.shape[0], -1), -1) if values.ndim > 1 else values


def weighted_mean(values: Array, weights: Array | None) -> Array:
    """sum w v / sum w over `(batch,)`; the plain mean for None, 0 when all weights are 0.

    A weight of 0 leaves a value out even when it is NaN, from the mean and from its gradient.
    """
    if weights is None:
        return jnp.mean(values)
    weights = weights.astype(values.dtype)
    total = jnp.sum(weights)
    return jnp.sum(jnp.where(weights == 0, 0, weights * values)) / jnp.where(total == 0, 1, total)


def objective(
    params: Params,
    state: State,
    model: Layer,
    loss: Callable,
    batch: tuple[Array, Array, Array | None],
    *,
    key: Key | None,
    mask: Array | None = None,
    compute_dtype: str | None = None,
) -> tuple[Array, tuple[Array, State]]:
    """The mean loss of a training batch, with the predictions and the new layer state beside it.

    Args:
        params, state: the model's.
        model: a layer.
        loss: `(predictions, targets) -> values`.
        batch: `(x, y, weights)`, weights `(batch,)` or None.
        key: randomness of the layers.
        mask: `(batch,)`, 0 for padding; the weights are expected to be 0 there.
        compute_dtype: "bfloat16" or "float16" for the layers' arithmetic; parameters, loss and gradients stay wide.
    """
    x, y, weights = batch
    predictions, after = apply_in(model, params, state, x, key=key, train=True, mask=mask, compute_dtype=compute_dtype)
    value = weighted_mean(example_values(loss, predictions, y), weights)
    return value, (predictions, after)


def apply_in(
    model: Layer,
    params: Params,
    state: State,
    x: Array,
    *,
    compute_dtype: str | None,
    key: Key | None = None,
    train: bool = False,
    mask: Array | None = None,
) -> tuple[Array, State]:
    """The model's output in float32 or better, its layers computed in `compute_dtype` when one is given."""
    if compute_dtype is not None:
        narrow = jnp.dtype(compute_dtype)
        params = cast_tree(params, narrow)
        x = x.astype(narrow) if jnp.issubdtype(x.dtype, jnp.floating) else x
    y, after = model.apply(params, state, x, key=key, train=train, mask=mask)
    return y.astype(wide_dtype(y.dtype)), after
