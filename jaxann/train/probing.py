"""Probes: what each layer does, measured inside the compiled run after an epoch, on one of its batches.

    history["layer_gradient_norm"]      (epochs, layers): the norm of the loss's gradient in the layer's parameters
    history["layer_gradient_rms"]       the root of their mean square
    history["layer_update_ratio"]       norm of the step over norm of the parameters: the optimizer's, from where it is
    history["layer_mean"], _std         of the layer's output, over examples, positions and units
    history["layer_dead"]               share of an activation's units that give 0 for all examples (relu and its kin)
    history["layer_saturated"]          share of its values near a limit (sigmoid, tanh and their kin)
    history["layer_similarity"]         mean cosine of the outputs of two different examples
    history["layer_nonfinite"]          share of its values that are not finite
    history["probe_loss"]               (epochs,): the objective on that batch
    history["gradient_variance"]        trace of the covariance of an example's gradient, from two sizes of batch
    history["gradient_square"]          square of the norm of the expected gradient, likewise; their ratio is the
                                        gradient noise scale

The step is computed as in training and thrown away, so the run's bits are those of one without probes. The batch is the
first of the epoch, or the one whose step was not finite, with that step's noise: what went wrong there is seen again.
So that they take a twentieth of the time at most, of epochs of fewer than 200 steps some are probed: 0, 1, 2, 4, 8 and
so on, and one in so many that 200 steps lie between two.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxann.core.keys import fold_name
from jaxann.core.trees import flatten_named
from jaxann.core.typing import Array, Key
from jaxann.train.batches import Batch, Order, default_float, example_count, gather, noise_key
from jaxann.train.recipe import Recipe
from jaxann.train.steps import TrainState, gradient
from jaxann.train.taps import FIGURES, INPUT, Note, Place, Stack, places_of, values_of

__all__ = [
    "BY_LAYER",
    "SCALARS",
    "STEPS",
    "Probe",
    "history_of",
    "probe_batch",
    "probe_epoch",
    "probe_layers",
    "probe_width",
    "rows_of",
]

STEPS = 200  # of training for each probe, in the long run
BY_LAYER = (
    "layer_gradient_norm", "layer_gradient_rms", "layer_update_ratio", *(f"layer_{name}" for name in FIGURES),
)  # fmt: skip
SCALARS = ("probe_loss", "gradient_variance", "gradient_square")


class Probe(NamedTuple):
    """What a probe of one batch found."""

    by_layer: Array  # (layers, len(BY_LAYER))
    scalars: Array  # (len(SCALARS),)


def history_of(columns: tuple[str, ...], table: Any) -> dict[str, Any]:
    """The history from its rows `(..., epochs, numbers)`: each column, and each figure of probes where there were any.

    Args:
        columns: names of the first numbers; what comes after them is of probes, layer after layer.
        table: the rows.
    """
    history = {name: table[..., i] for i, name in enumerate(columns)}
    if table.shape[-1] > len(columns):
        rest = table[..., len(columns) :]
        history |= {name: rest[..., i] for i, name in enumerate(SCALARS)}
        figures = rest[..., len(SCALARS) :]
        figures = figures.reshape(*figures.shape[:-1], -1, len(BY_LAYER))
        history |= {name: figures[..., i] for i, name in enumerate(BY_LAYER)}
    return history


def rows_of(columns: tuple[str, ...], history: Mapping[str, Any]) -> np.ndarray:
    """The rows that a run's history was made of."""
    rows = [np.asarray(history[name])[:, None] for name in columns]
    if BY_LAYER[0] in history:
        rows += [np.asarray(history[name])[:, None] for name in SCALARS]
        figures = np.stack([history[name] for name in BY_LAYER], -1)
        rows.append(figures.reshape(len(figures), -1))
    return np.concatenate(rows, 1)


def probe_layers(recipe: Recipe, trained: TrainState, batch: Batch) -> tuple[Place, ...]:
    """The layers of the figures, in the order in which they run; nothing is computed.

    Args:
        recipe, trained: what is trained, and where it stands.
        batch: one of its batches, or anything of its shapes.
    """
    found: list[tuple[Place, ...]] = []

    def traced(trained, batch, key):
        notes = _seen(trained, recipe, batch, key, None)[2]
        found.append(_table(notes, trained.params)[0])

    key = jax.eval_shape(lambda: jax.random.key(0))
    jax.eval_shape(traced, trained, batch, key)
    return found[0]


