"""The numbers of an example one by one, with their names: what checks of data look at, on the host.

Of every array of x whose examples are single numbers, rows of numbers or pictures each entry is a column: `x[3]`,
`x['age']`, `x['scan'][2, 5, 0]`. Whole numbers that are no picture are names of something (categories, ids), not
amounts. Sequences have no columns: what stands at position 3 of one has nothing to do with position 3 of another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxann.core.padding import Padded
from jaxann.core.typing import Inputs
from jaxann.train.inputs import named_leaves

__all__ = [
    "AMOUNTS",
    "NAMES",
    "PICTURES",
    "SEQUENCES",
    "InputArray",
    "entry_names",
    "example_columns",
    "first_rows",
    "input_arrays",
    "is_table",
    "may_coincide",
    "row_sample",
]

AMOUNTS = "amounts"
NAMES = "names"
PICTURES = "pictures"
SEQUENCES = "sequences"

_ROWS, _COLUMNS = 4_000, 256  # that tell whether rows may coincide


class InputArray(NamedTuple):
    """One array of x.

    Attributes:
        name: such as `x['age']`.
        values: `(rows, ...)`, as they were given.
        kind: "amounts" or "names" of `(rows,)` or `(rows, columns)`, "pictures" `(rows, height, width, channels)`, or
            "sequences": padded ones and all others.
        mask: which positions of padded sequences are real, bool `(rows, time)`.
    """

    name: str
    values: np.ndarray
    kind: str
    mask: np.ndarray | None = None


def input_arrays(x: Inputs) -> list[InputArray]:
    """The arrays of x with their kinds; the mask of `Padded` goes with its values."""
    found = []
    for path, node in _nodes(x):
        if isinstance(node, Padded):
            found.append(InputArray(f"x{path}", np.asarray(node.values), SEQUENCES, np.asarray(node.mask)))
            continue
        values = np.asarray(node)
        whole = values.dtype.kind in "iub"
        if values.ndim <= 2:
            kind = NAMES if whole else AMOUNTS
        else:
            kind = PICTURES if values.ndim == 4 else SEQUENCES
        found.append(InputArray(f"x{path}", values, kind))
    return found


def _nodes(x: Inputs) -> Iterator[tuple[str, Any]]:
    if isinstance(x, Padded):
        yield "", x
    elif isinstance(x, Mapping):
        for name in sorted(x):
            for path, node in _nodes(x[name]):
                yield f"[{name!r}]{path}", node
    else:
        yield from named_leaves("", x)


def first_rows(x: Inputs) -> int:
    """How many examples there are."""
    return int(np.shape(jax.tree.leaves(x)[0])[0])


def is_table(x: Inputs) -> bool:
    """Whether x is one array of amounts `(rows, columns)`."""
    arrays = input_arrays(x)
    return len(arrays) == 1 and arrays[0].name == "x" and arrays[0].kind == AMOUNTS and arrays[0].values.ndim == 2


def row_sample(rows: np.ndarray, most: int) -> np.ndarray:
    """At most so many of the row numbers, in their order: drawn, and the same ones each time."""
    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng(0).choice(rows, most, replace=False))


def example_columns(x: Inputs, rows: np.ndarray, kinds: tuple[str, ...], most: int) -> tuple[list[str], np.ndarray]:
    """`(names, values)` of the columns of these kinds, values float64 `(rows, columns)`.

    Args:
        x: the inputs.
        rows: numbers of the rows that are looked at.
        kinds: of `InputArray`.
        most: columns; of more a random choice, the same one each time.
    """
    arrays = [one for one in input_arrays(x) if one.kind in kinds]
    sizes = [int(np.prod(one.values.shape[1:])) for one in arrays]
    chosen = row_sample(np.arange(sum(sizes)), most)
    names, found, first = [], [np.zeros((len(rows), 0))], 0
    for one, size in zip(arrays, sizes, strict=True):
        own = chosen[(chosen >= first) & (chosen < first + size)] - first
        first += size
        found.append(one.values[rows].reshape(len(rows), size)[:, own].astype(np.float64))
        names += entry_names(one, own)
    return names, np.concatenate(found, 1)


def may_coincide(x: Inputs) -> bool:
    """Whether two rows may be equal by chance: no column has a value for almost each row, and few values in all."""
    arrays = input_arrays(x)
    if any(one.kind not in (AMOUNTS, NAMES) for one in arrays):
        return False
    rows = row_sample(np.arange(first_rows(x)), _ROWS)
    _, columns = example_columns(x, rows, (AMOUNTS, NAMES), _COLUMNS)
    columns = np.unique(columns, axis=0)
    bits = 0.0
    for column in columns.T:
        _, counts = np.unique(column, return_counts=True)
        if len(counts) > len(columns) / 2 and len(counts) > 2:
            return False
        bits -= np.log2(np.sum((counts / len(column)) ** 2))
    return bool(bits <= 4 * np.log2(max(2, len(rows))))


def entry_names(array: InputArray, entries: np.ndarray) -> list[str]:
    """Names of these entries of an example, counted in the order of its numbers."""
    shape = array.values.shape[1:]
    if not shape:
        return [array.name] * len(entries)
    places = zip(*np.unravel_index(entries, shape), strict=True)
    return [f"{array.name}[{', '.join(str(int(i)) for i in place)}]" for place in places]
