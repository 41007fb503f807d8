"""Dates and times as numbers: what calendars and clocks show of them."""

from __future__ import annotations

import datetime
import re
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jax.core import Tracer

from jaxann.core.checks import OUTSIDE, check_choice, fail, refuse_traced, show
from jaxann.core.factories import factory
from jaxann.core.preprocessor import Preprocessor, PreprocessorFunctions
from jaxann.preprocessing.columns import counted

__all__ = ["date_fields"]


_FINE = re.compile(r"(\.\d{6})\d+$")


class _Calendar:
    """Days since 1970 and what they belong to; all int64, nonsense where the date is missing."""

    def __init__(self, dates: np.ndarray):
        self.dates = dates
        self.days = dates.astype("datetime64[D]")
        self.months = dates.astype("datetime64[M]")
        self.years = dates.astype("datetime64[Y]")
        self.day = (self.days - self.months.astype("datetime64[D]")).astype(np.int64)
        self.day_of_year = (self.days - self.years.astype("datetime64[D]")).astype(np.int64)
        self.month = (self.months - self.years.astype("datetime64[M]")).astype(np.int64)
        self.weekday = (self.days.astype(np.int64) + 3) % 7  # 1970 began on a Thursday
        thursday = self.days + (3 - self.weekday)  # the year of a week is that of its Thursday
        self.week_years = thursday.astype("datetime64[Y]")
        self.week = (thursday - self.week_years.astype("datetime64[D]")).astype(np.int64) // 7

    def clock(self, unit: Any, larger: Any) -> np.ndarray:
        """How many units have passed since the larger one began."""
        return (self.dates.astype(f"datetime64[{unit}]") - self.dates.astype(f"datetime64[{larger}]")).astype(np.int64)

    def timestamp(self) -> np.ndarray:
        """Seconds since 1970 with their fractions."""
        seconds = self.dates.astype("datetime64[s]")
        return seconds.astype(np.int64) + (self.dates - seconds) / np.timedelta64(1, "s")

    def days_in(self, starts: np.ndarray) -> np.ndarray:
        """Length of a month or year in days."""
        return ((starts + 1).astype("datetime64[D]") - starts.astype("datetime64[D]")).astype(np.int64)

    def weeks_in_year(self) -> np.ndarray:
        """52, or 53 where the 28th of December, which is always in the last week, is in that one."""
        last = (self.week_years + 1).astype("datetime64[D]") - 4
        thursday = last + (3 - (last.astype(np.int64) + 3) % 7)
        return (thursday - self.week_years.astype("datetime64[D]")).astype(np.int64) // 7 + 1


class _Field(NamedTuple):
    value: Callable[[_Calendar], np.ndarray]  # from 0 on where it is periodic
    first: int = 0  # what the first one is called
    period: Callable[[_Calendar], Any] | None = None


