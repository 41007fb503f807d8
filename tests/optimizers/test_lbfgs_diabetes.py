"""L-BFGS through `fit` against scikit-learn's on the diabetes data: same network, start, data, penalty and objective."""

from __future__ import annotations

import warnings

import jax
import numpy as np
import pytest
from sklearn.datasets import load_diabetes
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor

import jaxann as ja

ALPHA, STEPS = 1.0, 300


def _data() -> tuple[np.ndarray, np.ndarray]:
    x, y = load_diabetes(return_X_y=True)
    x, y = (x - x.mean(0)) / x.std(0), (y - y.mean()) / y.std()
    return x, y[:, None]


def _theirs(x: np.ndarray, y: np.ndarray, params: dict) -> float:
    """scikit-learn's objective after as many iterations from these weights."""
    model = MLPRegressor(hidden_layer_sizes=(20,), activation="tanh", solver="lbfgs", alpha=ALPHA, max_iter=1, warm_start=True, tol=0)
    model.set_params(max_fun=10**6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(x, y[:, 0])
        names = [f"dense{i}" for i in range(2)]
        model.coefs_ = [np.array(params[n]["weight"], np.float64) for n in names]
        model.intercepts_ = [np.array(params[n]["bias"], np.float64) for n in names]
        model.set_params(max_iter=STEPS).fit(x, y[:, 0])
    residual = model.predict(x) - y[:, 0]
    squares = sum(float((w**2).sum()) for w in model.coefs_)
    return float((residual**2).mean() / 2 + ALPHA / 2 * squares / len(x))


@pytest.mark.usefixtures("x64")
def test_lbfgs_reaches_the_loss_of_scikit_learn():
    x, y = _data()
    model = ja.models.mlp((20, 1), activation="tanh")
    penalty = ja.regularizers.l2_penalty(ALPHA / len(x), half=True)
    ours, theirs = [], []
    for seed in range(5):
        begin = ja.fit(
            model, ja.losses.half_squared_error, ja.optimizers.lbfgs(), (x, y),
            key=jax.random.key(seed), epochs=0, penalty=penalty,
        )  # fmt: skip
        result = ja.fit(
            model, ja.losses.half_squared_error, ja.optimizers.lbfgs(), (x, y),
            key=jax.random.key(seed), epochs=STEPS, penalty=penalty,
        )  # fmt: skip
        ours.append(result.history["loss"][-1])
        theirs.append(_theirs(x, y, begin.params))
    print(np.round(ours, 6), np.round(theirs, 6))
    assert np.median(ours) <= np.median(theirs)
    assert np.mean(ours) <= np.mean(theirs)
