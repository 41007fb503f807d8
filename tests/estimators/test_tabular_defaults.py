"""Defaults for tables: the rule by rows, the schedule, and what they reach on few rows beside scikit-learn."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from sklearn.datasets import load_diabetes
from sklearn.linear_model import RidgeCV

import jaxann as ja
from jaxann.estimators import tabular_defaults
from jaxann.estimators.tabular_defaults import default_recipe
from tests.contract import assert_input_error

KEY = jax.random.key(0)


@pytest.mark.parametrize("task", ["regression", "classification"])
@pytest.mark.parametrize("rows", [50, tabular_defaults.FEW_ROWS, 20_000])
def test_the_rate_begins_at_its_peak_and_ends_with_the_last_step(task: str, rows: int):
    chosen = default_recipe(task, rows=rows, width=2)
    trained = rows - int(chosen.validation * rows)
    steps = chosen.epochs * int(np.ceil(trained / chosen.batch_size))
    rate = chosen.recipe.optimizer.arguments["learning_rate"]
    values = np.asarray(jax.vmap(rate)(np.arange(steps + 1)))
    assert values[-1] == 0 < values[-2] < 0.01 * values.max()
    assert values.argmax() == steps // 25
    assert (chosen.recipe.stopping is None) == (chosen.validation == 0) == (chosen.members == 1)


def test_few_rows_are_all_trained_on_and_many_are_embedded():
    below, above = (default_recipe("regression", rows=tabular_defaults.FEW_ROWS + n) for n in (-1, 0))
    assert below.recipe.model.arguments["embedding"] is None and below.validation == 0
    assert above.recipe.model.arguments["embedding"] == "piecewise_linear" and above.validation == 0.125
    assert default_recipe("regression", rows=20).batch_size == 20


@pytest.mark.parametrize("rows", [100, 10_000])
def test_a_prediction_has_an_axis_of_members_and_takes_gaps_and_categories(rows: int):
    chosen = default_recipe("classification", rows=rows, width=3, categories=(4, 2))
    table = {"numbers": np.ones((5, 6), np.float32), "categories": np.zeros((5, 2), np.int32)}
    params, state = jax.eval_shape(chosen.recipe.model.init, KEY, table)
    shape = jax.eval_shape(chosen.recipe.model.apply, params, state, table)[0].shape
    assert shape == (5, {100: 16, 10_000: 8}[rows], 3)
    assert "takes_missing" in chosen.recipe.model.traits


def test_few_rows_are_predicted_as_well_as_by_a_tuned_linear_model():
    """On diabetes, whose relations are nearly linear: ridge regression, its penalty chosen by cross-validation."""
    x, y = load_diabetes(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(y))
    x, y, cut = x[order].astype(np.float32), y[order], 330
    centre, scale = y[:cut].mean(), y[:cut].std()
    chosen = default_recipe("regression", rows=cut)
    targets = ((y[:cut] - centre) / scale).astype(np.float32)[:, None]
    fitted = ja.fit(chosen.recipe, (x[:cut], targets), key=KEY, epochs=chosen.epochs, batch_size=chosen.batch_size)
    found = np.asarray(ja.predict(chosen.recipe, fitted.params, fitted.state, x[cut:])).mean(1)[:, 0] * scale + centre
    ridge = RidgeCV(np.logspace(-3, 3, 13)).fit(x[:cut], y[:cut]).predict(x[cut:])
    ours, linear = (np.sqrt(np.mean((y[cut:] - p) ** 2)) for p in (found, ridge))
    assert ours < 1.05 * linear


def test_default_recipe_names_what_is_wrong():
    assert_input_error(lambda: default_recipe("rank", rows=9), "task", given="'rank'")
    assert_input_error(lambda: default_recipe("regression", rows=0), "rows", given="0")
    assert_input_error(lambda: default_recipe("classification", rows=9, width=1), "width", given="1")
    assert_input_error(lambda: default_recipe("regression", rows=9, categories=[3]), "categories", given="[3]")
