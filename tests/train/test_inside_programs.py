"""Inside jit, vmap and grad: predict and evaluate are part of the program, and the verbs of the host name what is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxann as ja
from tests.contract import assert_input_error

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(12, 3)).astype(np.float32)
Y = (np.arange(12) % 2).astype(np.int32)
KEY = jax.random.key(0)
RECIPE = ja.recipe(
    ja.layers.dense(2), ja.losses.softmax_cross_entropy, ja.optimizers.sgd(0.1),
    metrics={"accuracy": ja.metrics.accuracy}, batch_size=4,
)  # fmt: skip
WEIGHT, BIAS = RANDOM.normal(size=(3, 2)).astype(np.float32), np.array([0.5, -0.5], np.float32)
PARAMS = {"weight": WEIGHT, "bias": BIAS}
LOGITS = X.astype(np.float64) @ WEIGHT + BIAS
LOSSES = np.log(np.exp(LOGITS).sum(1)) - LOGITS[np.arange(12), Y]
ACCURACY = float((LOGITS.argmax(1) == Y).mean())


def predict(params: Any, x: Any) -> Any:
    return ja.predict(RECIPE, params, {}, x)


def evaluate(params: Any, data: Any, recipe: Any = RECIPE) -> Any:
    return ja.train.evaluate(recipe, params, {}, data)


PREDICTED: dict[str, Callable[[], Any]] = {
    "jit": lambda: jax.jit(predict)(PARAMS, X),
    "jit of nothing traced": lambda: jax.jit(lambda: predict(PARAMS, X))(),
    "jit of whole numbers": lambda: jax.jit(predict)(PARAMS, X.astype(int)) * 0 + LOGITS.astype(np.float32),
    "vmap over rows": lambda: jax.vmap(lambda row: predict(PARAMS, row[None])[0])(X),
    "vmap over params": lambda: jax.vmap(predict, in_axes=(0, None))(jax.tree.map(lambda a: a[None], PARAMS), X)[0],
    "scan": lambda: jax.lax.scan(lambda _, row: (None, predict(PARAMS, row[None])[0]), None, X)[1],
}


@pytest.mark.parametrize("where", PREDICTED)
def test_predict_is_part_of_a_program(where: str):
    np.testing.assert_allclose(PREDICTED[where](), LOGITS, rtol=2e-5, atol=1e-6)


def test_predict_has_a_gradient():
    found = jax.grad(lambda params: predict(params, X).sum())(PARAMS)
    np.testing.assert_allclose(found["weight"], np.repeat(X.sum(0)[:, None], 2, 1), rtol=1e-5)
    np.testing.assert_allclose(found["bias"], [12, 12])
    np.testing.assert_allclose(jax.grad(lambda x: predict(PARAMS, x)[:, 0].sum())(X), np.tile(WEIGHT[:, 0], (12, 1)))


MEASURED: dict[str, Callable[[], Any]] = {
    "plain": lambda: evaluate(PARAMS, (X, Y)),
    "jit": lambda: jax.jit(evaluate)(PARAMS, (X, Y)),
    "jit of nothing traced": lambda: jax.jit(lambda: evaluate(PARAMS, (X, Y)))(),
    "jit over a recipe": lambda: jax.jit(lambda recipe: evaluate(PARAMS, (X, Y), recipe))(RECIPE),
    "vmap": lambda: jax.tree.map(
        lambda a: a[0], jax.vmap(evaluate, in_axes=(0, None))(jax.tree.map(lambda a: a[None], PARAMS), (X, Y))
    ),
}


@pytest.mark.parametrize("where", MEASURED)
def test_evaluate_is_part_of_a_program(where: str):
    found = MEASURED[where]()
    assert set(found) == {"loss", "accuracy"}
    np.testing.assert_allclose(float(found["loss"]), LOSSES.mean(), rtol=1e-5)
    assert float(found["accuracy"]) == pytest.approx(ACCURACY)


def test_evaluate_weighs_and_has_a_gradient_inside_a_program():
    weights = np.arange(12, dtype=np.float32)
    found = jax.jit(evaluate)(PARAMS, (X, Y, weights))["loss"]
    np.testing.assert_allclose(float(found), (LOSSES * weights).sum() / weights.sum(), rtol=1e-5)
    shares = np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True) - np.eye(2)[Y]
    slope = jax.grad(lambda params: evaluate(params, (X, Y))["loss"])(PARAMS)
    np.testing.assert_allclose(slope["weight"], X.T @ shares / 12, rtol=1e-4, atol=1e-6)


def _fit(key: Any = KEY, x: Any = X, recipe: Any = RECIPE, **how: Any) -> Any:
    return ja.fit(recipe, (x, Y), key=key, epochs=1, **how).params["bias"].sum()


KEYS = jax.random.split(KEY, 2)
REFUSED: dict[str, Callable[[], Any]] = {
    "jit": lambda: jax.jit(lambda x: _fit(x=x))(X),
    "jit of nothing traced": lambda: jax.jit(_fit)(),
    "vmap over keys": lambda: jax.vmap(_fit)(KEYS),
    "grad by a rate": lambda: jax.grad(lambda a: _fit(recipe=RECIPE.replace(optimizer=ja.optimizers.sgd(a))))(0.1),
    "grad by weights": lambda: jax.grad(lambda params: _fit(initial=(params, {})))(PARAMS),
    "population": lambda: jax.jit(
        lambda keys: ja.train.fit_population(lambda hyper: RECIPE, {}, (X, Y), keys=keys, epochs=1).status
    )(KEYS),
    "population of nothing traced": lambda: jax.jit(
        lambda: ja.train.fit_population(lambda hyper: RECIPE, {}, (X, Y), keys=KEYS, epochs=1).status
    )(),
    "column of a population": lambda: jax.jit(
        lambda a: ja.train.fit_population(lambda hyper: RECIPE, {"a": a}, (X, Y), keys=KEYS, epochs=1).status
    )(np.ones(2, np.float32)),
    "which data set": lambda: jax.jit(
        lambda which: (
            ja.train.fit_population(lambda hyper: RECIPE, {}, [(X, Y)], keys=KEYS, epochs=1, dataset=which).status
        )
    )(np.zeros(2, int)),
    "number in a column": lambda: jax.jit(
        lambda a: ja.train.fit_population(lambda hyper: RECIPE, {"a": [1.0, a]}, (X, Y), keys=KEYS, epochs=1).status
    )(1.0),
    "cross-validation": lambda: jax.jit(
        lambda x: ja.tune.cross_validate(lambda hyper: RECIPE, {"a": [1.0]}, (x, Y), key=KEY, epochs=1, folds=2).scores
    )(X),
}


@pytest.mark.parametrize("where", REFUSED)
def test_verbs_of_the_host_name_what_trains_inside_a_program(where: str):
    with pytest.raises(ja.InputError, match=r"(?s)must be known when it is called.*train\.make_run\(recipe"):
        REFUSED[where]()


def test_a_population_names_what_predicts_inside_a_program():
    many = ja.train.fit_population(lambda hyper: RECIPE, {}, (X, Y), keys=KEYS, epochs=1)
    told = (
        r"(?s)Population\.predict: each argument must be known.*jax\.vmap\(lambda p, s: ja\.predict.*population\.member"
    )
    with pytest.raises(ja.InputError, match=told) as caught:
        jax.jit(many.predict)(X)
    assert "make_run" not in str(caught.value)
    inside = jax.jit(lambda x: jax.vmap(lambda p, s: ja.predict(RECIPE, p, s, x))(many.params, many.state))(X)
    np.testing.assert_allclose(inside, many.predict(X), rtol=1e-5, atol=1e-6)


def test_several_keys_for_one_run_are_told_what_works():
    with pytest.raises(ja.InputError, match=r"(?s)one typed key.*fit_population.*make_run"):
        ja.fit(RECIPE, (X, Y), key=KEYS, epochs=1)


def test_a_result_in_the_place_of_params_is_told_what_to_do():
    result = ja.train.Result(PARAMS, {}, {}, 0, 0, 0, -1)
    told = {"expected": "the parameters alone", "given": "Result"}
    calls: list[Callable[..., Any]] = [
        lambda: ja.predict(RECIPE.model, result, X),
        lambda: ja.predict(RECIPE.model, params=result, state={}, x=X),
        lambda: ja.train.evaluate(RECIPE, result, (X, Y)),
        lambda: ja.train.monte_carlo_predict(RECIPE.model, result, X, key=KEY, samples=2),
    ]
    for call in calls:
        assert_input_error(call, "params", **told)
    assert jnp.shape(ja.predict(RECIPE.model, result.params, result.state, X)) == (12, 2)
