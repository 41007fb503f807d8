"""Data and their batches: which rows a step sees, which of them are padding, and which noise it gets.

order      a pseudo-random permutation of the examples, new for each epoch, computed in place (no sort)
batches    the last partial batch is padded and masked, so that every example counts; where the padding would be a
           noticeable share of the work, that batch runs at its own size
rows       a run may train on some rows of the data only (a fold): its order is then one of those rows

All of it is index arithmetic on the number of examples; the data themselves are only gathered by `gather`.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxann.core.keys import fold_name
from jaxann.core.typing import Array, Inputs, Key, Targets
from jaxann.ops import shuffled_positions

__all__ = [
    "Batch",
    "Order",
    "Rows",
    "Spec",
    "batch_of",
    "default_float",
    "example_count",
    "gather",
    "gather_rows",
    "noise_key",
    "one_example",
    "order_of",
    "padded_rows",
    "some_key",
    "step_count",
    "tail_size",
]

_PADDING = 0.05  # share of an epoch's examples from which padding is worth a second, smaller copy of the step


class Batch(NamedTuple):
    """Examples: a whole data set, or the part of it that a step sees."""

    x: Inputs  # an array, or a tree of arrays, leading axis: the examples
    y: Targets  # the same
    weights: Any = None  # (examples,), or of the shape of the loss's values; None where each counts 1


class Rows(NamedTuple):
    """Which rows of the data a run uses."""

    index: Any  # int32 (size,), positions in the data; places from `count` on are padding
    count: Any  # int32 (), how many count; None for all of them
    steps: Any = None  # int32 (), steps of an epoch, without those of padding alone; None for as many as `index` fills


def padded_rows(index: Any, size: int, batch_size: int) -> Rows:
    """Some rows of data in a program for up to `size`, whose number it learns when it runs.

    Args:
        index: int `(count,)`, positions in the data.
        size: at least as many.
        batch_size: of the recipe.
    """
    count = len(index)
    filled = np.zeros(size, np.int32)
    filled[:count] = index
    return Rows(filled, np.int32(count), np.int32(step_count(count, batch_size)))


class Order(NamedTuple):
    """How an epoch goes through the data."""

    index: Array | None  # int32 (steps, batch), positions; None for the data as they stand, in one batch
    mask: Array | None  # (steps, batch), 0 for padding; None where there is none


def default_float() -> Any:
    """float32, or float64 under jax_enable_x64."""
    return jnp.result_type(float)


def example_count(x: Inputs) -> int:
    """Length of the leading axis of the first array."""
    return jax.tree.leaves(x)[0].shape[0]


def one_example(x: Inputs, rows: int = 1) -> Any:
    """Shapes and dtypes of inputs like `x` with so many examples: the one place where a specification is made."""
    return jax.tree.map(lambda a: jax.ShapeDtypeStruct((rows, *a.shape[1:]), a.dtype), x)


def step_count(examples: int, batch_size: int) -> int:
    """Optimizer steps in an epoch: ceil(examples / batch)."""
    return -(-examples // batch_size)


def order_of(
    key: Key, epoch: Array, examples: int, *, batch_size: int, shuffle: bool, rows: Rows | None = None
) -> Order:
    """The order of an epoch.

    Args:
        key, epoch: the run's key, and which epoch.
        examples: how many there are, padding of `rows` included.
        batch_size, shuffle: of the recipe.
        rows: the rows of the data that count; None for all.
    """
    steps = step_count(examples, batch_size)
    counted = None if rows is None else rows.count
    shape = (steps, batch_size)
    if steps == 1 and batch_size == examples and counted is None:
        # one batch of everything: an order would only permute the terms of a sum
        return Order(None if rows is None else rows.index.reshape(shape), None)
    size = examples if counted is None else counted
    positions = jnp.arange(steps * batch_size, dtype=jnp.int32)
    real = positions < size
    index = jnp.minimum(positions, size - 1)
    if shuffle and steps > 1:
        index = shuffled_positions(jax.random.fold_in(fold_name(key, "shuffle"), epoch), index, size)
    if rows is not None:
        index = rows.index.at[index].get(mode="promise_in_bounds")
    padded = steps * batch_size != examples or counted is not None
    return Order(index.reshape(shape), real.astype(default_float()).reshape(shape) if padded else None)


def tail_size(examples: int, batch_size: int) -> int | None:
    """Size of the last, partial batch where it is to run at its own size."""
    steps = step_count(examples, batch_size)
    padding = steps * batch_size - examples
    return batch_size - padding if padding > _PADDING * examples else None


def batch_of(
    key: Key, epoch: Array, number: Array, data: Batch, *, batch_size: int, shuffle: bool, last: bool
) -> tuple[Batch, Array | None, Key]:
    """Batch `number` of an epoch with its mask and noise key: what that step is fed.

    Args:
        key, epoch, number, data: the run, and which batch of it.
        batch_size, shuffle: of the recipe.
        last: whether it is the last of its epoch, which may have a size of its own.
    """
    examples = example_count(data.x)
    order = order_of(key, epoch, examples, batch_size=batch_size, shuffle=shuffle)
    tail = tail_size(examples, batch_size)
    row = None if order.mask is None or tail is not None else order.mask[number]
    size = tail if last and tail is not None else batch_size
    index = None if order.index is None else order.index[number, :size]
    return gather(data, index, row), row, noise_key(key, epoch, number)


def gather(data: Batch, index: Array | None, mask: Array | None) -> Batch:
    """The examples at these positions; all as they stand for None. Where the mask is 0 they have weight 0.

    An example of weight 0 gives its place to a copy of one that counts, as padding does: whatever it holds, infinities
    too, is in no sum and in no gradient.
    """
    x, y, weights = data
    if weights is not None:
        weights = weights if index is None else _rows_at(weights, index)
        weights = weights if mask is None else weights * mask.reshape(-1, *(1,) * (weights.ndim - 1))
        counts = weights != 0 if weights.ndim == 1 else jnp.any(weights != 0, tuple(range(1, weights.ndim)))
        first = jnp.argmax(counts)
        if index is None:
            x, y = jax.tree.map(lambda a: _or_row(counts, a, first), (x, y))
        else:
            index = jnp.where(counts, index, index[first])
    if index is not None:
        x, y = jax.tree.map(lambda a: _rows_at(a, index), (x, y))
    return Batch(x, y, mask if weights is None else weights)


def _rows_at(array: Array, index: Array) -> Array:
    return array.at[index].get(mode="promise_in_bounds")


def _or_row(counts: Array, array: Array, row: Array) -> Array:
    """The rows that count, the others as that row."""
    keep = jnp.reshape(counts, (-1, *(1,) * (array.ndim - 1)))
    return jnp.where(keep, array, jnp.broadcast_to(array[row], array.shape))


def gather_rows(data: Batch, rows: Rows) -> Batch:
    """Some rows of the data; padding has weight 0."""
    mask = None
    if rows.count is not None:
        mask = (jnp.arange(rows.index.shape[0], dtype=jnp.int32) < rows.count).astype(default_float())
    return gather(data, rows.index, mask)


def noise_key(key: Key, epoch: Array, number: Array) -> Key:
    """The randomness of a step's layers, augmentation and optimizer."""
    return jax.random.fold_in(jax.random.fold_in(fold_name(key, "noise"), epoch), number)


@functools.cache
def some_key() -> Any:
    """The shape of a key, for what is only traced."""
    return jax.eval_shape(lambda: jax.random.key(0))


class Spec:
    """Shapes and dtypes of one example as a static argument of a jitted function: equal ones share a program."""

    def __init__(self, tree: Any):
        leaves, structure = jax.tree.flatten(tree)
        self.tree = tree
        self._key = (structure, tuple((leaf.shape, jnp.dtype(leaf.dtype)) for leaf in leaves))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Spec) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)
