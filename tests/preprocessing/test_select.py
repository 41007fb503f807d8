"""Selection of columns against scikit-learn's."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import feature_selection as peers

from jaxann.preprocessing.select import select_best, select_columns, top_columns, variance_threshold
from tests.contract import assert_input_error
from tests.programs import quick_jit

RANDOM = np.random.default_rng(6)
X = RANDOM.normal(size=(80, 6)) * [1, 0.1, 10, 1, 3, 0.5] + [0, 5, 1e3, 1, 0, -2]
LABELS = RANDOM.integers(0, 4, 80)
X[:, 3] += LABELS
X[:, 5] -= 0.3 * LABELS
Y = X[:, 0] - 2 * X[:, 4] + 0.05 * X[:, 2] + RANDOM.normal(size=80)
FUNCTIONS = {
    "correlation": (lambda x, y: np.abs(peers.r_regression(x, y)), Y),
    "f_regression": (lambda x, y: peers.f_regression(x, y)[0], Y),
    "f_classification": (lambda x, y: peers.f_classif(x, y)[0], LABELS),
}
fitted = quick_jit(lambda p, x, y: p.fit_transform(x, y=y))


def test_variance_threshold_is_scikit_learns():
    x = np.where(RANDOM.random(X.shape) < 0.1, np.nan, X)
    x = np.concatenate([x, np.full((80, 1), 0.1), np.full((80, 1), 7.0)], 1)
    for threshold in (0.0, 0.009, 1.3, 50.0):
        own, peer = variance_threshold(threshold), peers.VarianceThreshold(threshold).fit(x)
        state, z = own.fit_transform(x)
        np.testing.assert_array_equal(state["columns"], peer.get_support(indices=True))
        np.testing.assert_array_equal(z, peer.transform(x))
        np.testing.assert_allclose(state["variance"][:6], np.nanvar(x, 0)[:6], rtol=1e-11)
        np.testing.assert_array_equal(
            own.inverse_transform(state, X[:, : z.shape[1]]), peer.inverse_transform(X[:, : z.shape[1]])
        )
        assert own.feature_names(state, "abcdefgh") == tuple(peer.get_feature_names_out(list("abcdefgh")))
        assert state["columns"].dtype == np.int32
    own, sums = variance_threshold(1.3), None
    for piece in np.split(x, [1, 30]):
        sums = own.partial_fit(sums, piece)
    for name, expected in own.fit(x).items():
        np.testing.assert_allclose(own.compute(sums)[name], expected, rtol=1e-12)


def test_variance_threshold_is_used_in_a_program_and_fitted_outside():
    own = variance_threshold(1.3)
    state = own.fit(X)
    inside = jnp.asarray(X, jnp.float32)
    changed = jax.jit(own.transform)(state, inside)
    np.testing.assert_array_equal(changed, inside[:, state["columns"]])
    np.testing.assert_array_equal(jax.jit(own.inverse_transform)(state, changed)[:, 1], 0)
    np.testing.assert_array_equal(own.fit(inside)["columns"], state["columns"])
    assert "outside of jit" in assert_input_error(lambda: jax.jit(own.fit)(inside), "x", given="traced")
    assert_input_error(lambda: variance_threshold(1e9).fit(X), "x", given="variances up to")
    assert_input_error(lambda: variance_threshold().fit(np.full((4, 2), 0.1)), "x")
    assert_input_error(lambda: variance_threshold(-1.0), "threshold")
    masked = own.fit(X, RANDOM.random(80) < 0.5)
    assert masked["variance"][2] != state["variance"][2]


@pytest.mark.parametrize("score", FUNCTIONS)
def test_scores_are_scikit_learns_on_the_host_and_in_a_program(score: str, x64):
    function, y = FUNCTIONS[score]
    for count in (1, 2, 5):
        own, peer = select_best(count, score=score), peers.SelectKBest(function, k=count).fit(X, y)
        state, z = own.fit_transform(X, y=y)
        np.testing.assert_allclose(state["score"], peer.scores_, rtol=1e-9)  # theirs loses digits far from 0
        np.testing.assert_array_equal(z, peer.transform(X))
        np.testing.assert_array_equal(own.inverse_transform(state, z), peer.inverse_transform(z))
        assert own.feature_names(state, "abcdef") == tuple(peer.get_feature_names_out(list("abcdef")))
    inside, changed = fitted(own, jnp.asarray(X), jnp.asarray(y))
    np.testing.assert_allclose(inside["score"], state["score"], rtol=1e-10)
    np.testing.assert_array_equal(inside["columns"], state["columns"])
    np.testing.assert_array_equal(changed, z)


@pytest.mark.parametrize("score", FUNCTIONS)
def test_missing_numbers_and_targets_do_not_count(score: str, x64):
    function, y = FUNCTIONS[score]
    x, where, y = X.copy(), RANDOM.random(80) < 0.9, y.astype(float)
    x[RANDOM.random(x.shape) < 0.2] = np.nan
    y[:9] = np.nan
    expected = []
    for column in x.T:
        real = where & ~np.isnan(column) & ~np.isnan(y)
        expected.append(function(column[real, None], y[real])[0])
    own = select_best(2, score=score)
    state = own.fit(x, where, y)
    np.testing.assert_allclose(state["score"], expected, rtol=1e-10)
    np.testing.assert_allclose(own.fit(jnp.asarray(x), where, jnp.asarray(y))["score"], expected, rtol=1e-10)
    folded = own.fit(x.reshape(16, 5, 6), where.reshape(16, 5), y.reshape(16, 5))
    np.testing.assert_allclose(folded["score"], expected, rtol=1e-10)
    np.testing.assert_array_equal(own.fit(x, where, y[:, None])["columns"], state["columns"])


@pytest.mark.parametrize("score", FUNCTIONS)
def test_constant_empty_equal_and_perfect_columns(score: str):
    _, y = FUNCTIONS[score]
    x = np.stack([np.full(80, 0.1), np.full(80, np.nan), X[:, 4], X[:, 4], y * 2.0 + 1], 1)
    state, z = select_best(2, score=score).fit_transform(x, y=y)
    assert np.isfinite(state["score"]).all() and (state["score"][:2] == 0).all()
    assert state["score"].argmax() == 4
    assert state["columns"].tolist() == [2, 4] and state["score"][2] == state["score"][3]
    assert select_best(5, score=score).fit(x, y=y)["columns"].tolist() == [0, 1, 2, 3, 4]


def test_select_columns_keeps_the_order_given():
    own = select_columns((4, 0))
    state, z = own.fit_transform(X)
    np.testing.assert_array_equal(z, X[:, [4, 0]])
    restored = own.inverse_transform(state, z)
    np.testing.assert_array_equal(restored, X * [1, 0, 0, 0, 1, 0])
    assert own.feature_names(state, "abcdef") == ("e", "a")
    assert state["kept"].tolist() == [True, False, False, False, True, False]
    np.testing.assert_array_equal(
        own.compute(own.partial_fit(own.partial_fit(None, X[:3]), X[3:]))["kept"], state["kept"]
    )
    inside, changed = jax.jit(own.fit_transform)(jnp.asarray(X, jnp.float16))
    assert changed.dtype == jnp.float16 and isinstance(own.transform(inside, X), np.ndarray)
    np.testing.assert_array_equal(own.inverse_transform(inside, changed)[:, 4], changed[:, 0])
    assert own == select_columns([4, 0]) == select_columns(np.array([4, 0]))
    np.testing.assert_array_equal(own.transform(state, X.reshape(8, 10, 6)), z.reshape(8, 10, 2))
    jacobian = jax.jacobian(lambda row: own.transform(state, row))(jnp.ones((1, 6)))
    np.testing.assert_array_equal(jacobian[0, :, 0], np.eye(6)[[4, 0]])


def test_top_columns_are_in_the_order_of_the_columns():
    assert top_columns(np.array([0.1, np.nan, 3, 2, 3, -1]), 3) == (2, 3, 4)
    assert top_columns(jnp.array([1.0, 1.0, 1.0]), 2) == (0, 1)
    assert top_columns(np.array([np.nan, 1.0]), 2) == (0, 1)
    np.testing.assert_array_equal(select_columns(top_columns(np.arange(6), 2)).fit_transform(X)[1], X[:, 4:])


def test_bad_input_is_refused():
    for columns in ((), 3, (1, 1), (-1,), (0.5,), "ab", (True,)):
        assert_input_error(lambda c=columns: select_columns(c), "columns")
    assert_input_error(lambda: select_columns((6,)).fit(X), "x", given="6")
    assert_input_error(lambda: select_columns((0,)).fit(X[:, 0]), "x")
    state = select_columns((0,)).fit(X)
    assert_input_error(lambda: select_columns((0,)).transform(state, X[:, 1:]), "x")
    assert_input_error(lambda: select_columns((0,)).inverse_transform(state, X), "x")
    assert_input_error(lambda: select_best(0), "count")
    assert_input_error(lambda: select_best(2, score="chi2"), "score")
    assert_input_error(lambda: select_best(7).fit(X, y=Y), "x", given="6")
    assert_input_error(lambda: select_best(2).fit(X), "y")
    assert_input_error(lambda: select_best(2).fit(X, y=Y[1:]), "y", given="(79,)")
    assert "argmax" in assert_input_error(lambda: select_best(2).fit(X, y=np.eye(4)[LABELS]), "y")
    assert_input_error(lambda: top_columns(np.ones(3), 4), "importances")
    assert_input_error(lambda: top_columns(np.ones((3, 2)), 1), "importances")
    assert_input_error(lambda: top_columns(np.ones(3), 0), "count")
