"""One epoch of training, and what the whole run hands from one epoch to the next.

order      a pseudo-random permutation of the examples, new for each epoch, computed in place (no sort)
steps      a scan over batches; the last partial batch is padded and masked, so that every example counts; where the
           padding would be a noticeable share of the work, that batch runs after the scan at its own size
rows       a run may train on some rows of the data only (a fold): its order is then one of those rows
history    mean loss, learning rate, gradient norm and metrics of the epoch, then those of the validation set
reactions  plateau schedules, early stopping, best weights
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxann.core.keys import fold_name
from jaxann.core.typing import Array, Key, Params, State
from jaxann.ops import shuffled_positions
from jaxann.optimizers import learning_rate_at
from jaxann.train import stopping
from jaxann.train.measure import measure, with_streams
from jaxann.train.plan import Ingredients, Plan, default_float, plateaus, step_count, streaming_form, with_plateaus
from jaxann.train.statistics import Layout, renewed
from jaxann.train.step import Trained, start_guard, train_step

__all__ = ["Carry", "Data", "Rows", "active", "batch_of", "begin", "rows_of", "run_epoch", "weights_of"]

Data = tuple[Array, Array, Array | None]  # x, y, weights
_PADDING = 0.05  # share of an epoch's examples from which padding is worth a second, smaller copy of the step


class Rows(NamedTuple):
    """Which rows of the data a run uses."""

    index: Any  # int32 (size,), positions in the data; places from `count` on are padding
    count: Any  # int32 (), how many count; None for all of them


class Carry(NamedTuple):
    """What the next epoch needs: all of it, so that a run can be cut and resumed between any two epochs."""

    trained: Trained
    plateaus: tuple
    stop: stopping.StopState
    epoch: Array  # int32 (), epochs done
    averaged: Any = None  # (parameters, state) to be evaluated, where the optimizer averages and no best are kept


def begin(plan: Plan, parts: Ingredients, key: Key, x: Any, initial: tuple[Params, State] | None = None) -> Carry:
    """Fresh parameters (or the initial ones given), state and memories for inputs like `x`."""
    if initial is None:
        initial = parts.model.init(fold_name(key, "init"), jax.ShapeDtypeStruct((1, *x.shape[1:]), x.dtype))
    trained = Trained(*initial, parts.optimizer.init(initial[0]), start_guard())
    schedules = tuple(p.init() for p in plateaus(parts.optimizer))
    averaged = initial if parts.optimizer.averages and not plan.restore_best else None
    return Carry(trained, schedules, stopping.start(initial, plan.restore_best), jnp.int32(0), averaged)


def weights_of(carry: Carry) -> tuple[Params, State]:
    """The parameters and the state a run returns: the best, the averaged, or the last ones."""
    if carry.stop.best_weights is not None:
        return carry.stop.best_weights
    return (carry.trained.params, carry.trained.state) if carry.averaged is None else carry.averaged


def batch_of(
    plan: Plan, key: Key, epoch: Array, number: Array, train: Data, *, last: bool
) -> tuple[Data, Array | None, Key]:
    """Batch `number` of an epoch with its mask and noise key: what that step is fed.

    Args:
        plan, key, epoch, number, train: the run, and which batch of it.
        last: whether it is the last of its epoch, which may have a size of its own.
    """
    examples = train[0].shape[0]
    order, mask = _order(plan, key, epoch, examples)
    tail = _tail(plan, examples)
    row = None if mask is None or tail is not None else mask[number]
    index = None if order is None else order[number, : tail if last and tail is not None else plan.batch_size]
    return _gather(train, index, row), row, _noise(key, epoch, number)


def run_epoch(
    plan: Plan,
    parts: Ingredients,
    key: Key,
    carry: Carry,
    train: Data,
    validation: Data | None,
    rows: Rows | None = None,
    validation_rows: Rows | None = None,
) -> tuple[Carry, Array]:
    """The carry after one more epoch, and the epoch's row of the history, `(columns,)`.

    Args:
        plan, parts, key, carry: the run, and where it stands.
        train, validation: the data.
        rows, validation_rows: the rows of them that count; None for all.
    """
    examples = train[0].shape[0] if rows is None else rows.index.shape[0]
    steps = step_count(examples, plan.batch_size)
    optimizer = with_plateaus(parts.optimizer, carry.plateaus)
    stepping = parts._replace(optimizer=optimizer)
    gathered = with_streams(parts, carry.trained.params, carry.trained.state, *train[:2], plan.compute_dtype).metrics
    streams = {name: streaming_form(metric, train[1]) for name, metric in gathered.items()}
    order, mask = _order(plan, key, carry.epoch, examples, rows)

    def step(loop, inputs):
        trained, sums, metric_sums = loop
        number, index, row = inputs
        batch = _gather(train, index, row)
        trained, (value, weight, norm, predictions, kept) = train_step(
            trained,
            stepping,
            batch,
            carry.epoch * steps + number,
            key=_noise(key, carry.epoch, number),
            mask=row,
            compute_dtype=plan.compute_dtype,
        )
        weight = weight.astype(sums.dtype)
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
        tail = _tail(plan, examples)
        full = steps if tail is None else steps - 1
        inputs = (jnp.arange(steps, dtype=jnp.int32), order, mask if tail is None else None)
        loop, whole = lax.scan(step, first, jax.tree.map(lambda a: a[:full], inputs))
        if tail is not None:
            row = None if rows is None or rows.count is None or mask is None else mask[full, :tail]
            loop, rest = step(loop, (jnp.int32(full), None if order is None else order[full, :tail], row))
            if whole is not None and rest is not None:
                whole = jnp.concatenate([whole.reshape(-1, *whole.shape[2:]), rest])[None]
        trained, sums, metric_sums = loop

    rate = learning_rate_at(optimizer, (carry.epoch + 1) * steps - 1)
    row = [sums[0] / sums[1], rate, sums[2] / sums[3]]
    targets = train[1] if order is None else train[1][order.reshape(-1)[:examples]]
    for name, metric in streams.items():
        if metric is not None:
            row.append(metric.compute(metric_sums[name]))
        elif whole is not None:
            row.append(parts.metrics[name](whole.reshape(-1, *whole.shape[2:])[:examples], targets))
    loss = row[0]
    weights = trained.params, trained.state
    if parts.optimizer.averages:
        params = optimizer.evaluation_params(trained.optimizer, trained.params)
        layout = Layout(order, mask, plan.batch_size)
        again = fold_name(_noise(key, carry.epoch, jnp.int32(steps)), "statistics")
        weights = params, renewed(parts.model, params, trained.state, train[0], layout, again, plan.compute_dtype)
    if validation is not None:
        figures = measure(
            parts,
            *weights,
            validation if validation_rows is None else rows_of(validation, validation_rows),
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
        weights,
        carry.epoch,
        min_delta=parts.min_delta,
        mode=plan.mode if monitored == plan.monitor else "min",
    )
    averaged = None if carry.averaged is None else weights
    return Carry(trained, schedules, stop, carry.epoch + 1, averaged), record


def active(plan: Plan, parts: Ingredients, carry: Carry) -> Array:
    """Whether there is a reason to run another epoch."""
    alive = carry.trained.guard.alive
    return alive & (carry.stop.wait < jnp.asarray(parts.patience, jnp.int32)) if plan.stops_early else alive


def _order(
    plan: Plan, key: Key, epoch: Array, examples: int, rows: Rows | None = None
) -> tuple[Array | None, Array | None]:
    """Positions `(steps, batch)` and their mask; None where it is the data as it stands, or there is no padding."""
    steps = step_count(examples, plan.batch_size)
    counted = None if rows is None else rows.count
    shape = (steps, plan.batch_size)
    if steps == 1 and plan.batch_size == examples and counted is None:
        # one batch of everything: an order would only permute the terms of a sum
        return None if rows is None else rows.index.reshape(shape), None
    size = examples if counted is None else counted
    positions = jnp.arange(steps * plan.batch_size, dtype=jnp.int32)
    real = positions < size
    order = jnp.minimum(positions, size - 1)
    if plan.shuffle:
        order = shuffled_positions(jax.random.fold_in(fold_name(key, "shuffle"), epoch), order, size)
    if rows is not None:
        order = rows.index.at[order].get(mode="promise_in_bounds")
    padded = steps * plan.batch_size != examples or counted is not None
    return order.reshape(shape), real.astype(default_float()).reshape(shape) if padded else None


def _tail(plan: Plan, examples: int) -> int | None:
    """Size of the last, partial batch where it is to run at its own size."""
    steps = step_count(examples, plan.batch_size)
    padding = steps * plan.batch_size - examples
    return plan.batch_size - padding if padding > _PADDING * examples else None


def rows_of(data: Data, rows: Rows) -> Data:
    """Some rows of the data; padding has weight 0."""
    mask = None
    if rows.count is not None:
        mask = (jnp.arange(rows.index.shape[0], dtype=jnp.int32) < rows.count).astype(default_float())
    return _gather(data, rows.index, mask)


def _gather(train: Data, index: Array | None, mask: Array | None) -> Data:
    x, y, weights = train
    if index is not None:
        x, y = (a.at[index].get(mode="promise_in_bounds") for a in (x, y))
        weights = None if weights is None else weights.at[index].get(mode="promise_in_bounds")
    if mask is not None:
        weights = mask if weights is None else weights * mask
    return x, y, weights


def _noise(key: Key, epoch: Array, number: Array) -> Key:
    return jax.random.fold_in(jax.random.fold_in(fold_name(key, "noise"), epoch), number)
