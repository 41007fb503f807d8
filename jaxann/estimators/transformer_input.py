"""What a transformer is given, as an array of the host, of numbers or of any values; what is neither is named."""

from __future__ import annotations

import datetime
import decimal
import numbers
from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np
from sklearn.utils.validation import check_array, column_or_1d

from jaxann.core.checks import check_unmasked, fail, show
from jaxann.core.errors import InputError

__all__ = ["WrongKindError", "column_label", "read_labels", "read_numbers", "read_targets", "read_values"]

_MISSING = frozenset(("NAType", "NaTType"))  # of pandas, by their names: pandas need not be there
_ENCODERS = "Ordinal, OneHot and TargetEncode take texts, DateFields takes dates."


class WrongKindError(InputError, TypeError):
    """A value is of a type that nothing can be made of; a TypeError too, as scikit-learn raises for it."""


def read_numbers(
    function: str, x: Any, *, estimator: Any, argument: str = "X", missing: bool = True, fewest: int = 1
) -> np.ndarray:
    """x `(rows, columns)` in float64, or in float32 where it is so already.

    Args:
        function: for messages, such as `Standard.fit`.
        x: an array, a data frame or nested lists; of objects, as long as each is a number or missing.
        estimator: whose name scikit-learn's messages have.
        argument: what x is called in messages.
        missing: whether NaN, None and pandas' NA pass, as NaN.
        fewest: how many rows there have to be.

    Raises:
        InputError: a value is a text, infinite, or missing where it has to be there, rows are of unequal lengths, or
            numbers stand behind a mask; the message names the column.
        WrongKindError: a value is of another type.
        ValueError: x is not of two axes, or empty, or complex; in scikit-learn's words.
        TypeError: x is sparse; in scikit-learn's words.
    """
    array = _host_array(function, argument, x)
    if isinstance(array, np.ndarray) and array.ndim == 2 and array.dtype.kind in "OSTUMm":
        array = _numbers_of(function, argument, array, x)
    dtypes: Any = [np.float64, np.float32]
    found = check_array(
        array,
        dtype=dtypes,
        ensure_all_finite=False,
        ensure_min_samples=fewest,
        estimator=estimator,
        input_name=argument,
    )
    _check_finite(function, argument, found, x, missing)
    return found


def read_values(function: str, x: Any, *, estimator: Any, dates: bool = False) -> np.ndarray:
    """x `(rows, columns)` as it is: an array of numbers, flags, texts or dates, or of objects that are such.

    Args:
        function, x, estimator: as `read_numbers`; of a data frame with columns of several types each value is an
            object.
        dates: whether dates pass too.

    Raises:
        WrongKindError: a value is of another type.
        InputError, ValueError, TypeError: as `read_numbers`.
    """
    array = _host_array(function, "X", x)
    anything: Any = None
    found = check_array(array, dtype=anything, ensure_all_finite=False, estimator=estimator, input_name="X")
    if found.dtype.kind == "O":
        real = (str, numbers.Real, np.generic, type(None), *((datetime.date,) if dates else ()))
        wanted = "a string, a number, a flag or missing" + (", or a date" if dates else "")
        hint = None if dates else "DateFields takes dates."
        for i in range(found.shape[1]):
            for kind in set(map(type, found[:, i])):
                if not issubclass(kind, real) and kind.__name__ not in _MISSING:
                    _refuse(WrongKindError, function, "X", wanted, found[:, i], kind, column_label(x, i), hint)
    return found


def read_labels(function: str, y: Any) -> np.ndarray:
    """Labels of classes `(rows,)`, numbers or texts.

    Raises:
        InputError: some are behind a mask.
        ValueError: they are not of one axis, or one is missing; in scikit-learn's words.
    """
    check_unmasked(function, "y", y)
    anything: Any = None
    return column_or_1d(check_array(y, ensure_2d=False, dtype=anything, input_name="y"))


