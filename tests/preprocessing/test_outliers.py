"""Intervals of columns, beside numpy's quantiles and SciPy's scores."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann.preprocessing.impute import impute
from jaxann.preprocessing.outliers import inlier_rows, outliers
from tests.contract import assert_input_error
from tests.tolerances import assert_close

stats = pytest.importorskip("scipy.stats")
_ALL = float(np.finfo(np.float32).max)
RULES = ("iqr", "z", "robust_z", "quantiles")
DEFAULTS = {"iqr": 1.5, "z": 3, "robust_z": 3.5, "quantiles": 0.05}


def _data(examples: int = 80, seed: int = 0) -> np.ndarray:
    """Long tails, of which numbers are missing."""
    rng = np.random.default_rng(seed)
    x = rng.standard_t(2, size=(examples, 4)) * [1, 10, 0.1, 3] + [0, 5, 1000, -2]
    x[rng.random(x.shape) < 0.15] = np.nan
    return x


X, NEW = _data(), _data(60, 1)


def _outside(rule: str, t: float, x: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Which numbers of `new` the rule's own words call outliers of x."""
    if rule in ("iqr", "quantiles"):
        first, last = np.nanquantile(x, [0.25, 0.75] if rule == "iqr" else [t, 1 - t], axis=0)
        reach = t * (last - first) if rule == "iqr" else 0
        return (new < first - reach) | (new > last + reach)
    if rule == "z":
        return np.abs(stats.zmap(new, x, nan_policy="omit")) > t
    deviation = stats.median_abs_deviation(x, nan_policy="omit")
    return 0.6745 * np.abs(new - np.nanmedian(x, 0)) / deviation > t


@pytest.mark.parametrize(("rule", "factor"), list(itertools.product(RULES, (None, 0.4, 1.2))))
def test_outliers_are_those_of_numpy_and_scipy(rule: str, factor: float | None):
    t = DEFAULTS[rule] * (1 if factor is None else factor)
    mask = outliers(rule, None if factor is None else t)
    state = mask.fit(X)
    outside = _outside(rule, t, X, NEW)
    assert 0 < outside.sum() < outside.size
    np.testing.assert_array_equal(mask.transform(state, NEW), np.where(outside, np.nan, NEW))
    clipped = outliers(rule, t, action="clip").transform(state, NEW)
    np.testing.assert_array_equal(clipped, np.clip(NEW, state["low"], state["high"]))
    np.testing.assert_array_equal(clipped[~outside], NEW[~outside])
    np.testing.assert_array_equal(inlier_rows(mask, state, NEW), ~outside.any(1))


@pytest.mark.parametrize("rule", RULES)
def test_outliers_lie_outside_of_an_interval(rule: str):
    state, t = outliers(rule).fit(X), DEFAULTS[rule]
    if rule in ("iqr", "quantiles"):
        first, last = np.nanquantile(X, [0.25, 0.75] if rule == "iqr" else [t, 1 - t], axis=0)
        reach = t * (last - first) if rule == "iqr" else 0
        low, high = first - reach, last + reach
    else:
        middle, scale = np.nanmedian(X, 0), stats.median_abs_deviation(X, nan_policy="omit") / 0.6745
        middle, scale = (np.nanmean(X, 0), np.nanstd(X, 0)) if rule == "z" else (middle, scale)
        low, high = middle - t * scale, middle + t * scale
    np.testing.assert_allclose(state["low"], low, rtol=1e-12)
    np.testing.assert_allclose(state["high"], high, rtol=1e-12)


@pytest.mark.parametrize("rule", RULES)
def test_outliers_in_a_program_are_those_of_the_host(rule: str, x64: None):
    mask = outliers(rule)
    state, wanted = mask.fit_transform(X)

    @jax.jit
    def run(x: jax.Array) -> tuple:
        found, z = mask.fit_transform(x)
        return found, z, mask.replace(action="clip").transform(found, x), inlier_rows(mask, found, x)

    found, z, clipped, keep = run(jnp.asarray(X))
    assert_close(found["low"], state["low"], "reduction")
    assert_close(found["high"], state["high"], "reduction")
    np.testing.assert_array_equal(z, wanted)
    assert_close(clipped, mask.replace(action="clip").transform(state, X), "reduction")
    np.testing.assert_array_equal(keep, inlier_rows(mask, state, X))


@pytest.mark.parametrize("rule", RULES)
def test_outliers_learn_the_same_from_pieces(rule: str):
    mask = outliers(rule)
    rng = np.random.default_rng(2)
    for _ in range(3):
        where = rng.random(X.shape) < 0.8
        cuts = np.sort(rng.integers(0, len(X) + 1, 3))
        sums = None
        for piece, counts in zip(np.split(X, cuts), np.split(where, cuts), strict=True):
            sums = mask.partial_fit(sums, piece, counts)
        wanted = mask.fit(np.where(where, X, np.nan))
        for found in (mask.compute(sums), mask.fit(X, where)):
            np.testing.assert_allclose(found["low"], wanted["low"], rtol=1e-12)
            np.testing.assert_allclose(found["high"], wanted["high"], rtol=1e-12)


