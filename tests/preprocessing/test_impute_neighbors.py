"""Numbers filled in from the nearest examples, beside scikit-learn's."""

from __future__ import annotations

import itertools
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann.preprocessing import impute_neighbors
from tests.contract import assert_input_error
from tests.tolerances import assert_close

sklearn = pytest.importorskip("sklearn.impute")


def _data(examples: int, seed: int, share: float = 0.3) -> np.ndarray:
    """Normal columns, of which numbers are missing; the last has none at all."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(examples, 5)) * [1, 2, 3, 1, 1]
    x[rng.random(x.shape) < share] = np.nan
    x[:, -1] = np.nan
    return x


X, NEW = _data(30, 0), _data(25, 1, 0.5)
NEW[0] = np.nan  # shares no column with any row
GRID = list(itertools.product((1, 2, 5, 29, 100), ("uniform", "distance")))


@pytest.mark.parametrize(("neighbors", "weights"), GRID)
def test_impute_neighbors_is_scikit_learns(neighbors: int, weights: str):
    other = sklearn.KNNImputer(n_neighbors=neighbors, weights=weights, keep_empty_features=True).fit(X)
    rule = impute_neighbors(neighbors, weights=weights)
    state = rule.fit(X)
    assert state["rows"].shape == (30, 5) and state["fill"].shape == (5,)
    for x in (X, NEW):
        np.testing.assert_allclose(rule.transform(state, x), other.transform(x), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("weights", ["uniform", "distance"])
def test_impute_neighbors_in_a_program_is_that_of_the_host(weights: str, x64: None):
    rule = impute_neighbors(3, weights=weights)
    state, wanted = rule.fit_transform(X)
    found, z = jax.jit(rule.fit_transform)(jnp.asarray(X))
    assert_close(found["fill"], state["fill"], "reduction")
    assert_close(z, wanted, "reduction")


def test_impute_neighbors_compares_any_number_at_once(monkeypatch: pytest.MonkeyPatch):
    rule, module = impute_neighbors(3, weights="distance"), sys.modules[impute_neighbors.__module__]
    state, wanted = rule.fit_transform(X)
    jitted = jax.jit(rule.transform)(state, jnp.asarray(X, jnp.float32))
    for at_once in (1, 7 * X.size):
        monkeypatch.setattr(module, "_AT_ONCE", at_once)
        np.testing.assert_array_equal(rule.transform(state, X), wanted)
        pieces = jax.jit(rule.transform)(state, jnp.asarray(X, jnp.float32))
        assert_close(pieces, jitted, "program")
    assert_close(jitted, wanted, "reduction")


def test_impute_neighbors_follows_its_formula():
    rows = np.array([[0.0, 0, 10], [1, 0, 20], [0, np.nan, 30], [5, 5, np.nan], [np.nan, np.nan, 40]])
    x = np.array([[0.5, 0.5, np.nan]])
    # Squared distances: 3/2 * 0.5, the same, 3/1 * 0.25, without the column, without a shared column.
    fill = {k: impute_neighbors(k).transform(impute_neighbors(k).fit(rows), x)[0, 2] for k in (1, 2, 3, 4)}
    assert fill == {1: 10, 2: 15, 3: 20, 4: 20}  # all three are at equal distance: the earlier rows come first


def test_impute_neighbors_at_distance_0_count_alone():
    rows = np.array([[1.0, 1], [1, 3], [1.001, 100]])
    for x in (np.array([[1.0, np.nan]]), jnp.array([[1.0, jnp.nan]])):
        rule = impute_neighbors(3, weights="distance")
        np.testing.assert_allclose(rule.transform(rule.fit(rows), x), [[1, 2]], rtol=1e-6)


def test_impute_neighbors_leaves_what_is_masked_out():
    rule = impute_neighbors(2)
    where = np.random.default_rng(5).random(X.shape) < 0.8
    state = rule.fit(X, where)
    masked = rule.fit(np.where(where, X, np.nan))
    jax.tree.map(np.testing.assert_array_equal, state, masked)
    rows = rule.fit(X, np.arange(30) < 20)
    np.testing.assert_array_equal(rule.transform(rows, NEW), rule.transform(rule.fit(X[:20]), NEW))


def test_impute_neighbors_of_constant_columns_few_rows_and_many_axes():
    rule = impute_neighbors(4, weights="distance")
    constant = np.full((6, 2), 0.1)
    constant[0, 0] = np.nan
    np.testing.assert_allclose(rule.fit_transform(constant)[1], np.full((6, 2), 0.1), rtol=1e-15)
    nothing = rule.fit(np.zeros((0, 5)))
    np.testing.assert_array_equal(rule.transform(nothing, NEW), np.nan_to_num(NEW))
    assert rule.transform(rule.fit(X), X[:0]).shape == (0, 5)
    state, z = rule.fit_transform(X.reshape(6, 5, 5))
    np.testing.assert_array_equal(z.reshape(30, 5), rule.fit_transform(X)[1])
    z = jax.jit(rule.transform)(state, jnp.asarray(X.reshape(6, 5, 5), jnp.float16))
    assert z.shape == (6, 5, 5) and z.dtype == jnp.float16 and bool(jnp.isfinite(z).all())


def test_impute_neighbors_has_finite_derivatives(x64: None):
    rule = impute_neighbors(3, weights="distance")
    state = rule.fit(X)
    x = jnp.asarray(np.concatenate([NEW[:4], [[0.3, -1, np.nan, 0.2, np.nan]]]))

    def total(x: jax.Array) -> jax.Array:
        return jnp.sum(jnp.sin(rule.transform(state, x)))

    gradient = jax.jit(jax.grad(total))(x)
    assert bool(jnp.isfinite(gradient).all())
    at, step = (4, 1), 1e-6
    difference = (total(x.at[at].add(step)) - total(x.at[at].add(-step))) / (2 * step)
    np.testing.assert_allclose(gradient[at], difference, rtol=1e-6)
    assert abs(float(gradient[at] - jnp.cos(x[at]))) > 1e-4  # something is filled in from it


def test_impute_neighbors_refuses_bad_input():
    rule = impute_neighbors()
    assert_input_error(lambda: impute_neighbors(0), "neighbors")
    assert_input_error(lambda: impute_neighbors(2.5), "neighbors")
    assert_input_error(lambda: impute_neighbors(weights="inverse"), "weights")
    assert_input_error(lambda: rule.fit(np.zeros(3)), "x", given="shape (3,)")
    assert_input_error(lambda: rule.transform(rule.fit(X), np.zeros((2, 4))), "x", expected="5 columns")
    assert_input_error(lambda: rule.fit(np.array([[np.inf]])), "x")
    assert_input_error(lambda: rule.partial_fit(None, X), "preprocessor")
    assert_input_error(lambda: rule.inverse_transform(rule.fit(X), X), "inverse_transform")
