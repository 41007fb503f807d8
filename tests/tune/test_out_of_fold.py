"""Out-of-fold predictions and the refitted model: each number is that of a plain `fit` and `predict`."""

from __future__ import annotations

import functools
from typing import Any

import jax
import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.preprocessing import StandardScaler

import jaxann as ja
from tests.contract import assert_input_error
from tests.tune.problems import build, digits

KEY = jax.random.key(3)
RATES = {"learning_rate": [1e-3, 1e-2]}
X, Y = digits(91)


def validate(**changes: Any) -> ja.tune.Table:
    setting = {"key": KEY, "epochs": 3, "batch_size": 32, "folds": ja.tune.k_fold(91, 3)} | changes
    return ja.tune.cross_validate(setting.pop("build", build), RATES, setting.pop("data", (X, Y)), **setting)


def member_key(repeat: int, repeats: int) -> jax.Array:
    return jax.random.split(ja.core.fold_name(KEY, "members"), repeats)[repeat]


def single_predictions(setting: dict, pairs, repeats: int = 1, prepare=None) -> np.ndarray:
    """The mean over all runs that hold a row out, by `fit` and `predict`."""
    total, count, recipe = np.zeros((91, 10)), np.zeros((91, 1)), build(setting)
    for number, (train, tested) in enumerate(pairs * repeats):
        change = (lambda rows: rows) if prepare is None else prepare(X[train], Y[train])
        own, outside = (change(X[rows]).astype(np.float32) for rows in (train, tested))
        one = ja.fit(recipe, (own, Y[train]), key=member_key(number, len(pairs) * repeats), epochs=3, batch_size=32)
        total[tested] += np.asarray(ja.predict(recipe, one.params, one.state, outside))
        count[tested] += 1
    with np.errstate(invalid="ignore"):
        return total / count


def test_out_of_fold_predictions_are_those_of_single_runs():
    pairs = ja.tune.k_fold(91, 3, key=jax.random.key(9))  # folds of two sizes, rows in no order
    table = validate(folds=pairs, out_of_fold=True)
    assert table.out_of_fold.shape == (2, 91, 10) and table.refitted is None
    for index in range(2):
        expected = single_predictions(table.setting(index), pairs)
        np.testing.assert_allclose(table.out_of_fold[index], expected, rtol=1e-3, atol=1e-5)
    plain = validate(folds=pairs)
    assert plain.out_of_fold is None
    np.testing.assert_array_equal(plain.scores["loss"], table.scores["loss"])


def test_what_is_asked_for_is_true_or_false():
    for name in ("refit", "out_of_fold"):
        with pytest.raises(ja.InputError, match=f"cross_validate: {name} must be True or False, got .no."):
            validate(**{name: "no"})


def test_rows_held_out_twice_have_the_mean_and_rows_never_held_out_nan():
    def prepare(x, y):
        return StandardScaler().fit(x).transform

    every = np.arange(91)
    pairs = ((every[40:], every[:40]), (every[:30], every[30:80]))  # 30..39 twice, 80..90 never
    table = validate(folds=ja.tune.resampling(pairs, prepare=prepare, repeats=2), out_of_fold=True)
    expected = single_predictions(table.setting(1), pairs, 2, prepare)
    assert np.isnan(expected[80:]).all() and np.isfinite(expected[:80]).all()
    np.testing.assert_allclose(table.out_of_fold[1], expected, rtol=1e-3, atol=1e-5)


def test_out_of_fold_predictions_are_scikit_learns():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 3)).astype(np.float32)
    y = (x @ [1.0, -2.0, 0.5] + 0.3 + rng.normal(size=60)).astype(np.float32)[:, None]

    def made(hyper):
        return ja.recipe(ja.models.mlp((1,)), ja.losses.squared_error, ja.optimizers.lbfgs())

    table = ja.tune.cross_validate(
        made, {}, (x, y), key=KEY, epochs=40, folds=KFold(4).split(x), out_of_fold=True, refit=True
    )
    expected = cross_val_predict(LinearRegression(), x.astype(float), y.astype(float), cv=KFold(4))
    np.testing.assert_allclose(table.out_of_fold[0], expected, atol=1e-4)
    whole = LinearRegression().fit(x.astype(float), y.astype(float))
    np.testing.assert_allclose(table.refitted.params["dense0"]["weight"][:, 0], whole.coef_[0], atol=1e-4)


def test_several_heads_have_a_tree_of_predictions():
    heads = ja.layers.branch({"digit": ja.layers.dense(10), "ink": ja.layers.dense(1)})
    loss = ja.losses.by_head({"digit": ja.losses.softmax_cross_entropy, "ink": ja.losses.squared_error})
    recipe = ja.recipe(heads, loss, ja.optimizers.sgd(0.1))
    data = X, {"digit": Y, "ink": X.mean(1, keepdims=True)}
    table = validate(build=lambda hyper: recipe, data=data, epochs=1, out_of_fold=True)
    assert jax.tree.map(np.shape, table.out_of_fold) == {"digit": (2, 91, 10), "ink": (2, 91, 1)}
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(table.out_of_fold))


def test_a_diverged_run_predicts_nothing():
    def made(hyper):
        return build(hyper, optimizer=ja.optimizers.sgd(3e38 * hyper["learning_rate"] / 1e-2))

    with pytest.warns(ja.DivergedWarning):
        table = validate(build=made, out_of_fold=True, refit=True)
    assert np.isnan(table.out_of_fold).all() and np.isnan(table.scores["loss"]).all() and table.refitted is None


def test_the_refitted_model_is_that_of_fit_on_all_data():
    table = validate(refit=True)
    recipe = build(table.best)
    one = ja.fit(recipe, (X, Y), key=ja.core.fold_name(KEY, "refit"), epochs=3, batch_size=32)
    assert isinstance(table.refitted, ja.train.Result) and table.refitted.epochs_run == 3
    jax.tree.map(np.testing.assert_array_equal, table.refitted.params, one.params)
    assert np.isfinite(ja.predict(recipe, table.refitted.params, table.refitted.state, X)).all()


def test_refitting_takes_as_many_epochs_as_the_folds_did_and_what_is_prepared_from_all_rows():
    def prepare(x, y):
        return StandardScaler().fit(x).transform

    pairs = ja.tune.k_fold(91, 3, key=jax.random.key(9))
    patient = functools.partial(build, stopping=ja.train.early_stopping(1, min_delta=0.1), epochs=30)
    table = validate(build=patient, epochs=None, folds=ja.tune.resampling(pairs, prepare=prepare), refit=True)
    taken = []
    for number, (train, tested) in enumerate(pairs):
        change = prepare(X[train], Y[train])
        one = ja.fit(patient(table.best), (change(X[train]), Y[train]), validation=(change(X[tested]), Y[tested]),
                     key=member_key(number, 3), batch_size=32)  # fmt: skip
        taken.append(one.best_epoch + 1)
    assert table.refitted.epochs_run == round(np.mean(taken)) < 30
    expected = ja.fit(build(table.best), (prepare(X, Y)(X), Y), key=ja.core.fold_name(KEY, "refit"),
                      epochs=round(np.mean(taken)), batch_size=32)  # fmt: skip
    jax.tree.map(np.testing.assert_array_equal, table.refitted.params, expected.params)


def test_a_validation_set_has_no_rows_out_of_fold():
    held = ja.tune.resampling(validation=(X, Y))
    assert_input_error(lambda: validate(folds=held, out_of_fold=True), "folds", given="a validation set")
