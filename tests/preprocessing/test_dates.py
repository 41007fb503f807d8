"""Fields of dates, against Python's datetime."""

from __future__ import annotations

import calendar
import datetime
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann.preprocessing.dates import date_fields
from tests.contract import assert_input_error

RANDOM = np.random.default_rng(0)
FIRST = datetime.datetime(1900, 1, 1)
SECONDS = RANDOM.integers(0, int((datetime.datetime(2101, 1, 1) - FIRST).total_seconds()), 3000).tolist()
DATES = [FIRST + datetime.timedelta(seconds=s, microseconds=m) for s, m in zip(SECONDS, SECONDS[::-1], strict=True)]
for year in (1900, 1904, 1969, 1970, 2000, 2004, 2009, 2015, 2020, 2024, 2026, 2100):  # leap years, weeks 53, edges
    for month, day in ((1, 1), (1, 2), (1, 3), (1, 4), (2, 28), (3, 1), (12, 27), (12, 28), (12, 31)):
        DATES += [datetime.datetime(year, month, day), datetime.datetime(year, month, day, 23, 59, 59, 999999)]
EPOCH = datetime.datetime(1970, 1, 1)
OF_DATE = {
    "year": lambda d: d.year,
    "quarter": lambda d: (d.month + 2) // 3,
    "month": lambda d: d.month,
    "week": lambda d: d.isocalendar().week,
    "day": lambda d: d.day,
    "day_of_year": lambda d: d.timetuple().tm_yday,
    "weekday": lambda d: d.weekday(),
    "hour": lambda d: d.hour,
    "minute": lambda d: d.minute,
    "second": lambda d: d.second,
    "timestamp": lambda d: (d - EPOCH) / datetime.timedelta(seconds=1),
}
PERIOD = {
    "quarter": lambda d: 4,
    "month": lambda d: 12,
    "week": lambda d: datetime.date(d.isocalendar().year, 12, 28).isocalendar().week,
    "day": lambda d: calendar.monthrange(d.year, d.month)[1],
    "day_of_year": lambda d: 366 if calendar.isleap(d.year) else 365,
    "weekday": lambda d: 7,
    "hour": lambda d: 24,
    "minute": lambda d: 60,
    "second": lambda d: 60,
}
EVERY = tuple(OF_DATE)


@pytest.mark.parametrize("unit", ["us", "ns", "ms", "s", "texts", "objects"])
def test_fields_are_those_of_python(unit: str):
    dates = DATES
    if unit == "texts":
        x: Any = np.array([d.isoformat() for d in DATES])
    elif unit == "objects":
        x = np.array(DATES, object)
    else:
        x = np.array(DATES, "datetime64[us]").astype(f"datetime64[{unit}]")
        dates = x.astype("datetime64[us]").tolist()
    own = date_fields(EVERY)
    state, z = own.fit_transform(x)
    assert z.dtype == np.float64 and z.shape == (len(DATES), len(EVERY))
    expected = np.array([[field(d) for field in OF_DATE.values()] for d in dates], float)
    np.testing.assert_array_equal(z[:, :-1], expected[:, :-1])
    np.testing.assert_allclose(z[:, -1], expected[:, -1], rtol=1e-15, atol=1e-15)
    assert own.feature_names(state, ["t"]) == tuple(f"t_{name}" for name in EVERY)


def test_cyclic_fields_are_points_of_a_circle():
    own = date_fields(EVERY, cyclic=True)
    state, z = own.fit_transform(np.array(DATES, "datetime64[us]"))
    columns = []
    for name, field in OF_DATE.items():
        number = np.array([field(d) for d in DATES], float)
        if name in PERIOD:
            angle = 2 * np.pi * (number - (name not in ("weekday", "hour", "minute", "second")))
            angle /= [PERIOD[name](d) for d in DATES]
            columns += [np.sin(angle), np.cos(angle)]
        else:
            columns.append(number)
    np.testing.assert_allclose(z, np.stack(columns, 1), rtol=1e-12, atol=1e-12)
    names = own.feature_names(state, ["a", "b"])
    assert names[:4] == ("a_year", "a_quarter_sin", "a_quarter_cos", "a_month_sin") and "b_day_of_year_cos" in names
    assert len(names) == 2 * z.shape[1]
    turn = date_fields(("month",), cyclic=True).fit_transform(np.array(["2023-12", "2024-01"], "datetime64[M]"))[1]
    np.testing.assert_allclose(np.linalg.norm(turn[0] - turn[1]), 2 * np.sin(np.pi / 12))


