"""One epoch of training, and what the whole run hands from one epoch to the next.

batches    which rows, which padding, which noise (`batches`)
steps      a scan over the batches (`steps`)
history    mean loss, learning rate, gradient norm and metrics of the epoch, then those of the validation set
reactions  plateau schedules, early stopping, best weights
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxann.core.keys import fold_name
from jaxann.core.products import Metric, Optimizer
from jaxann.core.typing import Array, Inputs, Key, Params, State
from jaxann.metrics.calling import figure_of
from jaxann.optimizers import learning_rate_at
from jaxann.schedules import Plateau
from jaxann.train import stopping
from jaxann.train.augmented import as_trained
from jaxann.train.batches import (
    Batch,
    Order,
    Rows,
    default_float,
    example_count,
    gather_rows,
    noise_key,
    one_example,
    order_of,
    step_count,
)
from jaxann.train.learned import learned_state
from jaxann.train.measure import counted_alone, measure, streaming_form, with_streams
from jaxann.train.own_functions import fresh_weights
from jaxann.train.probing import probe_epoch, probe_width
from jaxann.train.recipe import Recipe
from jaxann.train.statistics import renewed
from jaxann.train.steps import EpochSums, TrainState, at_rest, run_steps, start_guard

__all__ = [
    "Carry",
    "active",
    "begin",
    "has_plateau",
    "plateaus",
    "row_width",
    "run_epoch",
    "run_epochs",
    "weights_of",
    "with_plateaus",
]


class Carry(NamedTuple):
    """What the next epoch needs: all of it, so that a run can be cut and resumed between any two epochs."""

    trained: TrainState
    plateaus: tuple
    stop: stopping.StopState
    epoch: Array  # int32 (), epochs done
    averaged: Any = None  # (parameters, state) to be evaluated, where the optimizer averages and no best are kept


def plateaus(optimizer: Optimizer) -> list[Plateau]:
    """The plateau schedules inside an optimizer, in a fixed order."""
    found = jax.tree.leaves(optimizer, is_leaf=lambda node: isinstance(node, Plateau))
    return [node for node in found if isinstance(node, Plateau)]


def has_plateau(recipe: Recipe) -> bool:
    """Whether a schedule has to see the validation loss after every epoch."""
    return bool(plateaus(recipe.optimizer))


def with_plateaus(optimizer: Optimizer, states: tuple) -> Optimizer:
    """The optimizer with each plateau schedule as it stands."""
    waiting = iter(states)
    return jax.tree.map(
        lambda node: node.at(next(waiting)) if isinstance(node, Plateau) else node,
        optimizer,
        is_leaf=lambda node: isinstance(node, Plateau),
    )


def begin(
    recipe: Recipe,
    key: Key,
    x: Inputs,
    initial: tuple[Params, State] | None = None,
    data: Batch | None = None,
    rows: Rows | None = None,
) -> Carry:
    """Fresh parameters (or the initial ones given) and states for inputs like `x`, as training sees them.

    Where there are `data`, a fresh model learns from them, from `rows` alone, what it learns before training.
    """
    if initial is None:
        params, state = fresh_weights(recipe.model, fold_name(key, "init"), one_example(x))
        initial = params, state if data is None else learned_state(recipe, params, state, data, rows)
    trained = TrainState(*initial, recipe.optimizer.init(initial[0]), start_guard())
    schedules = tuple(p.init() for p in plateaus(recipe.optimizer))
    averaged = initial if recipe.optimizer.averages and not recipe.restores_best else None
    return Carry(trained, schedules, stopping.start(initial, recipe.restores_best), jnp.int32(0), averaged)


def weights_of(carry: Carry) -> tuple[Params, State]:
    """The parameters and the state a run returns: the best, the averaged, or the last ones."""
    if carry.stop.best_weights is not None:
        return carry.stop.best_weights
    return (carry.trained.params, carry.trained.state) if carry.averaged is None else carry.averaged


def row_width(recipe: Recipe, carry: Carry, train: Batch, validated: bool) -> int:
    """How many numbers an epoch's row of the history has: its columns, and those of a probe."""
    return len(recipe.columns(validated)) + probe_width(recipe, carry.trained, train)


def active(recipe: Recipe, carry: Carry) -> Array:
    """Whether there is a reason to run another epoch."""
    alive = carry.trained.guard.alive
    if recipe.stopping is None or recipe.stopping.patience is None:
        return alive
    return alive & (carry.stop.wait < jnp.asarray(recipe.stopping.patience, jnp.int32))


def run_epochs(
    recipe: Recipe,
    key: Key,
    carry: Carry,
    until: Array,
    train: Batch,
    validation: Batch | None,
    views: tuple[Rows | None, Rows | None] = (None, None),
    *,
    longest: int,
) -> tuple[Carry, Array]:
    """The carry at epoch `until`, or where training ended, and the rows of the history since `carry`.

    At most `longest` epochs, whose number is the length of the table that comes back, NaN where none was run.
    """
    begun = carry.epoch

    def going(loop):
        carry, _ = loop
        return (carry.epoch < until) & (carry.epoch - begun < longest) & active(recipe, carry)

    def body(loop):
        carry, table = loop
        place = carry.epoch - begun
        carry, row = run_epoch(recipe, key, carry, train, validation, *views)
        return carry, lax.dynamic_update_index_in_dim(table, row, place, 0)

    width = row_width(recipe, carry, train, validation is not None)
    table = jnp.full((longest, width), jnp.nan, default_float())
    return lax.while_loop(going, body, (carry, table))


