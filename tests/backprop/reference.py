"""The mean loss of a batch, written down once more, for automatic differentiation to go through."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jaxann.core.augmentation import Mixed
from jaxann.losses import target_weights

__all__ = ["mean_loss"]


def mean_loss(loss: Any, predictions: Any, targets: Any, weights: Any) -> jax.Array:
    """sum_i w_i l_i / sum_i w_i, l_i the mean of example i's values, or their sum where targets have weights."""
    sums, counts = _of_examples(loss, predictions, targets)
    weights = jnp.ones_like(sums) if weights is None else weights.astype(sums.dtype)
    total = jnp.sum(weights if counts is None else weights * counts)
    return jnp.sum(jnp.where(weights == 0, 0, weights * sums)) / jnp.where(total == 0, 1, total)


def _of_examples(loss: Any, predictions: Any, targets: Any) -> tuple[Any, Any]:
    if isinstance(targets, Mixed):
        pairs = [_of_examples(loss, predictions, side) for side in (targets.first, targets.second)]
        (first, own), (second, other) = pairs
        share = targets.share.astype(first.dtype)
        mixed = share * first + (1 - share) * jnp.where(share == 1, 0, second)
        counts = own if own is None or other is None else share * own + (1 - share) * other
        return jnp.where(share == 1, first, mixed), counts
    values, counts = loss(predictions, targets), target_weights(loss, targets)
    axes = tuple(range(1, values.ndim))
    if counts is None:
        return jnp.mean(values, axes), None
    return jnp.sum(values, axes), jnp.sum(jnp.broadcast_to(counts.astype(values.dtype), values.shape), axes)
