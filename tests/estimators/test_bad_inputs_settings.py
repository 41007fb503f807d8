"""Bad arguments to the estimators: one clear error each before anything is compiled, with the closest name.

The numbers are those of the same cases for the functions in tests/train/test_inputs.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import jaxann as ja
from tests.estimators.bad_inputs import (
    ALL,
    BOTH,
    CLASSIFIERS,
    LABELS,
    REGRESSORS,
    TABULAR,
    X,
    Y,
    assert_refused,
    bits,
    cases,
    fitted,
    made,
    quiet,
)

NAN, INF = float("nan"), float("inf")
EARLY = {"early_stopping": True}

# number, what, which estimators, arguments, the argument named, what was given
REFUSED: list[tuple] = [
    (48, "batch_size 0", ALL, {"batch_size": 0}, "batch_size", "0"),
    (49, "batch_size -1", ALL, {"batch_size": -1}, "batch_size", "-1"),
    (50, "batch_size 2.5", ALL, {"batch_size": 2.5}, "batch_size", "2.5"),
    (50, "batch_size a text", BOTH, {"batch_size": "all"}, "batch_size", "'all'"),
    (51, "rate -0.1", BOTH, {"learning_rate_init": -0.1}, "learning_rate_init", "-0.1"),
    (52, "rate NaN", BOTH, {"learning_rate_init": NAN}, "learning_rate_init", "nan"),
    (53, "rate infinite", BOTH, {"learning_rate_init": INF}, "learning_rate_init", "inf"),
    (54, "rate 0", BOTH, {"learning_rate_init": 0}, "learning_rate_init", "0"),
    (55, "rate a text", BOTH, {"learning_rate_init": "0.1"}, "learning_rate_init", "'0.1'"),
    (55, "rate a number in the schedule's place", BOTH, {"learning_rate": 0.1}, "learning_rate", "0.1"),
    (56, "epochs 0", BOTH, {"max_iter": 0}, "max_iter", "0"),
    (56, "epochs 0", TABULAR, {"epochs": 0}, "epochs", "0"),
    (57, "epochs -1", BOTH, {"max_iter": -1}, "max_iter", "-1"),
    (57, "epochs -1", TABULAR, {"epochs": -1}, "epochs", "-1"),
    (58, "epochs 1.5", BOTH, {"max_iter": 1.5}, "max_iter", "1.5"),
    (58, "epochs 1.5", TABULAR, {"epochs": 1.5}, "epochs", "1.5"),
    (59, "units 0", BOTH, {"hidden_layer_sizes": 0}, "hidden_layer_sizes", "0"),
    (60, "units -4", BOTH, {"hidden_layer_sizes": (4, -4)}, "hidden_layer_sizes", "-4"),
    (61, "units 2.5", BOTH, {"hidden_layer_sizes": (2.5,)}, "hidden_layer_sizes", "2.5"),
    (61, "units a text", BOTH, {"hidden_layer_sizes": "100"}, "hidden_layer_sizes", "'100'"),
    (63, "activation", BOTH, {"activation": "rleu"}, "activation", "'rleu'"),
    (63, "activation no name", BOTH, {"activation": 3}, "activation", "3"),
    (63, "solver", BOTH, {"solver": "adm"}, "solver", "'adm'"),
    (63, "solver no name", BOTH, {"solver": 3}, "solver", "3"),
    (63, "optimizer by name", TABULAR, {"optimizer": "adam"}, "optimizer", "'adam'"),
    (63, "net by name", TABULAR, {"net": "mlp"}, "net", "'mlp'"),
    (63, "loss", CLASSIFIERS, {"loss": "log_los"}, "loss", "'log_los'"),
    (63, "loss", REGRESSORS, {"loss": "squared_eror"}, "loss", "'squared_eror'"),
    (63, "schedule", BOTH, {"learning_rate": "cosin"}, "learning_rate", "'cosin'"),
    (65, "dropout 1", BOTH, {"dropout": 1.0}, "dropout", "1.0"),
    (65, "dropout -0.1", BOTH, {"dropout": -0.1}, "dropout", "-0.1"),
    (65, "dropout 2", BOTH, {"dropout": 2}, "dropout", "2"),
    (66, "validation all", BOTH, EARLY | {"validation_fraction": 1.0}, "validation_fraction", "1.0"),
    (66, "validation all", TABULAR, {"validation_fraction": 1.0}, "validation_fraction", "1.0"),
    (66, "validation -0.5", BOTH, EARLY | {"validation_fraction": -0.5}, "validation_fraction", "-0.5"),
    (66, "validation -0.5", TABULAR, {"validation_fraction": -0.5}, "validation_fraction", "-0.5"),
    (66, "nothing to train on", BOTH, EARLY | {"validation_fraction": 0.99}, "validation_fraction", "0 of 24 rows"),
    (66, "nothing to train on", TABULAR, {"validation_fraction": 0.99}, "validation_fraction", "0 of 24 rows"),
    (66, "a class left out", CLASSIFIERS[:1], EARLY | {"validation_fraction": 0.01}, "validation_fraction", "1 of 24"),
    (66, "too few to score", REGRESSORS[:1], EARLY | {"validation_fraction": 0.01}, "validation_fraction", "0.01"),
    (76, "random_state a text", ALL, {"random_state": "abc"}, "random_state", "'abc'"),
    (76, "random_state a negative number", ALL, {"random_state": -1}, "random_state", "-1"),
    (0, "alpha -1", BOTH, {"alpha": -1}, "alpha", "-1"),
    (0, "tol NaN", BOTH, {"tol": NAN}, "tol", "nan"),
    (0, "momentum 1.5", BOTH, {"momentum": 1.5}, "momentum", "1.5"),
    (0, "beta_1 1", BOTH, {"beta_1": 1}, "beta_1", "1"),
    (0, "epsilon 0", BOTH, {"epsilon": 0}, "epsilon", "0"),
    (0, "n_iter_no_change 0", BOTH, {"n_iter_no_change": 0}, "n_iter_no_change", "0"),
    (0, "members 0", ALL, {"members": 0}, "members", "0"),
    (0, "members 1.5", ALL, {"members": 1.5}, "members", "1.5"),
    (0, "a flag of text", BOTH, {"shuffle": "no"}, "shuffle", "'no'"),
    (0, "verbose of text", TABULAR, {"verbose": "no"}, "verbose", "'no'"),
    (0, "early_stopping a number", BOTH, {"early_stopping": 5}, "early_stopping", "5"),
    (0, "class_weight", CLASSIFIERS, {"class_weight": "balance"}, "class_weight", "'balance'"),
    (0, "class_weight of no class", CLASSIFIERS, {"class_weight": {"c": 2.0}}, "class_weight", "'c'"),
    (0, "class_weight negative", CLASSIFIERS, {"class_weight": {"a": -2.0}}, "class_weight", "-2"),
    (0, "levels that fall", REGRESSORS, {"loss": "quantile", "quantiles": (0.9, 0.1)}, "quantiles", "(0.9, 0.1)"),
    (0, "levels of text", REGRESSORS, {"loss": "quantile", "quantiles": "all"}, "quantiles", "'all'"),
    (0, "power 2.5", REGRESSORS, {"loss": "tweedie", "power": 2.5}, "power", "2.5"),
    (0, "scale_target of text", REGRESSORS, {"scale_target": "yes"}, "scale_target", "'yes'"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "arguments", "argument", "given"), cases(REFUSED))
def test_refused(name: str, arguments: dict, argument: str, given: str):
    one = made(name, **arguments)  # stored without a look at it
    assert_refused(one, lambda: one.fit(X, Y[name]), argument, given)


@pytest.mark.parametrize("name", REGRESSORS)
def test_targets_below_0_where_a_mean_is_above_it_are_refused(name: str):
    one = made(name, loss="poisson")
    assert_refused(one, lambda: one.fit(X, Y[name]), "y", " at row")


@pytest.mark.parametrize(
    ("arguments", "closest"),
    [({"activation": "rleu"}, "relu"), ({"solver": "adm"}, "adam"), ({"learning_rate": "cosin"}, "cosine"),
     ({"loss": "log_los"}, "log_loss")],
)  # fmt: skip
def test_63_the_closest_name_is_given(arguments: dict, closest: str):
    with pytest.raises(ja.InputError, match=f"Did you mean {closest!r}"):
        made("MLPClassifier", **arguments).fit(X, LABELS)


@pytest.mark.parametrize("name", ALL)
def test_64_an_unknown_argument_is_refused_with_the_closest(name: str):
    one, wrong = made(name), "max_itre" if name in BOTH else "epoch"
    closest = "max_iter" if name in BOTH else "epochs"
    for call in (lambda: type(one)(**{wrong: 3}), lambda: one.set_params(**{wrong: 3})):
        assert_refused(one, call, "each keyword", wrong)
        with pytest.raises(ja.InputError, match=f"Did you mean {closest!r}"):
            call()


@pytest.mark.parametrize("name", ALL)
def test_47_a_batch_of_more_rows_than_there_are_is_clipped_and_told(name: str):
    clipped = quiet(lambda: made(name, batch_size=100).fit(X, Y[name]), "batch_size 100 is clipped to the 24 rows")
    np.testing.assert_array_equal(bits(clipped, X), bits(fitted(name), X))


@pytest.mark.parametrize("name", BOTH)
def test_62_no_hidden_layer_is_a_linear_model(name: str):
    one = quiet(lambda: made(name, hidden_layer_sizes=()).fit(X, Y[name]))
    z = X.astype(np.float32) @ one.coefs_[0] + one.intercepts_[0]
    expected: Any = 1 / (1 + np.exp(-z)) if name in CLASSIFIERS else z * one.head_.scale + one.head_.centre
    found = bits(one, X)[:, 1:] if name in CLASSIFIERS else bits(one, X)[:, None]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
