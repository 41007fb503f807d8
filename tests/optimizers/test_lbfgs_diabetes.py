"""L-BFGS through `fit` against scikit-learn's on the diabetes data: network, start, data and objective the same."""

from __future__ import annotations

import warnings

import jax
import numpy as np
import pytest
from sklearn.datasets import load_diabetes
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor

import jaxann as ja

ALPHA, STEPS = 5.0, 1000  # both come to rest long before


def _data() -> tuple[np.ndarray, np.ndarray]:
    x, y = load_diabetes(return_X_y=True)
    return (x - x.mean(0)) / x.std(0), ((y - y.mean()) / y.std())[:, None]


def _theirs(x: np.ndarray, y: np.ndarray, params: dict) -> float:
    """scikit-learn's objective after as many iterations from these weights."""
    model = MLPRegressor(
        hidden_layer_sizes=(20,), activation="tanh", solver="lbfgs", alpha=ALPHA, max_iter=1, max_fun=10**6, tol=0,
        warm_start=True,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(x, y[:, 0])
        model.coefs_ = [np.array(params[f"dense{i}"]["weight"], np.float64) for i in range(2)]
        model.intercepts_ = [np.array(params[f"dense{i}"]["bias"], np.float64) for i in range(2)]
        model.set_params(max_iter=STEPS).fit(x, y[:, 0])
    residual = model.predict(x) - y[:, 0]
    squares = sum(float((w**2).sum()) for w in model.coefs_)
    return float((residual**2).mean() / 2 + ALPHA / 2 * squares / len(x))


@pytest.mark.usefixtures("x64")
def test_lbfgs_reaches_the_loss_of_scikit_learn():
    x, y = _data()
    model, loss = ja.models.mlp((20, 1), activation="tanh"), ja.losses.half_squared_error
    penalty = ja.regularizers.l2_penalty(ALPHA / len(x), half=True)
    ours, theirs = [], []
    for seed in range(4):
        key = jax.random.key(seed)
        recipe = ja.recipe(model, loss, ja.optimizers.lbfgs(), penalty=penalty)
        result = ja.fit(recipe, (x, y), key=key, epochs=STEPS)
        start = ja.fit(recipe, (x, y), key=key, epochs=0)
        ours.append(result.history["loss"][-1])
        theirs.append(_theirs(x, y, start.params))
        assert result.history["gradient_norm"][-1] < 1e-8
    # A start may lead to either of two minima that are 0.1 % apart.
    assert np.mean(ours) <= np.mean(theirs) + 1e-8
    np.testing.assert_allclose(ours, theirs, rtol=2e-3)
