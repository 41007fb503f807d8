"""Optimizer steps: one, as the program, a Python loop and the replay of a bad step run it; and those of an epoch."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxann.core.checks import fail
from jaxann.core.factories import every_declares
from jaxann.core.keys import fold_name
from jaxann.core.products import Metric
from jaxann.core.trees import global_norm, squared_norm, wide_dtype
from jaxann.core.typing import Array, Key, Params, State, Targets
from jaxann.core.watch import watching
from jaxann.metrics.streaming.sums import gathered, whole_of
from jaxann.optimizers import apply_updates
from jaxann.optimizers.clip import limits_gradients
from jaxann.optimizers.counting import next_step
from jaxann.optimizers.frozen import freezes, frozen_leaves
from jaxann.optimizers.squares import greatest, seen_within
from jaxann.train.augmented import augmented
from jaxann.train.batches import Batch, Order, Rows, default_float, gather, noise_key, tail_size
from jaxann.train.measure import counted_alone
from jaxann.train.objective import Forward, objective
from jaxann.train.recipe import Recipe
from jaxann.train.taps import INPUT, Taps, note_of

__all__ = [
    "EpochSums",
    "Guard",
    "StepRecord",
    "TrainState",
    "at_rest",
    "gradient",
    "longest",
    "run_steps",
    "start_guard",
    "train_step",
]


class Guard(NamedTuple):
    """The finite guard: what it has seen. Its `steps` are the one counter of a run, whatever its batches are."""

    alive: Array  # bool (), False once training has been given up
    bad_in_row: Array  # int32 (), bad steps since the last good one
    skipped: Array  # int32 (), bad steps in all
    first_bad: Array  # int32 (), number of the first bad step, or of the one that ended training; -1 for none
    steps: Array  # int32 (), steps so far, bad ones too

    @property
    def updates(self) -> Array:
        """Steps that moved the weights, which is what a schedule counts."""
        return self.steps - self.skipped


class TrainState(NamedTuple):
    """What one step hands to the next."""

    params: Params
    state: State
    optimizer: Any
    guard: Guard


class StepRecord(NamedTuple):
    """What a step tells the history."""

    loss: Array  # (), the objective
    weight: Array  # (), what it counts for in the epoch's mean
    gradient_norm: Array  # ()
    predictions: Any
    kept: Array  # bool (), False for a bad step, which is undone
    targets: Any  # each example's own where an augmentation changed them; else None


class EpochSums(NamedTuple):
    """What the steps of an epoch add up to."""

    totals: Array  # (4,): weighted loss, its weight, gradient norms, good steps
    metrics: dict[str, Any]  # the sums of each streaming metric
    predictions: Any  # of all examples in order, where a metric has to see whole arrays; else None
    targets: Any  # those that go with them where an augmentation changed them; else None


def start_guard() -> Guard:
    """Nothing bad seen."""
    return Guard(jnp.asarray(True), jnp.int32(0), jnp.int32(0), jnp.int32(-1), jnp.int32(0))


def gradient(
    trained: TrainState,
    recipe: Recipe,
    batch: Batch,
    *,
    key: Key | None,
    example_mask: Array | None,
    with_notes: bool = False,
) -> tuple[tuple[Array, Forward], Params, Callable[[Params], Array], Targets | None]:
    """`((objective, forward pass), gradients, the objective as a function, changed targets)` of a batch, augmented
    first. The targets are each example's own, None where no augmentation changed them.

    To the layers and augmentations an example of weight 0 is padding. The notes of a forward pass are those of `taps`.
    """
    x, own, weights = batch
    if weights is not None and weights is not example_mask:
        counts = weights != 0 if weights.ndim == 1 else jnp.any(weights != 0, tuple(range(1, weights.ndim)))
        example_mask = counts.astype(default_float())
    x, y, changed = augmented(recipe.augment, key, x, own, example_mask)
    if changed is not None and weights is not None and weights.ndim > 1:
        fail("fit", "weights", "one an example where an augmentation changes targets", f" shape {weights.shape}")

    def value_of(params):
        seen = Batch(x, y, weights)
        return objective(params, trained.state, recipe, seen, key=key, example_mask=example_mask)

    def noted(params):
        taps = Taps()
        with watching(taps):
            value, forward = value_of(params)
        return value, forward._replace(notes=(note_of(x, INPUT, None), *taps.notes))

    value, grads = jax.value_and_grad(noted if with_notes else value_of, has_aux=True)(trained.params)
    return value, grads, lambda params: value_of(params)[0], changed


def at_rest(recipe: Recipe, trained: TrainState, after: State) -> State:
    """The layers' state afterwards; as before for a layer whose parameters the optimizer holds, all of them."""
    if not freezes(recipe.optimizer):
        return after

    def chosen(flags: Any, old: Any, new: Any) -> Any:
        own = jax.tree.leaves(flags)
        if own and all(flag is True for flag in own):
            return old
        if isinstance(flags, dict) and not any(isinstance(flag, dict) for flag in flags.values()):  # one layer's
            if own and not any(flag is False for flag in own):
                rests = functools.reduce(jnp.logical_and, [jnp.ravel(jnp.asarray(flag)) for flag in own])
                return jax.tree.map(lambda a, b: jnp.where(_along(rests, a), a, b), old, new)
        if not isinstance(new, dict) or not isinstance(flags, dict):
            return new
        return {name: chosen(flags.get(name), old[name], branch) for name, branch in new.items()}

    frozen = frozen_leaves(recipe.optimizer, trained.optimizer, trained.params)
    return chosen(frozen, trained.state, after)


