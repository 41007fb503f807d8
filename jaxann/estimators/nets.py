"""One training run of an estimator, on rows padded to one of a few numbers.

A data set is padded to one of a few numbers of rows, which the program does not know: its steps are as many as the rows
need. So data sets of many sizes share a program, and so do estimators whose numbers differ.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import numpy as np

from jaxann.core.products import Layer
from jaxann.estimators.inputs import Rows, rows_of
from jaxann.train import predict
from jaxann.train.batches import padded_rows
from jaxann.train.fit import Views, train_on
from jaxann.train.recipe import Recipe
from jaxann.train.run import Result, Status
from jaxann.train.stopping import start

__all__ = ["Net", "fit_net", "forward", "same_model"]

_SIZES = (64, 256, 1024, 4096, 16384)  # rows that data are padded to; larger sets have programs of their own
_FEW = 1024  # rows up to which compiling takes longer than most trainings
_BLOCKS = (64, 256, 1024)  # rows at a time of a prediction


class Net(NamedTuple):
    """A trained net: all that a prediction and further training need, in plain arrays."""

    model: Layer
    params: Any
    state: Any
    history: dict[str, np.ndarray]
    epochs: int
    status: Status
    going: Result | None  # what training goes on from


def fit_net(
    made: Recipe, rows: Rows, validation: Rows | None, seed: int, *, batch: int, epochs: int, before: Net | None,
    progress: bool = False, observers: Any = (),
) -> Net:  # fmt: skip
    """One run of the training program.

    Args:
        made: what is trained.
        rows, validation: x and y as the program takes them.
        seed: of weights, order and noise.
        batch: rows of an update, at most those there are.
        epochs: passes over the rows.
        before: what training goes on from; None begins with fresh weights.
        progress, observers: as in `fit`.
    """
    together = rows if validation is None else _joined(rows, validation)
    count, all_rows = len(rows), len(together)
    size = next((s for s in _SIZES if s >= all_rows), all_rows)
    views, static = Views(), batch
    if made.whole_batch:
        static = size
    elif batch == count:
        static = size  # one step: nothing to shuffle, no loop to compile
    if size != all_rows or validation is not None:
        own = next((s for s in _SIZES if s >= count), count)
        inside = None
        if validation is not None:
            measured = np.arange(count, all_rows)
            most = next((s for s in _SIZES if s >= len(measured)), len(measured))
            inside = padded_rows(measured, most, most)._replace(steps=None)
        views = Views(padded_rows(np.arange(count), own, static), inside)
    together = _filled(together, size)
    if (
        size <= _FEW and views.train is not None and together.weights is None
    ):  # the program of rows with weights serves both
        together = Rows(together.x, together.y, np.ones(size, np.float32))
    data = (together.x, together.y) if together.weights is None else (together.x, together.y, together.weights)
    done, going, initial = 0, None if before is None else before.going, None
    if before is not None and going is None:  # read from a file, which has its weights alone
        initial = before.params, before.state
    if going is not None:
        carry: Any = going.carry
        done = int(carry.epoch)
        empty = {name: np.empty(0, values.dtype) for name, values in going.history.items()}
        fresh = start((carry.trained.params, carry.trained.state), made.restores_best)
        going = going._replace(carry=carry._replace(stop=fresh), history=empty)
    result = train_on(
        made, data, key=jax.random.key(seed), epochs=done + epochs, batch_size=static,
        validation=None if validation is None else data, initial=initial, resume=going, views=views, progress=progress,
        observers=observers, quickly=size <= _FEW,
    )  # fmt: skip
    history, after = result.history, result.carry  # a tree would not keep the order of the history's columns
    assert after is not None
    result = jax.device_get(result._replace(status=int(result.status), history={}))._replace(history=history)
    patience = None if made.stopping is None else made.stopping.patience
    if patience is not None and int(after.stop.wait) >= float(np.asarray(patience)):
        result = result._replace(status=Status.STOPPED)
    return Net(
        made.model, result.params, result.state, result.history, int(result.epochs_run), Status(result.status), result
    )


def same_model(one: Layer, other: Layer) -> bool:
    """Whether weights of one are weights of the other: numbers such as a dropout rate may differ."""
    return jax.tree.structure(one) == jax.tree.structure(other)


def forward(net: Net, x: Any) -> np.ndarray:
    """The output of each row in float64, in blocks of a few sizes: a row's bits are the same in any company."""
    rows = rows_of(x)
    size = next((s for s in _BLOCKS if s >= rows), _BLOCKS[-1])

    def padded(array: np.ndarray) -> np.ndarray:
        filled = np.zeros((-(-rows // size) * size, *array.shape[1:]), array.dtype)
        filled[:rows] = array
        return filled

    found = predict(net.model, net.params, net.state, jax.tree.map(padded, x), batch_size=size)
    return np.asarray(found)[:rows].astype(np.float64)


def _joined(first: Rows, second: Rows) -> Rows:
    weights = None
    if first.weights is not None or second.weights is not None:
        each = [np.ones(len(rows)) if rows.weights is None else rows.weights for rows in (first, second)]
        weights = np.concatenate(each)
    x = jax.tree.map(lambda a, b: np.concatenate([a, b]), first.x, second.x)
    return Rows(x, np.concatenate([first.y, second.y]), weights)


def _filled(rows: Rows, size: int) -> Rows:
    """With copies of the first row behind, none of which counts."""
    more = size - len(rows)
    if more == 0:
        return rows

    def fill(array: np.ndarray) -> np.ndarray:
        return np.concatenate([array, np.broadcast_to(array[:1], (more, *array.shape[1:]))])

    weights = None if rows.weights is None else fill(rows.weights).astype(np.float32)
    return Rows(jax.tree.map(fill, rows.x), fill(rows.y), weights)
