"""Bad data to the estimators: one clear error each before anything is compiled; what can work, works.

The numbers are those of the same cases for the functions in tests/train/test_inputs.py.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from tests.estimators.bad_inputs import (
    ALL,
    BOTH,
    CLASSIFIERS,
    LABELS,
    REAL,
    REGRESSORS,
    TABULAR,
    X,
    Y,
    assert_refused,
    bits,
    cases,
    fitted,
    made,
    put,
    quiet,
)

OBJECTS = X.astype(object)
FRAME = pd.DataFrame(X, columns=["a", "b", "c"])
WHOLE = np.arange(72).reshape(24, 3) % 53 - 20
HOLE = pd.DataFrame(put(X, np.inf), columns=["a", "b", "c"])
TWICE = FRAME.set_axis(["a", "b", "a"], axis=1)
TEXTS = FRAME.assign(k=["red", "green"] * 12)
KINDS = FRAME.assign(k=pd.Categorical(["red", "green"] * 12))
DATES = FRAME.assign(k=pd.date_range("2020-01-01", periods=24, freq="37h"))
NULLABLE = pd.DataFrame({"a": pd.array(WHOLE[:, 0], dtype="Int64"), "b": X[:, 1], "c": X[:, 2]})
GAPS = NULLABLE.copy()
GAPS.loc[3, "a"] = pd.NA
NA = pd.array([0, 1, None] * 8, dtype="Int64")
HALF: Any = object()  # stands for targets of the estimator's kind

# number, what, which estimators, X, y, weights, the argument named, what was given
REFUSED: list[tuple] = [
    (1, "NaN in X", BOTH, put(X, np.nan), HALF, None, "X", "1 of 72 not finite, the first (nan) in row 2, column 1"),
    (1, "NaN in float32", BOTH, put(X, np.nan).astype(np.float32), HALF, None, "X", "row 2, column 1"),
    (1, "NaN in a frame", BOTH, FRAME.mask(FRAME > 1.5), HALF, None, "X", "column 'c'"),
    (1, "NaN in a sparse one", BOTH, scipy.sparse.csr_array(put(X, np.nan)), HALF, None, "X", "row 2, column 1"),
    (2, "infinity in X", BOTH, put(X, -np.inf), HALF, None, "X", "(-inf) in row 2, column 1"),
    (2, "infinity in X", TABULAR, put(X, np.inf), HALF, None, "column 'x1'", "inf in row 2"),
    (2, "infinity in a frame", TABULAR, HOLE, HALF, None, "column 'b'", "inf in row"),
    (3, "NaN in y", REGRESSORS, X, put(REAL, np.nan, 5), None, "y", "(nan) in row 5"),
    (4, "infinity in y", REGRESSORS, X, put(REAL, np.inf, 5), None, "y", "(inf) in row 5"),
    (5, "NaN in y", CLASSIFIERS, X, put(WHOLE[:, 0].astype(float), np.nan, 5), None, "y", "(nan) in row 5"),
    (5, "None in y", CLASSIFIERS, X, put(LABELS.astype(object), None, 5), None, "y", "None in row 5"),
    (6, "X of one axis", ALL, X[:, 0], HALF, None, "X", "shape (24,)"),
    (6, "a list of numbers", ALL, X[:, 0].tolist(), HALF, None, "X", "shape (24,)"),
    (6, "a series", ALL, FRAME["a"], HALF, None, "X", "shape (24,)"),
    (7, "X of three axes", ALL, X[:, :, None], HALF, None, "X", "shape (24, 3, 1)"),
    (8, "lengths", CLASSIFIERS, X, LABELS[:20], None, "y", "20"),
    (8, "lengths", REGRESSORS, X, REAL[:20], None, "y", "20"),
    (9, "no rows", ALL, X[:0], [], None, "X", "shape (0, 3)"),
    (9, "no rows of a frame", ALL, FRAME[:0], [], None, "X", "shape (0, 3)"),
    (10, "no features", ALL, X[:, :0], HALF, None, "X", "shape (24, 0)"),
    (10, "no columns", ALL, FRAME[[]], HALF, None, "X", "shape (24, 0)"),
    (11, "one row of one class", CLASSIFIERS, X[:1], LABELS[:1], None, "y", "one row, of class b"),
    (13, "texts for numbers", REGRESSORS, X, LABELS, None, "y", "'b' in row 0"),
    (13, "texts and numbers", CLASSIFIERS, X, put(LABELS.astype(object), 3, 5), None, "y", "both, the first"),
    (14, "text in objects", BOTH, put(OBJECTS, "red"), HALF, None, "X", "text in column 1"),
    (14, "text in a frame", BOTH, TEXTS, HALF, None, "X", "column 'k'"),
    (16, "ragged rows", ALL, [[1.0, 2.0], [3.0]], HALF, None, "X", "1 in row 1"),
    (17, "too large", BOTH, put(X, 1e38), HALF, None, "X", "1e+38 in column 1"),
    (17, "too large", TABULAR, put(X, 1e38), HALF, None, "column 'x1'", "1e+38 in row 2"),
    (18, "overflows float32", BOTH, put(X, 1e300), HALF, None, "X", "1e+300 in column 1"),
    (18, "overflows float32", TABULAR, put(X, 1e300), HALF, None, "column 'x1'", "1e+300 in row 2"),
    (23, "numbers as labels", CLASSIFIERS, X, put(WHOLE[:, 0].astype(float), 0.5, 5), None, "y", "0.5 in row 5"),
    (26, "negative weight", ALL, X, HALF, put(np.ones(24), -1, 7), "sample_weight", "-1 at row 7"),
    (27, "NaN weight", ALL, X, HALF, put(np.ones(24), np.nan, 7), "sample_weight", "(nan) in row 7"),
    (27, "text for weights", ALL, X, HALF, "balanced", "sample_weight", "'balanced'"),
    (28, "weights' length", ALL, X, HALF, np.ones(23), "sample_weight", "shape (23,)"),
    (28, "weights' axes", ALL, X, HALF, np.ones((24, 2)), "sample_weight", "shape (24, 2)"),
    (29, "weights all 0", ALL, X, HALF, np.zeros(24), "sample_weight", "all zero"),
    (39, "complex X", ALL, X + 1j, HALF, None, "X", "complex128"),
    (39, "complex y", ALL, X, REAL + 1j, None, "y", "complex128"),
    (41, "a sparse one too large", BOTH, scipy.sparse.csr_array((10**6, 10**5)), HALF, None, "X", "800,000,000,000"),
    (42, "a column twice", ALL, TWICE, HALF, None, "X", "'a' twice"),
    (43, "nullable with NA", BOTH, GAPS, HALF, None, "X", "row 3, column 'a'"),
    (44, "a categorical column", BOTH, KINDS, HALF, None, "X", "category in column 'k'"),
    (44, "dates", BOTH, DATES, HALF, None, "X", "in column 'k'"),
    (45, "nullable y with NA", ALL, X, NA, None, "y", "in row 2"),
    (46, "X None", ALL, None, HALF, None, "X", "None"),
    (46, "y None", ALL, X, None, None, "y", "None"),
    (46, "X a path", ALL, "data.csv", HALF, None, "X", "'data.csv'"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "x", "y", "weights", "argument", "given"), cases(REFUSED))
def test_refused(name: str, x: Any, y: Any, weights: Any, argument: str, given: str):
    one = made(name)
    y = Y[name][: len(x) if isinstance(x, list) and isinstance(x[0], list) else 24] if y is HALF else y
    assert_refused(one, lambda: one.fit(x, y, weights), argument, given)


def test_a_hint_says_what_takes_texts_and_gaps_and_a_file():
    for x, told in ((TEXTS, "TabularClassifier"), (GAPS, "Impute"), ("data.csv", "pandas.read_csv"), (X[0], "reshape")):
        with pytest.raises(ValueError, match=told):
            made("MLPClassifier").fit(x, LABELS)


READ_ONLY = X.copy()
READ_ONLY.flags.writeable = False
STRIDED = np.repeat(X, 2, 0)[::2]
BINARY = (WHOLE[:, 0] % 2).astype(np.uint64)

# number, what, which estimators, X, y, the same without what is unusual
SAME: list[tuple] = [
    (13, "texts as labels", CLASSIFIERS, X, LABELS.astype(object), X, LABELS),
    (15, "numbers in objects", ALL, OBJECTS, HALF, X, HALF),
    (15, "a list of rows", ALL, X.tolist(), HALF, X, HALF),
    (21, "a label of -1", CLASSIFIERS, X, np.where(LABELS == "a", -1, 7), X, LABELS),
    (24, "y as a list", REGRESSORS, X, REAL.tolist(), X, REAL),
    (30, "Fortran order", ALL, np.asfortranarray(X), HALF, X, HALF),
    (31, "strided", ALL, STRIDED, HALF, X, HALF),
    (32, "read-only", ALL, READ_ONLY, HALF, X, HALF),
    (33, "negative stride", ALL, X[::-1][::-1], HALF, X, HALF),
    (34, "float16", ALL, X.astype(np.float16), HALF, X.astype(np.float16).astype(np.float64), HALF),
    (35, "float32", ALL, X.astype(np.float32), HALF, X, HALF),
    (36, "int8", ALL, WHOLE.astype(np.int8), HALF, WHOLE.astype(np.float64), HALF),
    (37, "flags", BOTH, WHOLE > 0, HALF, (WHOLE > 0).astype(np.float64), HALF),
    (38, "big-endian", ALL, X.astype(">f4"), HALF, X, HALF),
    (40, "uint64 as labels", CLASSIFIERS, X, BINARY, X, np.where(BINARY == 0, "a", "b")),
    (41, "sparse", ALL, scipy.sparse.csr_array(X), HALF, X, HALF),
    (42, "a frame", ALL, FRAME, HALF, X, HALF),
    (43, "nullable without NA", ALL, NULLABLE, HALF, NULLABLE.to_numpy(np.float64), HALF),
    (45, "nullable y without NA", REGRESSORS, X, pd.array(WHOLE[:, 0], dtype="Int64"), X, WHOLE[:, 0].astype(float)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "x", "y", "plain", "labels"), cases(SAME))
def test_works_and_gives_the_same_bits(name: str, x: Any, y: Any, plain: np.ndarray, labels: Any):
    y, labels = (Y[name] if one is HALF else one for one in (y, labels))
    before = [np.asarray(one).tobytes() for one in (x, y) if isinstance(one, np.ndarray) and one.dtype != object]
    given = quiet(lambda: made(name).fit(x, y))
    clean = fitted(name) if plain is X and labels is Y[name] else quiet(lambda: made(name).fit(plain, labels))
    np.testing.assert_array_equal(bits(given, x), bits(clean, plain))
    if name in CLASSIFIERS:
        assert list(given.classes_) == sorted(np.unique(y).tolist())
        assert set(given.predict(x)) <= set(np.unique(y).tolist())
    after = [np.asarray(one).tobytes() for one in (x, y) if isinstance(one, np.ndarray) and one.dtype != object]
    assert before == after


@pytest.mark.parametrize("name", ALL)
def test_12_targets_that_are_all_the_same(name: str):
    if name in CLASSIFIERS:
        one = quiet(lambda: made(name).fit(X, np.full(24, "a")), "all rows are of one class, a")
        assert set(one.predict(X)) == {"a"} and (one.predict_proba(X) == 1).all()
    else:
        one = quiet(lambda: made(name).fit(X, np.full(24, 3.0)))
        assert np.abs(one.predict(X) - 3).max() < 3  # the unit of a constant is 1


@pytest.mark.parametrize("name", REGRESSORS)
def test_11_one_row(name: str):
    assert np.isfinite(quiet(lambda: made(name).fit(X[:1], REAL[:1])).predict(X[:1])).all()


def test_11_one_row_where_the_classes_are_given():
    one = quiet(lambda: made("MLPClassifier").partial_fit(X[:1], LABELS[:1], classes=["a", "b"]))
    assert one.predict_proba(X[:1]).shape == (1, 2)


@pytest.mark.parametrize("name", REGRESSORS)
def test_19_great_targets_are_scaled_before_they_are_rounded(name: str):
    clean = bits(fitted(name), X)
    for factor in (1e37, 1e300):
        large = quiet(lambda factor=factor: made(name).fit(X, REAL * factor))
        np.testing.assert_allclose(bits(large, X) / factor, clean, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", REGRESSORS)
def test_19_great_targets_that_are_not_scaled_are_refused(name: str):
    one = made(name, scale_target=False)
    assert_refused(one, lambda: one.fit(X, put(REAL, 1e37, 5)), "y", "1e+37 in row 5")


@pytest.mark.parametrize("name", ALL)
def test_20_whole_numbers_that_are_rounded_are_told(name: str):
    wide = put(WHOLE, 2**55 + 1)
    one_of = functools.partial(made, **({"loss": "absolute_error"} if name == "MLPRegressor" else {}))  # no squares
    quiet(lambda: one_of(name).fit(wide, Y[name]), "above 2^53, in column")
    quiet(lambda: one_of(name).fit(pd.DataFrame(wide, columns=list("abc")), Y[name]), "column 'b', lose precision")


@pytest.mark.parametrize("name", ALL)
def test_24_a_column_of_targets_is_told_and_taken(name: str):
    one = quiet(lambda: made(name).fit(X, Y[name][:, None]), "column-vector y was passed when a 1d array was expected")
    np.testing.assert_array_equal(bits(one, X), bits(fitted(name), X))


@pytest.mark.parametrize("name", TABULAR)
def test_1_14_43_44_tables_of_anything(name: str):
    gaps = quiet(lambda: made(name).fit(put(X, np.nan), Y[name]))
    np.testing.assert_array_equal(bits(quiet(lambda: made(name).fit(put(OBJECTS, None), Y[name])), X), bits(gaps, X))
    assert np.isfinite(bits(quiet(lambda: made(name).fit(GAPS, Y[name])), GAPS)).all()
    table = DATES.rename(columns={"k": "when"}).assign(k=TEXTS["k"])
    one = quiet(lambda: made(name).fit(table, Y[name]))
    assert one.table_.kinds == ("number", "number", "number", "date", "category")
    same = quiet(lambda: made(name).fit(table.assign(k=KINDS["k"]), Y[name]))
    np.testing.assert_array_equal(bits(one, table), bits(same, table))
    for wrong, argument in ((table.assign(a="low"), "column 'a'"), (table.assign(when=X[:, 0]), "column 'when'")):
        assert_refused(one, lambda wrong=wrong: one.predict(wrong), argument, "")
