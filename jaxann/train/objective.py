"""The mean that training minimizes: the one place where values of a loss are averaged.

    C = sum_i w_i l_i / sum_i w_i + penalty(parameters),   l_i the mean of example i's values

so that padding (w = 0) changes nothing and every example counts the same in every batch. Where weights are given for
each value of the loss (a token, an output), or targets are `Padded`, the sums run over values instead.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxann.core.augmentation import Mixed
from jaxann.core.checks import fail, traceable
from jaxann.core.modes import TrainMode
from jaxann.core.padding import unpadded, zero_padding
from jaxann.core.products import Layer
from jaxann.core.trees import cast as cast_tree
from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array, Inputs, Key, Params, State, Targets
from jaxann.losses import target_weights
from jaxann.losses.places import keeps_to_places
from jaxann.train.batches import Batch, example_count
from jaxann.train.own_functions import check_state_kept
from jaxann.train.own_losses import check_own_loss, compares_examples
from jaxann.train.recipe import Recipe

__all__ = ["Forward", "apply_in", "example_sums", "loss_sums", "objective"]


class Forward(NamedTuple):
    """What a forward pass over a batch gives beside its objective."""

    predictions: Any
    state: State  # of the layers, afterwards
    weight: Array  # (), what the batch's loss counts for in an epoch's mean
    notes: Any = ()  # of the layers, where somebody takes some


def _values(
    loss: Callable, predictions: Any, targets: Targets, weights: Array | None = None
) -> tuple[Array, Array | None]:
    """The loss's values, and what each counts for; None where each counts 1.

    What has weight 0 is 0 before the loss sees it, since no factor after it would do: the gradient of a value that
    overflows is 0 times infinity. A loss that compares the examples of a batch with each other takes `where`: those of
    weight 0 are none of them.
    """
    predictions, targets, mask = unpadded(predictions, targets)
    given = loss
    if weights is not None:
        real = weights != 0
        if weights.ndim == 1 and compares_examples(loss):
            loss = functools.partial(loss, where=real)
        else:
            if weights.ndim > 1 and not keeps_to_places(loss, predictions, targets, weights.shape):
                real = jnp.any(real, tuple(range(1, real.ndim)))  # a value may look at others of its example
            predictions, targets = _left_out(predictions, real), _left_out(targets, real)
    with traceable("loss", "values"):
        values = loss(predictions, targets)
    values = _checked(values, predictions, targets)
    check_own_loss(given, values, predictions, targets)
    counts = target_weights(loss, targets)
    if counts is not None:
        counts = jnp.broadcast_to(counts.astype(values.dtype), values.shape)
    if mask is not None:
        if mask.shape != values.shape[: mask.ndim]:
            expected = f"one for each position {mask.shape} of the padded targets"
            fail("loss", "values", expected, f" shape {values.shape}")
        real = jnp.broadcast_to(lax.expand_dims(mask > 0, range(mask.ndim, values.ndim)), values.shape)
        counts = real.astype(values.dtype) if counts is None else jnp.where(real, counts, 0)
        values = jnp.where(real, values, 0)
    return values, counts


def _left_out(tree: Any, real: Array) -> Any:
    """The predictions or targets with 0 where nothing counts; a leaf of other leading axes as it is."""
    return jax.tree.map(lambda a: zero_padding(a, real) if a.shape[: real.ndim] == real.shape else a, tree)


def _checked(values: Any, predictions: Any, targets: Targets) -> Array:
    """The values of a loss in float32 or better, one or more an example."""
    examples = example_count(targets)
    if not hasattr(values, "shape") or not hasattr(values, "dtype"):
        fail("loss", "values", f"an array of shape ({examples}, ...)", values)
    if not jnp.issubdtype(values.dtype, jnp.floating):
        fail("loss", "values", "floating point, so that they have a gradient", f" {values.dtype}")
    if values.ndim == 0 or values.shape[0] != examples:
        hint = "A loss never averages; the trainer takes the weighted mean."
        fail("loss", "values", f"one for each example ({examples},)", f" shape {values.shape}", hint=hint)
    return values.astype(wide_dtype(values.dtype))


def example_sums(
    loss: Callable, predictions: Any, targets: Targets, weights: Array | None = None
) -> tuple[Array, Array | None]:
    """For each example the sum of its weighted values, and the sum of their weights; None where each weighs 1.

    An example of several values whose loss has no weights of its own counts once, with their mean. A loss with class
    weights or labels to be ignored says what each of its values counts for, so that the mean is theirs; so do the real
    positions of padded targets.

    Raises:
        InputError: the loss returned a scalar, or lost the batch axis.
    """
    if isinstance(targets, Mixed):
        sums, counts = example_sums(loss, predictions, targets.first, weights)
        others, other_counts = example_sums(loss, predictions, targets.second, weights)
        share = targets.share.astype(sums.dtype)
        if counts is not None and other_counts is not None:
            counts = share * counts + (1 - share) * other_counts
        # At an end of the mixture the value is that of the one alone, also where the other is not finite.
        mixture = share * jnp.where(share == 0, 0, sums) + (1 - share) * jnp.where(share == 1, 0, others)
        return mixture, counts
    values, counts = _values(loss, predictions, targets, weights)
    rows = (values.shape[0], math.prod(values.shape[1:]))
    if counts is not None:
        return jnp.sum(values.reshape(rows), -1), jnp.sum(counts.reshape(rows), -1)
    return (jnp.mean(values.reshape(rows), -1) if values.ndim > 1 else values), None


def loss_sums(
    loss: Callable, predictions: Any, targets: Targets, weights: Array | None, *, copies: bool = False
) -> tuple[Array, Array]:
    """`(sum w l, sum w)` over a batch: the numerator and the denominator of the mean loss.

    A weight of 0 leaves an example (or a value) out even when it is NaN, from the sum and from its gradient.

    Args:
        loss: `(predictions, targets) -> values`.
        predictions, targets: of a batch.
        weights: `(batch,)`, or of the shape of the values; None for ones.
        copies: whether examples of weight 0 are copies of others, as finite as those.

    Raises:
        InputError: weights fit neither.
    """
    if weights is not None and weights.ndim > 1:
        return _weighted_values(loss, predictions, targets, weights)
    values, counts = example_sums(
        loss, predictions, targets, None if copies and not compares_examples(loss) else weights
    )
    if weights is None:
        total = jnp.asarray(values.shape[0], values.dtype) if counts is None else jnp.sum(counts)
        return jnp.sum(values), total
    weights = weights.astype(values.dtype)
    total = jnp.sum(weights if counts is None else weights * counts)
    return jnp.sum(jnp.where(weights == 0, 0, weights * values)), total


def _weighted_values(loss: Callable, predictions: Any, targets: Targets, weights: Array) -> tuple[Array, Array]:
    """The sums where each value has a weight of its own."""
    if isinstance(targets, Mixed):
        fail("fit", "weights", "one an example where an augmentation mixes them", f" shape {weights.shape}")
    values, counts = _values(loss, predictions, targets, weights)
    if weights.shape != values.shape:
        expected = f"one an example {values.shape[:1]} or of the shape of the loss's values {values.shape}"
        fail("fit", "weights", expected, f" shape {weights.shape}")
    weights = weights.astype(values.dtype)
    total = jnp.sum(weights if counts is None else weights * counts)
    return jnp.sum(jnp.where(weights == 0, 0, weights * values)), total


def objective(
    params: Params,
    state: State,
    recipe: Recipe,
    batch: Batch,
    *,
    key: Key | None,
    example_mask: Array | None = None,
) -> tuple[Array, Forward]:
    """What training minimizes on a batch: the mean loss, plus the penalty where there is one.

    Args:
        params, state: the model's.
        recipe: the model, the loss, the penalty, and what layers compute in.
        batch: `(x, y, weights)`.
        key: randomness of the layers.
        example_mask: `(batch,)`, 0 for padding; the weights are expected to be 0 there.
    """
    x, y, weights = batch
    predictions, after = apply_in(
        recipe.model, params, state, x, key=key, train=True, example_mask=example_mask, dtype=recipe.compute_dtype
    )
    # Padding is made of copies of examples, so it costs no selection; it is told by being the weights themselves.
    total, weight = loss_sums(recipe.loss, predictions, y, weights, copies=weights is example_mask)
    value = total / jnp.where(weight == 0, 1, weight)
    if recipe.penalty is not None:
        value = value + recipe.penalty(params).astype(value.dtype)
    return value, Forward(predictions, after, weight)


def apply_in(
    model: Layer,
    params: Params,
    state: State,
    x: Inputs,
    *,
    dtype: str | None,
    key: Key | None = None,
    train: bool | TrainMode = False,
    example_mask: Array | None = None,
) -> tuple[Any, State]:
    """The model's output in float32 or better, its layers computed in `dtype` when one is given."""
    if dtype is not None:
        params, x = cast_tree(params, jnp.dtype(dtype)), cast_tree(x, jnp.dtype(dtype))
    y, after = model.apply(params, state, x, key=key, train=train, example_mask=example_mask)
    if after is not state:
        check_state_kept(model, state, after, exactly=train is True)
    if not all(hasattr(leaf, "dtype") for leaf in jax.tree.leaves(y)):
        fail(model._factory.short_name, "apply", "a function that returns arrays", y)
    return jax.tree.map(lambda a: a.astype(wide_dtype(a.dtype)), y), after
