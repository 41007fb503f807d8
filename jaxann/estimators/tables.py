"""Raw tables to arrays: which columns are numbers, dates, categories, and which say nothing and are left out.

Numbers (flags too) stay as they are, missing ones NaN. Dates become fields. Texts and categories become codes, by
`preprocessing.ordinal`: rare values share one, a value that was not there in training has it too, a missing one is -1.
Texts that read as numbers or dates are those (`table_columns`).
Left out, each with its reason, are columns without a value or with one value alone, copies of a column before, and what
only names the row: texts that differ in nearly every row, and whole numbers that count the rows.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from jaxann import preprocessing
from jaxann.core.notices import notify
from jaxann.core.preprocessor import Preprocessor
from jaxann.estimators.refusals import is_missing
from jaxann.estimators.table_columns import dates_of, kind_of, numbers_of, plain_column, texts_of

__all__ = ["Table", "column_names", "columns_of", "fit_table", "read_table"]

DATE_FIELDS = ("timestamp", "month", "day", "weekday", "hour")
_NAMES_A_ROW = 0.95  # share of rows with a value of their own from which a text names the row
_FEWEST = 20  # rows from which a column may be taken for such a name
_MOST_CODES = 64
_FAR = 100.0  # deviations from 0 at which a column is brought near it, for float32 has 7 digits
_UNSEEN = 0.5  # share of new values from which a warning says so
_RARE = 3  # times that a value has to occur for a code of its own, of 100 rows or more


class Table(NamedTuple):
    """How a raw table is read."""

    names: tuple[str, ...]  # of all columns, in order
    kinds: tuple[str, ...]  # what `kind_of` says of each, or "dropped"
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
        return [plain_column(x.iloc[:, i]) for i in range(len(x.columns))]
    return [x[:, i] for i in range(x.shape[1])]


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
    kinds, reasons, read = [], {}, []
    seen: dict[Any, str] = {}
    for place, (name, column) in enumerate(zip(names, columns, strict=True)):
        named = _is_named(frame, place)
        kind = kind_of(function, name, column, named)
        values = _values(function, name, kind, column)
        reason = _says_nothing(values, column, kind, rows, named)
        if reason is None:
            content = (kind.split()[-1], values.tobytes() if kind != "category" else tuple(map(str, values.tolist())))
            reason = f"a copy of {seen[content]!r}" if content in seen else None
            seen.setdefault(content, name)
        if reason is not None:
            reasons[name] = reason
        kinds.append("dropped" if reason is not None else kind)
        read.append(values)
    table = Table(tuple(names), tuple(kinds), reasons, None, _RARE if rows >= 100 else 1, None)
    if "category" in kinds:
        table = table._replace(codes=table.ordinal.fit(_categories(table, read)))
    raw = _numbers(table, read)
    with np.errstate(all="ignore"):
        middle = np.nanmean(raw, 0) if len(raw) else np.zeros(raw.shape[1])
        far = np.abs(middle) > _FAR * np.nanstd(raw, 0)
    table = table._replace(shifts=np.where(far, middle, 0.0))
    return table, _read(table, raw, read)


def _is_named(frame: Any, column: int) -> bool:
    """Whether a column of a data frame says itself that it holds categories."""
    return hasattr(frame, "columns") and str(frame.dtypes.iloc[column]) == "category"


def _values(function: str, name: str, kind: str, column: np.ndarray) -> np.ndarray:
    """Numbers, dates or objects."""
    if kind.endswith("number"):
        return numbers_of(function, name, column, written=kind.startswith("written"))
    if kind.endswith("date"):
        return dates_of(function, name, column, written=kind.startswith("written"))
    return texts_of(function, name, column)


def _says_nothing(values: np.ndarray, column: np.ndarray, kind: str, rows: int, named: bool) -> str | None:
    """Why a column is left out; None where it is not."""
    if kind == "category":
        there = [value for value in values.tolist() if not is_missing(value)]
        different = len(set(map(str, there)))
    else:
        there = values[~np.isnat(values) if values.dtype.kind == "M" else ~np.isnan(values)]
        different = len(np.unique(there))
    if not len(there):
        return "no value in it"
    if different == 1 and len(there) == rows and rows > 1:
        return "one value alone"
    if rows < _FEWEST:
        return None
    if kind == "category" and not named and different >= _NAMES_A_ROW * rows:
        return "names the row: nearly every one has a value of its own"
    whole = column.dtype.kind in "iu" or kind == "written number"
    if kind.endswith("number") and whole and different == rows and np.ptp(there) == rows - 1:
        return "counts the rows"
    return None


def _categories(table: Table, read: list[np.ndarray]) -> np.ndarray:
    return np.stack([values for values, kind in zip(read, table.kinds, strict=True) if kind == "category"], 1)


def _numbers(table: Table, read: list[np.ndarray]) -> np.ndarray:
    """All numbers and fields of dates, float64 `(rows, numbers)`."""
    numbers = []
    for kind, values in zip(table.kinds, read, strict=True):
        if kind.endswith("number"):
            numbers.append(values[:, None])
        elif kind.endswith("date"):
            fields, dates = preprocessing.date_fields(DATE_FIELDS), values[:, None]
            numbers.append(np.asarray(fields.transform(fields.fit(dates), dates)))
    return np.concatenate(numbers, 1) if numbers else np.zeros((len(read[0]), 1))  # nothing but categories


def read_table(function: str, table: Table, columns: list[np.ndarray]) -> Any:
    """`(rows, columns)` float32, or with categories `{"numbers": ..., "categories": int32 codes}`.

    Warns of columns of categories most of whose values did not occur in fit.

    Raises:
        InputError: a column holds something else than in fit, or numbers that are infinite or too large.
    """
    given = zip(table.names, table.kinds, columns, strict=True)
    read = [column if kind == "dropped" else _values(function, name, kind, column) for name, kind, column in given]
    if table.codes is not None and len(columns[0]) >= _FEWEST:
        _tell_of_unseen(function, table, _categories(table, read))
    return _read(table, _numbers(table, read), read)


def _tell_of_unseen(function: str, table: Table, given: np.ndarray) -> None:
    known = np.asarray(table.ordinal.replace(unknown="missing").transform(table.codes, given))
    there = np.array([[not is_missing(value) for value in row] for row in given.tolist()])
    names = [name for name, kind in zip(table.names, table.kinds, strict=True) if kind == "category"]
    for name, new in zip(names, ((known == -1) & there).mean(0), strict=True):
        if new > _UNSEEN:
            notify(f"{function}: {new:.0%} of the values of column {name!r} did not occur in fit.", UserWarning)


def _read(table: Table, raw: np.ndarray, read: list[np.ndarray]) -> Any:
    found = (raw - table.shifts).astype(np.float32)
    if table.codes is None:
        return found
    codes = np.asarray(table.ordinal.transform(table.codes, _categories(table, read)))
    return {"numbers": found, "categories": codes.astype(np.int32)}
