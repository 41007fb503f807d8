"""Ranks against scikit-learn's QuantileTransformer."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.preprocessing import QuantileTransformer

from jaxann.preprocessing.quantile import quantile
from tests.contract import assert_input_error
from tests.programs import quick_jit

RANDOM = np.random.default_rng(5)
X = RANDOM.normal(size=(120, 5)) ** 3 * [1, 1e3, 5, 1, 1e-3]
X[:, 2] = np.round(X[:, 2])  # many equal ones
X[:, 3] = np.minimum(X[:, 3], 0.2)  # and at the end
X[RANDOM.random(X.shape) < 0.1] = np.nan
NEW = np.concatenate([X[:30], RANDOM.normal(size=(50, 5)) * [3, 3e3, 5, 1, 3e-3], np.nanmin(X, 0)[None] * 9])
fitted = quick_jit(lambda p, x: p.fit_transform(x))
inverted = quick_jit(lambda p, state, z: p.inverse_transform(state, z))


@pytest.mark.parametrize("distribution", ["uniform", "normal"])
@pytest.mark.parametrize("references", [2, 13, 100, 120])
def test_quantile_is_scikit_learns(references: int, distribution: str):
    own = quantile(references, distribution=distribution)
    peer = QuantileTransformer(n_quantiles=references, output_distribution=distribution, subsample=None)
    state, z = own.fit_transform(X)
    np.testing.assert_allclose(z, peer.fit_transform(X), rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(state["quantiles"], peer.quantiles_, rtol=1e-12)
    np.testing.assert_allclose(own.transform(state, NEW), peer.transform(NEW), rtol=1e-9, atol=1e-11)
    z = RANDOM.uniform(-0.2, 1.2, size=(40, 5)) if distribution == "uniform" else RANDOM.normal(size=(40, 5)) * 3
    np.testing.assert_allclose(own.inverse_transform(state, z), peer.inverse_transform(z), rtol=1e-10, atol=1e-15)


@pytest.mark.parametrize("distribution", ["uniform", "normal"])
def test_a_program_finds_what_the_host_finds(distribution: str, x64):
    own = quantile(50, distribution=distribution)
    state, z = own.fit_transform(X)
    inside, changed = fitted(own, jnp.asarray(X))
    np.testing.assert_allclose(inside["quantiles"], state["quantiles"], rtol=1e-13)
    np.testing.assert_allclose(changed, z, rtol=1e-9, atol=1e-12)
    near = inverted(own, state, changed)
    np.testing.assert_allclose(near, own.inverse_transform(state, z), rtol=1e-8, atol=1e-12)
    assert isinstance(own.transform(inside, X), np.ndarray) and isinstance(changed, jax.Array)


def test_a_program_of_32_bits_has_both_tails():
    own, x = quantile(1000, distribution="normal"), jnp.linspace(0, 1, 5001, dtype=jnp.float32)[:, None]
    state, z = fitted(own, x)
    np.testing.assert_allclose(z, -z[::-1], atol=2e-3)
    assert abs(float(z[0, 0]) + 5.1993376) < 1e-5 and abs(float(z[-1, 0]) - 5.1993376) < 1e-5
    np.testing.assert_allclose(inverted(own, state, z), x, atol=1e-6)


@settings(max_examples=15, deadline=None)
@given(cuts=st.lists(st.integers(1, 119), max_size=4))
def test_pieces_are_the_whole(cuts: list[int]):
    own, sums = quantile(30), None
    for piece in np.split(X, sorted(set(cuts))):
        sums = own.partial_fit(sums, piece)
    np.testing.assert_array_equal(own.compute(sums)["quantiles"], own.fit(X)["quantiles"])


def test_masks_axes_one_column_and_more_references_than_examples():
    own, where = quantile(20), RANDOM.random(X.shape) < 0.6
    np.testing.assert_array_equal(own.fit(X, where)["quantiles"], own.fit(np.where(where, X, np.nan))["quantiles"])
    state, z = own.fit_transform(X)
    np.testing.assert_array_equal(own.transform(state, X.reshape(10, 12, 5)), z.reshape(10, 12, 5))
    assert np.isnan(z[np.isnan(X)]).all() and np.isnan(X).any()
    for distribution in ("uniform", "normal"):
        one = quantile(20, distribution=distribution)
        alone = one.fit_transform(X[:, 0])[1]
        np.testing.assert_array_equal(alone, one.fit_transform(X)[1][:, 0])
    few = np.array([[1.0], [2.0], [4.0]])
    state, z = quantile(1001).fit_transform(few)
    np.testing.assert_allclose(z, [[0], [0.5], [1]], atol=1e-3)
    np.testing.assert_allclose(quantile(1001).inverse_transform(state, z), few, atol=2e-3)


def test_the_places_of_quantiles_are_exact_in_32_bits():
    count = 300_001
    x = jnp.asarray(np.arange(count), jnp.float32)
    found = quantile(1000).fit(x)["quantiles"]
    np.testing.assert_allclose(found, np.arange(1000) * ((count - 1) / 999), rtol=2e-7)


@pytest.mark.parametrize("distribution", ["uniform", "normal"])
def test_constant_and_empty_columns(distribution: str):
    own = quantile(10, distribution=distribution)
    x = np.stack([np.full(6, 3.0), np.full(6, np.nan), np.arange(6.0)], 1)
    state, z = own.fit_transform(x)
    peer = QuantileTransformer(n_quantiles=6, output_distribution=distribution, subsample=None).fit(x[:, ::2])
    np.testing.assert_allclose(z[:, 0], peer.transform(x[:, ::2])[:, 0], rtol=1e-9)
    assert np.isfinite(state["quantiles"]).all() and np.isnan(z[:, 1]).all()
    assert np.isfinite(own.transform(state, np.ones((1, 3)))).all()
    np.testing.assert_allclose(own.inverse_transform(state, z)[:, ::2], x[:, ::2], atol=1e-12)


def test_gradients_are_the_density():
    own = quantile(6)
    state = own.fit(np.linspace(0, 10, 6, dtype=np.float32)[:, None])

    def change(x):
        return own.transform(state, x[None, None])[0, 0]

    np.testing.assert_allclose([jax.grad(change)(jnp.float32(x)) for x in (-1, 3.3, 12)], [0, 0.1, 0], rtol=1e-5)


def test_bad_input_is_refused():
    assert_input_error(lambda: quantile(1), "references")
    assert_input_error(lambda: quantile(10.0), "references")
    assert_input_error(lambda: quantile(distribution="cauchy"), "distribution")
    state = quantile(10).fit(X)
    assert_input_error(lambda: quantile(10).transform(state, X[:, 1:]), "x")
    assert_input_error(lambda: quantile(10).inverse_transform(state, X[:, 0]), "x")
    assert_input_error(lambda: quantile(10).fit(X, X[1:] > 0), "where")


def test_many_references_and_no_rows():
    x = np.random.default_rng(2).normal(size=(60_000, 1))
    own = quantile(50_001)
    expected = np.quantile(x[:, 0], np.linspace(0, 1, 50_001))
    np.testing.assert_allclose(own.fit(x)["quantiles"][:, 0], expected, rtol=1e-9, atol=1e-12)
    device = jnp.asarray(x, jnp.float32)
    assert_input_error(lambda: own.fit(device), "references", given="50001")
    assert quantile(5).fit(x[:0])["quantiles"].tolist() == [[0]] * 5
