"""Facts read from data, compared with scikit-learn and SciPy, and data that are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import median_abs_deviation
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

import jaxann as ja
from jaxann.advice import recommend
from tests.contract import assert_input_error

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(300, 6))
S = X @ RANDOM.normal(size=6)
IDS = RANDOM.integers(0, 30, size=(40, 9))
SEQUENCES = RANDOM.normal(size=(40, 9, 2))
PICTURES = RANDOM.random((40, 8, 8, 3))
LENGTHS = RANDOM.integers(1, 10, size=40)


def facts(*data: Any, **options: Any) -> Any:
    return recommend(data if len(data) > 1 else data[0], **options).facts


TASKS = {
    "flags": ((X, S > 0), "binary", "table"),
    "zeros and ones": ((X, (S > 0).astype(float)[:, None]), "binary", "table"),
    "labels": ((X, np.digitize(S, (-1, 1))), "multiclass", "table"),
    "rows of answers": ((X, (X[:, :3] > 0).astype(int)), "multilabel", "table"),
    "numbers": ((X, S), "regression", "table"),
    "rows of numbers": ((X, X[:, :2]), "regression", "table"),
    "whole numbers below 0 too": ((X, np.round(S * 100).astype(int)), "regression", "table"),
    "counts": ((X, (np.abs(S) * 100).astype(int)), "counts", "table"),
    "pictures": ((PICTURES, np.arange(40) % 3), "multiclass", "images"),
    "a class at each place": ((PICTURES, (PICTURES[..., 0] > 0.5).astype(int)), "multiclass", "images"),
    "sequences": ((SEQUENCES, np.arange(40) % 2), "binary", "sequences"),
    "a class at each position": ((SEQUENCES, (SEQUENCES[..., 0] > 0).astype(int)), "multiclass", "sequences"),
    "what comes next": ((IDS[:, :-1], IDS[:, 1:]), "language", "ids"),
    "padded ids": ((ja.core.padded(IDS, LENGTHS), np.arange(40) % 2), "binary", "ids"),
    "two sequences": (({"source": IDS, "target": IDS + 1}, IDS), "translation", "pair"),
    "x alone": (X, "reconstruction", "table"),
    "pictures alone": (PICTURES, "reconstruction", "images"),
}


@pytest.mark.parametrize("name", TASKS)
def test_task_and_inputs_are_read(name: str):
    data, task, inputs = TASKS[name]
    found = recommend(data).facts
    assert (found.task, found.inputs) == (task, inputs)


def test_facts_of_numbers_are_those_of_scikit_learn_and_scipy():
    x = X * [1, 10, 100, 1, 1, 1] + [0, 5, 0, 0, 0, 0]
    x[:, 5] = x[:, 4] + 0.1 * x[:, 5]
    found = facts(x, S)
    assert found.correlation == pytest.approx(np.abs(np.corrcoef(x.T) - np.eye(6)).max(), abs=1e-5)
    assert (found.examples, found.shape, found.target_shape, found.missing) == (300, (6,), (), 0.0)
    wanted = (S.min(), S.mean(), S.std())
    np.testing.assert_allclose((found.lowest, found.center[0], found.deviation[0]), wanted, rtol=1e-5)
    wanted = PCA(0.95).fit(StandardScaler().fit_transform(x)).n_components_
    assert facts(x).components == wanted == 5
    x[::4, 0] = np.nan
    assert facts(x, S).missing == pytest.approx(75 / 1800)


def test_outliers_are_counted_by_robust_deviations():
    y = S.copy()
    y[:6] = 500
    found = facts(X, y)
    size = median_abs_deviation(y, scale="normal")
    assert found.outliers == pytest.approx((np.abs(y - np.median(y)) > 6 * size).mean())
    np.testing.assert_allclose((found.center[0], found.deviation[0]), (np.median(y), size), rtol=1e-4)
    assert facts(X, S).outliers == 0 == facts(X, S).heavy
    x = X.copy()
    x[0, 2] = 1e6
    assert facts(x, S).heavy == pytest.approx(1 / 6)
    assert "quantile" in str(recommend((x, S)).recipe.model)


def test_shares_of_classes():
    y = np.repeat(np.arange(3), (200, 80, 20))
    assert facts(X, y).shares == pytest.approx((200 / 300, 80 / 300, 20 / 300))
    labels = (X[:, :2] > [0, 1]).astype(int)
    assert facts(X, labels).shares == pytest.approx(tuple(labels.mean(0)), rel=1e-5)


def test_rows_of_weight_0_do_not_count():
    weights = (np.arange(300) < 100).astype(float)
    assert facts(X, S, weights)._replace(heavy=0) == facts(X[:100], S[:100])._replace(heavy=0)


def test_categories_and_vocabulary():
    codes = np.stack([np.arange(300) % 4, np.arange(300) % 2 - 1], 1)
    found = facts({"numbers": X, "categories": codes}, S)
    assert found.categories == (4, 1) and found.shape == (6,)
    assert facts({"categories": codes}, S).shape == ()
    assert facts(IDS, np.arange(40) % 2, inputs="ids").vocabulary == IDS.max() + 1
    padded = ja.core.padded(np.where(np.arange(9) < LENGTHS[:, None], IDS, 10**6), LENGTHS)
    assert facts(padded, np.arange(40) % 2).vocabulary <= 30


def test_padding_says_nothing():
    far = np.where((np.arange(9) < LENGTHS[:, None])[..., None], SEQUENCES, 1e6)
    padded = ja.core.padded(far, LENGTHS)
    tags = ja.core.padded(np.where(np.arange(9) < LENGTHS[:, None], 1, 7) - (SEQUENCES[..., 0] > 0), LENGTHS)
    found = facts(padded, tags)
    assert (found.heavy, found.classes) == (0.0, 2)


def test_the_same_data_give_the_same_facts():
    for data, _, _ in list(TASKS.values())[::4]:
        assert recommend(data).facts == recommend(data).facts


TEXTS = np.array([["Bonn", 1.0], ["Jena", 2.0], ["Bonn", 3.0]], object)
BAD: dict[str, tuple[Any, dict, str]] = {
    "texts": ((TEXTS, np.arange(3.0)), {}, "data x"),
    "a path": ("table.csv", {}, "data x"),
    "x without features": ((S, S), {}, "data x"),
    "rows": ((X, S[:-1]), {}, "data y"),
    "no rows": ((X[:0], S[:0]), {}, "data x"),
    "missing targets": ((X, np.where(S > 0, np.nan, S)), {}, "data y"),
    "missing in pictures": ((np.where(PICTURES > 0.99, np.nan, PICTURES), np.arange(40) % 2), {}, "data x"),
    "missing in what is to come back": (np.where(X > 2, np.nan, X), {}, "data x"),
    "labels from 1 on": ((X, 1 + np.arange(300) % 3), {}, "data y"),
    "signs": ((X, np.where(S > 0, 1, -1)), {"task": "binary"}, "data y"),
    "one class": ((X, np.zeros(300, int)), {}, "data y"),
    "classes that are no whole numbers": ((X, S), {"task": "multiclass"}, "data y"),
    "one-hot rows": ((X, np.eye(3, dtype=int)[np.arange(300) % 3]), {"task": "multiclass"}, "target_shape"),
    "a column of labels": ((X, (np.arange(300) % 3)[:, None]), {}, "target_shape"),
    "counts below 0": ((X, S), {"task": "counts"}, "data y"),
    "outside of the bounds": ((X, S), {"bounds": (0, None)}, "data y"),
    "heads": ((X, {"a": S, "b": S}), {}, "data y"),
    "several inputs": (({"a": X, "b": X}, S), {}, "data x"),
    "pictures without channels": (((PICTURES[..., 0] * 255).astype(np.uint8), np.arange(40) % 2), {}, "data x"),
    "numbers at each position": ((SEQUENCES, SEQUENCES[..., 0]), {}, "target_shape"),
    "another kind of inputs": ((X, S), {"inputs": "images"}, "inputs"),
    "negative ids": ((IDS - 1, np.arange(40) % 2), {"inputs": "ids"}, "data x"),
    "codes that are no whole numbers": (({"numbers": X, "categories": X}, S), {}, "data x['categories']"),
    "a task without a target": (X, {"task": "regression"}, "data"),
    "a target without need": ((X, S), {"task": "reconstruction"}, "data"),
    "masked": ((np.ma.masked_greater(X, 1), S), {}, "data x"),
    "infinite": ((np.where(X > 2, np.inf, X), S), {}, "data x"),
}


@pytest.mark.parametrize("name", BAD)
def test_data_that_cannot_be_learned_from_are_refused(name: str):
    data, options, argument = BAD[name]
    assert_input_error(lambda: recommend(data, **options), argument)


def test_texts_are_told_what_makes_codes_of_them():
    message = assert_input_error(lambda: recommend((TEXTS, np.arange(3.0))), "data x", given="columns 0")
    assert "ordinal" in message and "categories" in message
