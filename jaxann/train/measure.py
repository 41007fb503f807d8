"""Loss and metrics of a data set inside a program, batch by batch, exactly: sums are gathered, means never averaged."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

from jaxann.core.typing import Array, Params, State
from jaxann.train.objective import apply_in, example_values
from jaxann.train.plan import Ingredients, Plan, default_float, streaming_form

__all__ = ["measure"]


def measure(plan: Plan, parts: Ingredients, params: Params, state: State, data: tuple) -> list[Array]:
    """`[loss, *metrics]` of `(x, y, weights)` with the model in evaluation mode.

    All full batches run in a scan and the rest after it at its own size, so nothing is padded.
    """
    x, y, weights = data
    streams = {name: streaming_form(metric, y) for name, metric in parts.metrics.items()}

    def batch(sums, rows):
        xb, yb, wb = rows
        predictions, _ = apply_in(parts.model, params, state, xb, compute_dtype=plan.compute_dtype)
        values = example_values(parts.loss, predictions, yb)
        w = jnp.ones_like(values) if wb is None else wb.astype(values.dtype)
        total, weight, metric_sums = sums
        total = total + jnp.sum(jnp.where(w == 0, 0, w * values))
        metric_sums = {
            name: metric.update(metric_sums[name], predictions, yb, wb)
            for name, metric in streams.items()
            if metric is not None
        }
        return (total, weight + jnp.sum(w), metric_sums), predictions if None in streams.values() else None

    zero = jnp.zeros((), default_float())
    sums = (zero, zero, {name: metric.init() for name, metric in streams.items() if metric is not None})
    size = min(plan.evaluation_batch_size, x.shape[0])
    full = x.shape[0] // size * size
    gathered = []
    if full == size:
        sums, out = batch(sums, jax.tree.map(lambda a: a[:full], data))
        gathered.append(out)
    else:
        blocks = jax.tree.map(lambda a: a[:full].reshape(full // size, size, *a.shape[1:]), data)
        sums, out = lax.scan(batch, sums, blocks)
        gathered.append(jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), out))
    if full < x.shape[0]:
        sums, out = batch(sums, jax.tree.map(lambda a: a[full:], data))
        gathered.append(out)
    total, weight, metric_sums = sums
    figures = [total / jnp.where(weight == 0, 1, weight)]
    for name, metric in streams.items():
        if metric is not None:
            figures.append(metric.compute(metric_sums[name]))
        else:
            figures.append(parts.metrics[name](jnp.concatenate(gathered), y))
    return figures