def _along(flags: Array, leaf: Array) -> Array:
    """One flag for a whole array; of many, one for each entry along its first axis."""
    return flags[0] if flags.size == 1 else lax.expand_dims(flags, range(1, leaf.ndim))


def longest(recipe: Recipe, grads: Params) -> float:
    """The greatest norm of a gradient that a step is made with: one whose squares a rule may still add up, 1.2e18.

    Where a clip comes first, which looks at the gradient anyway, any finite one.
    """
    if not limits_gradients(recipe.optimizer):
        return greatest(grads)
    return float(max((jnp.finfo(wide_dtype(leaf.dtype)).max for leaf in jax.tree.leaves(grads)), default=1.0))


def train_step(
    trained: TrainState, recipe: Recipe, batch: Batch, *, key: Key | None, example_mask: Array | None
) -> tuple[TrainState, StepRecord]:
    """Gradient, update, guard.

    A step is bad when its loss is not finite, or its gradient longer than `longest` (or its update not finite, for a
    rule that does not declare that finite gradients give finite updates): then parameters, layer state and optimizer
    state stay as they were. After `recipe.most_bad_steps` bad steps in a row nothing moves any more (1 ends training at
    the first).

    Args:
        trained: where the run stands.
        recipe: what is trained; its optimizer with the plateau schedules as they stand.
        batch: `(x, y, weights)`.
        key: randomness of this step.
        example_mask: `(batch,)`, 0 for padding.
    """
    (value, forward), grads, value_fn, targets = gradient(trained, recipe, batch, key=key, example_mask=example_mask)
    is_cut = limits_gradients(recipe.optimizer)
    norm = global_norm(grads) if is_cut else jnp.sqrt(squared_norm(grads))
    guard = trained.guard
    finite = guard.alive & jnp.isfinite(value) & (norm <= longest(recipe, grads))
    noise = None if key is None else fold_name(key, "optimizer")
    trusted = every_declares(recipe.optimizer, "finite_updates")

    def move(old, grads, new_state):
        params, _, before = old
        given = {"value": value, "value_fn": value_fn, "key": noise, "weight": forward.weight}
        with contextlib.nullcontext() if is_cut else seen_within(grads):
            updates, after = recipe.optimizer.update(grads, before, params, **given)
        new = apply_updates(params, updates), at_rest(recipe, trained, new_state), after
        if trusted:
            return new, jnp.asarray(True)
        fine = jnp.isfinite(squared_norm(updates))
        return jax.tree.map(lambda a, b: jnp.where(fine, a, b), new, old), fine

    # A branch, not a selection: selecting each number would copy the parameters and both moments in every step.
    # Under vmap it becomes a selection by itself, so each member is guarded alone.
    old = (trained.params, trained.state, trained.optimizer)
    moved, kept = lax.cond(finite, move, lambda old, *_: (old, jnp.asarray(False)), old, grads, forward.state)
    bad = guard.alive & ~kept
    in_row = jnp.where(kept, 0, jnp.where(bad, next_step(guard.bad_in_row), guard.bad_in_row))
    alive = guard.alive & (in_row < recipe.most_bad_steps)
    named = jnp.where(bad & ((guard.first_bad < 0) | ~alive), guard.steps, guard.first_bad)
    params, state, rule = moved
    skipped = jnp.where(bad, next_step(guard.skipped), guard.skipped)
    after = Guard(alive, in_row, skipped, named, next_step(guard.steps))
    return TrainState(params, state, rule, after), StepRecord(
        value, forward.weight, norm, forward.predictions, kept, targets
    )


