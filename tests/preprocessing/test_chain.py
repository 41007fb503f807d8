"""Preprocessors put together, against scikit-learn's pipelines."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from sklearn.compose import make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler

import jaxann as ja
from jaxann import preprocessing
from jaxann.core import Padded
from jaxann.tune.trial_data import data_of, prepared_data
from tests.contract import assert_input_error

X = np.random.default_rng(5).normal(size=(40, 5)) * [1, 5, 2, 9, 1]


def test_a_chain_is_a_pipeline():
    own = preprocessing.chain(preprocessing.robust(), preprocessing.min_max())
    peer = make_pipeline(RobustScaler(), MinMaxScaler())
    state, z = own.fit_transform(X[:30])
    np.testing.assert_allclose(z, peer.fit_transform(X[:30]), rtol=1e-12)
    np.testing.assert_allclose(own.transform(state, X[30:]), peer.transform(X[30:]), rtol=1e-12)
    np.testing.assert_allclose(own.inverse_transform(state, z), X[:30], rtol=1e-12)
    assert own.feature_names(state, "abcde") == tuple("abcde")


def test_columns_are_those_of_a_column_transformer():
    own = preprocessing.by_columns(
        {"a": preprocessing.standard(), "as they are": None, "b": preprocessing.min_max()},
        columns={"b": (4,), "a": (3, 1), "as they are": (0,)},
    )
    peer = make_column_transformer(
        (StandardScaler(), [3, 1]), ("passthrough", [0]), (MinMaxScaler(), [4]), remainder="drop"
    )
    where = np.ones((40, 5), bool)
    where[7, 3] = False
    state, z = own.fit_transform(X)
    np.testing.assert_allclose(z, peer.fit_transform(X), rtol=1e-12)
    assert own.feature_names(state, "abcde") == ("d", "b", "a", "e")
    left_out = own.fit(X, where)
    np.testing.assert_allclose(left_out["a"]["mean"][0], np.delete(X[:, 3], 7).mean())
    assert_input_error(lambda: own.fit(X[:, :4]), "x", given="(40, 4)")
    assert_input_error(lambda: own.inverse_transform(state, z), "inverse_transform")


def test_the_state_of_another_is_refused():
    own = preprocessing.standard()
    for state in (preprocessing.min_max().fit(X), {}):
        assert_input_error(lambda state=state: own.transform(state, X), "state", given=str(list(state)))
        assert_input_error(lambda state=state: own.inverse_transform(state, X), "state", given=str(list(state)))
    pair = preprocessing.chain(own, own)
    assert_input_error(lambda: pair.transform(own.fit(X), X), "state", expected="step0")


def test_inputs_by_name():
    own = preprocessing.by_name({"a": preprocessing.standard(), "b": None})
    x = {"a": X, "b": np.arange(40)}
    state, z = own.fit_transform(x, {"a": np.arange(40) < 20, "b": None})
    np.testing.assert_allclose(state["a"]["mean"], X[:20].mean(0), rtol=1e-12)
    assert z["b"] is x["b"]
    np.testing.assert_allclose(own.inverse_transform(state, z)["a"], X, rtol=1e-12)
    for bad, shown in ((X, "float64"), ({"a": X}, "a"), ({"a": X, "c": X}, "a, c")):
        assert_input_error(lambda bad=bad: own.fit(bad), "x", given=shown)


def test_a_search_learns_it_anew_in_each_fold():
    y = X[:, :1] + 0.1 * X[:, 1:2]

    def build(hyper):
        return ja.recipe(ja.models.mlp((4, 1)), ja.losses.squared_error, ja.optimizers.adam(hyper["rate"]))

    def validate(prepare):
        folds = ja.tune.resampling(3, prepare=prepare)
        key = jax.random.key(0)
        return ja.tune.cross_validate(build, {"rate": [1e-2]}, (X, y), folds=folds, key=key, epochs=1, batch_size=8)

    own = validate(preprocessing.standard())
    peer = validate(lambda x, y: StandardScaler().fit(x).transform)
    np.testing.assert_allclose(own.scores["loss"], peer.scores["loss"], rtol=1e-5)


def test_a_search_learns_from_no_row_of_weight_zero():
    counts = np.arange(40) % 4 != 1
    wild = np.where(counts[:, None], X, 1e6)
    chosen = [np.flatnonzero(counts[:20]), np.flatnonzero(counts)]
    pairs = [(np.arange(20), np.arange(20, 40))]
    for weights in (counts.astype(np.float32), counts[:, None].astype(np.float32)):
        given = ja.tune.resampling(pairs, prepare=preprocessing.standard())
        _, whole, _, _ = data_of("search", (wild, X[:, :1], weights), given, jax.random.key(0))
        np.testing.assert_allclose(whole.x[chosen[0]].mean(0), 0, atol=1e-5)
        alone = prepared_data("search", (wild, X[:, :1], weights), preprocessing.standard())
        np.testing.assert_allclose(alone.x[chosen[1]].mean(0), 0, atol=1e-5)


@pytest.mark.parametrize("columns", [3, {"a": (0.5,)}, {"a": (-1,)}, {"b": (0,)}])
def test_columns_that_are_none_are_refused(columns):
    assert_input_error(lambda: preprocessing.by_columns({"a": preprocessing.standard()}, columns=columns), "columns")


def test_what_counts_may_be_a_list_and_by_name():
    steps = preprocessing.chain(preprocessing.impute(indicators=True), preprocessing.standard())
    counts = np.arange(40) < 20
    expected = steps.fit(X[:20])
    for where in (counts.tolist(), np.repeat(counts[:, None], 5, 1)):
        jax.tree.map(np.testing.assert_array_equal, steps.fit(X, where), expected)
    inputs = preprocessing.by_name({"a": preprocessing.impute(), "b": None})
    both = preprocessing.chain(inputs, preprocessing.by_name({"a": preprocessing.standard(), "b": None}))
    state = both.fit({"a": X, "b": X}, {"a": counts, "b": None})
    np.testing.assert_allclose(state["step1"]["a"]["mean"], X[:20].mean(0))


def test_columns_of_a_list():
    own = preprocessing.by_columns({"a": preprocessing.standard()}, columns={"a": (1,)})
    state, z = own.fit_transform([[1, 2], [3, 4]])
    assert z.tolist() == [[-1], [1]]
    both = preprocessing.by_columns({"a": preprocessing.standard(), "b": None}, columns={"a": (1,), "b": (0,)})
    assert both.fit_transform(np.array([[1, 2], [3, 4]]))[1].dtype == np.float32
    assert preprocessing.standard().transform({"mean": np.zeros(1), "scale": np.ones(1)}, [[1.7e9 + 1]]) == 1.7e9 + 1


def test_what_is_no_table_and_no_name_is_said_to_be_none():
    standard = preprocessing.standard()
    padded = Padded(np.zeros((3, 4, 2)), np.ones((3, 4), bool))
    assert "x.mask" in assert_input_error(lambda: standard.fit(padded), "x", given="Padded")
    assert_input_error(lambda: standard.fit([[1, 2], [3]]), "x", given="unequal")
    inputs = preprocessing.by_name({"a": standard})
    assert_input_error(lambda: inputs.fit({"a": X}, {"b": np.ones(40)}), "where", given="b")
    own = preprocessing.by_columns({"a": standard}, columns={"a": (3,)})
    assert_input_error(lambda: own.feature_names(own.fit(X), "ab"), "names", given="2 names")
