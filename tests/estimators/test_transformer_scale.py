"""Scales and other changes of single columns against scikit-learn's transformers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import preprocessing as peers

from jaxann.core import InputError
from jaxann.estimators import MaxAbs, MinMax, Outliers, PiecewiseLinear, Power, Quantile, Robust, Standard

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(101, 5)) * [1, 1e3, 1e-4, 0, 5] + [0, 5, 1, 0.1, -3]
X[RANDOM.random(X.shape) < 0.1] = np.nan
NEW = RANDOM.normal(size=(20, 5)) * np.nanstd(X, 0) * 3 + np.nanmean(X, 0)

NEW[:, 3] = X[0, 3]  # which is constant

PAIRS = {
    "Standard": (Standard(), peers.StandardScaler(), 1e-9),
    "Standard, scale alone": (Standard(center=False), peers.StandardScaler(with_mean=False), 1e-9),
    "MinMax": (MinMax(-1.0, 2.0, clip=True), peers.MinMaxScaler((-1, 2), clip=True), 1e-9),
    "MaxAbs": (MaxAbs(), peers.MaxAbsScaler(), 1e-9),
    "Robust": (Robust(0.1, 0.8), peers.RobustScaler(quantile_range=(10, 80)), 1e-9),
    "Quantile": (Quantile(101), peers.QuantileTransformer(n_quantiles=101, subsample=None), 1e-9),
    "Quantile, normal": (
        Quantile(50, distribution="normal"),
        peers.QuantileTransformer(n_quantiles=50, output_distribution="normal", subsample=None),
        1e-9,
    ),
    "Power": (Power(), peers.PowerTransformer(), 1e-6),  # at which its search for lambda stops
}


@pytest.mark.parametrize("name", PAIRS)
def test_is_scikit_learns(name: str):
    own, peer, tolerance = PAIRS[name]
    columns = [0, 1, 4] if name == "Power" else slice(None)  # of a constant column its lambda is any number
    known, new = X[:, columns], NEW[:, columns]
    np.testing.assert_allclose(own.fit_transform(known), peer.fit_transform(known), rtol=tolerance, atol=tolerance)
    z = own.transform(new)
    np.testing.assert_allclose(z, peer.transform(new), rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(own.inverse_transform(z), peer.inverse_transform(z), rtol=1e-6, atol=1e-6)
    assert list(own.get_feature_names_out()) == list(peer.get_feature_names_out())


def test_pieces_are_scikit_learns():
    for own, peer in ((Standard(), peers.StandardScaler()), (MinMax(), peers.MinMaxScaler())):
        for piece in (X[:30], X[30:40], X[40:]):
            own.partial_fit(piece)
            peer.partial_fit(piece)
        np.testing.assert_allclose(own.transform(NEW), peer.transform(NEW), rtol=1e-9, atol=1e-9)


def test_box_cox_is_scikit_learns_and_says_that_it_needs_positive_numbers():
    positive = np.exp(RANDOM.normal(size=(80, 2)))
    own, peer = Power("box_cox"), peers.PowerTransformer("box-cox")
    np.testing.assert_allclose(own.fit_transform(positive), peer.fit_transform(positive), rtol=1e-6, atol=1e-6)
    assert own.__sklearn_tags__().input_tags.positive_only and not Power().__sklearn_tags__().input_tags.positive_only
    with pytest.raises(InputError, match="above 0"):
        own.fit(-positive)


def test_outliers_are_those_of_a_box_plot():
    x = np.r_[RANDOM.normal(size=99), 50.0][:, None]
    first, last = np.quantile(x, (0.25, 0.75))
    low, high = first - 1.5 * (last - first), last + 1.5 * (last - first)
    np.testing.assert_allclose(Outliers(action="clip").fit_transform(x), np.clip(x, low, high), rtol=1e-12)
    masked = Outliers().fit_transform(x)
    np.testing.assert_array_equal(np.isnan(masked), (x < low) | (x > high))


def test_piecewise_linear_has_the_bins_of_a_column_side_by_side():
    frame = pd.DataFrame({"a": np.arange(9.0), "b": np.arange(9.0)[::-1] ** 2})
    own = PiecewiseLinear(2).fit(frame)
    z = own.set_output(transform="pandas").transform(frame)
    assert list(z.columns) == ["a_bin0", "a_bin1", "b_bin0", "b_bin1"]
    np.testing.assert_allclose(z["a_bin0"], np.minimum(np.arange(9.0) / 4, 1))
    np.testing.assert_allclose(z["a_bin1"], np.maximum(np.arange(9.0) / 4 - 1, 0))


BAD: dict[str, tuple[Any, str]] = {
    "infinite": (pd.DataFrame({"a": [1.0, 2.0], "b": [np.inf, 1.0]}), "got inf in row 0 of column 'b'"),
    "text": (pd.DataFrame({"a": [1.0, 2.0], "b": ["3", "x"]}), "a number, .* got '3' in row 0 of column 'b'"),
    "date": (pd.DataFrame({"a": [1.0], "b": pd.to_datetime(["2024-01-01"])}), "row 0 of column 'b'"),
    "dates alone": (np.array([["2024-01-01"]], "datetime64[s]"), "row 0 of column 0"),
    "object": (np.array([[1.0, None], [{}, 2.0]], object), "row 1 of column 0"),
    "texts alone": (np.array([["1"], ["2"]]), "got '1' in row 0 of column 0"),
    "list with a text": ([[1.0, 2.0], [3.0, "4"]], "got '4' in row 1 of column 1"),
    "ragged": ([[1.0, 2.0], [3.0]], "of rows of one length, 2 as the first, got 1 values in row 1"),
    "masked": (np.ma.masked_array(np.ones((2, 2)), [[True, False], [False, False]]), "without masked entries"),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.filterwarnings("ignore:X has feature names")
def test_what_is_no_number_is_named(name: str):
    x, message = BAD[name]
    with pytest.raises(InputError, match=f"Standard.fit: (each value of the )?X .*must be .*{message}"):
        Standard().fit(x)
    columns = 1 if name.endswith("alone") else 2
    with pytest.raises(InputError, match=message):
        Standard().fit(np.ones((3, columns))).transform(x)


GOOD = {
    "objects": np.array([[1, 2.5], [None, True]], object),
    "lists": [[1, 2.5], [np.nan, 1]],
    "nullable": pd.DataFrame({"a": pd.array([1, None], "Int64"), "b": [2.5, 1.0]}),
    "categories of numbers": pd.DataFrame({"a": [1.0, None], "b": pd.Categorical([2.5, 1.0])}),
    "float16": np.array([[1, 2.5], [np.nan, 1]], np.float16),
}


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.filterwarnings("ignore:X has feature names")
def test_numbers_of_every_kind_are_taken(name: str):
    z = Standard().fit([[1.0, 1.0], [3.0, 2.0]]).transform(GOOD[name])
    np.testing.assert_array_equal(z, [[-1.0, 2.0], [np.nan, -1.0]])
    assert z.dtype == np.float64