def read_targets(function: str, y: Any, *, estimator: Any) -> np.ndarray:
    """Targets `(rows,)` as numbers, in float64 or float32.

    Raises:
        InputError: one is missing, infinite, a text or behind a mask.
        ValueError: they are not of one axis; in scikit-learn's words.
    """
    check_unmasked(function, "y", y)
    column = column_or_1d(np.asarray(y)).reshape(-1, 1)
    return read_numbers(function, column, estimator=estimator, argument="y", missing=False)[:, 0]


def column_label(x: Any, number: int) -> str:
    """How a message calls a column of x: by its name where it has one."""
    columns = getattr(x, "columns", None)
    return f"column {number}" if columns is None or callable(columns) else f"column {columns[number]!r}"


def _host_array(function: str, argument: str, x: Any) -> Any:
    """x as numpy has it, lists of texts and numbers as objects; what is sparse stays, for scikit-learn to refuse."""
    check_unmasked(function, argument, x)
    if hasattr(x, "toarray") or not (hasattr(x, "__array__") or isinstance(x, list | tuple)):
        return x
    if not isinstance(x, list | tuple):
        return np.asarray(x)
    lengths = [len(row) for row in x if isinstance(row, list | tuple)]
    if len(lengths) == len(x) and len(set(lengths)) > 1:
        row = next(i for i, length in enumerate(lengths) if length != lengths[0])
        expected = f"of rows of one length, {lengths[0]} as the first"
        fail(function, argument, expected, f" {lengths[row]} values in row {row}")
    array = np.asarray(x)
    return np.array(x, object) if array.dtype.kind in "SU" else array


def _numbers_of(function: str, argument: str, array: np.ndarray, x: Any) -> np.ndarray:
    """An array of objects as numbers, NaN where one is missing; no text is read as one."""
    wanted = "a number, and no string is read as a number"
    found = np.empty(array.shape)
    for i in range(array.shape[1]):
        values = list(array[:, i]) if array.dtype.kind in "Mm" else array[:, i].tolist()
        kinds = set(map(type, values))
        absent = tuple(kind for kind in kinds if kind is type(None) or kind.__name__ in _MISSING)
        for kind in kinds - set(absent):
            if not issubclass(kind, numbers.Real | decimal.Decimal | np.bool_):
                known = issubclass(kind, str | bytes | datetime.date | np.datetime64 | np.timedelta64)
                error, hint = (InputError, _ENCODERS) if known else (WrongKindError, None)
                _refuse(error, function, argument, wanted, values, kind, column_label(x, i), hint)
        found[:, i] = [np.nan if isinstance(value, absent) else value for value in values] if absent else values
    return found


def _refuse(
    error: type[InputError],
    function: str,
    argument: str,
    wanted: str,
    values: Sequence[Any],
    kind: type,
    column: str,
    hint: str | None,
) -> NoReturn:
    """Show the first value of a type that is not taken."""
    row = next(i for i, value in enumerate(values) if type(value) is kind)
    try:
        got = f" {show(values[row])} in row {row} of {column}"
        fail(function, f"each value of the {argument} argument", wanted, got, hint=hint)
    except InputError as found:
        raise error(str(found)) from None


def _check_finite(function: str, argument: str, found: np.ndarray, x: Any, missing: bool) -> None:
    with np.errstate(all="ignore"):
        total = found.sum()
    if np.isfinite(total):
        return
    infinite = np.isinf(found)
    for bad, shown in ((infinite, "inf"), (np.isnan(found) & (not missing), "NaN")):
        if bad.any():
            row, column = np.argwhere(bad)[0].tolist()
            expected = "finite, or NaN where it is missing" if missing else "finite and without missing numbers (NaN)"
            hint = None if shown == "inf" else "Fill them in beforehand: Impute in front of it in a Pipeline."
            got = f" {shown} in row {row} of {column_label(x, column)} ({int(bad.sum())} such)"
            fail(function, argument, expected, got, hint=hint)
