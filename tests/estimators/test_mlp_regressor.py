"""`MLPRegressor` against formulas, `ja.fit` and scikit-learn's linear models."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import PoissonRegressor, TweedieRegressor
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.pipeline import make_pipeline

from jaxann.estimators import MLPRegressor, Standard
from tests.contract import compiles

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(50, 3)).astype(np.float32).astype(float)
Y = (X @ [1.0, -2.0, 0.5] + 0.1 * RANDOM.normal(size=50)).astype(np.float32).astype(float)
WEIGHTS = RANDOM.integers(0, 4, 50).astype(float)
COUNTS = RANDOM.poisson(np.exp(0.5 * X[:, 0] - 0.3 * X[:, 1])).astype(float)
pytestmark = pytest.mark.filterwarnings("ignore:.*training has not converged")


def linear(**changes: Any) -> MLPRegressor:
    setting = {"hidden_layer_sizes": (), "random_state": 0, "max_iter": 1, "scale_target": False}
    return MLPRegressor(**(setting | changes))


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
def test_a_step_of_sgd_is_that_of_the_formula(weights: np.ndarray | None):
    setting = {"solver": "sgd", "momentum": 0.0, "learning_rate_init": 0.1, "alpha": 3.0}
    one = linear(**setting, warm_start=True).fit(X, Y, weights)
    w, b = one.coefs_[0][:, 0].astype(float), one.intercepts_[0].astype(float)
    a = np.ones(50) if weights is None else weights
    error = X @ w + b - Y
    gradient_w = (X * (a * error)[:, None]).sum(0) / a.sum() + 3.0 * w / a.sum()
    gradient_b = (a * error).sum() / a.sum()
    one.fit(X, Y, weights)
    np.testing.assert_allclose(one.coefs_[0][:, 0], w - 0.1 * gradient_w, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(one.intercepts_[0], b - 0.1 * gradient_b, rtol=1e-5, atol=1e-6)
    expected = (a * error**2).sum() / a.sum() / 2 + 3.0 * (w**2).sum() / a.sum() / 2
    assert one.loss_curve_[-1] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("setting", [{}, {"learning_rate": "constant", "solver": "sgd"}], ids=["adam", "sgd"])
def test_a_warm_start_goes_on_where_the_fit_before_ended(setting: dict):
    whole = linear(max_iter=10, **setting).fit(X, Y)
    halves = linear(max_iter=5, warm_start=True, **setting).fit(X, Y)
    first = halves.loss_curve_
    halves.fit(X, Y)
    np.testing.assert_allclose([*first, *halves.loss_curve_], whole.loss_curve_, rtol=1e-6)
    np.testing.assert_allclose(halves.predict(X), whole.predict(X), rtol=1e-5, atol=1e-6)
    pieces = linear(**setting)
    for _ in range(10):
        pieces.partial_fit(X, Y)
    np.testing.assert_allclose(pieces.predict(X), whole.predict(X), rtol=1e-5, atol=1e-6)


def test_another_number_compiles_nothing_and_sizes_share_programs():
    one = MLPRegressor(hidden_layer_sizes=(4,), max_iter=2, dropout=0.1, random_state=0).fit(X, Y)
    one.predict(X)
    before = compiles()
    other = {"alpha": 0.1, "learning_rate_init": 0.01, "random_state": 3, "max_iter": 4, "dropout": 0.3, "tol": 0.1}
    clone(one).set_params(**other).fit(X, Y).predict(X)
    for rows in (30, 41, 49):
        clone(one).fit(X[:rows], Y[:rows]).predict(X[:rows])
    assert compiles() == before


@pytest.mark.parametrize("loss", ["poisson", "tweedie"])
def test_means_above_0_are_those_of_scikit_learns_linear_models(loss: str):
    y = COUNTS if loss == "poisson" else COUNTS * 1.7
    theirs = (
        PoissonRegressor(alpha=0, tol=1e-8) if loss == "poisson" else TweedieRegressor(power=1.5, alpha=0, tol=1e-8)
    )
    expected = theirs.fit(X, y).predict(X)
    one = linear(
        loss=loss,
        power=1.5,
        alpha=0,
        learning_rate_init=0.1,
        learning_rate="cosine",
        tol=0,
        n_iter_no_change=10**6,
        max_iter=600,
    )
    np.testing.assert_allclose(one.fit(X, y).predict(X), expected, rtol=1e-3)


def test_quantiles_never_cross_and_an_interval_lies_between_them():
    one = linear(loss="quantile", quantiles=(0.05, 0.5, 0.95), max_iter=50, learning_rate_init=0.1).fit(X, Y)
    far = 100 * RANDOM.normal(size=(200, 3))
    found = one.predict_quantiles(far)
    assert found.shape == (200, 3) and (np.diff(found, axis=1) >= 0).all()
    np.testing.assert_array_equal(one.predict(far), found[:, 1])
    np.testing.assert_array_equal(one.predict_interval(far, level=0.9), found[:, ::2])


def test_members_are_averaged_and_their_disagreement_is_told():
    one = linear(members=3, max_iter=3).fit(X, Y)
    each = np.stack([X @ net.params["dense0"]["weight"] + net.params["dense0"]["bias"] for net in one.nets_])[..., 0]
    np.testing.assert_allclose(one.predict(X), each.mean(0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(one.predict_doubt(X), each.std(0), rtol=1e-5, atol=1e-6)


def test_a_fit_that_fails_changes_nothing():
    one = linear().fit(X, Y)
    before = dict(vars(one))

    def press(moment: Any) -> None:
        raise RuntimeError("an observer's own fault")

    one.set_params(observers=press)
    with pytest.raises(RuntimeError, match="own fault"):
        one.fit(X[:, :2], Y)
    one.set_params(observers=None)
    assert vars(one).keys() == before.keys() and all(vars(one)[key] is before[key] for key in before)


def test_searches_and_pipelines_take_it():
    model = make_pipeline(Standard(), linear(max_iter=3))
    assert cross_val_predict(model, X, Y, cv=3).shape == (50,)
    found = GridSearchCV(model, {"mlpregressor__alpha": [0.0, 1.0]}, cv=3).fit(X, Y)
    assert np.isfinite(found.cv_results_["mean_test_score"]).all()


def test_a_run_that_is_not_over_is_told():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ConvergenceWarning, match="1 iterations"):
            linear().fit(X, Y)
