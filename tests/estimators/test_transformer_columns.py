"""Directions, chosen columns and any product against scikit-learn's transformers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn import decomposition, feature_selection
from sklearn.datasets import load_iris, load_wine

import jaxann as ja
from jaxann import preprocessing
from jaxann.core import InputError
from jaxann.estimators import PCA, ZCA, Preprocess, SelectBest, SelectColumns, TargetEncode, VarianceThreshold

IRIS, SPECIES = load_iris(return_X_y=True)
WINE, KINDS = load_wine(return_X_y=True)


@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize("components", [None, 2])
def test_pca_is_scikit_learns(components: int | None, whiten: bool):
    own, peer = PCA(components, whiten=whiten), decomposition.PCA(components, whiten=whiten)
    z = own.fit_transform(IRIS)
    np.testing.assert_allclose(z, peer.fit_transform(IRIS), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(own.inverse_transform(z), peer.inverse_transform(z), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(own.state_["variance_ratio"], peer.explained_variance_ratio_, rtol=1e-9)


def test_pca_keeps_as_many_directions_as_there_are_rows_and_refuses_more_than_there_are():
    assert PCA().fit_transform(IRIS[:3]).shape == (3, 3)
    with pytest.raises(InputError, match="components must be at most"):
        PCA(5).fit(IRIS)


def test_pca_and_zca_refuse_missing_numbers_by_the_name_of_the_column():
    frame = pd.DataFrame(IRIS, columns=list("abcd"))
    frame.loc[7, "c"] = np.nan
    for own in (PCA(), ZCA()):
        with pytest.raises(InputError, match=r"NaN in row 7 of column 'c' \(1 such\).\nFill them in"):
            own.fit(frame)


def test_zca_makes_white_data_that_stay_near():
    z = ZCA(eps=0.0).fit_transform(IRIS)
    np.testing.assert_allclose(np.cov(z.T), np.eye(4), atol=1e-9)


PEERS = {
    "f_classification": feature_selection.f_classif,
    "f_regression": feature_selection.f_regression,
    "correlation": lambda x, y: np.abs(feature_selection.r_regression(x, y)),
}


@pytest.mark.parametrize("criterion", PEERS)
def test_select_best_is_scikit_learns(criterion: str):
    own, peer = SelectBest(5, criterion=criterion), feature_selection.SelectKBest(PEERS[criterion], k=5)
    np.testing.assert_array_equal(own.fit_transform(WINE, KINDS), peer.fit_transform(WINE, KINDS))
    assert list(own.get_feature_names_out()) == list(peer.get_feature_names_out())
    np.testing.assert_array_equal(
        own.inverse_transform(own.transform(WINE)), peer.inverse_transform(peer.transform(WINE))
    )


def test_select_best_takes_labels_of_any_kind_and_keeps_all_of_few_columns():
    texts = np.array(["ant", "bee", "cow"], object)[KINDS]
    own = SelectBest(3, criterion="f_classification").fit(WINE, texts)
    np.testing.assert_array_equal(
        own.transform(WINE), SelectBest(3, criterion="f_classification").fit_transform(WINE, KINDS)
    )
    np.testing.assert_array_equal(SelectBest(99).fit_transform(IRIS, SPECIES), IRIS)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (SPECIES.astype(str), "each value of the y argument must be a number, .* got '0' in row 0 of column 0"),
        (np.where(np.arange(150) == 4, np.nan, SPECIES), "y must be finite and without missing numbers"),
        (SPECIES[:-1], "inconsistent numbers of samples"),
        (np.stack([SPECIES, SPECIES], 1), "y should be a 1d array"),
    ],
)
def test_select_best_refuses_targets_that_are_none(y: np.ndarray, message: str):
    with pytest.raises(ValueError, match=message):
        SelectBest(2).fit(IRIS, y)


def test_targets_behind_a_mask_are_refused():
    y = np.ma.masked_array(SPECIES, np.arange(150) == 3)
    for own in (SelectBest(2), SelectBest(2, criterion="f_classification"), TargetEncode()):
        with pytest.raises(InputError, match="y must be without masked entries"):
            own.fit(np.round(IRIS), y)


def test_variance_threshold_is_scikit_learns():
    x = np.c_[IRIS, np.ones(150)]
    own, peer = VarianceThreshold(0.5), feature_selection.VarianceThreshold(0.5)
    np.testing.assert_array_equal(own.fit_transform(x), peer.fit_transform(x))
    assert list(own.get_feature_names_out()) == list(peer.get_feature_names_out())


def test_columns_are_selected_by_number_and_by_name():
    frame = pd.DataFrame(IRIS, columns=list("abcd"))
    by_name, by_number = SelectColumns(["d", "a"]).fit(frame), SelectColumns((3, 0)).fit(IRIS)
    np.testing.assert_array_equal(by_name.transform(frame), IRIS[:, [3, 0]])
    np.testing.assert_array_equal(by_number.transform(IRIS), IRIS[:, [3, 0]])
    assert list(by_name.get_feature_names_out()) == ["d", "a"]
    np.testing.assert_array_equal(SelectColumns(["a", 3]).fit_transform(frame), IRIS[:, [0, 3]])
    with pytest.raises(InputError, match="each of columns must be one of a, b, c, d, got 'e'"):
        SelectColumns(["e"]).fit(frame)
    with pytest.raises(InputError, match="columns must be numbers where the columns of X have no names"):
        SelectColumns(["a"]).fit(IRIS)
    with pytest.raises(InputError, match="numbers of different columns"):
        SelectColumns(["a", 0]).fit(frame)


def test_any_product_is_a_transformer():
    product = preprocessing.chain(preprocessing.power(), preprocessing.pca(2))
    state, z = product.fit_transform(IRIS)
    own = Preprocess(product)
    np.testing.assert_array_equal(own.fit_transform(IRIS), z)
    np.testing.assert_array_equal(own.inverse_transform(z), product.inverse_transform(state, z))
    assert list(own.get_feature_names_out()) == ["pca0", "pca1"]
    texts = np.array([["a", 1], ["b", 2], ["a", 2]], object)
    codes = Preprocess(preprocessing.chain(preprocessing.ordinal(), preprocessing.one_hot()))
    np.testing.assert_array_equal(codes.fit_transform(texts), [[1, 0, 1, 0], [0, 1, 0, 1], [1, 0, 0, 1]])
    dates = pd.DataFrame({"day": pd.to_datetime(["2024-02-29", "2023-01-01"])})
    np.testing.assert_array_equal(Preprocess(preprocessing.date_fields(("day",))).fit_transform(dates), [[29], [1]])


def test_a_product_that_reads_targets_is_refused():
    for product in (preprocessing.select_best(2), preprocessing.chain(preprocessing.target_encode((3,)))):
        with pytest.raises(InputError, match="preprocessor must be one that reads no targets"):
            Preprocess(product).fit(IRIS, SPECIES)
    with pytest.raises(InputError, match="preprocessor must be a product of jaxann.preprocessing"):
        Preprocess(ja.layers.dense(3)).fit(IRIS)
