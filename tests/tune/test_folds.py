"""Splits of rows: scikit-learn's where nothing is shuffled, and the same guarantees where it is."""

from __future__ import annotations

import warnings

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold, TimeSeriesSplit

from jaxann import tune
from jaxann.tune.folds import check_folds
from tests.contract import assert_input_error

KEY = jax.random.key(5)


def assert_same(folds, expected):
    expected = list(expected)
    assert len(folds) == len(expected)
    for pair, wanted in zip(folds, expected, strict=True):
        for got, rows in zip(pair, wanted, strict=True):
            np.testing.assert_array_equal(got, rows)


def assert_partition(folds, rows):
    """Every row validated once, trained on everywhere else; sorted int32."""
    np.testing.assert_array_equal(np.sort(np.concatenate([v for _, v in folds])), np.arange(rows))
    for train, validation in folds:
        assert train.dtype == validation.dtype == np.int32
        assert (np.diff(train) > 0).all() and (np.diff(validation) > 0).all()
        np.testing.assert_array_equal(np.sort(np.concatenate([train, validation])), np.arange(rows))


@settings(max_examples=80, deadline=None)
@given(st.integers(2, 60), st.data())
def test_k_fold_in_order_is_sklearns(rows, data):
    folds = data.draw(st.integers(2, rows))
    found = tune.k_fold(rows, folds)
    assert_same(found, KFold(folds).split(np.zeros(rows)))
    assert_partition(found, rows)


def test_k_fold_shuffles_by_its_key():
    folds, again, other = (
        tune.k_fold(23, 5, key=KEY),
        tune.k_fold(23, 5, key=KEY),
        tune.k_fold(23, 5, key=jax.random.key(6)),
    )
    assert_partition(folds, 23)
    assert [len(v) for _, v in folds] == [5, 5, 5, 4, 4]
    assert_same(folds, again)
    assert any((a[1] != b[1]).any() for a, b in zip(folds, other, strict=True))
    assert any((a[1] != b[1]).any() for a, b in zip(folds, tune.k_fold(23, 5), strict=True))


def test_k_fold_puts_every_row_everywhere():
    counts = np.zeros((10, 5))
    for seed in range(200):
        for i, (_, validation) in enumerate(tune.k_fold(10, 5, key=jax.random.key(seed))):
            counts[validation, i] += 1
    assert counts.min() > 15 and counts.max() < 70  # 40 expected, standard deviation 5.7


LABELS = st.lists(st.integers(0, 4), min_size=2, max_size=80)


@settings(max_examples=80, deadline=None)
@given(LABELS, st.integers(2, 5), st.booleans(), st.booleans())
def test_stratified_k_fold_shares_out_every_class(labels, folds, shuffled, texts):
    y = np.array(labels)
    y = y[np.bincount(y)[y] >= folds]
    if y.size < 2:
        return
    y = np.array([f"class {v}" for v in y]) if texts else y
    found = tune.stratified_k_fold(y, folds, key=KEY if shuffled else None)
    if not shuffled:
        assert_same(found, StratifiedKFold(folds).split(np.zeros(len(y)), y))
    assert_partition(found, len(y))
    sizes = [len(v) for _, v in found]
    assert max(sizes) - min(sizes) <= 1
    for name in np.unique(y):
        members = [int((y[v] == name).sum()) for _, v in found]
        assert max(members) - min(members) <= 1


def test_stratified_k_fold_shuffles_by_its_key():
    y = np.arange(60) % 3
    first, again = (tune.stratified_k_fold(y, 4, key=KEY) for _ in range(2))
    assert_same(first, again)
    assert any((a[1] != b[1]).any() for a, b in zip(first, tune.stratified_k_fold(y, 4), strict=True))


@pytest.mark.parametrize(
    "labels", (np.array(list("aabb"), object), [True, True, False, False], np.array([3, 3, 7, 7], np.uint8)), ids=str
)
def test_stratified_k_fold_takes_texts_flags_and_numbers(labels):
    assert [v.tolist() for _, v in tune.stratified_k_fold(labels, 2)] == [[0, 2], [1, 3]]


@settings(max_examples=80, deadline=None)
@given(st.lists(st.integers(0, 12), min_size=2, max_size=80), st.integers(2, 6), st.booleans())
def test_grouped_k_fold_divides_no_group(groups, folds, shuffled):
    g = np.array(groups)
    if len(np.unique(g)) < folds:
        return
    found = tune.grouped_k_fold(g, folds, key=KEY if shuffled else None)
    if not shuffled:
        assert_same(found, GroupKFold(folds).split(np.zeros(len(g)), groups=g))
    assert_partition(found, len(g))
    for train, validation in found:
        assert not set(g[train]) & set(g[validation])
    sizes = [len(v) for _, v in found]
    assert min(sizes) > 0 and max(sizes) - min(sizes) <= np.bincount(g).max()


