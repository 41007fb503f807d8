"""Raw tables to arrays: which columns are numbers, dates, categories, and which say nothing and are left out.

Numbers (flags too) stay as they are, missing ones NaN. Dates become fields. Texts and categories become codes, by
`preprocessing.ordinal`: rare values share one, a value that was not there in training has it too, a missing one is -1.
Left out, each with its reason, are columns without a value or with one value alone, copies of a column before, and what
only names the row: texts that differ in nearly every row, and whole numbers that count the rows.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from jaxann import preprocessing
from jaxann.core.checks import fail
from jaxann.core.preprocessor import Preprocessor
from jaxann.estimators.inputs import LARGEST
from jaxann.estimators.refusals import is_missing

__all__ = ["Table", "column_names", "columns_of", "fit_table", "read_table"]

DATE_FIELDS = ("timestamp", "month", "day", "weekday", "hour")
_NAMES_A_ROW = 0.95  # share of rows with a value of their own from which a text names the row
_FEWEST = 20  # rows from which a column may be taken for such a name
_MOST_CODES = 64
_FAR = 100.0  # deviations from 0 at which a column is brought near it, for float32 has 7 digits
_RARE = 3  # times that a value has to occur for a code of its own, of 100 rows or more


class Table(NamedTuple):
    """How a raw table is read."""

    names: tuple[str, ...]  # of all columns, in order
    kinds: tuple[str, ...]  # "number", "date", "category", or "dropped" of each
    reasons: dict[str, str]  # why a column was left out
    codes: Any  # what `ordinal` learned of the categories; None without any
    rare: int  # how often a value has to occur
    shifts: Any  # float64 (numbers,), taken from each column of numbers before it is rounded to float32

    @property
    def ordinal(self) -> Preprocessor:
        """What makes codes of categories."""
        return preprocessing.ordinal(unknown="rare", min_frequency=self.rare, max_categories=_MOST_CODES)

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many codes each column of categories has."""
        return () if self.codes is None else preprocessing.sizes(self.codes)


def column_names(x: Any) -> list[str]:
    """Names of the columns, "x0", "x1", ... where they have none."""
    if hasattr(x, "columns"):
        return [str(name) for name in x.columns]
    return [f"x{i}" for i in range(np.shape(x)[1])]


def columns_of(x: Any) -> list[np.ndarray]:
    """Each column as an array of numbers, dates or objects."""
    if hasattr(x, "columns"):
        return [_plain(x[name]) for name in x.columns]
    return [x[:, i] for i in range(x.shape[1])]


def _plain(column: Any) -> np.ndarray:
    """A column of a data frame as numpy has it: missing numbers NaN, dates without a zone, categories their values."""
    kind = str(column.dtype)
    if kind.startswith("datetime64") and "," in kind:  # with a zone
        return column.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy()
    if kind.startswith("timedelta"):
        return column.dt.total_seconds().to_numpy(dtype=np.float64)
    if kind == "category":
        return column.astype(object).to_numpy()
    if kind.lower().rstrip("0123456789") in ("int", "uint", "float", "boolean") and not isinstance(
        column.dtype, np.dtype
    ):
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    return column.to_numpy()


def fit_table(function: str, x: Any, frame: Any) -> tuple[Table, Any]:
    """How to read a table, and the table as it reads.

    Args:
        function: for messages.
        x: the table, `(rows, columns)`.
        frame: the same with its names and types, where it has any.

    Raises:
        InputError: a column holds something else than numbers, dates, texts, flags and missing values.
    """
    names, columns = column_names(frame), columns_of(frame)
    rows = len(columns[0])
    kinds, reasons = [], {}
    seen: dict[Any, str] = {}
    for place, (name, column) in enumerate(zip(names, columns, strict=True)):
        kind = _kind(function, name, column)
        reason = _says_nothing(column, kind, rows, _is_text(frame, place))
        if reason is None:
            content = (kind, column.tobytes() if kind != "category" else tuple(map(str, column.tolist())))
            reason = f"a copy of {seen[content]!r}" if content in seen else None
            seen.setdefault(content, name)
        if reason is not None:
            reasons[name] = reason
        kinds.append("dropped" if reason is not None else kind)
    table = Table(tuple(names), tuple(kinds), reasons, None, _RARE if rows >= 100 else 1, None)
    if "category" in kinds:
        table = table._replace(codes=table.ordinal.fit(_categories(table, columns)))
    raw = _read_all(function, table, columns)
    with np.errstate(all="ignore"):
        middle = np.nanmean(raw, 0) if len(raw) else np.zeros(raw.shape[1])
        far = np.abs(middle) > _FAR * np.nanstd(raw, 0)
    table = table._replace(shifts=np.where(far, middle, 0.0))
    return table, read_table(function, table, columns)