_FIELDS = {
    "year": _Field(lambda c: c.years.astype(np.int64) + 1970),
    "quarter": _Field(lambda c: c.month // 3, 1, lambda c: 4),
    "month": _Field(lambda c: c.month, 1, lambda c: 12),
    "week": _Field(lambda c: c.week, 1, _Calendar.weeks_in_year),
    "day": _Field(lambda c: c.day, 1, lambda c: c.days_in(c.months)),
    "day_of_year": _Field(lambda c: c.day_of_year, 1, lambda c: c.days_in(c.years)),
    "weekday": _Field(lambda c: c.weekday, 0, lambda c: 7),
    "hour": _Field(lambda c: c.clock("h", "D"), 0, lambda c: 24),
    "minute": _Field(lambda c: c.clock("m", "h"), 0, lambda c: 60),
    "second": _Field(lambda c: c.clock("s", "m"), 0, lambda c: 60),
    "timestamp": _Field(_Calendar.timestamp),
}


@factory(Preprocessor, static=("fields",), traits=("on_host",))
def date_fields(fields: tuple[str, ...] = ("year", "month", "day", "weekday", "hour"), *, cyclic: bool = False):
    """z = the fields of each date, side by side, float64; with `cyclic` sin and cos of 2 pi i / n for the i-th of n.

    Args:
        fields: of "year", "quarter" (1 to 4), "month" (1 to 12), "week" (1 to 53, of ISO 8601, whose first one holds
            the year's first Thursday), "day" (1 to 31), "day_of_year" (1 to 366), "weekday" (0, a Monday, to 6),
            "hour", "minute", "second" (whole) and "timestamp" (seconds since 1970 with their fractions).
        cyclic: whether each field that comes round again, all but year and timestamp, becomes two, so that December is
            next to January. n is the length of that month or year where they differ.

    x `(examples, ..., columns)` or `(examples,)` are datetime64, or objects: ISO texts, which numpy reads, Python's or
    pandas' datetimes. A missing date (NaT, None, NaN) is NaN in all its fields. Time zones are refused: convert first.
    It works on the host, outside of jit.

    State: `columns`, how many x has.

    Peers: pandas' Series.dt, one field at a time; scikit-learn leaves dates to it.

    Raises:
        InputError: a field is none, or stands twice; x is no such array, or has other columns than it had in `fit`.
    """
    if not isinstance(fields, tuple) or not fields:
        fail("date_fields", "fields", "a tuple of names", fields)
    for name in fields:
        check_choice("date_fields", "each of fields", name, _FIELDS)
    if len(set(fields)) < len(fields):
        fail("date_fields", "fields", "different names", f" {', '.join(fields)}")

    def is_cyclic(name: str) -> bool:
        return cyclic and _FIELDS[name].period is not None

    def measure(x, where, y):
        dates = _dates(x)
        zeros: Any = np.zeros(dates.shape)
        counted("date_fields", zeros, where)
        return {"columns": np.array(_width(dates), np.int32)}

    def merge(a, b):
        if int(a["columns"]) != int(b["columns"]):
            fail("date_fields", "sums", f"of {int(a['columns'])} columns", f" {int(b['columns'])}")
        return a

    def transform(state, x):
        dates = _dates(x)
        if _width(dates) != int(state["columns"]):
            fail("date_fields", "x", f"of {int(state['columns'])} columns", f" shape {dates.shape}")
        calendar = _Calendar(dates)
        columns = []
        for name in fields:
            value, first, period = _FIELDS[name]
            number = value(calendar).astype(np.float64)
            if is_cyclic(name) and period is not None:
                angle = 2 * np.pi * number / period(calendar)
                columns += [np.sin(angle), np.cos(angle)]
            else:
                columns.append(number + first)
        z = np.stack(columns, -1)
        z[np.isnat(dates)] = np.nan
        return z.reshape((*dates.shape[: max(1, dates.ndim - 1)], _width(dates) * len(columns)))

    def named(state, names):
        ends = [e for n in fields for e in ((f"{n}_sin", f"{n}_cos") if is_cyclic(n) else (n,))]
        return [f"{name}_{end}" for name in names for end in ends]

    return PreprocessorFunctions(transform, None, measure, merge, lambda sums: dict(sums), names=named)


def _width(dates: np.ndarray) -> int:
    return dates.shape[-1] if dates.ndim > 1 else 1


def _dates(x: Any) -> np.ndarray:
    """x as datetime64, NaT where a date is missing.

    Raises:
        InputError: x is traced, no array of dates, or one of them is none or has a time zone: the message says which.
    """
    if isinstance(x, Tracer):
        refuse_traced("date_fields", "x", OUTSIDE)
    if not hasattr(x, "__array__"):
        fail("date_fields", "x", "an array", x, hint="numpy.array(x, dtype='datetime64[s]') makes one of a list.")
    array = np.asarray(x)
    if array.ndim == 0 or array.dtype.kind not in "MOUT":
        hint = "Seconds since 1970 are dates as x.astype('datetime64[s]')." if array.dtype.kind in "iu" else None
        fail("date_fields", "x", "dates of shape (examples, ..., columns)", f" {show(array)}", hint=hint)
    if array.dtype.kind == "M":
        return array
    texts = [_text(value) for value in array.reshape(-1).tolist()]
    dates = _read(texts)
    if dates is None:
        wrong = next(i for i, text in enumerate(texts) if _read([text]) is None)
        place = ", ".join(map(str, np.unravel_index(wrong, array.shape)))
        hint = "An ISO date has no time zone here: convert all to one, UTC say, and leave its name out."
        fail("date_fields", "x", "of dates, or texts such as 2024-02-29T12:30:00",
             f" {show(array.reshape(-1)[wrong])} at [{place}]", hint=hint)  # fmt: skip
    return dates.reshape(array.shape)


def _text(value: Any) -> str:
    """ISO 8601 for a date of whatever class; what is none stays a text that cannot be read."""
    if value is None or (isinstance(value, float) and value != value) or type(value).__name__ in ("NaTType", "NAType"):
        return "NaT"
    if isinstance(value, datetime.date):  # a datetime is one, and pandas' Timestamp
        return value.isoformat()
    if isinstance(value, np.datetime64 | str) and str(value).lower() not in ("now", "today"):  # which numpy reads
        return str(value)
    return f"{type(value).__name__}: {value}"


def _read(texts: list[str]) -> np.ndarray | None:
    """Dates, in the coarsest unit that holds them all, down to microseconds; None where one cannot be read."""
    if not texts:
        return np.empty(0, "datetime64[s]")
    # numpy would take nanoseconds for all where one has nine digits, in which 1600 wraps round to 2184.
    texts = [_FINE.sub(r"\1", text) if len(text) > 26 else text for text in texts]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # numpy only warns of a time zone
        try:
            return np.array(texts, "datetime64")
        except (ValueError, TypeError, OverflowError, Warning):
            return None
