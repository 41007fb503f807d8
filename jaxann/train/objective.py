"""The mean that training minimizes: the one place where values of a loss are averaged.

    C = sum_i w_i l_i / sum_i w_i + penalty(parameters),   l_i the mean of example i's values

so that padding (w = 0) changes nothing and every example counts the same in every batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp

from jaxann.core.checks import fail
from jaxann.core.products import Layer, Mixed
from jaxann.core.trees import cast as cast_tree
from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array, Key, Params, State
from jaxann.losses import target_weights
from jaxann.train.plan import Ingredients

__all__ = ["Seen", "apply_in", "batch_sums", "example_sums", "objective"]


class Seen(NamedTuple):
    """What a look at a batch gives beside its loss."""

    predictions: Array
    state: State  # of the layers, afterwards
    weight: Array  # (), what the batch's loss counts for in an epoch's mean


def example_sums(loss: Callable, predictions: Array, targets: Array | Mixed) -> tuple[Array, Array | None]:
    """For each example the sum of its weighted values, and the sum of their weights; None where each weighs 1.

    An example of several values whose loss has no weights of its own counts once, with their mean. A loss with class
    weights or labels to be ignored says what each of its values counts for, so that the mean is theirs.

    Raises:
        InputError: the loss returned a scalar, or lost the batch axis.
    """
    if isinstance(targets, Mixed):
        sums, counts = example_sums(loss, predictions, targets.first)
        others, other_counts = example_sums(loss, predictions, targets.second)
        share = targets.share.astype(sums.dtype)
        if counts is not None and other_counts is not None:
            counts = share * counts + (1 - share) * other_counts
        # An end of the mixture leaves the other one out, also where that one is not finite.
        return jnp.where(share == 1, sums, share * sums + (1 - share) * jnp.where(share == 1, 0, others)), counts
    values = loss(predictions, targets)
    if values.ndim == 0 or values.shape[0] != targets.shape[0]:
        hint = "A loss never averages; the trainer takes the weighted mean."
        fail("loss", "values", f"one for each example ({targets.shape[0]},)", f" shape {values.shape}", hint=hint)
    counts = target_weights(loss, targets)
    rows = (values.shape[0], math.prod(values.shape[1:]))
    if counts is not None:
        counts = jnp.broadcast_to(counts.astype(values.dtype), values.shape)
        return jnp.sum(values.reshape(rows), -1), jnp.sum(counts.reshape(rows), -1)
    return (jnp.mean(values.reshape(rows), -1) if values.ndim > 1 else values), None


def batch_sums(
    loss: Callable, predictions: Array, targets: Array | Mixed, weights: Array | None
) -> tuple[Array, Array]:
    """`(sum w l, sum w)` over a batch: the numerator and the denominator of the mean loss.

    A weight of 0 leaves an example out even when its value is NaN, from the sum and from its gradient.
    """
    values, counts = example_sums(loss, predictions, targets)
    if weights is None:
        total = jnp.asarray(values.shape[0], values.dtype) if counts is None else jnp.sum(counts)
        return jnp.sum(values), total
    weights = weights.astype(values.dtype)
    total = jnp.sum(weights if counts is None else weights * counts)
    return jnp.sum(jnp.where(weights == 0, 0, weights * values)), total


def objective(
    params: Params,
    state: State,
    parts: Ingredients,
    batch: tuple[Array, Array | Mixed, Array | None],
    *,
    key: Key | None,
    mask: Array | None = None,
    compute_dtype: str | None = None,
) -> tuple[Array, Seen]:
    """What training minimizes on a batch: the mean loss, plus the penalty where there is one.

    Args:
        params, state: the model's.
        parts: the model, the loss and the penalty.
        batch: `(x, y, weights)`, weights `(batch,)` or None.
        key: randomness of the layers.
        mask: `(batch,)`, 0 for padding; the weights are expected to be 0 there.
        compute_dtype: "bfloat16" or "float16" for the layers' arithmetic; parameters, loss and gradients stay wide.
    """
    x, y, weights = batch
    predictions, after = apply_in(
        parts.model, params, state, x, key=key, train=True, mask=mask, compute_dtype=compute_dtype
    )  # fmt: skip
    total, weight = batch_sums(parts.loss, predictions, y, weights)
    value = total / jnp.where(weight == 0, 1, weight)
    if parts.penalty is not None:
        value = value + parts.penalty(params).astype(value.dtype)
    return value, Seen(predictions, after, weight)


def apply_in(
    model: Layer,
    params: Params,
    state: State,
    x: Array,
    *,
    compute_dtype: str | None,
    key: Key | None = None,
    train: bool | str = False,
    mask: Array | None = None,
) -> tuple[Array, State]:
    """The model's output in float32 or better, its layers computed in `compute_dtype` when one is given."""
    if compute_dtype is not None:
        narrow = jnp.dtype(compute_dtype)
        params = cast_tree(params, narrow)
        x = x.astype(narrow) if jnp.issubdtype(x.dtype, jnp.floating) else x
    y, after = model.apply(params, state, x, key=key, train=train, mask=mask)
    return y.astype(wide_dtype(y.dtype)), after
