"""One column of a raw table: what it holds, and its values as numbers, dates or texts.

A column of texts that read as numbers or as dates (ISO 8601) holds numbers or dates, unless there are so few different
ones that they may as well be categories, or they begin with zeros, as codes do. What does not read like the others
counts as missing, and a warning says so, with the column's name.
"""

from __future__ import annotations

import datetime
import decimal
import re
from typing import Any

import numpy as np

from jaxann.core.checks import fail, show
from jaxann.core.notices import notify
from jaxann.estimators.inputs import LARGEST
from jaxann.estimators.refusals import is_missing

__all__ = ["dates_of", "kind_of", "numbers_of", "plain_column", "texts_of"]

_NUMERAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_CODE = re.compile(r"0\d+")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}([.]\d{1,6})?)?)?(Z|[+-]\d{2}:\d{2})?")
_SHARE = 0.8  # of the texts that have to read as numbers or dates
_FEW = 20  # different texts that may as well be categories, although they read as numbers


def plain_column(column: Any) -> np.ndarray:
    """A column of a data frame as numpy has it: missing numbers NaN, dates without a zone, categories their values."""
    kind = str(column.dtype)
    if kind.startswith("datetime64") and "," in kind:  # with a zone
        return column.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy()
    if kind.startswith("timedelta"):
        return column.dt.total_seconds().to_numpy(dtype=np.float64)
    if kind == "category":
        values = column.astype(object).to_numpy().copy()
        for row, value in enumerate(values):
            if not is_missing(value) and not isinstance(value, str | int | float | np.number | np.bool_):
                values[row] = str(value)  # an interval, a date: it names a class
        return values
    if kind.lower().rstrip("0123456789") in ("int", "uint", "float", "boolean") and not isinstance(
        column.dtype, np.dtype
    ):
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    return column.to_numpy()


def kind_of(function: str, name: str, column: np.ndarray, named: bool = False) -> str:
    """What a column holds: "number", "date", "category", or "written number", "written date" in texts.

    Args:
        function, name: for messages.
        column: its values.
        named: whether it is known to hold categories.

    Raises:
        InputError: it holds something else.
    """
    if column.dtype.kind in "biuf":
        return "number"
    if column.dtype.kind == "M":
        return "date"
    if column.dtype.kind not in "OUST":
        fail(function, f"column {name!r}", "numbers, dates, texts or categories", f" {column.dtype}")
    there = [value for value in texts_of(function, name, column).tolist() if not is_missing(value)]
    if named or not there:
        return "category"
    if all(_is_number(value) for value in there):
        return "number"
    if all(_is_date(value) for value in there):
        return "date"
    read = [str(value).strip() for value in there if str(value).strip()]
    written = [text for text in read if _NUMERAL.fullmatch(text)]
    if len(written) >= _SHARE * len(read) and not any(_CODE.fullmatch(text) for text in written):
        if len(set(written)) > min(_FEW, len(column) / 5):
            return "written number"
    if read and sum(bool(_DATE.fullmatch(text)) for text in read) >= _SHARE * len(read):
        return "written date"
    return "category"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number | np.bool_ | decimal.Decimal)


def _is_date(value: Any) -> bool:
    return isinstance(value, datetime.date | np.datetime64) or hasattr(value, "to_timestamp")


def texts_of(function: str, name: str, column: np.ndarray) -> np.ndarray:
    """The values of a column of categories, as objects.

    Raises:
        InputError: one is no text, number, flag, date or missing value.
    """
    found = column.astype(str).astype(object) if column.dtype.kind == "S" else column.astype(object)
    for row, value in enumerate(found.tolist()):
        if not (isinstance(value, str) or _is_number(value) or _is_date(value) or is_missing(value)):
            expected = "of numbers, dates, texts or categories"
            fail(function, f"column {name!r}", expected, f" {show(value)} in row {row}")
    return found


def numbers_of(function: str, name: str, column: np.ndarray, *, written: bool) -> np.ndarray:
    """The numbers of a column, float64, missing ones NaN; of a `written` one what is no number is missing, and told.

    Raises:
        InputError: a value is no number, infinite or too large.
    """
    if column.dtype.kind not in "biufOUST":
        fail(function, f"column {name!r}", "numbers, as in fit", f" {column.dtype}")
    if column.dtype.kind in "biuf":
        found = column.astype(np.float64)
    else:
        found = _parsed(function, name, column, written)
    greatest = np.nanmax(np.abs(found), initial=0)
    if greatest > LARGEST:
        row = int(np.nanargmax(np.abs(found)))
        hint = "Input X contains infinity or a value too large for dtype('float32')."
        expected = f"numbers of at most {LARGEST:.0e}"
        fail(function, f"column {name!r}", expected, f" {found[row]:g} in row {row}", hint=hint)
    return found


def _parsed(function: str, name: str, column: np.ndarray, written: bool) -> np.ndarray:
    found, spoiled = np.full(len(column), np.nan), []
    for row, value in enumerate(column.tolist()):
        if is_missing(value) or (written and isinstance(value, str) and not value.strip()):
            continue
        if written and isinstance(value, str) and not _NUMERAL.fullmatch(value.strip()):
            spoiled.append(row)
            continue
        try:
            found[row] = float(value)
        except (TypeError, ValueError):
            fail(function, f"column {name!r}", "numbers, as in fit", f" {show(value)} in row {row}")
    _tell(function, name, column, spoiled, "numbers")
    return found


def dates_of(function: str, name: str, column: np.ndarray, *, written: bool) -> np.ndarray:
    """The dates of a column, datetime64 in UTC, missing ones NaT; of a `written` one what is no date is missing.

    Raises:
        InputError: a value is no date.
    """
    if column.dtype.kind == "M":
        return column
    if column.dtype.kind not in "OUT":
        fail(function, f"column {name!r}", "dates, as in fit", f" {column.dtype}")
    found, spoiled = np.full(len(column), "NaT", "datetime64[us]"), []
    for row, value in enumerate(column.tolist()):
        if is_missing(value) or (isinstance(value, str) and not value.strip()):
            continue
        if isinstance(value, str) and _DATE.fullmatch(value.strip()):
            try:
                value = datetime.datetime.fromisoformat(value.strip())
            except ValueError:  # the 30th of February
                value = str(value)
        if _is_date(value):
            found[row] = _utc(value)
        elif written:
            spoiled.append(row)
        else:
            hint = "As year-month-day, a datetime, or a column of dates: pandas.to_datetime reads other forms."
            fail(function, f"column {name!r}", "dates, as in fit", f" {show(value)} in row {row}", hint=hint)
    _tell(function, name, column, spoiled, "dates")
    return found


def _utc(value: Any) -> np.datetime64:
    value = value.to_timestamp() if hasattr(value, "to_timestamp") else value  # a period: where it begins
    if getattr(value, "tzinfo", None) is not None:
        value = value.astimezone(datetime.UTC).replace(tzinfo=None)
    return np.datetime64(value, "us")


def _tell(function: str, name: str, column: np.ndarray, spoiled: list[int], what: str) -> None:
    if spoiled:
        first = f"{show(column[spoiled[0]])} in row {spoiled[0]}"
        message = f"{function}: column {name!r} reads as {what}; {len(spoiled)} of {len(column)} values do not and "
        notify(f"{message}count as missing, the first {first}.", UserWarning)
