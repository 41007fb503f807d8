"""A model file and a row of a table, as `explain` takes them."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxann import losses
from jaxann.core.checks import check_choice, fail
from jaxann.core.errors import InputError
from jaxann.core.factories import known_functions
from jaxann.core.products import Layer
from jaxann.core.typing import Params, State
from jaxann.io import load

__all__ = ["Row", "Task", "loss_by_name", "read_row", "read_task"]


class Row(NamedTuple):
    """One row of a table of numbers."""

    names: tuple[str, ...]  # of the columns; () for a table without a first line of names
    values: np.ndarray  # float64


class Task(NamedTuple):
    """What `explain` takes."""

    model: Layer
    params: Params
    state: State | None
    x: np.ndarray
    y: np.ndarray
    loss: Callable
    names: tuple[str, ...]


def loss_by_name(name: str) -> Callable:
    """The loss of that name.

    Raises:
        InputError: there is none; the message lists them.
    """
    table = {n.removeprefix("losses."): f for n, f in known_functions().items() if n.startswith("losses.")}
    table = {n: f for n, f in table.items() if getattr(losses, n, None) is f}
    check_choice("explain", "--loss", name, table)
    return table[name]


def read_row(path: Path, row: int) -> Row:
    """Row `row`, from 0, of a comma-separated file of numbers, with or without a first line of names.

    Raises:
        InputError: no such file or row, an empty file, a cell that is no number, or a row of another length.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            table = [cells for cells in csv.reader(file) if any(cell.strip() for cell in cells)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or "not a text file of comma-separated numbers"
        raise InputError(f"explain: --data must be a file that can be read, got {str(path)!r}: {reason}.") from error
    names: tuple[str, ...] = ()
    if table and any(_number(cell) is None for cell in table[0]):
        names, table = tuple(cell.strip() for cell in table[0]), table[1:]
    if not table:
        fail("explain", "--data", "a file with a row of numbers", f" {str(path)!r} without one")
    if not 0 <= row < len(table):
        fail("explain", "--row", f"from 0 to {len(table) - 1}, the rows of {path.name}", row)
    cells = table[row]
    if names and len(cells) != len(names):
        fail("explain", f"row {row} of --data", f"of {len(names)} cells as the first line", f" {len(cells)}")
    numbers = [_number(cell) for cell in cells]
    for column, (cell, number) in enumerate(zip(cells, numbers, strict=True)):
        if number is None:
            where = names[column] if names else f"column {column + 1}"
            fail("explain", f"row {row} of --data", f"made of numbers, {where} too", cell)
    return Row(names, np.array(numbers, np.float64))


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def read_task(model_file: Path, data: Path, row: int, loss: str | None) -> Task:
    """The saved model, and one row cut into inputs and targets: the last columns are the targets.

    There are as many targets as the model has outputs, or one, the number of the class, for
    `softmax_cross_entropy`. Without a loss that one is taken where it fits, for several outputs and one target that is
    a whole number, and else `half_squared_error`.

    Raises:
        InputError: the row does not fit the model, or a file cannot be read.
        CheckpointError: the file holds no model of jaxann.
    """
    model, params, state = load(model_file)
    found = read_row(data, row)
    chosen = None if loss is None else loss_by_name(loss)
    labels = "softmax_cross_entropy" if loss is None else loss
    for targets in range(1, found.values.size):
        x, y = found.values[:-targets], found.values[-targets:]
        outputs = _outputs(model, params, state, x)
        if outputs is None:
            continue
        if targets == 1 and outputs > 1 and labels in ("softmax_cross_entropy", "softmax_focal", "multiclass_hinge"):
            if y[0] != int(y[0]) or not 0 <= y[0] < outputs:
                fail("explain", "the last column of --data", f"a class from 0 to {outputs - 1}", float(y[0]))
            label = np.array(int(y[0]))
            return Task(model, params, state, x, label, chosen or losses.softmax_cross_entropy, found.names[:-1])
        if targets == outputs:
            return Task(model, params, state, x, y, chosen or losses.half_squared_error, found.names[: x.size])
    hint = "The last columns are the targets, as many as the model has outputs, or one for the number of the class."
    fail(
        "explain", "--data", "made of the model's inputs, then its targets", f" {found.values.size} columns", hint=hint
    )


def _outputs(model: Layer, params: Params, state: State, x: np.ndarray) -> int | None:
    """How many outputs the model has for these inputs; None where they do not fit."""
    leaves = [leaf for leaf in jax.tree.leaves(params) if jax.dtypes.issubdtype(leaf.dtype, np.floating)]
    spec = jax.ShapeDtypeStruct((1, x.size), leaves[0].dtype if leaves else np.dtype(np.float32))
    try:
        out: Any = jax.eval_shape(lambda p, s, v: model.apply(p, s, v)[0], params, state, spec)
    except (InputError, TypeError, ValueError):
        return None
    return out.shape[-1] if len(out.shape) == 2 else None
