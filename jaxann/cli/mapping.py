"""`jaxann map`: the live map of a saved model, as a page."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from jaxann.cli.costs import LABELS
from jaxann.cli.inputs import read_rows, read_task
from jaxann.cli.terminal import console
from jaxann.core.checks import check_integer, check_range, fail
from jaxann.core.errors import InputError
from jaxann.diagnose import live_map
from jaxann.optimizers import sgd
from jaxann.train.recipe import recipe

__all__ = ["draw_map"]


def draw_map(model: Path, data: Path, out: Path, loss: str | None, learning_rate: float, examples: int) -> None:
    """Write the map of a saved model on rows of a table.

    Raises:
        InputError: the rows do not fit the model or the loss, a file cannot be read or written, or a number is out of
            range.
        CheckpointError: the file holds no model of jaxann.
    """
    check_range("map", "--learning-rate", learning_rate, 0)
    check_integer("map", "--examples", examples, 1)
    task = read_task(model, data, 0, loss, "map")
    table = read_rows(data, "map")
    x, y = table[:, : task.x.size].astype(np.float32), table[:, task.x.size :]
    if task.y.ndim == 0:
        y = y[:, 0]
    if np.issubdtype(task.y.dtype, np.integer):
        y = _labels(y, loss or LABELS[2])
    drawn = live_map(
        recipe(task.model, task.loss, sgd(learning_rate)),
        task.params,
        (x, y if y.dtype == np.int32 else y.astype(np.float32)),
        state=task.state,
        examples=examples,
    )
    try:
        drawn.save(out)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"map: --out must be a file that can be written, got {str(out)!r}: {reason}.") from error
    console().print(f"Wrote {out}: open it in a browser.", markup=False)


def _labels(y: np.ndarray, loss: str) -> np.ndarray:
    """The targets as numbers of classes."""
    wrong = np.flatnonzero((y != np.floor(y)) | (y < 0))
    if wrong.size:
        row = int(wrong[0])
        fail("map", f"the last column of --data in row {row}", f"the number of a class for {loss}", float(y[row]))
    return y.astype(np.int32)