def test_grouped_k_fold_shuffles_by_its_key():
    g = np.arange(60) // 3
    first, again = (tune.grouped_k_fold(g, 4, key=KEY) for _ in range(2))
    assert_same(first, again)
    assert any((a[1] != b[1]).any() for a, b in zip(first, tune.grouped_k_fold(g, 4), strict=True))


@settings(max_examples=80, deadline=None)
@given(st.integers(3, 60), st.integers(2, 6), st.integers(0, 5), st.none() | st.integers(1, 8))
def test_time_series_split_is_sklearns(rows, folds, gap, test_size):
    try:
        expected = list(TimeSeriesSplit(folds, gap=gap, test_size=test_size).split(np.zeros(rows)))
    except ValueError:
        assert_input_error(lambda: tune.time_series_split(rows, folds, gap=gap, test_size=test_size), "")
        return
    found = tune.time_series_split(rows, folds, gap=gap, test_size=test_size)
    assert_same(found, expected)
    for train, validation in found:
        assert train.dtype == validation.dtype == np.int32 and train[-1] + gap < validation[0]


def test_splitters_refuse_what_cannot_be_split():
    assert_input_error(lambda: tune.k_fold(10, 1), "folds", given="1")
    assert_input_error(lambda: tune.k_fold(10, 11), "folds", expected="10", given="11")
    assert_input_error(lambda: tune.k_fold(np.zeros((4, 2)), 2), "rows", given="(4, 2)")
    assert_input_error(lambda: tune.k_fold(10, 2, key=3), "key", given="3")
    assert_input_error(lambda: tune.stratified_k_fold(np.zeros(10), 2), "labels", given="float64")
    assert_input_error(lambda: tune.stratified_k_fold(np.eye(4, dtype=int), 2), "labels", given="(4, 4)")
    assert_input_error(lambda: tune.stratified_k_fold(np.array([1, "a"], object), 2), "labels", given="object")
    assert_input_error(
        lambda: tune.stratified_k_fold([0, 0, 0, 7], 2), "labels", expected="2 rows", given="1 of class 7"
    )
    assert_input_error(lambda: tune.stratified_k_fold([0, 0], 3), "folds", given="3")
    assert_input_error(lambda: tune.stratified_k_fold([0, 0], 2, key=3), "key", given="3")
    assert_input_error(lambda: tune.grouped_k_fold([0, 0, 1], 3), "folds", expected="groups, 2", given="3")
    assert_input_error(lambda: tune.grouped_k_fold([[0], [1]], 2), "groups", given="(2, 1)")
    assert_input_error(lambda: tune.grouped_k_fold([0, 1], 2, key=3), "key", given="3")
    assert_input_error(lambda: tune.time_series_split(10, 10), "folds", given="10")
    assert_input_error(lambda: tune.time_series_split(10, 2, gap=-1), "gap", given="-1")
    assert_input_error(lambda: tune.time_series_split(10, 2, test_size=0), "test_size", given="0")
    assert_input_error(lambda: tune.time_series_split(10, 2, gap=4), "rows", expected="10", given="10")


def test_check_folds_takes_any_iterable_of_pairs():
    assert_same(check_folds("f", KFold(3).split(np.zeros(7)), 7), KFold(3).split(np.zeros(7)))
    (pair,) = check_folds("f", [[[3, 1], np.array([0, 2], np.uint8)]], 5)
    assert pair[0].tolist() == [1, 3] and pair[1].tolist() == [0, 2] and pair[1].dtype == np.int32
    found = tune.k_fold(9, 3, key=KEY)
    assert_same(check_folds("f", found, 9), found)


@pytest.mark.parametrize(
    "folds, argument, given",
    (
        (5, "folds", "5"),
        ("ab", "folds", "ab"),
        ([], "folds", "none"),
        ([([0], [1]), [0]], "folds[1]", "[0]"),
        ([([0], [1], [2])], "folds[0]", "tuple"),
        ([([0], [])], "folds[0][1]", "(0,)"),
        ([([0.0], [1])], "folds[0][0]", "float64"),
        ([([[0]], [1])], "folds[0][0]", "(1, 1)"),
        ([([0, 4], [1])], "folds[0][0]", "4"),
        ([([0], [-1])], "folds[0][1]", "-1"),
        ([([0, 2, 2], [1])], "folds[0][0]", "row 2 twice"),
        ([([0], [3, 1, 3])], "folds[0][1]", "row 3 twice"),
        ([([0, 2], [1, 2])], "folds[0]", "row 2 on both"),
    ),
)
def test_check_folds_refuses_what_would_mislead(folds, argument, given):
    message = assert_input_error(lambda: check_folds("cross_validate", folds, 4), argument, given=given)
    assert message.startswith("cross_validate: ")


def test_check_folds_points_a_mask_at_flatnonzero():
    mask = np.array([True, False, True, False])
    message = assert_input_error(lambda: check_folds("f", [(mask, ~mask)], 4), "folds[0][0]", given="bool")
    assert "np.flatnonzero(mask)" in message


def test_splitters_warn_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tune.stratified_k_fold(np.arange(40) % 4, 10)
