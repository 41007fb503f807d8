"""The estimators inside scikit-learn's own tools: searches, calibration, importance, ensembles, routed weights."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import sklearn
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import make_friedman1
from sklearn.ensemble import BaggingRegressor, StackingRegressor, VotingClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.frozen import FrozenEstimator
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, cross_val_predict, learning_curve
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import check_estimator

from jaxann.estimators import MLPClassifier, MLPRegressor, PerceptronClassifier, Standard

pytestmark = pytest.mark.filterwarnings("ignore:.*training has not converged")  # all of it ends early
RANDOM = np.random.default_rng(3)
X = RANDOM.normal(size=(240, 4))
LABELS = np.array(["no", "yes"])[(X[:, 0] + X[:, 1] > 0).astype(int)]
REAL = 2 * X[:, 0] - X[:, 1]


def classifier(**changes: Any) -> MLPClassifier:
    """A small one, trained for long enough to know the one line that there is."""
    return MLPClassifier(
        (8,), random_state=0, **{"max_iter": 20, "learning_rate_init": 0.02, "batch_size": 40} | changes
    )


def regressor(**changes: Any) -> MLPRegressor:
    """The same, of numbers."""
    return MLPRegressor(
        hidden_layer_sizes=(8,),
        random_state=0,
        **{"max_iter": 20, "learning_rate_init": 0.02, "batch_size": 40} | changes,
    )


def test_searches_find_the_better_setting():
    grid = {"learning_rate_init": [1e-7, 0.02]}
    for search in (
        GridSearchCV(classifier(), grid, cv=2),
        HalvingGridSearchCV(classifier(), grid, cv=2, random_state=0),
    ):
        found = search.fit(X, LABELS)
        assert found.best_params_ == {"learning_rate_init": 0.02} and found.best_score_ > 0.85
        assert found.score(X, LABELS) > 0.9
    grown = HalvingGridSearchCV(classifier(), grid, resource="max_iter", max_resources=20, factor=2, cv=2).fit(
        X, LABELS
    )
    assert grown.best_params_ == {"learning_rate_init": 0.02, "max_iter": 20}


def test_probabilities_across_folds_are_those_of_each_fold():
    found = cross_val_predict(classifier(), X, LABELS, cv=3, method="predict_proba")
    assert found.shape == (240, 2) and log_loss(LABELS, found) < 0.4
    sizes, train, test = learning_curve(classifier(), X, LABELS, train_sizes=[0.5, 1.0], cv=2)
    assert list(sizes) == [60, 120] and test[1].mean() > 0.85 and train.shape == (2, 2)


def test_probabilities_are_calibrated():
    unsure = classifier(max_iter=200, alpha=0.0).fit(X[:40], LABELS[:40])
    wrong = np.where(RANDOM.random(240) < 0.25, LABELS[::-1], LABELS)  # what nobody can be sure of
    before = log_loss(wrong[120:], unsure.predict_proba(X[120:]))
    for method in ("sigmoid", "isotonic"):
        one = CalibratedClassifierCV(FrozenEstimator(unsure), method=method).fit(X[:120], wrong[:120])
        assert log_loss(wrong[120:], one.predict_proba(X[120:])) < before
    crossed = CalibratedClassifierCV(classifier(), cv=2).fit(X, LABELS)
    assert len(crossed.calibrated_classifiers_) == 2 and crossed.score(X, LABELS) > 0.9


def test_importance_names_the_columns_that_matter():
    found = permutation_importance(regressor(max_iter=60).fit(X, REAL), X, REAL, n_repeats=3, random_state=0)
    assert list(np.argsort(found.importances_mean)[::-1][:2]) == [0, 1] and found.importances_mean[2:].max() < 0.1


def test_ensembles_of_scikit_learns_take_nets():
    votes = VotingClassifier([("net", classifier()), ("line", LogisticRegression())], voting="soft").fit(X, LABELS)
    assert votes.score(X, LABELS) > 0.9
    stack = StackingRegressor([("net", regressor()), ("line", Ridge())], cv=2).fit(X, REAL)
    assert stack.score(X, REAL) > 0.95
    bags = BaggingRegressor(regressor(), n_estimators=3, random_state=0).fit(X, REAL)
    assert bags.score(X, REAL) > 0.8


def test_weights_are_routed_to_the_net():
    weights = np.where(X[:, 2] > 0, 1.0, 0.0)
    labels = np.where(X[:, 2] > 0, LABELS, LABELS[::-1])  # rows of no weight have labels that mean nothing
    with sklearn.config_context(enable_metadata_routing=True):
        model = make_pipeline(Standard(), classifier().set_fit_request(sample_weight=True))
        routed = model.fit(X, labels, sample_weight=weights).predict_proba(X)
        inner = classifier().set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        found = GridSearchCV(inner, {"alpha": [0.0]}, cv=2).fit(X, labels, sample_weight=weights)
    scaled = Standard().fit_transform(X)
    np.testing.assert_array_equal(routed, classifier().fit(scaled, labels, sample_weight=weights).predict_proba(scaled))
    assert found.best_score_ > 0.85  # of weighted rows alone


def test_pickles_predict_the_same_bits():
    for model, y in ((classifier(), LABELS), (regressor(), REAL), (PerceptronClassifier(), LABELS)):
        model.fit(X, y)
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X), model.predict(X))


@pytest.mark.filterwarnings("ignore:A column-vector y was passed")
@pytest.mark.filterwarnings("ignore:The number of unique classes")
def test_the_perceptron_passes_every_check():
    for one in check_estimator(PerceptronClassifier(), on_skip=None):
        assert one["status"] in ("passed", "skipped"), one


def test_intervals_and_sets_hold_what_they_promise_over_splits():
    inside, among = [], []
    for seed in range(20):
        x, y = make_friedman1(900, noise=1.0, random_state=seed)
        train, calibrate, test = slice(0, 200), slice(200, 500), slice(500, 900)
        middle = np.median(y)
        net = regressor(max_iter=10).fit(x[train], (y[train] - 14) / 5).calibrate(x[calibrate], (y[calibrate] - 14) / 5)
        low, high = net.predict_interval(x[test], 0.9).T
        inside.append(((low <= (y[test] - 14) / 5) & ((y[test] - 14) / 5 <= high)).mean())
        labels = (y > middle).astype(int)
        sure = classifier(max_iter=10).fit(x[train], labels[train]).calibrate(x[calibrate], labels[calibrate])
        among.append(sure.predict_set(x[test], 0.8)[np.arange(400), labels[test]].mean())
    assert abs(np.mean(inside) - 0.9) < 0.02 and abs(np.mean(among) - 0.8) < 0.02
