"""What is filled in against scikit-learn's imputers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import impute as peers

from jaxann.estimators import Impute, ImputeNeighbors

RANDOM = np.random.default_rng(1)
X = np.round(RANDOM.normal(size=(80, 4)) * [1, 10, 3, 2], 1)
X[RANDOM.random(X.shape) < 0.2] = np.nan
X[:, 3] = np.nan
NEW = np.where(RANDOM.random((20, 4)) < 0.5, np.nan, RANDOM.normal(size=(20, 4)))
NUDGE = RANDOM.normal(size=X.shape) / 100
KEEP: dict[str, Any] = {"keep_empty_features": True}

PAIRS = {
    "mean": (Impute(), peers.SimpleImputer(**KEEP)),
    "median": (Impute("median"), peers.SimpleImputer(strategy="median", **KEEP)),
    "most frequent": (Impute("most_frequent"), peers.SimpleImputer(strategy="most_frequent", **KEEP)),
    "constant": (Impute("constant", value=7.0), peers.SimpleImputer(strategy="constant", fill_value=7.0, **KEEP)),
    "neighbors": (ImputeNeighbors(3), peers.KNNImputer(n_neighbors=3, **KEEP)),
    "near neighbors": (ImputeNeighbors(weights="distance"), peers.KNNImputer(weights="distance", **KEEP)),
}


@pytest.mark.parametrize("name", PAIRS)
def test_is_scikit_learns(name: str):
    own, peer = PAIRS[name]
    # Of neighbors no two rows are equally near, and all columns have numbers: in others the peer leaves none.
    known, new = ((X + NUDGE)[:, :3], NEW[:, :3]) if "neighbors" in name else (X, NEW)
    np.testing.assert_allclose(own.fit_transform(known), peer.fit_transform(known), rtol=1e-9, atol=1e-9)
    z = own.transform(new)
    np.testing.assert_allclose(z, peer.transform(new), rtol=1e-9, atol=1e-9)
    assert not np.isnan(z).any()


def test_indicators_are_scikit_learns_and_have_names():
    frame = pd.DataFrame(X[:, :3], columns=list("abc"))
    own = Impute(indicators=True).set_output(transform="pandas").fit(frame)
    z = own.transform(frame)
    assert list(z.columns) == ["a", "b", "c", "missing_a", "missing_b", "missing_c"]
    np.testing.assert_array_equal(z.iloc[:, 3:], peers.MissingIndicator(features="all").fit_transform(X[:, :3]))
