"""Scales against scikit-learn's, number by number."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import preprocessing as peers

from jaxann import preprocessing
from tests.contract import assert_input_error

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(101, 6)) * [1, 1e3, 1e-4, 0, 1e4, 5] + [0, 5, 1, 0.1, 1e5, -3]
X[RANDOM.random(X.shape) < 0.15] = np.nan
X[:, 5] = np.round(X[:, 5])

PAIRS = {
    "standard": (preprocessing.standard(), peers.StandardScaler()),
    "standard, centre alone": (preprocessing.standard(scale=False), peers.StandardScaler(with_std=False)),
    "standard, scale alone": (preprocessing.standard(center=False), peers.StandardScaler(with_mean=False)),
    "min_max": (preprocessing.min_max(), peers.MinMaxScaler()),
    "min_max of a range": (preprocessing.min_max(-2, 3), peers.MinMaxScaler((-2, 3))),
    "min_max, clipped": (preprocessing.min_max(clip=True), peers.MinMaxScaler(clip=True)),
    "max_abs": (preprocessing.max_abs(), peers.MaxAbsScaler()),
    "robust": (preprocessing.robust(), peers.RobustScaler()),
    "robust, other shares": (preprocessing.robust(0.05, 0.7), peers.RobustScaler(quantile_range=(5, 70))),
    "robust, scale alone": (preprocessing.robust(center=False), peers.RobustScaler(with_centering=False)),
}


@pytest.mark.parametrize("name", PAIRS)
def test_it_is_scikit_learns(name: str):
    own, peer = PAIRS[name]
    other = RANDOM.normal(size=(20, 6)) * np.nanstd(X, 0) * 3 + np.nanmean(X, 0)
    state, z = own.fit_transform(X)
    np.testing.assert_allclose(z, peer.fit_transform(X), rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(own.transform(state, other), peer.transform(other), rtol=1e-10, atol=1e-9)
    np.testing.assert_allclose(own.inverse_transform(state, other), peer.inverse_transform(other), rtol=1e-10)


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(1, 100), max_size=5))
def test_standard_in_pieces_keeps_the_digits_of_large_numbers(cuts: list[int]):
    own, sums, far = preprocessing.standard(), None, X + np.array([0, 0, 0, 0, 1.7e9, 0])  # seconds since 1970
    for piece in np.split(far, sorted(set(cuts))):
        sums = own.partial_fit(sums, piece)
    state = own.compute(sums)
    np.testing.assert_allclose(state["mean"], np.nanmean(far, 0), rtol=1e-14)
    deviation = np.nanstd(far, 0)
    np.testing.assert_allclose(state["scale"][[0, 1, 2, 4, 5]], deviation[[0, 1, 2, 4, 5]], rtol=1e-9)
    assert state["scale"][3] == 1  # constant but for rounding


@pytest.mark.parametrize("name", PAIRS)
def test_columns_of_one_number_and_of_none(name: str):
    own, _ = PAIRS[name]
    x = np.array([[np.nan, 3.0], [np.nan, 3.0]])
    state, z = own.fit_transform(x)
    assert np.isnan(z[:, 0]).all() and np.isfinite(z[:, 1]).all()
    new = own.transform(state, np.array([[2.0, 4.0]]))
    assert np.isfinite(new).all()


def test_a_column_alone_and_pictures_by_channel():
    y = np.array([1.0, 2.0, 4.0])
    state, z = preprocessing.standard().fit_transform(y)
    assert state["mean"].shape == () and z.shape == (3,)
    np.testing.assert_allclose(z, (y - y.mean()) / y.std())
    pictures = RANDOM.normal(size=(4, 3, 3, 2)).astype(np.float32)
    state, z = preprocessing.standard().fit_transform(pictures)
    assert z.dtype == np.float32
    np.testing.assert_allclose(state["mean"], pictures.mean((0, 1, 2), np.float64), rtol=1e-6)
    where = np.arange(4) < 2
    state = preprocessing.standard().fit(pictures, where)
    np.testing.assert_allclose(state["mean"], pictures[:2].mean((0, 1, 2), np.float64), rtol=1e-6)


def test_it_has_a_gradient_and_members():
    x = jnp.asarray(np.nan_to_num(X[:10, :3]), jnp.float32)
    state = preprocessing.standard().fit(x)
    slope = jax.grad(lambda x: preprocessing.standard().transform(state, x).sum())(x)
    np.testing.assert_allclose(slope, np.broadcast_to(1 / np.asarray(state["scale"]), x.shape), rtol=1e-6)
    several = jax.vmap(lambda low: preprocessing.min_max(low, 2.0).fit_transform(x)[1])(jnp.array([-1.0, 0.0]))
    np.testing.assert_allclose(several.min((1, 2)), [-1, 0], atol=1e-6)


def test_the_types_of_numbers():
    own, whole = preprocessing.min_max(), np.array([[1, 200], [3, 100]], np.uint8)
    state, z = own.fit_transform(whole)
    assert z.dtype == np.float32 and z.tolist() == [[0, 1], [1, 0]]
    half = own.transform(state, jnp.asarray(whole, jnp.bfloat16))
    assert half.dtype == jnp.bfloat16
    for bad, given_text in ((np.array(3.0), "()"), (X + 1j, "complex128"), (X.astype(object), "object")):
        assert_input_error(lambda bad=bad: own.fit(bad), "x", given=given_text)
    assert_input_error(lambda: own.transform(state, np.ones(3)), "x", given="(3,)")


def test_many_rows_in_32_bits_make_no_constant_of_what_varies():
    x = jnp.asarray(RANDOM.normal(size=(1_000_000, 3)) * [10, 1, 0] + [100, 0, 0.1], jnp.float32)
    scale = preprocessing.standard().fit(x)["scale"]
    np.testing.assert_allclose(
        scale, [np.asarray(x[:, 0], float).std(), np.asarray(x[:, 1], float).std(), 1], rtol=1e-4
    )


def test_the_largest_numbers_that_a_run_takes():
    x = np.tile(X[:50, :2] / 1e3, (40, 1)) * 1e18
    scale = preprocessing.standard().fit(jnp.asarray(x, jnp.float32))["scale"]
    np.testing.assert_allclose(scale, np.nanstd(x, 0), rtol=1e-5)