def probe_width(recipe: Recipe, trained: TrainState, train: Batch) -> int:
    """How many numbers a probe adds to a row of the history."""
    if not recipe.probes:
        return 0
    rows = min(recipe.batch_size or 1, example_count(train.x))
    batch = jax.tree.map(lambda a: jax.ShapeDtypeStruct((rows, *a.shape[1:]), a.dtype), train)
    return len(SCALARS) + len(BY_LAYER) * len(probe_layers(recipe, trained, batch))


def probe_epoch(
    recipe: Recipe, key: Key, epoch: Array, begun: Array, trained: TrainState, train: Batch, order: Order
) -> Array:
    """The numbers that a probe adds to the epoch's row; NaN for an epoch that is not probed.

    Args:
        recipe: what is trained, its batch size known.
        key, epoch: the run's key, and which epoch.
        begun: steps of the run before this epoch.
        trained: where the run stands after it.
        train, order: the data, and how the epoch went through it.
    """
    steps = 1 if order.index is None else order.index.shape[0]
    bad = trained.guard.first_bad - begun
    met = (bad >= 0) & (bad < steps)
    number = jnp.where(met, bad, 0)

    def measured(trained):
        index, mask = (None if a is None else a[number] for a in order)
        found = probe_batch(
            recipe, trained, gather(train, index, mask), key=noise_key(key, epoch, number), example_mask=mask
        )
        return jnp.concatenate([found.scalars, found.by_layer.reshape(-1)]).astype(default_float())

    every = -(-STEPS // steps)
    if every == 1:
        return measured(trained)
    size = jax.eval_shape(measured, trained).shape
    early = epoch & (epoch - 1) == 0  # 0, 1, 2, 4, 8, ...: where most changes, and a short run has some figures too
    wanted = met | early | (epoch % every == 0)
    return lax.cond(wanted, measured, lambda _: jnp.full(size, jnp.nan, default_float()), trained)


def probe_batch(
    recipe: Recipe,
    trained: TrainState,
    batch: Batch,
    *,
    key: Key,
    example_mask: Array | None = None,
    with_noise: bool = True,
) -> Probe:
    """What each layer does with a batch in the next step of training, which is not taken.

    Args:
        recipe: what is trained.
        trained: where it stands.
        batch: the examples.
        key: randomness of the step.
        example_mask: `(batch,)`, 0 for padding.
        with_noise: whether the gradient of half of the batch is taken too.
    """
    value, grads, notes, weight, value_fn = _seen(trained, recipe, batch, key, example_mask)
    given = {"value": value, "value_fn": value_fn, "key": fold_name(key, "optimizer"), "weight": weight}
    updates, _ = recipe.optimizer.update(grads, trained.optimizer, trained.params, **given)
    places, figures = _table(notes, trained.params)
    count = jnp.asarray([place.parameters for place in places], jnp.float32)
    squares = (_squares(notes, trained.params, tree) for tree in (grads, updates, trained.params))
    norm, update, length = (jnp.where(count > 0, jnp.sqrt(square), jnp.nan) for square in squares)
    ratio = update / jnp.where(length == 0, jnp.nan, length)
    by_layer = jnp.concatenate([jnp.stack([norm, norm / jnp.sqrt(count), ratio], 1), figures], 1)
    nothing = jnp.float32(jnp.nan), jnp.float32(jnp.nan)
    noise = _noise(recipe, trained, batch, grads, weight, key, example_mask) if with_noise else nothing
    return Probe(by_layer, jnp.stack([value.astype(jnp.float32), *noise]))


def _seen(trained: TrainState, recipe: Recipe, batch: Batch, key: Key, example_mask: Array | None) -> tuple:
    """Objective, gradients, notes of the layers, what the batch counts for, and the objective as a function."""
    (value, forward), grads, value_fn, _ = gradient(
        trained, recipe, batch, key=key, example_mask=example_mask, with_notes=True
    )
    return value, grads, forward.notes, forward.weight, value_fn


class _Layout(NamedTuple):
    """Which parameters are whose: places, and for each leaf its owner and the loops around it."""

    places: tuple[Place, ...]
    owners: Mapping[str, str]  # name of a leaf -> path of a place
    loops: Mapping[str, tuple[str, ...]]  # name of a leaf -> paths of what runs in the loops around it


def _layout(notes: tuple[Note | Stack, ...], params: Any) -> _Layout:
    places = places_of(notes)
    stacks = {path for place in places for path, _ in place.rounds}
    paths = sorted({place.path for place in places if place.path != INPUT}, key=len, reverse=True)
    owners, loops, rest, sizes = {}, {}, {}, {}
    for name, leaf in flatten_named(params).items():
        owner = next((path for path in paths if not path or name.startswith(f"{path}.")), None)
        around = tuple(sorted((p for p in stacks if name.startswith(f"{p}.")), key=len))
        if owner is None:  # of a layer that does not run, or not in sight
            owner = name.rpartition(".")[0]
            every_round = np.ndindex(*leaf.shape[: len(around)])
            rest[owner] = [Place(owner, tuple(zip(around, index, strict=True)), "", ()) for index in every_round]
        owners[name], loops[name] = owner, around
        size = math.prod(leaf.shape[len(around) :])
        sizes[owner] = sizes.get(owner, 0) + size
    every = (*places, *(place for found in rest.values() for place in found))
    return _Layout(tuple(replace(place, parameters=sizes.get(place.path, 0)) for place in every), owners, loops)


def _table(notes: tuple[Note | Stack, ...], params: Any) -> tuple[tuple[Place, ...], Array]:
    """The places, and the figures of their outputs `(places, figures)`."""
    places = _layout(notes, params).places
    values = values_of(notes)
    missing = len(places) - values.shape[0]
    return places, jnp.concatenate([values, jnp.full((missing, len(FIGURES)), jnp.nan, values.dtype)])


def _squares(notes: tuple[Note | Stack, ...], params: Any, tree: Any) -> Array:
    """The sum of squares of each place's own leaves in a tree like the parameters."""
    layout = _layout(notes, params)
    sums: dict[str, Array] = {}
    for name, leaf in flatten_named(tree).items():
        axes = tuple(range(len(layout.loops[name]), leaf.ndim))
        square = jnp.sum(jnp.square(leaf.astype(jnp.float32)), axes)
        owner = layout.owners[name]
        sums[owner] = sums[owner] + square if owner in sums else square
    first, flat, at = {}, [jnp.zeros(1, jnp.float32)], 1
    for owner, square in sums.items():
        first[owner] = at, square.shape
        flat.append(square.reshape(-1))
        at += square.size
    index = np.zeros(len(layout.places), np.int32)
    for number, place in enumerate(layout.places):
        if place.path in first:
            begin, shape = first[place.path]
            index[number] = begin + int(np.ravel_multi_index([i for _, i in place.rounds], shape)) if shape else begin
    return jnp.concatenate(flat)[index]


def _noise(
    recipe: Recipe, trained: TrainState, batch: Batch, grads: Any, weight: Array, key: Key, example_mask: Array | None
) -> tuple[Array, Array]:
    """Unbiased estimates of the trace of an example's covariance and of the expected gradient's square.

    Source: McCandlish, Kaplan, Amodei et al. 2018, "An Empirical Model of Large-Batch Training", appendix A.1.
    """
    rows = example_count(batch.x) // 2
    if rows == 0:
        return jnp.float32(jnp.nan), jnp.float32(jnp.nan)
    half, mask = jax.tree.map(lambda a: a[:rows], (batch, example_mask))
    (_, forward), fewer, _, _ = gradient(trained, recipe, half, key=key, example_mask=mask)
    large, small = _square(grads), _square(fewer)
    n, m = weight.astype(jnp.float32), forward.weight.astype(jnp.float32)
    n = jnp.where(n > m, n, jnp.nan)
    return (small - large) / (1 / m - 1 / n), (n * large - m * small) / (n - m)


def _square(tree: Any) -> Array:
    return sum((jnp.sum(jnp.square(leaf.astype(jnp.float32))) for leaf in jax.tree.leaves(tree)), jnp.float32(0))