def _is_text(frame: Any, column: int) -> bool:
    return not hasattr(frame, "columns") or str(frame.dtypes.iloc[column]) != "category"


def _kind(function: str, name: str, column: np.ndarray) -> str:
    if column.dtype.kind in "biuf":
        return "number"
    if column.dtype.kind == "M":
        return "date"
    if column.dtype.kind not in "OUST":
        fail(function, f"column {name!r}", "numbers, dates, texts or categories", f" {column.dtype}")
    there = [value for value in column.tolist() if not is_missing(value)]
    if there and all(isinstance(value, int | float | np.number | np.bool_) for value in there):
        return "number"
    if there and all(hasattr(value, "year") or isinstance(value, np.datetime64) for value in there):
        return "date"
    return "category"


def _says_nothing(column: np.ndarray, kind: str, rows: int, text: bool) -> str | None:
    """Why a column is left out; None where it is not."""
    if kind == "category":
        there = [value for value in column.tolist() if not is_missing(value)]
        different = len(set(map(str, there)))
    else:
        values = column if kind == "date" else _numbers(column)
        there = values[~np.isnat(values) if values.dtype.kind == "M" else ~np.isnan(values)] if len(values) else values
        different = len(np.unique(there))
    if not len(there):
        return "no value in it"
    if different == 1 and len(there) == rows and rows > 1:
        return "one value alone"
    if rows < _FEWEST:
        return None
    if kind == "category" and text and different >= _NAMES_A_ROW * rows:
        return "names the row: nearly every one has a value of its own"
    if kind == "number" and column.dtype.kind in "iu" and different == rows and np.ptp(column) == rows - 1:
        return "counts the rows"
    return None


def _numbers(column: np.ndarray) -> np.ndarray:
    if column.dtype.kind == "O":
        return np.array([np.nan if is_missing(value) else float(value) for value in column.tolist()])
    return column.astype(np.float64)


def _categories(table: Table, columns: list[np.ndarray]) -> np.ndarray:
    chosen = [c for c, kind in zip(columns, table.kinds, strict=True) if kind == "category"]
    found = np.empty((len(chosen[0]), len(chosen)), object)
    for i, column in enumerate(chosen):
        found[:, i] = column.astype(object)
    return found


def read_table(function: str, table: Table, columns: list[np.ndarray]) -> Any:
    """`(rows, columns)` float32, or with categories `{"numbers": ..., "categories": int32 codes}`.

    Raises:
        InputError: text in a column of numbers, or numbers that are infinite or too large.
    """
    found = (_read_all(function, table, columns) - table.shifts).astype(np.float32)
    if table.codes is None:
        return found
    codes = np.asarray(table.ordinal.transform(table.codes, _categories(table, columns)))
    return {"numbers": found, "categories": codes.astype(np.int32)}


def _read_all(function: str, table: Table, columns: list[np.ndarray]) -> np.ndarray:
    """All numbers and fields of dates, float64 `(rows, numbers)`."""
    numbers = []
    for name, kind, column in zip(table.names, table.kinds, columns, strict=True):
        if kind == "number":
            numbers.append(_read_numbers(function, name, column)[:, None])
        elif kind == "date":
            numbers.append(_read_dates(function, name, column))
    return np.concatenate(numbers, 1) if numbers else np.zeros((len(columns[0]), 1))  # nothing but categories


def _read_numbers(function: str, name: str, column: np.ndarray) -> np.ndarray:
    if column.dtype.kind not in "biufO":
        fail(function, f"column {name!r}", "numbers, as in fit", f" {column.dtype}")
    try:
        found = _numbers(column)
    except (TypeError, ValueError):
        row = next(i for i, value in enumerate(column.tolist()) if isinstance(value, str))
        fail(function, f"column {name!r}", "numbers, as in fit", f" {column[row]!r} in row {row}")
    greatest = np.nanmax(np.abs(found), initial=0)
    if greatest > LARGEST:
        row = int(np.nanargmax(np.abs(found)))
        hint = "Input X contains infinity or a value too large for dtype('float32')."
        fail(
            function,
            f"column {name!r}",
            f"numbers of at most {LARGEST:.0e}",
            f" {found[row]:g} in row {row}",
            hint=hint,
        )
    return found


def _read_dates(function: str, name: str, column: np.ndarray) -> np.ndarray:
    if column.dtype.kind not in "MO":
        fail(function, f"column {name!r}", "dates, as in fit", f" {column.dtype}")
    fields = preprocessing.date_fields(DATE_FIELDS)
    return np.asarray(fields.transform(fields.fit(column[:, None]), column[:, None]))
