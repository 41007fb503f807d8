"""Principal components against scikit-learn's."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import decomposition

from jaxann.preprocessing.pca import pca, zca
from tests.contract import assert_input_error
from tests.programs import quick_jit

RANDOM = np.random.default_rng(3)
X = RANDOM.normal(size=(60, 7)) @ RANDOM.normal(size=(7, 7)) + 10 * RANDOM.normal(size=7)
NEW = RANDOM.normal(size=(9, 7)) * 5
WIDE = RANDOM.normal(size=(8, 20))
NAMES = {"components": "components_", "variance": "explained_variance_", "variance_ratio": "explained_variance_ratio_"}
fitted = quick_jit(lambda p, x: p.fit_transform(x))


def near(found, expected, rtol: float = 1e-10) -> None:
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=rtol * np.max(np.abs(expected), initial=1e-300))


def in_pieces(own, x, *cuts: int):
    sums = None
    for piece in np.split(x, cuts):
        sums = own.partial_fit(sums, piece)
    return own.compute(sums)


@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize(("x", "components"), [(X, 3), (X, 7), (WIDE, 1), (WIDE, 6)], ids=lambda v: str(np.shape(v)))
def test_pca_is_scikit_learns_at_once_and_in_pieces(x: np.ndarray, components: int, whiten: bool):
    own, peer = pca(components, whiten=whiten), decomposition.PCA(components, whiten=whiten, svd_solver="full").fit(x)
    new = RANDOM.normal(size=(5, x.shape[1])) * 3
    for state in (own.fit(x), in_pieces(own, x, 1, 5)):
        near(state["mean"], peer.mean_)
        for name, other in NAMES.items():
            near(state[name], getattr(peer, other))
        near(own.transform(state, new), peer.transform(new))
        z = RANDOM.normal(size=(5, components))
        near(own.inverse_transform(state, z), peer.inverse_transform(z))
    assert own.feature_names(state, ["a"] * x.shape[1]) == tuple(f"pca{i}" for i in range(components))


def test_pca_takes_the_sign_of_the_entry_of_largest_magnitude_as_positive():
    found = pca(7).fit(X)["components"]
    assert (found[np.arange(7), np.abs(found).argmax(1)] > 0).all()


def test_pca_fit_keeps_small_variances_that_the_scatter_matrix_loses():
    turn = np.linalg.qr(RANDOM.normal(size=(4, 4)))[0]
    x = RANDOM.normal(size=(50, 4)) * [1, 1e-3, 1e-6, 1e-10] @ turn
    own, peer = pca(4), decomposition.PCA(4, svd_solver="full").fit(x)
    near(own.fit(x)["variance"][:3] / peer.explained_variance_[:3], np.ones(3), 1e-7)
    assert abs(own.fit(x)["variance"][3] / peer.explained_variance_[3] - 1) < 1e-3
    pieces = in_pieces(own, x, 20)["variance"]
    near(pieces[:2] / peer.explained_variance_[:2], np.ones(2), 1e-7)
    assert pieces[3] == 0 and pieces[2] > 0  # 1e-20 of the largest is nothing to it


def test_randomized_pca_is_the_full_one_where_variances_fall_off():
    x = RANDOM.normal(size=(80, 40)) * 0.6 ** np.arange(40) @ np.linalg.qr(RANDOM.normal(size=(40, 40)))[0] + 3
    full, own = pca(5, whiten=True), pca(5, whiten=True, solver="randomized")
    state, z = own.fit_transform(x)
    for name, expected in full.fit(x).items():
        near(state[name], expected, 1e-9)
    peer = decomposition.PCA(5, whiten=True, svd_solver="randomized", random_state=0, iterated_power=7).fit(x)
    near(z, peer.transform(x), 1e-9)
    rough = pca(5, solver="randomized", iterations=0, oversampling=2)
    one, same = rough.fit(x)["variance"], rough.fit(x)["variance"]
    np.testing.assert_array_equal(one, same)
    assert (one != rough.replace(seed=1).fit(x)["variance"]).all()
    assert 1e-8 < np.abs(one / state["variance"] - 1).max() < 0.5
    assert_input_error(lambda: own.partial_fit(None, x), "the preprocessor", given="pca")


@pytest.mark.parametrize("own", [pca(3, whiten=True), pca(3, solver="randomized", seed=4), zca(eps=0.1)], ids=str)
def test_a_program_finds_what_the_host_finds(own, x64):
    state, z = own.fit_transform(X)
    inside, changed = fitted(own, jnp.asarray(X))
    for name in state:
        near(inside[name], state[name], 1e-11)
    near(changed, z, 1e-11)
    assert isinstance(changed, jax.Array)
    assert isinstance(own.transform(inside, X), np.ndarray) and isinstance(
        own.transform(state, jnp.asarray(X)), jax.Array
    )
    assert own.transform(state, X.astype(np.float32)).dtype == np.float32


def test_masked_rows_and_more_axes():
    own, where = pca(2), RANDOM.random(60) < 0.5
    expected = own.fit(X[where])
    wild = np.where(where[:, None], X, np.nan)
    for state in (
        own.fit(wild, where),
        own.compute(own.partial_fit(None, X, where)),
        own.fit(X, where[:, None] & np.ones(7, bool)),
    ):
        near(state["components"], expected["components"])
        near(state["variance"], expected["variance"])
    folded = X.reshape(12, 5, 7)
    near(own.fit(folded)["components"], own.fit(X)["components"])
    near(own.transform(expected, folded), own.transform(expected, X).reshape(12, 5, 2))
    near(own.inverse_transform(expected, own.transform(expected, folded)).reshape(60, 7),
         own.inverse_transform(expected, own.transform(expected, X)))  # fmt: skip


def test_a_row_with_a_missing_number_does_not_count_in_a_program():
    x = X.astype(np.float32).copy()
    x[4, 2] = np.nan
    state, z = fitted(pca(2), jnp.asarray(x))
    near(state["variance"], pca(2).fit(np.delete(X, 4, 0))["variance"], 1e-5)
    assert np.isnan(z[4]).all() and np.isfinite(np.delete(z, 4, 0)).all()


@pytest.mark.parametrize("own", [pca(3, whiten=True), pca(3, solver="randomized", whiten=True), zca(eps=0.0)], ids=str)
def test_columns_that_do_not_vary_give_finite_results(own):
    constant = np.full((6, 4), 0.1)
    flat = np.concatenate([X[:6, :1], 2 * X[:6, :1] + 1, constant[:, :2]], 1)
    for x in (constant, flat):
        state, z = own.fit_transform(x)
        assert all(np.isfinite(leaf).all() for leaf in state.values()) and np.abs(z).max() < 4
        near(own.inverse_transform(state, z), x, 1e-9)
    assert state["variance"][1:].max() == 0 < state["variance"][0]


def test_gradients_pass_through():
    state = pca(2, whiten=True).fit(X.astype(np.float32))
    jacobian = jax.jacobian(lambda row: pca(2, whiten=True).transform(state, row[None])[0])(
        jnp.asarray(NEW[0], jnp.float32)
    )
    near(jacobian, state["components"] / np.sqrt(state["variance"])[:, None], 1e-5)


def test_zca_is_white_and_the_nearest_to_x():
    own = zca(eps=0.0)
    state, z = own.fit_transform(X)
    near(np.cov(z.T), np.eye(7), 1e-9)
    values, vectors = np.linalg.eigh(np.cov(X.T))
    near(z, (X - X.mean(0)) @ vectors / np.sqrt(values) @ vectors.T, 1e-9)
    near(own.inverse_transform(state, z), X)
    near(zca(eps=0.5).fit_transform(X)[1], (X - X.mean(0)) @ vectors / np.sqrt(values + 0.5) @ vectors.T, 1e-9)
    near(in_pieces(own, X, 3, 30)["components"], state["components"], 1e-9)


def test_bad_input_is_refused():
    for arguments, name in (
        ({"components": 0}, "components"),
        ({"components": 2.0}, "components"),
        ({"whiten": 1}, "whiten"),
        ({"solver": "fast"}, "solver"),
        ({"iterations": -1}, "iterations"),
        ({"oversampling": 0.5}, "oversampling"),
        ({"seed": -3}, "seed"),
    ):
        assert_input_error(lambda a=arguments: pca(**({"components": 2} | a)), name)
    assert_input_error(lambda: zca(eps=-1.0), "eps")
    missing = X.copy()
    missing[3, 2] = np.nan
    state = pca(2).fit(X)
    for own in (pca(2), pca(2, solver="randomized"), zca()):
        assert "impute" in assert_input_error(lambda p=own: p.fit(missing), "x", given="1 of them")
        assert_input_error(lambda p=own: p.fit(X, X > 0), "where", given="in part")
        assert_input_error(lambda p=own: p.fit(X[:, 0]), "x", given="(60,)")
    assert_input_error(lambda: pca(2).transform(state, missing), "x")
    assert_input_error(lambda: pca(2).transform(state, X[:, 1:]), "x")
    assert_input_error(lambda: pca(2).inverse_transform(state, X), "x")
    assert_input_error(lambda: pca(8).fit(X), "components", given="8 for 60 examples of 7 columns")
    assert_input_error(lambda: pca(5).fit(WIDE[:4]), "components", given="4 examples")
    assert_input_error(lambda: pca(5).compute(pca(5).partial_fit(None, WIDE[:4])), "components")
    assert_input_error(lambda: pca(5).fit(WIDE, np.arange(8) < 4), "components", given="4 examples")


def test_many_rows_in_32_bits_make_no_noise_of_what_varies():
    x = np.random.default_rng(0).normal(size=(300_000, 3)) * [100, 5, 1]
    found = pca(3).fit(jnp.asarray(x, jnp.float32))["variance"]
    np.testing.assert_allclose(found, pca(3).fit(x)["variance"], rtol=1e-4)