def run_epoch(
    recipe: Recipe,
    key: Key,
    carry: Carry,
    train: Batch,
    validation: Batch | None,
    rows: Rows | None = None,
    validation_rows: Rows | None = None,
) -> tuple[Carry, Array]:
    """The carry after one more epoch, and the epoch's row of the history, `(columns,)`.

    Args:
        recipe, key, carry: the run, and where it stands.
        train, validation: the data.
        rows, validation_rows: the rows of them that count; None for all.
    """
    examples = example_count(train.x) if rows is None else rows.index.shape[0]
    size = recipe.batch_size
    assert size is not None
    stepping = recipe.updated(optimizer=with_plateaus(recipe.optimizer, carry.plateaus))
    seen = as_trained(recipe, train.x, train.y, example_count(train.x))
    measured = with_streams(recipe, carry.trained.params, carry.trained.state, *seen)
    streams = {name: streaming_form(metric, seen[1]) for name, metric in measured.metrics.items()}
    order = order_of(key, carry.epoch, examples, batch_size=size, shuffle=recipe.shuffle, rows=rows)
    trained, sums = run_steps(stepping, key, carry.epoch, carry.trained, train, order, streams, rows)
    row = _history_row(stepping, trained.guard.updates, examples, train, order, streams, sums)
    weights = _weights(stepping, key, carry.epoch, trained, train, order, step_count(examples, size))
    loss = row[0]
    if validation is not None:
        seen = validation if validation_rows is None else gather_rows(validation, validation_rows)
        found = measure(recipe, *weights, seen)
        row, loss = [*row, *found], found[0]
    record = jnp.stack([jnp.asarray(v, default_float()) for v in row])
    if recipe.probes:
        begun = carry.trained.guard.steps
        record = jnp.concatenate([record, probe_epoch(stepping, key, carry.epoch, begun, trained, train, order)])
    return _react(recipe, carry, trained, weights, loss, record, validation is not None), record


def _history_row(
    recipe: Recipe,
    updates: Array,
    examples: int,
    train: Batch,
    order: Order,
    streams: Mapping[str, Metric | None],
    sums: EpochSums,
) -> list[Array]:
    """Mean loss, learning rate of the last update, mean gradient norm, and the metrics of the training set."""
    totals = sums.totals
    rate = learning_rate_at(recipe.optimizer, jnp.maximum(updates - 1, 0))
    row = [totals[0] / totals[1], rate, totals[2] / totals[3]]
    index = order.index
    kept = (train.y, train.weights)
    seen = kept if index is None else jax.tree.map(lambda a: a[index.reshape(-1)[:examples]], kept)
    if sums.targets is not None:
        seen = (sums.targets, seen[1])
    for name, metric in streams.items():
        if metric is not None:
            row.append(metric.compute(sums.metrics[name]))
        elif sums.predictions is not None:
            whole = recipe.metrics[name]
            row.append(figure_of(whole, *counted_alone(recipe.loss, whole, sums.predictions, *seen)))
    return row


def _weights(
    recipe: Recipe, key: Key, epoch: Array, trained: TrainState, train: Batch, order: Order, steps: int
) -> tuple[Params, State]:
    """The weights to be evaluated and kept: those stepped with, or the optimizer's average with its own statistics."""
    if not recipe.optimizer.averages:
        return trained.params, trained.state
    params = recipe.optimizer.evaluation_params(trained.optimizer, trained.params)
    again = fold_name(noise_key(key, epoch, jnp.int32(steps)), "statistics")
    return params, at_rest(recipe, trained, renewed(recipe, params, trained.state, train, order, again))


def _react(
    recipe: Recipe,
    carry: Carry,
    trained: TrainState,
    weights: tuple[Params, State],
    loss: Array,
    record: Array,
    validated: bool,
) -> Carry:
    """The next carry: plateau schedules and early stopping have seen the epoch."""
    columns = recipe.columns(validated)
    schedules = tuple(p.observe(s, loss) for p, s in zip(plateaus(recipe.optimizer), carry.plateaus, strict=True))
    monitored = recipe.monitor if recipe.monitor in columns else "loss"
    stop = stopping.observe(
        carry.stop,
        record[columns.index(monitored)],
        weights,
        carry.epoch,
        min_delta=0.0 if recipe.stopping is None else recipe.stopping.min_delta,
        mode=recipe.mode if monitored == recipe.monitor else "min",
        adds_up=recipe.stopping is None or recipe.stopping.adds_up,
    )
    averaged = None if carry.averaged is None else weights
    return Carry(trained, schedules, stop, carry.epoch + 1, averaged)
