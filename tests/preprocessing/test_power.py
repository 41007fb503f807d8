"""Powers against scikit-learn's PowerTransformer and SciPy's formulas."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.preprocessing import PowerTransformer

from jaxann.preprocessing.power import power
from tests.contract import assert_input_error
from tests.programs import quick_jit

RANDOM = np.random.default_rng(8)
N = 150
X = np.stack(
    [
        RANDOM.normal(size=N),
        100 * RANDOM.exponential(size=N),
        -3 * RANDOM.exponential(size=N),
        RANDOM.normal(size=N) ** 3 + 1,
        1e4 * RANDOM.lognormal(size=N),
        1e-3 * RANDOM.uniform(size=N),
        RANDOM.integers(0, 2, N).astype(float),
    ],
    1,
)
X[RANDOM.random(X.shape) < 0.1] = np.nan
POSITIVE = np.abs(X[:, :6]) + 1e-3
DATA = {"yeo_johnson": X, "box_cox": POSITIVE}
LIKELIHOOD = {"yeo_johnson": stats.yeojohnson_llf, "box_cox": stats.boxcox_llf}
FORMULA = {"yeo_johnson": stats.yeojohnson, "box_cox": stats.boxcox}
YEARS = np.array([[2003.0, 1950, 1997, 2000, 2009, 2009, 1980, 1999, 2007, 1991]]).T
methods = pytest.mark.parametrize("method", DATA)
fitted = quick_jit(lambda p, x: p.fit_transform(x))


def near(found, expected, rtol: float = 1e-10) -> None:
    """Equal but for a share of the largest of each column."""
    found, expected = np.asarray(found), np.asarray(expected)
    size = np.nanmax(np.abs(expected), 0, initial=1e-300)
    np.testing.assert_allclose(found / size, expected / size, rtol=rtol, atol=rtol)


@methods
@pytest.mark.parametrize("standardize", [False, True])
def test_power_is_scikit_learns(method: str, standardize: bool):
    x, own = DATA[method], power(method, standardize=standardize)
    peer = PowerTransformer(method.replace("_", "-"), standardize=standardize)
    expected, (state, z) = peer.fit_transform(x), own.fit_transform(x)
    np.testing.assert_allclose(state["lambda"], peer.lambdas_, rtol=1e-6, atol=1e-6)
    for column, found, theirs in zip(x.T, state["lambda"], peer.lambdas_, strict=True):
        real = column[~np.isnan(column)]
        best = LIKELIHOOD[method](found, real)
        assert best >= LIKELIHOOD[method](theirs, real) - 1e-10 * abs(best)
    near(z, expected, 1e-5)  # as far as its search goes
    near(own.inverse_transform(state, z), x, 1e-9)


@methods
def test_power_is_the_formula_of_its_lambda(method: str):
    x, own = DATA[method], power(method, standardize=False)
    for fixed in (-2.0, -1e-9, 0.0, 0.3, 1.0, 1.9, 2.0, 2 + 1e-9, 4.0):
        columns = x.shape[1]
        state = own.fit(x) | {"lambda": np.full(columns, fixed)}
        new = np.concatenate([x, x * 3, -x if method == "yeo_johnson" else 1 / x])
        near(own.transform(state, new), FORMULA[method](new, fixed), 1e-12)
        if abs(fixed) <= 1 or method == "yeo_johnson":  # else 1 is all that is left of 1 + 1e-12
            near(own.inverse_transform(state, own.transform(state, x)), x, 1e-6 if fixed < -1 else 1e-10)


@methods
def test_standardized_or_not_is_the_same_but_for_mean_and_deviation(method: str):
    x = DATA[method]
    plain, (state, z) = power(method, standardize=False), power(method).fit_transform(x)
    new = np.concatenate([x * 2, -x if method == "yeo_johnson" else 1 / x])  # the other side of 0 from the reference
    one = plain.fit(x)
    np.testing.assert_allclose(one["lambda"], state["lambda"], rtol=1e-12)
    raw, far = plain.transform(one, x), plain.transform(one, new)
    near(z, (raw - np.nanmean(raw, 0)) / np.nanstd(raw, 0), 1e-8)
    expected = (far - np.nanmean(raw, 0)) / np.nanstd(raw, 0)
    near(power(method).transform(state, new), expected, 1e-8)
    kept = np.nanmax(np.abs(expected), 0) < 1e3
    near(power(method).inverse_transform(state, expected)[:, kept], new[:, kept], 1e-6)
    assert kept.sum() >= 4


@methods
def test_columns_far_from_zero_keep_their_digits(method: str):
    own = power(method)
    signs = (1, -1) if method == "yeo_johnson" else (1,)
    for x in [sign * size * YEARS for sign in signs for size in (1, 1e6)]:
        state, z = own.fit_transform(x)
        offset = 1 if method == "yeo_johnson" else 0
        power_of = state["lambda"] if x[0, 0] > 0 else 2 - state["lambda"]
        t = np.expm1(power_of * np.log((offset + np.abs(x)) / (offset + 2000 * np.abs(x).max() / 2009))) * np.sign(x)
        near(z, np.sign(power_of) * (t - t.mean()) / t.std(), 1e-7)
        assert 60 < power_of[0] < 120 and abs(stats.skew(z)[0]) < 0.6 * abs(stats.skew(x)[0])
        if method == "box_cox":
            beside = [stats.boxcox_llf(power_of[0] + step, x[:, 0]) for step in (-0.1, 0, 0.1)]
            assert beside[1] > max(beside[0], beside[2])
        near(own.inverse_transform(state, z), x, 1e-12)
        inside, changed = fitted(own, jnp.asarray(x, jnp.float32))
        near(changed, z, 2e-4)


@methods
def test_a_program_finds_what_the_host_finds(method: str, x64):
    x, own = DATA[method], power(method)
    state, z = own.fit_transform(x)
    inside, changed = fitted(own, jnp.asarray(x))
    for name in state:
        np.testing.assert_allclose(inside[name], state[name], rtol=1e-9, atol=1e-12)
    near(changed, z, 1e-9)
    near(own.inverse_transform(inside, changed), x, 1e-8)
    assert isinstance(own.transform(inside, x), np.ndarray)


@settings(max_examples=8, deadline=None)
@given(cuts=st.lists(st.integers(1, N - 1), max_size=4))
def test_pieces_are_the_whole(cuts: list[int]):
    own, sums = power(), None
    for piece in np.split(X, sorted(set(cuts))):
        sums = own.partial_fit(sums, piece)
    for name, expected in own.fit(X).items():
        np.testing.assert_array_equal(own.compute(sums)[name], expected)


def test_gradients_are_those_of_small_changes(x64):
    x = jnp.asarray(np.where(np.isnan(X), 0.5, X)[:40, :5])

    def one(change):
        state, z = power().fit_transform(x.at[3].add(change))
        return jnp.stack([state["lambda"], z[3], z[7]])

    step = 1e-5 * jnp.abs(x).max(0)
    found = jax.jit(jax.jacrev(one))(jnp.zeros(5))
    moved = jax.jit(jax.vmap(one))(jnp.stack([step, -step]))
    expected = np.asarray(moved[0] - moved[1]) / 2 / np.asarray(step)
    near(jnp.diagonal(found, axis1=1, axis2=2), expected, 1e-5)


def test_gradients_of_transform_are_finite_at_every_branch(x64):
    for method, numbers in (("yeo_johnson", [-1e3, -1.0, -1e-8, 0.0, 1e-8, 1.0, 1e3]), ("box_cox", [1e-3, 1.0, 1e3])):
        own = power(method, standardize=False)
        x = jnp.asarray(numbers)[:, None]
        for fixed in (0.0, 1e-12, 1e-3, 1.0, 2.0, 2 - 1e-12, -3.0):
            state = {name: jnp.asarray(value) for name, value in own.fit(np.asarray(x)).items()}

            def change(x, power_of, state=state, own=own):
                return own.transform(state | {"lambda": power_of}, x).sum()

            by_x, by_power = jax.grad(change, (0, 1))(x, jnp.full(1, fixed))
            p = np.where(x >= 0, fixed - 1, 1 - fixed)
            near(by_x, np.abs(x) ** (fixed - 1) if method == "box_cox" else (1 + np.abs(x)) ** p, 1e-9)
            assert np.isfinite(by_power).all()


@methods
def test_constant_and_empty_columns_and_masks(method: str):
    own = power(method)
    x = np.stack([np.full(6, 0.1), np.full(6, np.nan), np.full(6, 7.0)], 1)
    state, z = own.fit_transform(x)
    assert all(np.isfinite(leaf).all() for leaf in state.values())
    assert (state["lambda"] == 1).all()
    np.testing.assert_allclose(z, [[0, np.nan, 0]] * 6, atol=1e-15)
    np.testing.assert_allclose(own.transform(state, x + 1)[:, ::2], 1, rtol=1e-12)
    np.testing.assert_allclose(own.inverse_transform(state, z), x, rtol=1e-12)
    where = RANDOM.random(N) < 0.5
    for name, expected in own.fit(DATA[method][where]).items():
        np.testing.assert_allclose(own.fit(DATA[method], where)[name], expected, rtol=1e-8)
    alone = own.fit_transform(DATA[method][:, 1])[1]
    np.testing.assert_allclose(alone, own.fit_transform(DATA[method])[1][:, 1], rtol=1e-9)


def test_what_no_number_is_changed_to_leads_to_the_nearest_that_is():
    for method, x in (("yeo_johnson", X[:, :5]), ("box_cox", POSITIVE)):
        for own in (power(method), power(method, standardize=False)):
            state = own.fit(x)
            far = own.inverse_transform(state, np.array([[-1e9], [1e9]]) * np.ones(x.shape[1]))
            assert np.isfinite(far).all() and (far[1] > far[0]).all() and (method != "box_cox" or (far > 0).all())
            extreme = own.transform(state, np.full((1, x.shape[1]), 1e300))
            assert np.isfinite(extreme).all()


def test_bad_input_is_refused():
    assert_input_error(lambda: power("log"), "method")
    assert_input_error(lambda: power(standardize=1), "standardize")
    bad = POSITIVE.copy()
    bad[4, 2] = 0
    assert "yeo_johnson" in assert_input_error(lambda: power("box_cox").fit(bad), "x", given="0 at [4, 2]")
    state = power("box_cox").fit(POSITIVE)
    assert_input_error(lambda: power("box_cox").transform(state, -POSITIVE), "x")
    assert_input_error(lambda: power("box_cox").transform(state, X), "x")
    assert_input_error(lambda: power("box_cox").inverse_transform(state, X[:, 0]), "x")
    inside = quick_jit(power("box_cox").transform)(state, jnp.asarray(bad, jnp.float32))
    assert np.isnan(inside[4, 2]) and np.isnan(inside).sum() == np.isnan(bad).sum() + 1
