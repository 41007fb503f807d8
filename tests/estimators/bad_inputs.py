"""Small data and estimators for the tests of bad input, and what an error of scikit-learn's own must have."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import jaxann as ja
from jaxann.estimators import MLPClassifier, MLPRegressor, TabularClassifier, TabularRegressor
from tests.contract import assert_input_error, compiles

__all__ = [
    "ALL",
    "BOTH",
    "CLASSIFIERS",
    "LABELS",
    "REAL",
    "REGRESSORS",
    "TABULAR",
    "X",
    "Y",
    "assert_refused",
    "bits",
    "cases",
    "fitted",
    "made",
    "put",
    "quiet",
]

RNG = np.random.default_rng(0)
X = RNG.normal(size=(24, 3)).astype(np.float32).astype(np.float64)  # nothing is lost in float32
LABELS = np.array(["b", "a"] * 12)
REAL = RNG.normal(size=24).astype(np.float32).astype(np.float64)
BOTH = ("MLPClassifier", "MLPRegressor")
TABULAR = ("TabularClassifier", "TabularRegressor")
ALL = BOTH + TABULAR
CLASSIFIERS, REGRESSORS = ALL[::2], ALL[1::2]
Y = dict.fromkeys(CLASSIFIERS, LABELS) | dict.fromkeys(REGRESSORS, REAL)
_MADE = {
    "MLPClassifier": lambda: MLPClassifier((4,), max_iter=1, random_state=0),
    "MLPRegressor": lambda: MLPRegressor(hidden_layer_sizes=(4,), max_iter=1, random_state=0),
    "TabularClassifier": lambda: TabularClassifier(net=ja.models.mlp((4, 2)), epochs=1, random_state=0),
    "TabularRegressor": lambda: TabularRegressor(net=ja.models.mlp((4, 1)), epochs=1, random_state=0),
}
_FITTED: dict[str, Any] = {}


def made(name: str, **changes: Any) -> Any:
    """A small estimator of one epoch."""
    return _MADE[name]().set_params(**changes)


def put(array: np.ndarray, value: Any, place: Any = (2, 1)) -> np.ndarray:
    """A copy with one value changed."""
    array = array.copy()
    array[place] = value
    return array


def quiet(call: Callable[[], Any], *expected: str) -> Any:
    """What the call gives; it warns of what is expected, and beside that only that one epoch is not enough."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = call()
    told = [str(one.message) for one in caught if "not converged yet" not in str(one.message)]
    assert len(told) == len(expected), told
    for text, wanted in zip(told, expected, strict=True):
        assert wanted in text
    return found


def fitted(name: str) -> Any:
    """One that was fit on clean data; it is shared, so leave it as it is."""
    if name not in _FITTED:
        _FITTED[name] = quiet(lambda: made(name).fit(X, Y[name]))
    return _FITTED[name]


def bits(estimator: Any, x: Any) -> np.ndarray:
    """What it says of rows: probabilities, or numbers."""
    return estimator.predict_proba(x) if hasattr(estimator, "predict_proba") else estimator.predict(x)


def assert_refused(estimator: Any, call: Callable[[], Any], argument: str, given: str, theirs: bool = False) -> None:
    """The call fails with one clear error before anything is compiled, and leaves the estimator as it was.

    Args:
        estimator, call: what must fail.
        argument, given: what the message must name; of one of scikit-learn's own two texts in it.
        theirs: whether the contract of scikit-learn words the message.
    """
    before = dict(vars(estimator))
    if theirs:
        programs = compiles()
        with pytest.raises(ValueError) as caught:
            call()
        assert compiles() == programs
        assert argument in str(caught.value) and given in str(caught.value), caught.value
    else:
        assert_input_error(call, argument, given=given)
    assert vars(estimator).keys() == before.keys()
    assert all(vars(estimator)[key] is value for key, value in before.items())


def cases(table: list[tuple]) -> Any:
    """One test for each row of a table `(number, what, estimators, ...)` and each of its estimators."""
    rows = [pytest.param(name, *row[3:], id=f"{row[0]} {row[1]}-{name}") for row in table for name in row[2]]
    return rows