def test_coarse_units_columns_and_axes():
    own = date_fields(("year", "month", "hour"))
    x = np.array([["2024-02-29", "1969-12-31"], ["NaT", "2000-01-01"]], "datetime64[D]")
    state, z = own.fit_transform(x)
    np.testing.assert_array_equal(z, [[2024, 2, 0, 1969, 12, 0], [np.nan, np.nan, np.nan, 2000, 1, 0]])
    np.testing.assert_array_equal(own.transform(state, np.stack([x, x], 1))[:, 1], z)
    assert own.feature_names(state, ["a", "b"])[2:4] == ("a_hour", "b_year")
    assert own.transform(state, x[:0]).shape == (0, 6)
    assert date_fields().fit_transform(np.array([], object))[1].shape == (0, 5)
    years = np.array(["1900", "2024"], "datetime64[Y]")
    np.testing.assert_array_equal(date_fields(EVERY).fit_transform(years)[1][:, 5], [1, 1])


def test_missing_dates_are_nan():
    class NaTType:  # as pandas' NaT
        def isoformat(self) -> str:
            return "NaT"

    x = np.array([None, float("nan"), np.datetime64("NaT"), NaTType(), "NaT", "2024-05-06T07:08", "2024-05-06"], object)
    own = date_fields(("hour", "day"), cyclic=True)
    _, z = own.fit_transform(x)
    assert np.isnan(z[:5]).all() and np.isfinite(z[5:]).all()
    _, z = date_fields(EVERY).fit_transform(np.full(3, "NaT", "datetime64"))
    assert np.isnan(z).all()
    moments = np.array(
        [datetime.date(2024, 5, 6), datetime.datetime(1, 1, 1, 2), np.datetime64("2024-05-06T07")], object
    )
    _, z = date_fields(("year", "hour")).fit_transform(moments)
    assert z.tolist() == [[2024, 0], [1, 2], [2024, 7]]
    far = np.array(["1600-01-01", "2024-05-06T07:08:09.123456789", ""], object)  # nanoseconds reach 1677 alone
    _, z = date_fields(("year", "timestamp")).fit_transform(far)
    np.testing.assert_array_equal(z[:, 0], [1600, 2024, np.nan])
    np.testing.assert_allclose(z[1, 1], 1714979289.123456, rtol=1e-16)


def test_pieces_and_what_counts():
    own, x = date_fields(), np.array(DATES[:10], "datetime64[s]").reshape(5, 2)
    sums = own.partial_fit(own.partial_fit(None, x[:2]), x[2:])
    assert own.compute(sums) == own.fit(x, np.ones(5, bool)) == {"columns": 2}
    assert_input_error(lambda: own.merge(own.partial_fit(None, x), own.partial_fit(None, x[:, 0])), "sums")
    assert_input_error(lambda: own.fit(x, np.ones(4, bool)), "where")
    assert_input_error(lambda: own.transform(own.fit(x), x[:, 0]), "x", expected="2 columns")


def test_bad_options_and_data_are_refused():
    for bad in ((), ("year", "year"), ("years",), "year", ("month", 1)):
        assert_input_error(lambda bad=bad: date_fields(bad), "fields")
    assert_input_error(lambda: date_fields(cyclic=1), "cyclic")
    own = date_fields()
    for bad in (np.arange(3), jnp.arange(3), np.array("2024-01-01"), ["2024-01-01"], np.ones(3, "timedelta64[s]")):
        assert_input_error(lambda bad=bad: own.fit(bad), "x")
    zone = datetime.UTC
    for bad in ("yesterday", "today", "now", "Today", "NOW", "2024-13-01", "2024-01-01T00:00Z", "2024-01-01T00:00+02",
                20240101, datetime.datetime(2024, 1, 1, tzinfo=zone), datetime.time(1), b"2024-01-01"):  # fmt: skip
        x = np.array([["2024-01-01", None], ["2024-01-01", None]], object)
        x[1, 1] = bad
        assert_input_error(lambda x=x: own.fit(x), "x", given="[1, 1]")
    with pytest.raises(Exception, match="date_fields: x must be known when it is called"):
        jax.jit(own.fit)(jnp.arange(3))
    assert_input_error(lambda: own.inverse_transform({}, np.zeros((2, 5))), "inverse_transform")
