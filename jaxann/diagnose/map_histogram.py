"""How the numbers of each layer's output are distributed, in training mode on a batch."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import lax

from jaxann.core.padding import Padded
from jaxann.core.typing import Array, Key, Params, State
from jaxann.core.watch import watching
from jaxann.diagnose.map_watch import Watch
from jaxann.train.augmented import augmented
from jaxann.train.batches import Batch
from jaxann.train.objective import apply_in
from jaxann.train.recipe import Recipe

__all__ = ["BINS", "histogram", "histograms"]

BINS = 16


def histograms(recipe: Recipe, params: Params, state: State, batch: Batch, key: Key) -> tuple[Any, Any]:
    """`(of the input, what a watch has seen)`, each layer's `(BINS + 2,)`, from the very pass that a probe measures.

    Args:
        recipe: what is trained.
        params, state: the model's.
        batch: the examples.
        key: randomness of the step.
    """
    x, _, _ = augmented(recipe.augment, key, batch.x, batch.y, None)
    watch = Watch(lambda y, layer, mask, number: (y, histogram(y, mask)))
    with watching(watch):
        apply_in(recipe.model, params, state, x, key=key, train=True, dtype=recipe.compute_dtype)
    return histogram(x, None), watch.seen


def histogram(y: Any, mask: Array | None) -> Array:
    """Counts of finite numbers in equal bins from the least to the greatest, then these two; NaN for no floats."""
    if isinstance(y, Padded):
        y, mask = y.values, y.mask
    if not hasattr(y, "dtype") or y.ndim == 0 or y.size == 0 or not jnp.issubdtype(y.dtype, jnp.floating):
        return jnp.full(BINS + 2, jnp.nan, jnp.float32)
    wide = lax.stop_gradient(y).astype(jnp.float32)
    counts = jnp.isfinite(wide)
    if mask is not None and mask.shape == y.shape[: mask.ndim]:
        counts = counts & lax.expand_dims(mask.astype(bool), range(mask.ndim, y.ndim))
    low, high = jnp.min(jnp.where(counts, wide, jnp.inf)), jnp.max(jnp.where(counts, wide, -jnp.inf))
    edges = low + (high - low) * (jnp.arange(1, BINS + 1, dtype=jnp.float32) / BINS)
    edges = edges.at[-1].set(jnp.inf)  # the greatest number is in the last bin
    counted, numbers = counts.reshape(1, -1), wide.reshape(1, -1)
    below = jnp.sum(counted & (numbers < edges.reshape(-1, 1)), 1)
    number = jnp.diff(below, prepend=0).astype(jnp.float32)
    ends = jnp.stack([low, high])
    return jnp.concatenate([number, jnp.where(jnp.isfinite(ends), ends, jnp.nan)])
