"""The estimators with a net by scikit-learn's own checks, none of which is expected to fail."""

from __future__ import annotations

from typing import Any

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from jaxann.estimators import MLPClassifier, MLPRegressor, TabularClassifier, TabularRegressor

ALL = [MLPClassifier(), MLPRegressor(), TabularClassifier(epochs=5), TabularRegressor(epochs=5)]


@pytest.mark.filterwarnings("ignore:.*training has not converged")  # what they train ends early
@pytest.mark.filterwarnings("ignore:.*all rows are of one class")
@pytest.mark.filterwarnings("ignore:.*left out of X")
@pytest.mark.filterwarnings("ignore:A column-vector y was passed")
@pytest.mark.filterwarnings("ignore:The number of unique classes")
@parametrize_with_checks(ALL)
def test_scikit_learns_checks(estimator: Any, check: Any):
    check(estimator)
