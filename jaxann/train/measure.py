"""Loss and metrics of a data set, batch by batch, exactly: sums are gathered, means never averaged."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxann.core.binding import bound
from jaxann.core.padding import Padded, unpadded
from jaxann.core.products import Metric
from jaxann.core.typing import Array, Inputs, Params, State, Targets
from jaxann.losses.heads import heads_of
from jaxann.losses.reduce import ignored_targets
from jaxann.metrics.calling import figure_of, takes_weights
from jaxann.metrics.forms import form_of
from jaxann.metrics.heads import head_of
from jaxann.metrics.streaming.sums import two_sum
from jaxann.train.batches import Batch, default_float, example_count, one_example
from jaxann.train.objective import apply_in, loss_sums
from jaxann.train.recipe import Recipe

__all__ = [
    "Sums",
    "add_batch",
    "computed",
    "counted_alone",
    "evaluation_rows",
    "figures",
    "measure",
    "no_sums",
    "streaming_form",
    "with_streams",
]

_MOST_ROWS, _MOST_NUMBERS = 2048, 2**24  # examples evaluated at once, and the numbers in them


class Sums(NamedTuple):
    """Loss and metrics in the making."""

    loss: Array  # weighted sum of the examples' losses
    weight: Array
    metrics: dict[str, Any]  # the sums of each streaming metric
    rests: tuple[Array, Array]  # what rounding has left out of loss and weight


def evaluation_rows(x: Inputs, batch_size: int) -> int:
    """How many examples are evaluated at once: as many as keep the arrays moderate, and a training batch at least.

    It has no influence on the figures but for rounding.
    """
    numbers = sum(math.prod(a.shape[1:]) for a in jax.tree.leaves(x))
    return max(min(_MOST_ROWS, _MOST_NUMBERS // max(numbers, 1)), min(batch_size, _MOST_ROWS), 1)


def streaming_form(metric: Any, targets: Targets, predictions: Any = None) -> Metric | None:
    """The streaming form of a metric for these targets; None for a function that has to see whole arrays.

    Where predictions (or anything of their shape) are given, metrics that need the number of classes have one too.
    """
    if isinstance(metric, Metric):
        return metric
    targets = targets.values if isinstance(targets, Padded) else targets
    if not hasattr(targets, "shape") or not hasattr(predictions, "shape" if predictions is not None else "__class__"):
        return None  # several targets or heads: a function of its own
    return form_of(metric, targets, predictions)


def _streams(recipe: Recipe, y: Targets) -> dict[str, Metric | None]:
    return {name: streaming_form(metric, y) for name, metric in recipe.metrics.items()}


def with_streams(recipe: Recipe, params: Params, state: State, x: Inputs, y: Targets) -> Recipe:
    """The recipe with each metric in its streaming form where it has one for data like `x` and `y`."""
    forms = _streams(recipe, y)
    if None in forms.values():  # the number of classes is the last axis of the predictions
        one = jax.eval_shape(
            lambda p, s, v: apply_in(recipe.model, p, s, v, dtype=recipe.compute_dtype)[0],
            params,
            state,
            one_example(x),
        )
        rows = example_count(y)
        seen = jax.tree.map(lambda a: jax.ShapeDtypeStruct((rows, *a.shape[1:]), a.dtype), one)
        forms = {name: streaming_form(metric, y, seen) for name, metric in recipe.metrics.items()}
    chosen = ((name, m if forms[name] is None else forms[name]) for name, m in recipe.metrics.items())
    return recipe.updated(metrics=OrderedDict(chosen))


def no_sums(recipe: Recipe, y: Targets) -> Sums:
    """The empty sums for targets like `y`."""
    zero = jnp.zeros((), default_float())
    metrics = {n: metric.init() for n, metric in _streams(recipe, y).items() if metric is not None}
    return Sums(zero, zero, metrics, (zero, zero))


def add_batch(recipe: Recipe, params: Params, state: State, sums: Sums, batch: Batch) -> tuple[Sums, Any]:
    """The sums with a batch counted in, and the batch's predictions, in evaluation mode."""
    x, y, weights = batch
    predictions, _ = apply_in(recipe.model, params, state, x, dtype=recipe.compute_dtype)
    total, weight = loss_sums(recipe.loss, predictions, y, weights)
    metrics = {
        name: metric.update(sums.metrics[name], *counted_alone(recipe.loss, metric, predictions, y, weights))
        for name, metric in _streams(recipe, y).items()
        if metric is not None
    }
    loss, loss_rest = two_sum(sums.loss, sums.rests[0], total.astype(sums.loss.dtype))
    counted, rest = two_sum(sums.weight, sums.rests[1], weight.astype(sums.loss.dtype))
    return Sums(loss, counted, metrics, (loss_rest, rest)), predictions


