"""Raw values of a column, texts and numbers and flags and missing ones in any mixture, and tables of them in arrays.

Inside, a value is a key that a dict tells apart as people do: a text, a number (1.0 is 1), and `(True,)` for a flag,
which Python would take for 1; None is missing. A table of keys is arrays alone, so that a state can be put into any
file. Numbers stand in it as the shortest text that gives them: a 64-bit number would not outlive a device, where JAX
has 32 bits and 0.1 would come home as 0.10000000149.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jaxann.core.checks import OUTSIDE, check_unmasked, fail, refuse_traced, show
from jaxann.core.typing import Array, State

__all__ = ["Key", "column_names", "distinct", "key_of", "packed", "raw_columns", "sorted_keys", "unpacked", "value_of"]

Key: TypeAlias = Hashable  # str, int, float, (bool,) or None

_FLAG, _WHOLE, _REAL, _TEXT = range(4)
_KINDS = {tuple: _FLAG, int: _WHOLE, float: _REAL, str: _TEXT}
_ORDER = {tuple: 0, int: 1, float: 1, str: 2}
_READ = {_FLAG: lambda text: (text == "True",), _WHOLE: int, _REAL: float, _TEXT: str}
_PLAIN = frozenset((str, int, float, bool, type(None)))
_MISSING = frozenset(("NAType", "NaTType"))  # of pandas, by their names: pandas need not be there
_EXPECTED = "texts, numbers, flags or None"


def raw_columns(function: str, x: Any) -> np.ndarray:
    """x as one host array `(rows, columns)`.

    Raises:
        InputError: x is traced, a list (of which numpy would make texts if one of it is a text), masked, or an array of
            something else.
    """
    if isinstance(x, Tracer):
        refuse_traced(function, "x", OUTSIDE)
    if not hasattr(x, "__array__"):
        hint = "numpy.array(x, dtype=object) keeps each value as it is." if isinstance(x, list | tuple) else None
        fail(function, "x", "an array", x, hint=hint)
    check_unmasked(function, "x", x)
    array = np.asarray(x)
    if array.ndim == 0:
        fail(function, "x", "of shape (examples, columns) or (examples,)", " shape ()")
    if isinstance(x, jax.Array) and jnp.issubdtype(x.dtype, jnp.floating):
        array = array.astype(np.float64)  # bfloat16 is no type of numpy's own
    if array.dtype.kind not in "OUTbiuf":
        hint = "date_fields takes dates." if array.dtype.kind == "M" else None
        fail(function, "x", f"an array of {_EXPECTED}", f" {array.dtype}", hint=hint)
    columns = array.shape[1:][-1:] or (1,)
    return array.reshape(math.prod(array.shape[: max(1, array.ndim - 1)]), *columns)


def distinct(function: str, column: np.ndarray, number: int, argument: str = "x") -> tuple[list[Key], np.ndarray]:
    """`(keys, places)`: what stands in a column, each once but for None, and at which of them each row is.

    Raises:
        InputError: a value is neither a text nor a number nor a flag nor missing; the message names its row.
    """
    if column.dtype.kind in "biuf":
        values, places = np.unique(column, return_inverse=True)
        return [key_of(value) for value in values.tolist()], places.reshape(-1)
    rows = column.tolist()
    kinds = set(map(type, rows))
    if not kinds <= _PLAIN:
        for row, value in enumerate(rows):
            if type(value) not in _PLAIN:
                rows[row] = _plain(function, argument, value, f"row {row} of column {number}")
        kinds = set(map(type, rows))
    if bool in kinds:
        rows = [(value,) if type(value) is bool else value for value in rows]
    found: defaultdict[Any, int] = defaultdict(itertools.count().__next__)
    places = np.fromiter(map(found.__getitem__, rows), np.int64, len(rows))
    return [key if type(key) is tuple else key_of(key) for key in found], places


def _plain(function: str, argument: str, value: Any, place: str) -> Any:
    """A value of a type of Python's own."""
    if type(value).__name__ in _MISSING or (isinstance(value, np.datetime64 | np.timedelta64) and np.isnat(value)):
        return None
    if isinstance(value, str):
        return str(value)
    if isinstance(value, np.floating):
        return float(value)
    if isinstance(value, np.integer | np.bool_) and not isinstance(value, np.timedelta64):
        return value.item()
    if isinstance(value, int | float):
        return int(value) if isinstance(value, int) else float(value)
    return fail(function, argument, f"of {_EXPECTED}", f" {show(value)} in {place}")


def key_of(value: str | float | bool | None) -> Key:
    """The key of a value of a type of Python's own: 1.0 is 1, and NaN is None."""
    if type(value) is float:
        if value != value:
            return None
        return int(value) if value.is_integer() else value
    return (value,) if type(value) is bool else value


def value_of(key: Any) -> Any:
    """The value that a key stands for."""
    return key[0] if type(key) is tuple else key


def sorted_keys(keys: Iterable[Key]) -> list[Key]:
    """Flags first, then numbers, then texts, each in its order."""
    return sorted(keys, key=lambda key: (_ORDER[type(key)], key))


def packed(keys: Sequence[Key]) -> dict[str, np.ndarray]:
    """A table of keys in arrays: `kinds` and `lengths` `(categories,)`, `texts` `(bytes,)`, one after the other.

    Not a row each: one long text among many short ones would cost as much as if all were long.
    """
    texts = [str(value_of(key)).encode("utf-8", "surrogatepass") for key in keys]
    return {
        "kinds": np.array([_KINDS[type(key)] for key in keys], np.uint8),
        "lengths": np.array([len(text) for text in texts], np.int32),
        "texts": np.frombuffer(b"".join(texts), np.uint8).copy(),
    }


def unpacked(table: Mapping[str, Array]) -> list[Key]:
    """The keys that `packed` made a table of."""
    whole = np.asarray(table["texts"]).tobytes()
    ends = np.cumsum(np.asarray(table["lengths"]), dtype=np.int64).tolist()
    texts = (whole[start:end].decode("utf-8", "surrogatepass") for start, end in zip([0, *ends], ends, strict=False))
    return [_READ[kind](text) for kind, text in zip(np.asarray(table["kinds"]).tolist(), texts, strict=True)]


def column_names(state: State) -> list[str]:
    """Names of the columns of a state, in order: sorted as texts, the tenth would come before the second."""
    return [f"column{i}" for i in range(len(state))]
