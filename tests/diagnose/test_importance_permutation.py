"""Permutation importance: expectations of linear nets, scikit-learn's, names, groups, blocks, and what is refused."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxann as ja
from tests.contract import assert_input_error, compiles
from tests.diagnose.importance import linear
from tests.tolerances import assert_close

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(40, 4)) * [1, 2, 0.5, 1]
KEY = jax.random.key(5)
importance = ja.diagnose.permutation_importance


def _net(width: int = 1):
    """A linear net that does not read the last column, in float32."""
    net = linear(4, width)
    params = jax.tree.map(lambda a: np.array(a, np.float32), net.params)
    params["dense0"]["weight"][3] = 0
    return net.model, params, net.state


@pytest.mark.usefixtures("x64")
def test_a_linear_net_loses_twice_the_variance_of_a_column():
    """E mean (w x_i - w x_p(i))^2 = 2 w^2 var(x), for every row is as likely to come to a place."""
    net = linear(4)
    found = importance(net.model, net.params, net.state, (X, net(X)), ja.metrics.mse, key=KEY, repeats=400)
    assert found.values.shape == (400, 4) and float(found.baseline) < 1e-25
    error = found.deviation / np.sqrt(400)
    assert np.all(np.abs(found.mean - 2 * net.w[:, 0] ** 2 * X.var(0)) < 4 * error)
    assert_close(found.mean, np.asarray(found.values).mean(0), "reduction")
    assert_close(found.deviation, np.asarray(found.values).std(0), "reduction")
    assert np.unique(np.asarray(found.values)[:, 0]).size > 390  # every repeat has an order of its own


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("kind", ["regression", "classification"])
def test_importance_is_that_of_scikit_learn(kind):
    from sklearn.inspection import permutation_importance as theirs
    from sklearn.linear_model import LinearRegression, LogisticRegression

    wide = RANDOM.normal(size=(150, 4))
    score = wide @ [2.0, -1.0, 0.3, 0.0] + RANDOM.normal(size=150)
    if kind == "regression":
        y, estimator, metric, scoring = score, LinearRegression(), ja.metrics.r2, "r2"
    else:
        y, estimator, metric, scoring = (score > 0) * 1, LogisticRegression(), ja.metrics.accuracy, "accuracy"
    estimator.fit(wide[:100], y[:100])
    model = ja.models.mlp((1,))
    params = {"dense0": {"weight": estimator.coef_.reshape(4, 1), "bias": np.reshape(estimator.intercept_, 1)}}
    expected = theirs(estimator, wide[100:], y[100:], scoring=scoring, n_repeats=300, random_state=0)
    data = wide[100:], y[100:, None]
    found = importance(model, params, {"dense0": {}}, data, metric, key=KEY, repeats=300)
    error = np.sqrt((found.deviation**2 + expected.importances_std**2) / 300)
    assert np.all(np.abs(found.mean - expected.importances_mean) <= 4.5 * error)
    np.testing.assert_allclose(found.deviation, expected.importances_std, rtol=0.2, atol=1e-12)
    np.testing.assert_allclose(found.baseline, estimator.score(wide[100:], y[100:]), rtol=1e-6)


@pytest.mark.parametrize("metric", [ja.metrics.mse, ja.metrics.mae, ja.metrics.r2, ja.metrics.streaming.rmse()])
def test_more_is_more_important_of_errors_and_of_scores(metric):
    model, params, state = _net()
    y = ja.predict(model, params, state, X)
    found = importance(model, params, state, (X, y), metric, key=KEY)
    assert np.all(np.asarray(found.values)[:, :3] > 0)
    np.testing.assert_array_equal(np.asarray(found.values)[:, 3], 0)  # bit for bit: it is not read
    assert found.names == ("column 0", "column 1", "column 2", "column 3")


def test_values_are_those_of_permuted_columns():
    """A shuffled column holds the same numbers: of a metric of one's own that hands on what the net was given."""

    def apply(params, state, x, *, key=None, train=False):
        return x, state

    same = ja.layers.custom(lambda key, spec: ({}, {}), apply)

    @ja.metrics.lower_is_better
    def moved(predictions, targets):
        """1 for a column whose numbers have other rows, 1000 for one that holds others."""
        rows = jnp.any(predictions != targets, axis=0)
        others = jnp.any(jnp.sort(predictions, axis=0) != jnp.sort(targets, axis=0), axis=0)
        return jnp.sum(jnp.array([1.0, 10.0, 100.0]) * (jnp.where(rows, 1.0, 0.0) + jnp.where(others, 1000.0, 0.0)))

    x = RANDOM.normal(size=(12, 3)).astype(np.float32)
    found = importance(same, {}, {}, (x, x), moved, key=KEY, repeats=2)
    np.testing.assert_array_equal(found.values, [[1, 10, 100]] * 2)
    grouped = importance(same, {}, {}, (x, x), moved, key=KEY, repeats=2, groups={"a": [0, 2], "b": [1]})
    np.testing.assert_array_equal(grouped.values, [[101, 10]] * 2)
    assert grouped.names == ("a", "b")

    @ja.metrics.higher_is_better
    def together(predictions, targets):
        """How many rows have their columns 0 and 2 of one example."""
        pairs = predictions[:, None, ::2] == targets[None, :, ::2]
        return jnp.mean(jnp.where(jnp.any(jnp.all(pairs, axis=2), axis=1), 1.0, 0.0))

    kept = importance(same, {}, {}, (x, x), together, key=KEY, groups=[[0, 2], [1]])
    assert not np.asarray(kept.values).any()  # permuted in one order
    assert np.asarray(importance(same, {}, {}, (x, x), together, key=KEY).values)[:, 0].all()


