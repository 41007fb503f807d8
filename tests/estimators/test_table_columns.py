"""Columns of raw tables as people have them: texts that are numbers or dates, objects of several kinds, wild values."""

from __future__ import annotations

import datetime
import decimal
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

import jaxann as ja
from jaxann import InputError
from jaxann.core import CheckpointError
from jaxann.estimators import MLPRegressor, TabularClassifier, TabularRegressor
from jaxann.estimators.tables import columns_of, fit_table, read_table

RANDOM = np.random.default_rng(0)
V = RANDOM.normal(size=200) * 5
DAYS = [datetime.date(2020, 1, 1) + datetime.timedelta(days=int(v * 20)) for v in V]
ISO = [day.isoformat() for day in DAYS]


def read(column: Any) -> tuple[str, np.ndarray]:
    """What one column beside another is taken for, and how it reads."""
    frame = pd.DataFrame({"v": column, "other": RANDOM.normal(size=len(column))})
    table, found = fit_table("fit", frame, frame)
    numbers = found["numbers"] if isinstance(found, dict) else found
    return table.kinds[0], numbers[:, 0].astype(np.float64) + table.shifts[0]


@pytest.mark.parametrize(
    "column",
    [
        [f" {v:.3f} " for v in V],
        pd.array([f"{v:.3f}" for v in V], dtype="string"),
        [f"{v:.3f}" if i % 2 else float(f"{v:.3f}") for i, v in enumerate(V)],
        [decimal.Decimal(f"{v:.3f}") for v in V],
    ],
    ids=["text", "string", "mixed", "decimal"],
)
def test_what_reads_as_numbers_is_numbers(column: Any):
    kind, found = read(column)
    assert kind in ("number", "written number")
    np.testing.assert_allclose(found, np.round(V, 3), rtol=1e-6)


@pytest.mark.parametrize(
    "column",
    [
        ISO,
        [f"{day}T12:30:00+02:00" for day in ISO],
        DAYS,
        [datetime.datetime.combine(day, datetime.time(5), datetime.UTC) for day in DAYS],
        [pd.Timestamp(day) if i % 5 else None for i, day in enumerate(DAYS)],
        pd.period_range("2020-01", periods=200, freq="D"),
        pd.Series(pd.to_datetime(ISO)).dt.tz_localize("UTC"),
    ],
    ids=["ISO", "ISO with a zone", "dates", "datetimes", "timestamps and None", "periods", "column with a zone"],
)
def test_what_reads_as_dates_is_dates(column: Any):
    kind, found = read(column)
    assert kind in ("date", "written date")
    first = next(i for i, value in enumerate(list(column)) if value is not None)
    text = str(list(column)[first])[:10]
    assert pd.Timestamp(found[first], unit="s").date() == datetime.date.fromisoformat(text)


@pytest.mark.parametrize(
    "column",
    [
        [f"0{i % 50}" for i in range(200)],  # codes
        [str(i % 7) for i in range(200)],  # few
        [f"{v:.1f}" if i % 2 else "none" for i, v in enumerate(V)],  # half of it
        pd.Series([f"{i % 40}" for i in range(200)], dtype="category"),  # as it says itself
        pd.cut(pd.Series(V), 6),
    ],
    ids=["leading zeros", "few", "half", "categories", "intervals"],
)
def test_what_may_as_well_be_categories_stays_categories(column: Any):
    frame = pd.DataFrame({"v": column, "other": V})
    table, found = fit_table("fit", frame, frame)
    assert table.kinds[0] == "category" and found["categories"].shape == (200, 1)


def test_what_reads_otherwise_is_missing_and_told_by_its_column_in_fit_and_afterwards():
    texts = [f"{v:.2f}" for v in V]
    texts[3:9:2] = [" ?", "", "n/a"]
    frame = pd.DataFrame({"price": texts, "day": [*ISO[:-1], "soon"], "other": V})
    with pytest.warns(UserWarning) as told:
        table, found = fit_table("fit", frame, frame)
    assert [str(one.message) for one in told] == [
        "fit: column 'price' reads as numbers; 2 of 200 values do not and count as missing, the first ' ?' in row 3.",
        "fit: column 'day' reads as dates; 1 of 200 values do not and count as missing, the first 'soon' in row 199.",
    ]
    assert table.kinds == ("written number", "written date", "number")
    assert np.isnan(found[[3, 5, 7], 0]).all() and np.isnan(found[:, 0]).sum() == 3 and np.isnan(found[-1, 1])
    new = pd.DataFrame({"price": ["1.5", "free"], "day": ["2020-02-30", "2021-01-08"], "other": [0.0, 1.0]})
    with pytest.warns(UserWarning, match="1 of 2 values do not") as told:
        later = read_table("predict", table, columns_of(new))
    assert len(told) == 2 and np.isnan(later[1, 0]) and np.isnan(later[0, 1]) and later[0, 0] == np.float32(1.5)


