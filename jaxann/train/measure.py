"""Loss and metrics of a data set, batch by batch, exactly: sums are gathered, means never averaged."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxann.core.products import Metric
from jaxann.core.typing import Array, Params, State
from jaxann.train.objective import apply_in, batch_sums
from jaxann.train.plan import Ingredients, default_float, streaming_form

__all__ = ["Sums", "add_batch", "figures", "measure", "nothing", "with_streams"]


class Sums(NamedTuple):
    """Loss and metrics in the making."""

    loss: Array  # weighted sum of the examples' losses
    weight: Array
    metrics: dict[str, Any]  # the sums of each streaming metric


def _streams(parts: Ingredients, y: Any) -> dict[str, Metric | None]:
    return {name: streaming_form(metric, y) for name, metric in parts.metrics.items()}


def with_streams(
    parts: Ingredients, params: Params, state: State, x: Any, y: Any, compute_dtype: str | None
) -> Ingredients:
    """The ingredients with each metric in its streaming form where it has one for data like `x` and `y`."""
    forms = _streams(parts, y)
    if None in forms.values():  # the number of classes is the last axis of the predictions
        spec = jax.ShapeDtypeStruct((1, *x.shape[1:]), x.dtype)
        one = jax.eval_shape(
            lambda p, s, v: apply_in(parts.model, p, s, v, compute_dtype=compute_dtype)[0], params, state, spec
        )
        seen = jax.ShapeDtypeStruct((y.shape[0], *one.shape[1:]), one.dtype)
        forms = {name: streaming_form(metric, y, seen) for name, metric in parts.metrics.items()}
    chosen = ((name, m if forms[name] is None else forms[name]) for name, m in parts.metrics.items())
    return parts._replace(metrics=OrderedDict(chosen))


def nothing(parts: Ingredients, y: Any) -> Sums:
    """The empty sums for targets like `y`."""
    zero = jnp.zeros((), default_float())
    return Sums(zero, zero, {n: metric.init() for n, metric in _streams(parts, y).items() if metric is not None})


def add_batch(
    parts: Ingredients, params: Params, state: State, sums: Sums, batch: tuple, compute_dtype: str | None
) -> tuple[Sums, Array]:
    """The sums with a batch `(x, y, weights)` counted in, and the batch's predictions, in evaluation mode."""
    x, y, weights = batch
    predictions, _ = apply_in(parts.model, params, state, x, compute_dtype=compute_dtype)
    total, weight = batch_sums(parts.loss, predictions, y, weights)
    metrics = {
        name: metric.update(sums.metrics[name], predictions, y, weights)
        for name, metric in _streams(parts, y).items()
        if metric is not None
    }
    loss, counted = sums.loss + total.astype(sums.loss.dtype), sums.weight + weight.astype(sums.loss.dtype)
    return Sums(loss, counted, metrics), predictions


def figures(parts: Ingredients, sums: Sums, y: Array, predictions: Array | None) -> list[Array]:
    """`[loss, *metrics]`; a function of whole arrays is applied to `predictions` and `y`."""
    found = [sums.loss / jnp.where(sums.weight == 0, 1, sums.weight)]
    for name, metric in _streams(parts, y).items():
        if metric is not None:
            found.append(metric.compute(sums.metrics[name]))
        else:
            found.append(parts.metrics[name](predictions, y))
    return found


def measure(
    parts: Ingredients, params: Params, state: State, data: tuple, *, batch_size: int, compute_dtype: str | None
) -> list[Array]:
    """`[loss, *metrics]` of `(x, y, weights)` inside a program.

    All full batches run in a scan and the rest after it at its own size, so nothing is padded.
    """
    rows, y = data[0].shape[0], data[1]
    parts = with_streams(parts, params, state, data[0], y, compute_dtype)
    keeps = None in _streams(parts, y).values()
    size = min(batch_size, rows)
    full = rows // size * size
    gathered = []

    def batch(sums, block):
        sums, predictions = add_batch(parts, params, state, sums, block, compute_dtype)
        return sums, predictions if keeps else None

    sums = nothing(parts, y)
    if full > size:
        blocks = jax.tree.map(lambda a: a[:full].reshape(full // size, size, *a.shape[1:]), data)
        sums, out = lax.scan(batch, sums, blocks)
        gathered.append(jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), out))
    ends = [(0, full)] if full == size else []
    for first, last in [*ends, *([(full, rows)] if full < rows else [])]:
        sums, out = batch(sums, jax.tree.map(lambda a, f=first, e=last: a[f:e], data))
        gathered.append(out)
    return figures(parts, sums, y, jnp.concatenate(gathered) if keeps else None)