def counted_alone(
    loss: Callable, metric: Metric | Callable, predictions: Any, targets: Targets, weights: Array | None
) -> tuple[Any, Targets, Array | None]:
    """What a metric is given of a batch: no padding, and weight 0 for labels that the loss is told to ignore.

    The metric of one head leaves out what the loss of that head ignores. A function that takes no weights is given such
    labels as they are.
    """
    head, losses = head_of(metric), heads_of(loss)
    if head is not None and losses is not None:
        name, inner = head
        if name in losses and all(isinstance(tree, Mapping) and name in tree for tree in (predictions, targets)):
            own = counted_alone(losses[name], inner, predictions[name], targets[name], weights)
            return {**predictions, name: own[0]}, {**targets, name: own[1]}, own[2]
    predictions, targets, weights = unpadded(predictions, targets, weights)
    weighs = isinstance(metric, Metric) or (takes_weights(metric) and not hasattr(bound(metric)[0], "sees_ignored"))
    ignored = ignored_targets(loss, targets) if weighs and hasattr(targets, "dtype") else None
    if ignored is None:
        return predictions, targets, weights
    if weights is None:
        return predictions, targets, 1 - ignored.astype(default_float())
    own = lax.expand_dims(weights, range(weights.ndim, ignored.ndim))
    return predictions, targets, jnp.where(ignored, 0, jnp.broadcast_to(own, ignored.shape))


def computed(recipe: Recipe, sums: Sums) -> dict[str, Array]:
    """What the sums come to: the loss, NaN where nothing counted, and each metric that is in its streaming form."""
    found = {"loss": sums.loss / jnp.where(sums.weight == 0, jnp.nan, sums.weight)}
    return found | {name: recipe.metrics[name].compute(value) for name, value in sums.metrics.items()}


def figures(recipe: Recipe, sums: dict[str, Array], y: Targets, predictions: Any, weights: Array | None) -> list[Array]:
    """`[loss, *metrics]` from what `computed` gives; a function of whole arrays sees predictions, `y` and weights."""
    found = dict(sums)
    whole = {name: metric for name, metric in recipe.metrics.items() if name not in found}
    if whole:
        found |= {
            name: figure_of(metric, *counted_alone(recipe.loss, metric, predictions, y, weights))
            for name, metric in whole.items()
        }
    return [found["loss"], *(found[name] for name in recipe.metrics)]


def measure(recipe: Recipe, params: Params, state: State, data: Batch, *, rows: int | None = None) -> list[Array]:
    """`[loss, *metrics]` of a data set inside a program.

    The rows that fill whole batches are scanned over, the rest is one smaller batch. Predictions are kept only where a
    metric has to see them all.

    Args:
        recipe: what is measured.
        params, state: the weights.
        data: the examples.
        rows: how many at once; None for what `evaluation_rows` says.
    """
    recipe = with_streams(recipe, params, state, data.x, data.y)
    examples = example_count(data.x)
    if rows is None:
        rows = evaluation_rows(data.x, 1 if recipe.batch_size is None else recipe.batch_size)
    size = min(rows, examples)
    keeps = None in _streams(recipe, data.y).values()
    full = examples // size * size
    gathered = []

    def batch(sums, block):
        sums, predictions = add_batch(recipe, params, state, sums, block)
        return sums, predictions if keeps else None

    sums = no_sums(recipe, data.y)
    if full > size:
        blocks = jax.tree.map(lambda a: a[:full].reshape(full // size, size, *a.shape[1:]), data)
        sums, seen = lax.scan(batch, sums, blocks)
        gathered.append(jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), seen))
    ends = [(0, full)] if full == size else []
    for first, last in [*ends, *([(full, examples)] if full < examples else [])]:
        sums, seen = batch(sums, jax.tree.map(lambda a, f=first, e=last: a[f:e], data))
        gathered.append(seen)
    whole = jax.tree.map(lambda *a: jnp.concatenate(a), *gathered) if keeps else None
    return figures(recipe, computed(recipe, sums), data.y, whole, data.weights)
