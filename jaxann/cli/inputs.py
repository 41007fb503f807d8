"""A model file and a row of a table, as `explain` takes them."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import jax
import numpy as np

from jaxann import losses
from jaxann.cli.costs import LABELS, ONE_NUMBER, loss_by_name, targets_of
from jaxann.core.checks import fail
from jaxann.core.errors import InputError
from jaxann.core.products import Layer
from jaxann.core.typing import Loss, Params, State
from jaxann.io import load

__all__ = ["Row", "Table", "Task", "read_row", "read_rows", "read_task"]


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
    loss: Loss
    names: tuple[str, ...]


class Table(NamedTuple):
    """A table of numbers, its cells as text."""

    names: tuple[str, ...]
    rows: list[list[str]]


def read_row(path: Path, row: int, function: str = "explain") -> Row:
    """Row `row`, from 0, of a comma-separated file of numbers, with or without a first line of names.

    Raises:
        InputError: no such file or row, an empty file, a cell that is no number, or a row of another length.
    """
    table = _read_table(path, function)
    if not 0 <= row < len(table.rows):
        fail(function, "--row", f"from 0 to {len(table.rows) - 1}, the rows of {path.name}", row)
    return Row(table.names, _numbers(table, row, function))


def read_rows(path: Path, function: str) -> np.ndarray:
    """All rows of such a file, `(rows, columns)` in float64.

    Raises:
        InputError: as of `read_row`, or rows are of unequal lengths.
    """
    table = _read_table(path, function)
    rows = [_numbers(table, row, function) for row in range(len(table.rows))]
    for number, row in enumerate(rows):
        if row.size != rows[0].size:
            fail(function, f"row {number} of --data", f"of {rows[0].size} cells as the first row", f" {row.size}")
    return np.stack(rows)


def _read_table(path: Path, function: str) -> Table:
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            table = [cells for cells in csv.reader(file) if len(cells) > 1 or "".join(cells).strip()]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or "not a text file of comma-separated numbers"
        raise InputError(f"{function}: --data must be a file that can be read, got {str(path)!r}: {reason}.") from error
    for separator, name in ((";", "semicolons"), ("\t", "tabs")):
        if table and any(_is_split(cell, separator, alone=len(table[0]) == 1) for cell in table[0]):
            fail(function, "--data", "separated by commas, with decimal points", f" {name} in its first line")
    names: tuple[str, ...] = ()
    if table and any(cell.strip() for cell in table[0]) and not any(_reads(cell) for cell in table[0]):
        names, table = tuple(cell.strip() for cell in table[0]), table[1:]
    elif table and (words := [cell for cell in table[0] if cell.strip() and not _reads(cell)]):
        hint = "A number that is missing is left empty; a name is no number."
        fail(function, "the first line of --data", "all names or all numbers", words[0], hint=hint)
    if not table:
        fail(function, "--data", "a file with a row of numbers", f" {str(path)!r} without one")
    return Table(names, table)


def _numbers(table: Table, row: int, function: str) -> np.ndarray:
    """The numbers of a row."""
    names, cells = table.names, table.rows[row]
    if names and len(cells) != len(names):
        fail(function, f"row {row} of --data", f"of {len(names)} cells as the first line", f" {len(cells)}")
    numbers = [_number(cell) for cell in cells]
    for column, (cell, number) in enumerate(zip(cells, numbers, strict=True)):
        if number is None:
            where = names[column] if names else f"column {column + 1}"
            fail(function, f"row {row} of --data", f"made of numbers, {where} too", cell)
    return np.array(numbers, np.float64)


def _is_split(cell: str, separator: str, *, alone: bool) -> bool:
    """Whether a cell is several, in a file that has another separator."""
    pieces = cell.split(separator)
    return len(pieces) > 1 and (alone or all(_reads(piece) for piece in pieces))


def _reads(cell: str) -> bool:
    """Whether a cell is a number, be it infinite or `nan`: a line with one is no line of names."""
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _number(cell: str) -> float | None:
    return float(cell) if _reads(cell) and math.isfinite(float(cell)) else None


def read_task(model_file: Path, data: Path, row: int, loss: str | None, function: str = "explain") -> Task:
    """The saved model, and one row cut into inputs and targets: the last columns are the targets.

    How many there are follows from the loss: one, the number of the class, for those of `costs.LABELS`, one number for
    those of `costs.ONE_NUMBER`, and else as many as the model has outputs. Without a loss it is
    `softmax_cross_entropy` where there are several outputs and one target, and else `half_squared_error`.

    Raises:
        InputError: the row does not fit the model or the loss, or a file cannot be read.
        CheckpointError: the file holds no model of jaxann.
    """
    chosen = None if loss is None else loss_by_name(loss, function)
    model, params, state = load(model_file)
    found = read_row(data, row, function)
    one = loss in LABELS or loss in ONE_NUMBER
    for targets in range(1, min(2, found.values.size) if one else found.values.size):
        x, y = found.values[:-targets], found.values[-targets:]
        units = _output_units(model, params, state, x)
        names = found.names[: x.size]
        if units is None:
            continue
        if targets == 1 and units > 1 and (loss is None or loss in LABELS):
            if y[0] != int(y[0]) or not 0 <= y[0] < units:
                fail(function, "the last column of --data", f"a class from 0 to {units - 1}", float(y[0]))
            label = np.array(int(y[0]))
            return Task(model, params, state, x, label, chosen or losses.softmax_cross_entropy, names)
        if loss in ONE_NUMBER and units == ONE_NUMBER[loss]:
            return Task(model, params, state, x, y[0], chosen or losses.half_squared_error, names)
        if not one and targets == units:
            return Task(model, params, state, x, y, chosen or losses.half_squared_error, names)
    _misfit(model, params, state, found.values, loss, function)


def _misfit(
    model: Layer, params: Params, state: State, values: np.ndarray, loss: str | None, function: str
) -> NoReturn:
    """Say what does not fit: the loss the model, or the number of columns both."""
    hint, got = targets_of(loss), f" {values.size} {'column' if values.size == 1 else 'columns'}"
    fits = [(n, out) for n in range(1, values.size + 1) if (out := _output_units(model, params, state, values[:n]))]
    if loss is None or len(fits) != 1:
        fail(function, "--data", "made of the model's inputs, then its targets", got, hint=hint)
    inputs, units = fits[0]
    if (loss in LABELS and units == 1) or ONE_NUMBER.get(loss, units) != units:
        have = "1 output" if units == 1 else f"{units} outputs"
        fail(function, "--loss", f"a loss for a model with {have}", loss, hint=hint)
    targets = 1 if loss in LABELS or loss in ONE_NUMBER else units
    wanted = (
        f"of {inputs} {'input' if inputs == 1 else 'inputs'}, then {targets} {'target' if targets == 1 else 'targets'}"
    )
    fail(function, "--data", f"{wanted} for {loss}", got, hint=hint)


def _output_units(model: Layer, params: Params, state: State, x: np.ndarray) -> int | None:
    """How many outputs the model has for these inputs; None where they do not fit."""
    leaves = [leaf for leaf in jax.tree.leaves(params) if jax.dtypes.issubdtype(leaf.dtype, np.floating)]
    spec = jax.ShapeDtypeStruct((1, x.size), leaves[0].dtype if leaves else np.dtype(np.float32))
    try:
        out: Any = jax.eval_shape(lambda p, s, v: model.apply(p, s, v)[0], params, state, spec)
    except (InputError, TypeError, ValueError):
        return None
    return out.shape[-1] if len(out.shape) == 2 else None