def run_steps(
    recipe: Recipe,
    key: Key,
    epoch: Array,
    trained: TrainState,
    train: Batch,
    order: Order,
    streams: Mapping[str, Metric | None],
    rows: Rows | None = None,
) -> tuple[TrainState, EpochSums]:
    """All steps of an epoch: a scan over its batches, the last one perhaps at its own size.

    Args:
        recipe: what is trained, its batch size known.
        key, epoch: the run's key, and which epoch.
        trained: where the run stands.
        train: the data.
        order: which examples each batch has.
        streams: the metrics in streaming form; None for one that has to see whole arrays.
        rows: the rows of the data that count; None for all.
    """
    examples = jax.tree.leaves(train.x)[0].shape[0] if rows is None else rows.index.shape[0]
    steps = -(-examples // _size(recipe))
    index, mask = order

    def step(loop, inputs):
        trained, totals, metrics = loop
        number, places, row = inputs
        batch = gather(train, places, row)
        noise = noise_key(key, epoch, number)
        trained, seen = train_step(trained, recipe, batch, key=noise, example_mask=row)
        loss, weight, norm, predictions, kept, targets = seen
        weight = weight.astype(totals[0].dtype)
        gained = jnp.stack([weight * loss, weight, norm, jnp.ones_like(norm)])
        totals = gathered(totals[0], totals[1], jnp.where(kept, gained, 0))
        for name, metric in streams.items():
            if metric is not None:
                counted = counted_alone(
                    recipe.loss, metric, predictions, batch.y if targets is None else targets, batch.weights
                )
                new = metric.update(metrics[name], *counted)
                metrics = metrics | {name: jax.tree.map(lambda a, b: jnp.where(kept, a, b), new, metrics[name])}
        whole = (predictions, targets) if None in streams.values() else (None, None)
        return (trained, totals, metrics), whole

    empty = {name: metric.init() for name, metric in streams.items() if metric is not None}
    nothing = jnp.zeros(4, default_float())
    first = (trained, (nothing, nothing), empty)
    if steps == 1:  # no loop around a single step
        inputs = (jnp.int32(0), None if index is None else index[0], None if mask is None else mask[0])
        (trained, totals, metrics), whole = step(first, inputs)
    else:
        tail = tail_size(examples, _size(recipe)) if rows is None or rows.steps is None else None
        full = steps if tail is None else steps - 1
        inputs = (jnp.arange(steps, dtype=jnp.int32), index, mask if tail is None else None)
        if rows is not None and rows.steps is not None and None not in streams.values():
            at = functools.partial(lax.dynamic_index_in_dim, keepdims=False)
            body = lambda i, loop: step(loop, jax.tree.map(lambda a: at(a, i), inputs))[0]  # noqa: E731
            loop = lax.fori_loop(0, rows.steps, body, first)
            return loop[0], EpochSums(whole_of(*loop[1]), loop[2], None, None)
        loop, whole = lax.scan(step, first, jax.tree.map(lambda a: a[:full], inputs))
        whole = jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), whole)
        if tail is not None:
            row = None if rows is None or rows.count is None or mask is None else mask[full, :tail]
            loop, rest = step(loop, (jnp.int32(full), None if index is None else index[full, :tail], row))
            whole = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), whole, rest)
        trained, totals, metrics = loop
    return trained, EpochSums(whole_of(*totals), metrics, *jax.tree.map(lambda a: a[:examples], whole))


def _size(recipe: Recipe) -> int:
    assert recipe.batch_size is not None  # filled in before a program is made
    return recipe.batch_size
