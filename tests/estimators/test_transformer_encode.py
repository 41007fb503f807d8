"""Codes of categories and dates against scikit-learn's encoders and pandas."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import preprocessing as peers
from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold

from jaxann.core import InputError
from jaxann.estimators import DateFields, OneHot, Ordinal, TargetEncode

RANDOM = np.random.default_rng(2)
CITIES = np.array(["Bonn", "Jena", "Kiel", "Ulm"], object)[np.minimum(RANDOM.geometric(0.5, 120) - 1, 3)]
FRAME = pd.DataFrame(
    {"city": CITIES, "rooms": RANDOM.integers(1, 4, 120), "kind": pd.Categorical(RANDOM.choice(["x", "y"], 120))}
)
NEW = FRAME.sample(30, random_state=0).reset_index(drop=True)
VALUE = RANDOM.normal(size=120) + (CITIES == "Ulm")
SIGN = np.where(VALUE > 0.2, "yes", "no")
CLASS = RANDOM.choice(["a", "b", "c"], 120)


def test_ordinal_is_scikit_learns_on_mixed_columns():
    own, peer = Ordinal().fit(FRAME), peers.OrdinalEncoder().fit(FRAME)
    np.testing.assert_array_equal(own.transform(NEW), peer.transform(NEW))
    assert own.transform(NEW).dtype == np.int32
    np.testing.assert_array_equal(
        own.inverse_transform(own.transform(NEW)), peer.inverse_transform(peer.transform(NEW))
    )
    given = (("Ulm", "Kiel", "Jena", "Bonn"), (1, 2, 3, 4), ("y", "x"))
    np.testing.assert_array_equal(
        Ordinal(categories=given).fit_transform(FRAME),
        peers.OrdinalEncoder(categories=[list(one) for one in given]).fit_transform(FRAME),
    )


def test_unknown_values_are_told_by_the_name_of_the_column():
    for own in (Ordinal().fit(FRAME), OneHot(unknown="error").fit(FRAME)):
        with pytest.raises(
            InputError, match=r"in column 'city' one of 'Bonn', 'Jena', 'Kiel', 'Ulm', got 'Rome' in row 4"
        ):
            own.transform(NEW.assign(city=["Bonn"] * 4 + ["Rome"] * 26))
    with pytest.raises(InputError, match="in column 0 one of"):
        Ordinal().fit([["a"], ["b"]]).transform([["c"]])


def test_values_of_other_types_are_told_by_the_name_of_the_column():
    frame = FRAME.assign(day=pd.to_datetime("2024-02-29"))
    for own in (Ordinal(), OneHot(), TargetEncode()):
        with pytest.raises(TypeError, match="row 0 of column 'day'.\nDateFields takes dates."):
            own.fit(frame, VALUE)
    with pytest.raises(InputError, match="without masked entries"):
        Ordinal().fit(np.ma.masked_array([["a"], ["b"]], [[True], [False]]))


@pytest.mark.parametrize("drop", [None, "first", "if_binary"])
def test_one_hot_is_scikit_learns_on_mixed_columns(drop: Any):
    own, peer = OneHot(drop=drop).fit(FRAME), peers.OneHotEncoder(sparse_output=False, drop=drop).fit(FRAME)
    z = own.transform(NEW)
    np.testing.assert_array_equal(z, peer.transform(NEW))
    assert z.dtype == np.float64
    assert list(own.get_feature_names_out()) == list(peer.get_feature_names_out())
    np.testing.assert_array_equal(own.inverse_transform(z), peer.inverse_transform(z))


def test_rare_categories_are_scikit_learns():
    own = OneHot(min_frequency=25, unknown="rare").fit(FRAME[["city"]])
    peer = peers.OneHotEncoder(min_frequency=25, handle_unknown="infrequent_if_exist", sparse_output=False)
    peer.fit(FRAME[["city"]])
    new = pd.DataFrame({"city": ["Rome", "Bonn", "Ulm", "Jena"]})
    np.testing.assert_array_equal(own.transform(new), peer.transform(new))
    wanted = [name.replace("infrequent_sklearn", "rare") for name in peer.get_feature_names_out()]
    assert list(own.get_feature_names_out()) == wanted and wanted[-1] == "city_rare"


def test_missing_and_unknown_values_have_zeros_or_a_column():
    x = np.array([["a", 1.5], [None, 2], ["b", np.nan]], object)
    np.testing.assert_array_equal(OneHot().fit_transform(x), [[1, 0, 1, 0], [0, 0, 0, 1], [0, 1, 0, 0]])
    other = OneHot(unknown="other").fit(x)
    np.testing.assert_array_equal(other.transform([["z", 1.5], [None, 7]]), [[0, 0, 1, 1, 0, 0], [0, 0, 1, 0, 0, 1]])
    assert list(other.get_feature_names_out()) == ["x0_a", "x0_b", "x0_other", "x1_1.5", "x1_2", "x1_other"]
    np.testing.assert_array_equal(OneHot(unknown="error").fit(x).transform([[None, 2]]), [[0, 0, 0, 1]])


TARGETS = {"continuous": VALUE, "binary": SIGN, "multiclass": CLASS, "whole numbers": FRAME["rooms"].to_numpy() * 2}


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("smoothing", ["auto", 3.0])
def test_target_encode_is_scikit_learns(kind: str, smoothing: Any):
    y, kind = TARGETS[kind], "continuous" if kind == "whole numbers" else kind
    splitter = KFold if kind == "continuous" else StratifiedKFold
    asked = kind if y.dtype.kind == "i" else "auto"
    own = TargetEncode(smoothing=smoothing, target_type=asked, cv=4, random_state=3)
    folds = splitter(4, shuffle=True, random_state=3)
    peer = peers.TargetEncoder(smooth=smoothing, target_type=asked, cv=folds)
    np.testing.assert_allclose(own.fit_transform(FRAME, y), peer.fit_transform(FRAME, y), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(own.transform(NEW), peer.transform(NEW), rtol=1e-9, atol=1e-9)
    assert list(own.get_feature_names_out()) == list(peer.get_feature_names_out())
    assert own.target_type_ == kind and list(own.classes_ or () if kind == "continuous" else own.classes_) == list(
        peer.classes_ if kind != "continuous" else ()
    )
    np.testing.assert_array_equal(
        TargetEncode(smoothing=smoothing, target_type=asked, cv=folds).fit_transform(FRAME, y),
        own.fit_transform(FRAME, y),
    )


@pytest.mark.parametrize("kind", ["continuous", "binary", "multiclass"])
def test_no_row_is_encoded_with_its_own_target(kind: str):
    y = {"continuous": VALUE, "binary": (VALUE > 0).astype(int), "multiclass": np.arange(120) % 3}[kind]
    cv = [(np.delete(np.arange(120), rows), rows) for rows in np.array_split(np.arange(120), 6)]
    z = TargetEncode(cv=cv, target_type=kind).fit_transform(FRAME, y)
    for row in range(0, 120, 17):
        changed = y.copy()
        changed[row] = y[row] + 100 if kind == "continuous" else 1 - y[row] if kind == "binary" else (y[row] + 1) % 3
        other = TargetEncode(cv=cv, target_type=kind).fit_transform(FRAME, changed)
        fold = next(rows for _, rows in cv if row in rows)
        np.testing.assert_array_equal(other[fold], z[fold])  # nor with those of its fold
        assert not np.array_equal(other, z)


def test_a_column_that_tells_nothing_stays_without_a_say():
    noise = np.arange(120)[:, None]  # each row a category of its own
    assert np.corrcoef(TargetEncode(smoothing=0.0).fit(noise, VALUE).transform(noise)[:, 0], VALUE)[0, 1] > 0.999
    assert abs(np.corrcoef(TargetEncode(smoothing=0.0).fit_transform(noise, VALUE)[:, 0], VALUE)[0, 1]) < 0.3


def test_target_encode_is_the_same_at_each_call_and_refuses_what_it_cannot_take():
    np.testing.assert_array_equal(
        TargetEncode().fit_transform(FRAME, VALUE), TargetEncode().fit_transform(FRAME, VALUE)
    )
    before = TargetEncode().fit(FRAME, VALUE)
    state = before.state_
    with pytest.raises(ValueError, match="n_splits=130"):
        before.set_params(cv=130).fit_transform(FRAME, SIGN)
    assert before.state_ is state and before.target_type_ == "continuous"
    with pytest.raises(InputError, match="each of 120 rows once for validation"):
        TargetEncode(cv=[(np.arange(60), np.arange(60, 120))]).fit_transform(FRAME, VALUE)
    with pytest.raises(InputError, match="labels of two classes, .* got 3 classes"):
        TargetEncode(target_type="binary").fit(FRAME, CLASS)
    with pytest.raises(InputError, match="target_type must be one of"):
        TargetEncode(target_type="regression").fit(FRAME, CLASS)
    with pytest.raises(InputError, match="cv must be an integer of at least 2"):
        TargetEncode(cv=1).fit(FRAME, CLASS)
    with pytest.raises(ValueError, match="y contains NaN"):
        TargetEncode().fit(FRAME, np.where(VALUE > 1, np.nan, VALUE))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        TargetEncode().fit(FRAME, VALUE[:-1])
    with pytest.raises(ValueError, match="groups"):  # which a transformer is not handed
        TargetEncode(cv=GroupKFold(3)).fit_transform(FRAME, VALUE)
    two = TargetEncode(target_type="multiclass").fit(FRAME, SIGN)
    assert two.transform(NEW).shape == (30, 6) and len(two.get_feature_names_out()) == 6


def test_date_fields_are_pandas():
    stamps = pd.Series(pd.date_range("1999-12-31 22:15", periods=50, freq="37h"))
    frame = pd.DataFrame({"a": stamps, "b": stamps.dt.strftime("%Y-%m-%dT%H:%M:%S")})
    own = DateFields(("year", "month", "day", "day_of_year", "hour", "minute")).set_output(transform="pandas")
    z = own.fit_transform(frame)
    for column in ("a", "b"):
        for field in own.fields:
            np.testing.assert_array_equal(z[f"{column}_{field}"], getattr(stamps.dt, field))


def test_numbers_are_seconds_since_1970():
    seconds = np.array([[0.0, 86400.0], [np.nan, 1.7e9 + 0.25]])
    own = DateFields(("year", "day", "timestamp"))
    wanted = [[1970, 1, 0.0, 1970, 2, 86400.0], [np.nan, np.nan, np.nan, 2023, 14, 1.7e9 + 0.25]]
    np.testing.assert_array_equal(own.fit_transform(seconds), wanted)
    np.testing.assert_array_equal(own.fit_transform(seconds.astype(object)), wanted)
    mixed = np.array([["1970-01-01", 86400], [None, pd.Timestamp("2023-11-14 22:13:20.25")]], object)
    np.testing.assert_array_equal(own.fit_transform(mixed), wanted)
    with pytest.raises(InputError, match="below .* in size, got 1e.15 in row 1 of column 0"):
        own.fit([[1.0], [1e15]])
    with pytest.raises(InputError, match="True"):
        own.fit(np.array([[True], [0.0]], object))
    with pytest.raises(InputError, match="of dates, or texts"):
        own.fit([["tomorrow"]])
