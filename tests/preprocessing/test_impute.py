"""Numbers filled in for missing ones, beside scikit-learn's."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann.preprocessing.impute import impute
from tests.contract import assert_input_error
from tests.tolerances import assert_close

sklearn = pytest.importorskip("sklearn.impute")
STRATEGIES = ("mean", "median", "most_frequent", "constant")


def _data(examples: int = 40, seed: int = 0) -> np.ndarray:
    """Columns of many digits, of whole numbers that are often equal, constant, of no number, and far from 0."""
    rng = np.random.default_rng(seed)
    x = np.stack(
        [
            rng.normal(3, 2, examples),
            rng.integers(-3, 3, examples).astype(float),
            np.full(examples, 0.1),
            np.full(examples, np.nan),
            1.7e9 + rng.integers(0, 9, examples),
        ],
        1,
    )
    x[rng.random(x.shape) < 0.25] = np.nan
    return x


X = _data()


@pytest.mark.parametrize(("strategy", "indicators"), list(itertools.product(STRATEGIES, (False, True))))
def test_impute_is_scikit_learns(strategy: str, indicators: bool):
    other = sklearn.SimpleImputer(strategy=strategy, fill_value=-7.5 if strategy == "constant" else None,
                                  keep_empty_features=True).fit(X)  # fmt: skip
    rule = impute(strategy, value=-7.5, indicators=indicators)
    state = rule.fit(X)
    new = _data(seed=1)
    wanted = other.transform(new)
    if indicators:
        missing = sklearn.MissingIndicator(features="all").fit(X).transform(new)
        wanted = np.concatenate([wanted, missing.astype(float)], 1)
    z = rule.transform(state, new)
    assert state["fill"].shape == (5,)
    assert isinstance(z, np.ndarray) and z.dtype == np.float64
    np.testing.assert_allclose(z, wanted, rtol=1e-13)
    np.testing.assert_array_equal(z[:, :5][~np.isnan(new)], new[~np.isnan(new)])


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_impute_in_a_program_is_that_of_the_host(strategy: str, x64: None):
    rule = impute(strategy, value=2, indicators=True)
    state, wanted = rule.fit_transform(X)
    found, z = jax.jit(rule.fit_transform)(jnp.asarray(X))
    assert_close(found["fill"], state["fill"], "reduction")
    assert_close(z, wanted, "reduction")
    assert_close(jax.jit(rule.transform)(state, jnp.asarray(X, jnp.float32)), wanted, "elementwise", jnp.float32)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_impute_learns_the_same_from_pieces(strategy: str):
    rule = impute(strategy, value=2)
    rng = np.random.default_rng(3)
    for _ in range(4):
        where = rng.random(X.shape) < 0.8
        cuts = np.sort(rng.integers(0, len(X) + 1, 3))  # pieces of no rows among them
        pieces = list(zip(np.split(X, cuts), np.split(where, cuts), strict=True))
        rng.shuffle(order := list(range(len(pieces))))
        sums = None
        for at in order:
            sums = rule.partial_fit(sums, *pieces[at])
        wanted = rule.fit(np.where(where, X, np.nan))
        np.testing.assert_allclose(rule.compute(sums)["fill"], wanted["fill"], rtol=1e-12)
        np.testing.assert_allclose(rule.fit(X, where)["fill"], wanted["fill"], rtol=1e-12)


@pytest.mark.parametrize(
    ("column", "wanted"),
    [
        ([3, 1, 2, 1, 3], 1),
        ([3, 1, 3], 3),
        ([2, 5, np.nan, np.nan, np.nan], 2),
        ([np.nan, 4], 4),
        ([-0.0, 0.0, 1], 0),
        ([-1, -1, -2, -2], -2),
        ([np.nan], 0),
        ([], 0),
    ],
)
def test_impute_takes_the_smallest_of_the_most_frequent(column: list, wanted: float):
    for x in (np.asarray(column, float), jnp.asarray(column, jnp.float32)):
        fill = impute("most_frequent").fit(x)["fill"]
        assert fill.shape == () and fill == wanted


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_impute_of_no_rows_is_finite(strategy: str):
    rule = impute(strategy)
    np.testing.assert_array_equal(rule.fit(np.zeros((0, 2)))["fill"], [0, 0])
    assert rule.transform(rule.fit(X), X[:0]).shape == (0, 5)


def test_impute_takes_one_column_and_many_axes():
    one = impute("median")
    state, z = one.fit_transform(np.array([1.0, np.nan, 4.0]))
    np.testing.assert_array_equal(z, [1, 2.5, 4])
    x = X[:, [0, 1, 2]].reshape(10, 4, 3)
    many = impute("mean", indicators=True)
    state, z = many.fit_transform(x, np.arange(10) < 7)
    np.testing.assert_allclose(state["fill"], np.nanmean(x[:7], (0, 1)), rtol=1e-14)
    assert z.shape == (10, 4, 6)
    np.testing.assert_array_equal(z[..., 3:], np.isnan(x))
    jitted = jax.jit(many.transform)(state, jnp.asarray(x, jnp.bfloat16))
    assert jitted.shape == (10, 4, 6) and jitted.dtype == jnp.bfloat16
    whole = many.transform(state, np.arange(12).reshape(2, 2, 3))
    assert whole.dtype == np.float32 and isinstance(many.transform(jax.tree.map(jnp.asarray, state), x), np.ndarray)


def test_impute_names_indicators():
    assert impute().feature_names({}, ("age", "sex")) == ("age", "sex")
    assert impute(indicators=True).feature_names({}, ("a", "b")) == ("a", "b", "missing_a", "missing_b")


def test_impute_passes_derivatives_of_what_is_there():
    rule = impute("mean")
    x = jnp.array([[1.0, jnp.nan], [jnp.nan, 4.0]])
    state = rule.fit(x)
    np.testing.assert_array_equal(jax.grad(lambda x: jnp.sum(rule.transform(state, x)))(x), [[1, 0], [0, 1]])
    by_fill = jax.grad(lambda state: jnp.sum(rule.transform(state, x)))(state)
    np.testing.assert_array_equal(by_fill["fill"], [1, 1])


def test_impute_takes_a_traced_value():
    def fill(value: jax.Array) -> jax.Array:
        return impute("constant", value=value).fit_transform(np.array([[1.0], [np.nan]]))[1]

    np.testing.assert_array_equal(jax.jit(fill)(3.0), [[1], [3]])


def test_impute_refuses_bad_input():
    assert_input_error(lambda: impute("mode"), "strategy", given="mode")
    assert_input_error(lambda: impute("constant", value=np.nan), "value")
    assert_input_error(lambda: impute(indicators=1), "indicators")
    assert_input_error(lambda: impute(indicators=True).fit(np.zeros(3)), "x", given="shape (3,)")
    assert_input_error(lambda: impute(indicators=True).transform({"fill": np.zeros(())}, np.zeros(3)), "x")
    assert_input_error(lambda: impute().fit(np.array([[np.inf]])), "x", given="infinite")
    assert_input_error(lambda: impute().fit(X, np.ones(3)), "where")
    assert_input_error(lambda: impute().transform({"fill": np.zeros(4)}, X), "x", expected="4 columns")
    assert_input_error(lambda: impute().inverse_transform({"fill": np.zeros(5)}, X), "inverse_transform")
