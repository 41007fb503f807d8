"""`MLPClassifier` against formulas and scikit-learn's own checks of how its methods agree."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone

from jaxann.estimators import MLPClassifier

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(60, 3)).astype(np.float32).astype(float)
THREE = np.array(["red", "green", "blue"])[np.argmax(X + 0.3 * RANDOM.normal(size=X.shape), 1)]
TWO = THREE == "red"
WEIGHTS = RANDOM.integers(0, 4, 60).astype(float)
pytestmark = pytest.mark.filterwarnings("ignore:.*training has not converged")


def linear(**changes: Any) -> MLPClassifier:
    return MLPClassifier(**({"hidden_layer_sizes": (), "random_state": 0, "max_iter": 1} | changes))


@pytest.mark.parametrize("y", [THREE, TWO], ids=["softmax", "sigmoid"])
def test_a_step_of_sgd_is_that_of_the_formula(y: np.ndarray):
    setting = {"solver": "sgd", "momentum": 0.0, "learning_rate_init": 0.1, "alpha": 3.0}
    one = linear(**setting, warm_start=True).fit(X, y, WEIGHTS)
    w, b, p = one.coefs_[0].astype(float), one.intercepts_[0].astype(float), one.predict_proba(X)
    onehot = (one.classes_ == y[:, None]).astype(float)
    error = (p - onehot) if len(one.classes_) > 2 else (p - onehot)[:, 1:]
    error *= WEIGHTS[:, None] / WEIGHTS.sum()
    one.fit(X, y, WEIGHTS)
    np.testing.assert_allclose(one.coefs_[0], w - 0.1 * (X.T @ error + 3.0 * w / WEIGHTS.sum()), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(one.intercepts_[0], b - 0.1 * error.sum(0), rtol=1e-5, atol=1e-6)
    loss = -(WEIGHTS * np.log((p * onehot).sum(1))).sum() / WEIGHTS.sum() + 1.5 * (w**2).sum() / WEIGHTS.sum()
    assert one.loss_curve_[-1] == pytest.approx(loss, rel=1e-5)


@pytest.mark.parametrize("given", ["balanced", {"red": 3.0, "blue": 0.5}], ids=["balanced", "a dict"])
def test_class_weights_are_weights_of_the_rows(given: Any):
    each = {"red": 3.0, "blue": 0.5, "green": 1.0} if isinstance(given, dict) else None
    counts = {label: (WEIGHTS * (THREE == label)).sum() for label in np.unique(THREE)}
    each = each or {label: WEIGHTS.sum() / (3 * count) for label, count in counts.items()}
    weights = WEIGHTS * np.array([each[label] for label in THREE])
    one = linear(class_weight=given, max_iter=5).fit(X, THREE, WEIGHTS)
    other = linear(max_iter=5).fit(X, THREE, weights)
    np.testing.assert_allclose(one.predict_proba(X), other.predict_proba(X), rtol=1e-6)


def test_early_stopping_goes_back_to_the_best_weights():
    setting = {"early_stopping": True, "max_iter": 12, "learning_rate_init": 0.5, "n_iter_no_change": 100}
    one = linear(**setting).fit(X[:40], THREE[:40], validation=(X[40:], THREE[40:]))
    assert one.best_validation_score_ == max(one.validation_scores_) == pytest.approx(one.score(X[40:], THREE[40:]))


def test_a_temperature_lowers_the_log_loss_and_keeps_the_order():
    one = linear(max_iter=60, learning_rate_init=1.0, alpha=0).fit(X[:30], THREE[:30])
    before, order = one.predict_proba(X), np.argsort(one.predict_proba(X), 1)
    true = np.searchsorted(one.classes_, THREE[30:])
    one.calibrate(X[30:], THREE[30:])

    def loss(shares: np.ndarray) -> float:
        return -np.log(shares[30:][np.arange(30), true]).mean()

    assert loss(one.predict_proba(X)) < loss(before)
    np.testing.assert_array_equal(np.argsort(one.predict_proba(X), 1), order)
    np.testing.assert_allclose(np.exp(one.predict_log_proba(X)), one.predict_proba(X), rtol=1e-10)
    assert one.predict_set(X[30:], level=0.9)[np.arange(30), true].mean() >= 0.9


def test_members_average_and_disagree():
    one = linear(members=3, max_iter=3).fit(X, THREE)
    z = np.stack([X @ net.params["dense0"]["weight"] + net.params["dense0"]["bias"] for net in one.nets_])
    shares = np.exp(z) / np.exp(z).sum(2, keepdims=True)
    np.testing.assert_allclose(one.predict_proba(X), shares.mean(0), rtol=1e-5)
    mean = shares.mean(0)
    disagreement = -(mean * np.log(mean)).sum(1) + (shares * np.log(shares)).sum(2).mean(0)
    np.testing.assert_allclose(one.predict_doubt(X), disagreement, rtol=1e-3, atol=1e-7)


def test_a_copy_and_a_clone():
    one = linear(max_iter=3).fit(X, THREE)
    again = pickle.loads(pickle.dumps(one))
    np.testing.assert_array_equal(again.predict_proba(X), one.predict_proba(X))
    np.testing.assert_array_equal(clone(one).fit(X, THREE).predict_proba(X), one.predict_proba(X))
