"""One epoch of training, and what the whole run hands from one epoch to the next.

order      a pseudo-random permutation of the examples, new for each epoch, computed in place (no sort)
steps      a scan over batches; the last partial batch is padded and masked, so that every example counts
history    mean loss, learning rate, gradient norm and metrics of the epoch, then those of the validation set
reactions  plateau schedules, early stopping, best weights
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxann.core.keys import fold_name
from jaxann.core.typing import Array, Key
from jaxann.ops import shuffled_positions
from jaxann.optimizers import learning_rate_at
from jaxann.train import stopping
from jaxann.train.measure import measure
from jaxann.train.plan import Ingredients, Plan, default_float, plateaus, step_count, streaming_form, with_plateaus
from jaxann.train.step import Trained, start_guard, train_step

__all__ = ["Carry", "Data", "active", "batch_of", "begin", "run_epoch"]

Data = tuple[Array, Array, Array | None]  # x, y, weights


class Carry(NamedTuple):
    """What the next epoch needs: all of it, so that a run can be cut and resumed between any two epochs."""

    trained: Trained
    plateaus: tuple
    stop: stopping.StopState
    epoch: Array  # int32 (), epochs done


def begin(plan: Plan, parts: Ingredients, key: Key, x: Any) -> Carry:
    """Fresh parameters, state and memories for inputs like `x`."""
    params, state = parts.model.init(fold_name(key, "init"), jax.ShapeDtypeStruct((1, *x.shape[1:]), x.dtype))
    trained = Trained(params, state, parts.optimizer.init(params), start_guard())
    schedules = tuple(p.init() for p in plateaus(parts.optimizer))
    return Carry(trained, schedules, stopping.start((params, state), plan.restore_best), jnp.int32(0))


def batch_of(plan: Plan, key: Key, epoch: Array, number: Array, train: Data) -> tuple[Data, Array | None, Key]:
    """Batch `number` of an epoch with its mask and noise key: what the scan feeds to that step."""
    order, mask = _order(plan, key, epoch, train[0].shape[0])
    row = None if mask is None else mask[number]
    return _gather(train, None if order is None else order[number], row), row, _noise(key, epoch, number)


def run_epoch(
    plan: Plan, parts: Ingredients, key: Key, carry: Carry, train: Data, validation: Data | None
) -> tuple[Carry, Array]:
    """The carry after one more epoch, and the epoch's row of the history, `(columns,)`."""
    examples = train[0].shape[0]
    steps = step_count(examples, plan.batch_size)
    optimizer = with_plateaus(parts.optimizer, carry.plateaus)
    streams = {name: streaming_form(metric, train[1]) for name, metric in parts.metrics.items()}
    order, mask = _order(plan, key, carry.epoch, examples)

    def step(loop, inputs):
        trained, sums, metric_sums = loop
        number, index, row = inputs
        batch = _gather(train, index, row)
        trained, (value, norm, predictions, kept) = train_step(
            trained,
            parts.model,
            parts.loss,
            optimizer,
            batch,
            carry.epoch * steps + number,
            key=_noise(key, carry.epoch, number),
            mask=row,
            most_bad=jnp.asarray(parts.most_bad, jnp.int32),
            compute_dtype=plan.compute_dtype,
        )
        weight = _weight(batch)
        sums = jnp.where(kept, sums + jnp.stack([weight * value, weight, norm, jnp.ones_like(norm)]), sums)
        for name, metric in streams.items():
            if metric is not None:
                new = metric.update(metric_sums[name], predictions, batch[1], batch[2])
                metric_sums = metric_sums | {
                    name: jax.tree.map(lambda a, b: jnp.where(kept, a, b), new, metric_sums[name])
                }
        whole = predictions if None in streams.values() else None
        return (trained, sums, metric_sums), whole

    empty = {name: metric.init() for name, metric in streams.items() if metric is not None}
    first = (carry.trained, jnp.zeros(4, default_float()), empty)
    if steps == 1:  # no loop around a single step
        inputs = (jnp.int32(0), None if order is None else order[0], None if mask is None else mask[0])
        (trained, sums, metric_sums), whole = step(first, inputs)
        whole = None if whole is None else whole[None]
    else:
        (trained, sums, metric_sums), whole = lax.scan(step, first, (jnp.arange(steps, dtype=jnp.int32), order, mask))

    rate = learning_rate_at(optimizer, (carry.epoch + 1) * steps - 1)
    row = [sums[0] / sums[1], rate, sums[2] / sums[3]]
    targets = train[1] if order is None else train[1][order.reshape(-1)[:examples]]
    for name, metric in streams.items():
        if metric is not None:
            row.append(metric.compute(metric_sums[name]))
        elif whole is not None:
            row.append(parts.metrics[name](whole.reshape(-1, *whole.shape[2:])[:examples], targets))
    loss = row[0]
    if validation is not None:
        figures = measure(
            parts,
            trained.params,
            trained.state,
            validation,
            batch_size=plan.evaluation_batch_size,
            compute_dtype=plan.compute_dtype,
        )
        row.extend(figures)
        loss = figures[0]
    columns = plan.columns(validation is not None)
    record = jnp.stack([jnp.asarray(v, default_float()) for v in row])

    schedules = tuple(p.observe(s, loss) for p, s in zip(plateaus(parts.optimizer), carry.plateaus, strict=True))
    monitored = plan.monitor if plan.monitor in columns else "loss"
    stop = stopping.observe(
        carry.stop,
        record[columns.index(monitored)],
        (trained.params, trained.state),
        carry.epoch,
        min_delta=parts.min_delta,
        mode=plan.mode if monitored == plan.monitor else "min",
    )
    return Carry(trained, schedules, stop, carry.epoch + 1), record


def active(plan: Plan, parts: Ingredients, carry: Carry) -> Array:
    """Whether there is a reason to run another epoch."""
    alive = carry.trained.guard.alive
    return alive & (carry.stop.wait < jnp.asarray(parts.patience, jnp.int32)) if plan.stops_early else alive


def _order(plan: Plan, key: Key, epoch: Array, examples: int) -> tuple[Array | None, Array | None]:
    """Positions `(steps, batch)` and their mask; None where it is the data as it stands, or there is no padding."""
    steps = step_count(examples, plan.batch_size)
    if steps == 1 and plan.batch_size == examples:
        return None, None  # one batch of everything: an order would only permute the terms of a sum
    positions = jnp.arange(steps * plan.batch_size, dtype=jnp.int32)
    real = positions < examples
    order = jnp.minimum(positions, examples - 1)
    if plan.shuffle:
        order = shuffled_positions(jax.random.fold_in(fold_name(key, "shuffle"), epoch), order, examples)
    shape = (steps, plan.batch_size)
    padded = steps * plan.batch_size != examples
    return order.reshape(shape), real.astype(default_float()).reshape(shape) if padded else None


def _gather(train: Data, index: Array | None, mask: Array | None) -> Data:
    x, y, weights = train
    if index is not None:
        x, y = (a.at[index].get(mode="promise_in_bounds") for a in (x, y))
        weights = None if weights is None else weights.at[index].get(mode="promise_in_bounds")
    if mask is not None:
        weights = mask if weights is None else weights * mask
    return x, y, weights


def _weight(batch: Data) -> Array:
    return jnp.asarray(batch[0].shape[0], default_float()) if batch[2] is None else jnp.sum(batch[2])


def _noise(key: Key, epoch: Array, number: Array) -> Key:
    return jax.random.fold_in(jax.random.fold_in(fold_name(key, "noise"), epoch), number)