@pytest.mark.parametrize("rule", RULES)
def test_outliers_of_no_width_are_none(rule: str):
    x = np.stack([np.full(50, 0.1), np.full(50, np.nan), np.full(50, 1e9 / 3), np.full(50, 2.0)], 1)
    x[0, 3] = 3  # all others are equal: for "z" alone the column has a width
    for given in (x, jnp.asarray(x)):
        state = outliers(rule).fit(given)
        ends = np.asarray(state["low"]), np.asarray(state["high"])
        np.testing.assert_array_equal(ends[0][:3], -_ALL)
        np.testing.assert_array_equal(ends[1][:3], _ALL)
        assert (ends[0][3] > -_ALL) == (ends[1][3] < _ALL) == (rule == "z")
        new = np.array([[-1e5, 7, 0, 2]])
        np.testing.assert_array_equal(outliers(rule).transform(state, new), new)
        np.testing.assert_array_equal(outliers(rule, action="clip").transform(state, new), new)
        assert inlier_rows(outliers(rule), state, new).all()
    empty = outliers(rule).fit(np.zeros((0, 2)))
    np.testing.assert_array_equal(empty["high"], [_ALL, _ALL])


def test_outliers_take_one_column_and_many_axes():
    x = np.array([1.0, 2, 3, 4, 100, np.nan])
    mask = outliers()
    state, z = mask.fit_transform(x)
    assert (state["low"], state["high"]) == (-1, 7)
    np.testing.assert_array_equal(z, [1, 2, 3, 4, np.nan, np.nan])
    np.testing.assert_array_equal(inlier_rows(mask, state, x), [1, 1, 1, 1, 0, 1])
    state, z = mask.fit_transform(X.reshape(20, 4, 4))
    np.testing.assert_array_equal(z.reshape(80, 4), mask.fit_transform(X)[1])
    keep = inlier_rows(mask, state, X.reshape(20, 4, 4))
    np.testing.assert_array_equal(keep, inlier_rows(mask, state, X).reshape(20, 4).all(1))
    assert inlier_rows(mask, state, X[:0]).shape == (0,)
    assert mask.transform(state, np.arange(8).reshape(2, 4)).dtype == np.float32
    assert mask.transform(state, jnp.ones((2, 4), jnp.bfloat16)).dtype == jnp.bfloat16


def test_outliers_that_are_masked_can_be_filled_in():
    mask, fill = outliers("robust_z"), impute("median")
    _, masked = mask.fit_transform(X)
    _, z = fill.fit_transform(masked)
    assert np.isfinite(z).all() and np.isnan(masked).sum() > np.isnan(X).sum()


@pytest.mark.parametrize("rule", RULES)
def test_outliers_take_a_traced_threshold(rule: str):
    def clip(threshold: jax.Array) -> jax.Array:
        return outliers(rule, threshold, action="clip").fit_transform(X)[1]

    t = DEFAULTS[rule] / 2
    wanted = clip(t)
    assert isinstance(clip(jnp.asarray(t)), np.ndarray)
    assert_close(jax.jit(clip)(t), wanted, "reduction", jnp.float32)


def test_outliers_pass_derivatives_inside():
    state = {"low": np.array([-1.0]), "high": np.array([1.0])}
    x = jnp.array([[-2.0], [0.5], [3.0], [jnp.nan]])
    for action in ("mask", "clip"):
        rule = outliers(action=action)
        gradient = jax.grad(lambda x, rule=rule: jnp.nansum(rule.transform(state, x)))(x)
        np.testing.assert_array_equal(gradient[:3], [[0], [1], [0]])


def test_outliers_refuse_bad_input():
    assert_input_error(lambda: outliers("tukey"), "rule")
    assert_input_error(lambda: outliers(action="drop"), "action")
    assert_input_error(lambda: outliers("iqr", 0), "threshold")
    assert_input_error(lambda: outliers("z", -1.0), "threshold")
    assert_input_error(lambda: outliers("quantiles", 0.5), "threshold")
    mask = outliers()
    state = mask.fit(X)
    assert_input_error(lambda: mask.fit(np.array([[np.inf]])), "x")
    assert_input_error(lambda: mask.transform(state, X[:, :2]), "x", expected="4 columns")
    assert_input_error(lambda: inlier_rows(mask, state, X[:, :2]), "x", expected="4 columns")
    assert_input_error(lambda: inlier_rows(impute(), state, X), "preprocessor")
    assert_input_error(lambda: inlier_rows("iqr", state, X), "preprocessor")
    assert_input_error(lambda: mask.inverse_transform(state, X), "inverse_transform")