@pytest.mark.parametrize("value", [[1, 2], b"a", {"a": 1}, 1j], ids=["list", "bytes", "dict", "complex"])
def test_what_is_none_of_it_is_refused_by_its_column(value: Any):
    column = np.empty(30, object)
    column[:] = ["a", "b", "c"] * 10
    column[4] = value
    frame = pd.DataFrame({"v": column, "other": V[:30]})
    with pytest.raises(InputError, match=r"column 'v' must be of numbers, dates, texts or categories, got .* in row 4"):
        fit_table("fit", frame, frame)


def test_dates_in_another_form_are_refused_by_their_column():
    frame = pd.DataFrame({"day": DAYS, "other": V})
    table, _ = fit_table("fit", frame, frame)
    new = pd.DataFrame({"day": ["08.01.2021"], "other": [0.0]})
    with pytest.raises(InputError, match=r"column 'day' must be dates, as in fit, got '08.01.2021' in row 0"):
        read_table("predict", table, columns_of(new))


def test_columns_of_unseen_categories_are_told():
    frame = pd.DataFrame({"town": [f"t{i % 3}" for i in range(200)], "other": V})
    table, _ = fit_table("fit", frame, frame)
    with pytest.warns(UserWarning, match=r"predict: 60% of the values of column 'town' did not occur in fit"):
        read_table("predict", table, columns_of(frame[:50].assign(town=["T0"] * 30 + ["t0"] * 20)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_table("predict", table, columns_of(frame[:50].assign(town=["T0"] * 10 + ["t0"] * 20 + [None] * 20)))


def test_wild_numbers_do_not_hide_the_others():
    y = 3 * V
    net = {"net": ja.models.mlp((16, 1)), "epochs": 40, "random_state": 0}
    for wild, bound in ((1e6, 0.9), (-999.0, 0.85)):
        x = pd.DataFrame({"v": np.where(np.arange(200) % 40 == 7, wild, V), "other": RANDOM.normal(size=200)})
        ordinary = x["v"].abs() < 100
        found = TabularRegressor(epochs=40, random_state=0).fit(x, y).predict(x[ordinary])
        assert 1 - ((found - y[ordinary]) ** 2).mean() / y[ordinary].var() > bound
    wild = np.where(np.arange(200) % 40 == 7, 1e6, y)
    ordinary = wild < 1e5
    found = TabularRegressor(loss="absolute_error", **net).fit(V[:, None], wild).predict(V[ordinary][:, None])
    assert np.abs(found - y[ordinary]).mean() < 0.2 * y.std()


def test_a_search_scores_the_mean_of_the_members_inside():
    x, three = pd.DataFrame({"v": V, "other": RANDOM.normal(size=200)}), np.digitize(V, [-2, 2])
    for model, y in ((TabularClassifier(), three), (TabularRegressor(), V)):
        found = model.set_params(random_state=0).search({"epochs": [8]}, x, y, trials=1, folds=2)
        assert found.best_params_ == {"epochs": 8} and found.score(x, y) > 0.8 and "score" in str(found.search_)


def test_an_interval_needs_calibration_or_a_loss_that_says_how_wide():
    plain = MLPRegressor(hidden_layer_sizes=(4,), max_iter=2, members=2, random_state=0)
    with pytest.warns(UserWarning, match="converged"):
        plain.fit(V[:, None], V)
    with pytest.raises(NotFittedError, match=r'calibrate\(X, y\) first, or fit with loss="gaussian"'):
        plain.predict_interval(V[:, None])
    assert plain.calibrate(V[:, None], V).predict_interval(V[:, None]).shape == (200, 2)


def test_a_file_of_another_class_says_which(tmp_path: Path):
    net = ja.models.mlp((4, 2))
    TabularClassifier(net=net, epochs=1, random_state=0).fit(V[:, None], V > 0).save(tmp_path / "file")
    with pytest.raises(CheckpointError, match=r"holds a 'TabularClassifier', which TabularClassifier.load reads"):
        TabularRegressor.load(tmp_path / "file")