def test_blocks_of_rows_and_any_key_are_one_program():
    model, params, state = _net(3)
    data = X, RANDOM.integers(0, 3, 40)
    whole = importance(model, params, state, data, ja.metrics.log_loss, key=KEY, repeats=3)
    for size in (7, 40, 64):
        blocks = importance(model, params, state, data, ja.metrics.log_loss, key=KEY, repeats=3, batch_size=size)
        np.testing.assert_allclose(blocks.values, whole.values, rtol=1e-4, atol=1e-5)
    before = compiles()
    other = importance(model, params, state, data, ja.metrics.log_loss, key=jax.random.key(6), repeats=3)
    assert compiles() == before
    assert np.abs(other.values - whole.values)[:, :3].max() > 0


def test_trees_weights_heads_and_settings():
    layer = ja.layers
    two = layer.sequential({
        "inputs": layer.parallel({"a": layer.dense(3), "town": layer.embedding(5, 3)}), "joined": layer.concatenate(),
        "heads": layer.branch({"p": layer.dense(3), "q": layer.dense(1)}),
    })  # fmt: skip
    x = {"a": X[:, :2].astype(np.float32), "town": RANDOM.integers(0, 5, 40).astype(np.int32)}
    params, state = two.init(KEY, x)
    y = {"p": RANDOM.integers(0, 3, 40), "q": RANDOM.normal(size=(40, 1)).astype(np.float32)}
    for metric in (ja.metrics.of_head("p", functools.partial(ja.metrics.f1, average="macro")),
                   ja.metrics.of_head("q", ja.metrics.mae)):  # fmt: skip
        found = importance(two, params, state, (x, y), metric, key=KEY)
        assert found.names == ("a[0]", "a[1]", "town") and np.all(found.deviation > 0)
    model, params, state = _net()
    y = np.array(ja.predict(model, params, state, X))
    weights = np.r_[np.ones(20), np.zeros(20)]
    y[20:] = 100.0
    assert float(importance(model, params, state, (X, y, weights), ja.metrics.mse, key=KEY).baseline) < 1e-9
    assert float(importance(model, params, state, (X, y), ja.metrics.mse, key=KEY).baseline) > 1000
    sequences = RANDOM.normal(size=(9, 5, 2)).astype(np.float32)
    reader = layer.sequential({"read": layer.gru(3), "last": layer.last_position(), "out": layer.dense(1)})
    given = reader.init(KEY, sequences)
    assert importance(reader, *given, (sequences, y[:9]), ja.metrics.mse, key=KEY).mean.shape == (2,)


def test_bad_input_is_refused():
    model, params, state = _net(3)
    x, y = X.astype(np.float32), RANDOM.integers(0, 3, 40)

    def refused(argument, data=(x, y), metric=ja.metrics.accuracy, key=KEY, **settings):
        call = lambda: importance(model, params, state, data, metric, key=key, **settings)  # noqa: E731
        return assert_input_error(call, argument)

    refused("data", (x,))
    refused("data", x)
    refused("data x", (x[:0], y[:0]))
    refused("data x", (x * np.nan, y))
    refused("data x", ({"a": x, "b": x[:3]}, y))
    refused("data y", (x, y[:3]))
    assert "labels start at 0" in refused("data y", (x, y + 1))
    refused("data weights", (x, y, -np.ones(40)))
    refused("key", key=3)
    refused("repeats", repeats=0)
    refused("batch_size", batch_size=0)
    refused("groups", groups=[[0, 1]])
    refused("metric", metric="accuracy")
    message = refused("metric", metric=lambda p, y: jnp.mean(p))
    assert "lower_is_better" in message
    refused("metric", metric=ja.metrics.lower_is_better(lambda p: 1.0))
    refused("metric", metric=ja.metrics.lower_is_better(lambda p, y: jnp.mean(p, 1)))
