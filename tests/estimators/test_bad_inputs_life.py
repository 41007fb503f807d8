"""Bad calls in the life of an estimator: other features, no fit, other labels; and fits that follow each other.

The numbers are those of the same cases for the functions in tests/train/test_inputs.py.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

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

FRAME = pd.DataFrame(X, columns=["a", "b", "c"])

# number, what, which estimators, X to predict, what the message names, what was given, whether scikit-learn words it
REFUSED: list[tuple] = [
    (67, "fewer features", ALL, X[:, :2], "2 features", "3 features", True),
    (68, "more features", ALL, np.hstack([X, X]), "6 features", "3 features", True),
    (69, "NaN", BOTH, put(X, np.nan), "X", "(nan) in row 2, column 1", False),
    (69, "infinity", BOTH, put(X, np.inf), "X", "(inf) in row 2, column 1", False),
    (69, "infinity", TABULAR, put(X, np.inf), "column 'x1'", "inf in row 2", False),
    (69, "text", BOTH, put(X.astype(object), "red"), "X", "text in column 1", False),
    (69, "text", TABULAR, put(X.astype(object), "red"), "column 'x1'", "'red' in row 2", False),
    (70, "no rows", ALL, X[:0], "X", "shape (0, 3)", False),
    (70, "one axis", ALL, X[0], "X", "shape (3,)", False),
    (70, "None", ALL, None, "X", "None", False),
]  # fmt: skip


@pytest.mark.parametrize(("name", "x", "argument", "given", "theirs"), cases(REFUSED))
def test_predict_refuses(name: str, x: Any, argument: str, given: str, theirs: bool):
    one = fitted(name)
    assert_refused(one, lambda: one.predict(x), argument, given, theirs)
    if name in CLASSIFIERS:
        assert_refused(one, lambda: one.predict_proba(x), argument, given, theirs)


@pytest.mark.parametrize("name", TABULAR)
def test_69_missing_numbers_are_predicted(name: str):
    assert np.isfinite(bits(fitted(name), put(X, np.nan))).all()


@pytest.mark.parametrize("name", ALL)
def test_71_columns_in_another_order_are_refused(name: str):
    one = quiet(lambda: made(name).fit(FRAME, Y[name]))
    other = FRAME[["b", "a", "c"]]
    assert_refused(one, lambda: one.predict(other), "feature names should match", "same order", True)
    assert_refused(one, lambda: one.predict(FRAME.rename(columns={"a": "z"})), "unseen at fit", "- z", True)
    np.testing.assert_array_equal(bits(one, FRAME), bits(fitted(name), X))


@pytest.mark.parametrize("name", ALL)
def test_72_nothing_is_predicted_before_a_fit(name: str):
    one = made(name)
    methods = ["predict", "predict_proba", "predict_log_proba", "predict_doubt", "predict_set"]
    if name in REGRESSORS:
        methods = ["predict", "predict_quantiles", "predict_deviation", "predict_doubt", "predict_interval"]
    for method in methods:
        with pytest.raises(NotFittedError, match=name):
            getattr(one, method)(X)
    for call in (lambda: one.calibrate(X, Y[name]), lambda: one.save("nowhere"), lambda: one.score(X, Y[name])):
        with pytest.raises(NotFittedError, match=name):
            call()


def test_73_labels_that_were_not_there_are_refused_with_those_that_were():
    one = quiet(lambda: made("MLPClassifier").fit(X, LABELS))
    other = put(LABELS, "c", 5)
    assert_refused(one, lambda: one.partial_fit(X, other), "y", "c")
    assert_refused(one, lambda: one.partial_fit(X, LABELS, classes=["a", "b", "c"]), "classes", "a, b, c")
    assert_refused(one, lambda: one.calibrate(X, other), "y", "c")
    fresh = made("MLPClassifier")
    assert_refused(fresh, lambda: fresh.partial_fit(X, LABELS), "classes", "None")
    assert_refused(fresh, lambda: fresh.partial_fit(X, other, classes=["a", "b"]), "y", "c")
    early = made("MLPClassifier", early_stopping=True)
    assert_refused(early, lambda: early.fit(X, LABELS, validation=(X, other)), "y", "c")


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_73_a_label_that_was_not_there_counts_as_a_mistake(name: str):
    one = fitted(name)
    right = one.predict(X)
    assert one.score(X, right) == 1
    assert one.score(X, np.where(np.arange(24) < 6, "c", right)) == 0.75


@pytest.mark.parametrize("name", ALL)
def test_a_validation_set_is_checked_as_the_rows_are(name: str):
    one = made(name, early_stopping=True) if name in BOTH else made(name)
    assert_refused(one, lambda: one.fit(X, Y[name], validation=X), "validation", "float64")
    assert_refused(one, lambda: one.fit(X, Y[name], validation=(X[:, :2], Y[name])), "2 features", "3 features", True)
    assert_refused(one, lambda: one.fit(X, Y[name], validation=(X[:0], Y[name][:0])), "validation X", "shape (0, 3)")
    assert_refused(one, lambda: one.fit(X, Y[name], validation=(X, Y[name][:9])), "y", "9")
    assert_refused(one, lambda: one.fit(X, Y[name], validation=(X, Y[name], np.ones(9))), "sample_weight", "shape (9,)")
    if name in BOTH:
        late = made(name)
        assert_refused(late, lambda: late.fit(X, Y[name], validation=(X, Y[name])), "validation", "rows")


@pytest.mark.parametrize("name", ALL)
def test_a_level_that_no_set_or_interval_can_have_is_refused(name: str):
    one = quiet(lambda: made(name).fit(X, Y[name]))
    method = one.predict_set if name in CLASSIFIERS else one.predict_interval
    if name in CLASSIFIERS:
        with pytest.raises(NotFittedError, match="calibrate"):
            method(X)
    one.calibrate(X, Y[name])
    for level in (0, 1, 1.5, float("nan"), "0.9"):
        assert_refused(one, lambda level=level: method(X, level=level), "level", str(level))
    assert_refused(one, lambda: method(X, level=0.99), "level", "0.99")  # of 24 rows


@pytest.mark.parametrize("name", ALL)
def test_what_asks_for_several_members_or_another_loss_is_refused(name: str):
    one = fitted(name)
    bits(one, X)  # compiled before: what the members say tells how many there are
    assert_refused(one, lambda: one.predict_doubt(X), "members", "1")
    if name in REGRESSORS:
        assert_refused(one, lambda: one.predict_quantiles(X), "loss", "'squared_error'")
        assert_refused(one, lambda: one.predict_deviation(X), "loss", "'squared_error'")


def test_going_on_with_another_net_is_refused():
    one = quiet(lambda: made("MLPRegressor", warm_start=True).fit(X, REAL))
    one.set_params(hidden_layer_sizes=(5,))
    assert_refused(one, lambda: one.fit(X, REAL), "the net", "mlp")
    one.set_params(hidden_layer_sizes=(4,), members=2)
    assert_refused(one, lambda: one.fit(X, REAL), "members", "2")
    one.set_params(members=1)
    assert_refused(one, lambda: one.fit(X[:, :2], REAL), "2 features", "3 features", True)
    assert_refused(one, lambda: one.fit(X, np.stack([REAL, REAL], 1)), "y", "2")
    early = made("MLPRegressor", early_stopping=True)
    assert_refused(early, lambda: early.partial_fit(X, REAL), "early_stopping", "True")


@pytest.mark.parametrize("name", ALL)
def test_74_another_fit_forgets_the_one_before(name: str):
    one = quiet(lambda: made(name).fit(FRAME, Y[name]))
    one.calibrate(FRAME, Y[name])
    quiet(lambda: one.fit(X[:12, :2], Y[name][:12]))
    fresh = quiet(lambda: made(name).fit(X[:12, :2], Y[name][:12]))
    assert one.n_features_in_ == 2 and vars(one).keys() == vars(fresh).keys()
    np.testing.assert_array_equal(bits(one, X[:, :2]), bits(fresh, X[:, :2]))


@pytest.mark.parametrize("name", ALL)
def test_75_fits_in_four_threads_give_the_bits_of_fits_in_turn(name: str):
    found: dict[int, np.ndarray] = {}

    def fit(seed: int) -> None:
        found[seed] = bits(made(name, random_state=seed).fit(X, Y[name]), X)

    threads = [threading.Thread(target=fit, args=(seed,)) for seed in range(4)]

    def all_of_them() -> None:
        for one in threads:
            one.start()
        for one in threads:
            one.join()

    quiet(all_of_them)
    assert len(found) == 4
    np.testing.assert_array_equal(found[0], bits(fitted(name), X))
    for seed in (1, 3):
        np.testing.assert_array_equal(
            found[seed], bits(quiet(lambda seed=seed: made(name, random_state=seed).fit(X, Y[name])), X)
        )
