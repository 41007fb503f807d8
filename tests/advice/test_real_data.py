"""What is recommended reaches sensible figures on real data, as they come."""

from __future__ import annotations

import os
from pathlib import Path

import jax
import numpy as np
import pytest
from sklearn import datasets
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import jaxann as ja

SETS = {
    "iris": datasets.load_iris,
    "wine": datasets.load_wine,
    "breast_cancer": datasets.load_breast_cancer,
    "digits": datasets.load_digits,
    "diabetes": datasets.load_diabetes,
}
SLACK = 0.04  # of the figure: some rows of the test part


@pytest.mark.parametrize("name", SETS)
def test_a_table_is_learned_about_as_well_as_by_a_linear_model_or_better(name: str, key: jax.Array):
    x, y = SETS[name](return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    train, validation, test = np.split(order, [int(0.6 * len(x)), int(0.8 * len(x))])
    found = ja.recommend((x[train], y[train]))
    result = ja.fit(found.recipe, (x[train], y[train]), validation=(x[validation], y[validation]), key=key)
    predictions = ja.predict(found.recipe, result.params, result.state, x[test])
    numbers = found.facts.task == "regression"
    figure = ja.metrics.r2(predictions, y[test]) if numbers else ja.metrics.accuracy(predictions, y[test])
    linear = make_pipeline(StandardScaler(), RidgeCV() if numbers else LogisticRegression(max_iter=1000))
    both = np.concatenate([train, validation])
    assert figure > linear.fit(x[both], y[both]).score(x[test], y[test]) - SLACK


@pytest.mark.skipif("JAXANN_DATA" not in os.environ, reason="JAXANN_DATA names no folder with the files of MNIST")
def test_the_real_handwriting_is_read(key: jax.Array):
    data = ja.data.mnist(Path(os.environ["JAXANN_DATA"]) / "mnist")
    train, validation = (data.x[:500], data.y[:500]), (data.x[500:900], data.y[500:900])
    found = ja.recommend(train, epochs=4)
    result = ja.fit(found.recipe, train, validation=validation, key=key)
    assert result.epochs_run == 4 and result.history["validation_accuracy"].max() > 0.75
