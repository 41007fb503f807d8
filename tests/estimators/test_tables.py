"""Raw tables: what each column is taken for, what is left out and why, and what new rows read as."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from jaxann import InputError
from jaxann.estimators.tables import DATE_FIELDS, columns_of, fit_table, read_table

ROWS = 120


def warts(rows: int = ROWS, seed: int = 0) -> pd.DataFrame:
    """A table with everything at once."""
    random = np.random.default_rng(seed)
    number = random.normal(size=rows)
    number[::7] = np.nan
    return pd.DataFrame(
        {
            "row": np.arange(100, 100 + rows),
            "number": number,
            "copy": number,
            "whole": random.integers(0, 5, rows),
            "nullable": pd.array([None if i % 9 == 0 else i % 4 for i in range(rows)], dtype="Int64"),
            "flag": random.random(rows) > 0.5,
            "town": [None if i % 11 == 0 else ("rare" if i == 1 else f"t{i % 3}") for i in range(rows)],
            "kind": pd.Categorical(random.choice(["u", "v"], rows)),
            "day": pd.Timestamp("2020-01-31") + pd.to_timedelta(random.integers(0, 400, rows), "D"),
            "name": [f"person {i}" for i in range(rows)],
            "constant": 1.0,
            "nothing": np.nan,
            "mixture": [1 if i % 2 else "one" for i in range(rows)],
        }
    )


def test_columns_are_what_they_hold_and_those_that_say_nothing_are_left_out():
    frame = warts()
    table, _ = fit_table("fit", frame, frame)
    kinds = dict(zip(table.names, table.kinds, strict=True))
    left_out = {name for name, kind in kinds.items() if kind == "dropped"}
    assert left_out == {"row", "copy", "name", "constant", "nothing"} == set(table.reasons)
    assert table.reasons["copy"] == "a copy of 'number'" and table.reasons["row"] == "counts the rows"
    assert [n for n, k in kinds.items() if k == "number"] == ["number", "whole", "nullable", "flag"]
    assert [n for n, k in kinds.items() if k == "category"] == ["town", "kind", "mixture"]
    assert kinds["day"] == "date"


def test_numbers_codes_and_dates_are_those_of_pandas():
    frame = warts()
    table, read = fit_table("fit", frame, frame)
    numbers = read["numbers"] + table.shifts
    np.testing.assert_allclose(numbers[:, 0], frame["number"], rtol=1e-6)
    np.testing.assert_array_equal(np.isnan(numbers[:, 2]), frame["nullable"].isna())
    np.testing.assert_array_equal(numbers[:, 3], frame["flag"])
    fields = dict(zip(DATE_FIELDS, numbers[:, 4:].T, strict=True))
    np.testing.assert_array_equal(fields["month"], frame["day"].dt.month)
    np.testing.assert_array_equal(fields["weekday"], frame["day"].dt.day_of_week)
    seconds = frame["day"].astype("datetime64[s]").astype("int64")
    np.testing.assert_allclose(fields["timestamp"], seconds, atol=2)  # near its middle float32 tells seconds apart
    town = read["categories"][:, 0]
    np.testing.assert_array_equal(town == -1, frame["town"].isna())
    assert len(set(town.tolist())) == 5  # missing, three towns, and the rare ones


def test_new_rows_are_read_by_what_was_learned():
    frame = warts()
    table, _ = fit_table("fit", frame, frame)
    new = warts(20, seed=1).assign(town="never seen", kind=pd.Categorical(["w"] * 20))
    with pytest.warns(UserWarning, match="column '(town|kind)' did not occur in fit") as told:
        read = read_table("predict", table, columns_of(new))
    assert len(told) == 2
    rare = table.sizes[0] - 1
    assert (read["categories"][:, 0] == rare).all() and (read["categories"][:, 1] == table.sizes[1] - 1).all()
    assert read["numbers"].shape == (20, 4 + len(DATE_FIELDS)) and read["numbers"].dtype == np.float32


@pytest.mark.parametrize(
    ("column", "values", "told"),
    [
        ("number", ["many"] * 5, r"column 'number' must be numbers, as in fit, got 'many' in row 0"),
        ("day", [1.0] * 5, r"column 'day' must be dates, as in fit"),
        ("whole", [1e30] * 5, r"column 'whole' must be numbers of at most 1e\+18, got 1e\+30 in row 0"),
    ],
)
def test_a_column_of_another_kind_is_refused_by_its_name(column: str, values: list[Any], told: str):
    frame = warts()
    table, _ = fit_table("fit", frame, frame)
    with pytest.raises(InputError, match=told):
        read_table("predict", table, columns_of(warts(5).assign(**{column: values})))


def test_numbers_far_from_0_keep_their_digits():
    years = pd.DataFrame({"year": 1e7 + np.arange(50) / 8 * np.where(np.arange(50) % 2, 1, -1)})
    table, read = fit_table("fit", years, years)
    np.testing.assert_array_equal(read.astype(np.float64)[:, 0] - read[0, 0], years["year"] - years["year"][0])
    assert table.shifts[0] > 9e6
