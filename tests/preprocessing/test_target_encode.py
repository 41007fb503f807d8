"""Mean targets of codes, against scikit-learn's TargetEncoder."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.preprocessing import TargetEncoder

from jaxann.preprocessing.scale import standard
from jaxann.preprocessing.target_encode import cross_fit, target_encode
from jaxann.tune import k_fold, stratified_k_fold
from tests.contract import assert_input_error
from tests.programs import quick_jit

RANDOM = np.random.default_rng(0)
SIZES = (4, 12, 2)
X = np.stack([RANDOM.integers(0, size, 90) for size in SIZES], 1).astype(np.float64)
NUMBERS = X @ [1.0, -0.3, 2.0] + RANDOM.normal(size=90) + 100
CLASSES = (RANDOM.random(90) < 0.2 + 0.15 * X[:, 0]).astype(np.float64)
NEW = np.array([[0, 11, 1], [4, -1, 2], [-1, np.nan, 0], [3, 12, np.nan]])


def pair(smoothing: Any, kind: str, **options: Any) -> tuple[Any, Any]:
    categories = [np.arange(size, dtype=float) for size in SIZES]
    peer = TargetEncoder(categories=categories, smooth=smoothing, target_type=kind, **options)
    return target_encode(SIZES, smoothing=smoothing), peer


@pytest.mark.parametrize("smoothing", ["auto", 0.0, 1.0, 7.5, 1000])
@pytest.mark.parametrize("kind", ["continuous", "binary"])
def test_target_encode_is_scikit_learns(smoothing: Any, kind: str):
    own, peer = pair(smoothing, kind)
    y = NUMBERS if kind == "continuous" else CLASSES
    state, z = own.fit_transform(X, y=y)
    peer.fit(X, y)
    np.testing.assert_allclose(z, peer.transform(X), rtol=1e-12)
    np.testing.assert_allclose(state["encodings"][:, 0], np.concatenate(peer.encodings_), rtol=1e-12)
    np.testing.assert_allclose(state["mean"], peer.target_mean_, rtol=1e-14)
    known = np.where((NEW >= 0) & (np.array(SIZES) > NEW), NEW, 99)
    np.testing.assert_allclose(own.transform(state, NEW), peer.transform(known), rtol=1e-12)
    assert own.transform(state, NEW)[1].tolist() == [y.mean()] * 3
    assert own.feature_names(state, ["a", "b", "c"]) == ("a", "b", "c")


@pytest.mark.parametrize("smoothing", ["auto", 3.0])
def test_several_classes_are_scikit_learns(smoothing: Any):
    own, peer = pair(smoothing, "multiclass")
    labels = RANDOM.integers(0, 3, 90)
    state, z = own.fit_transform(X, y=np.eye(3)[labels])
    np.testing.assert_allclose(z, peer.fit(X, labels).transform(X), rtol=1e-12)
    assert own.feature_names(state, ["a", "b", "c"])[:4] == ("a_0", "a_1", "a_2", "b_0")


@pytest.mark.filterwarnings("ignore:.*shuffle.*")
@pytest.mark.parametrize("smoothing", ["auto", 2.0])
def test_cross_fit_is_scikit_learns_fit_transform(smoothing: Any):
    splitter = KFold(5, shuffle=True, random_state=3)
    own, peer = pair(smoothing, "continuous", cv=splitter)
    z = cross_fit(own, X, NUMBERS, folds=splitter.split(X))
    np.testing.assert_allclose(z, peer.fit_transform(X, NUMBERS), rtol=1e-12)
    folds = stratified_k_fold(CLASSES.astype(int), 4)
    own, peer = pair(smoothing, "binary", cv=StratifiedKFold(4))
    np.testing.assert_allclose(cross_fit(own, X, CLASSES, folds=folds), peer.fit_transform(X, CLASSES), rtol=1e-12)


def test_no_row_sees_its_own_target():
    own = target_encode(SIZES)
    for folds, key in ((3, None), (4, jax.random.key(2)), (90, None), (k_fold(90, 5), None)):
        z = cross_fit(own, X, NUMBERS, folds=folds, key=key)
        for row in (0, 17, 89):
            other = NUMBERS.copy()
            other[row] += 1000.0
            changed = cross_fit(own, X, other, folds=folds, key=key)
            np.testing.assert_array_equal(changed[row], z[row])
            assert (changed != z).any()
    noise, unique = RANDOM.normal(size=90), np.arange(90)
    alone = target_encode((90,), smoothing=0)
    assert np.corrcoef(alone.fit_transform(unique, y=noise)[1][:, 0], noise)[0, 1] > 0.999  # what leaks
    assert abs(np.corrcoef(cross_fit(alone, unique, noise)[:, 0], noise)[0, 1]) < 0.5
    left_out = cross_fit(alone, np.zeros(90, int), NUMBERS, folds=90)[:, 0]  # float32, as codes are whole numbers
    np.testing.assert_allclose(left_out, (NUMBERS.sum() - NUMBERS) / 89, rtol=1e-6)


def test_cross_fit_of_what_counts_and_in_a_program():
    own, where = target_encode(SIZES, smoothing=1.0), RANDOM.random(90) < 0.7
    z = cross_fit(own, X, NUMBERS, folds=3, where=where)
    for fold in range(3):
        rows = np.arange(90) % 3 == fold
        state = own.fit(X[~rows & where], y=NUMBERS[~rows & where])
        np.testing.assert_allclose(z[rows], own.transform(state, X[rows]), rtol=1e-12)
    inside = quick_jit(lambda x, y, where: cross_fit(own, x, y, folds=3, where=where))
    np.testing.assert_allclose(inside(jnp.asarray(X), jnp.asarray(NUMBERS), where), z, rtol=1e-5)
    shuffled = quick_jit(lambda key: cross_fit(own, X, NUMBERS, folds=3, key=key))
    key = jax.random.key(1)
    np.testing.assert_allclose(shuffled(key), cross_fit(own, X, NUMBERS, folds=3, key=key), rtol=1e-5)


@pytest.mark.parametrize("smoothing", ["auto", 2.0])
def test_pieces_and_missing_targets_and_what_counts(smoothing: Any):
    own = target_encode(SIZES, smoothing=smoothing)
    x = np.where(RANDOM.random(X.shape) < 0.1, np.nan, X)
    y = np.stack([NUMBERS + 1e7, CLASSES], 1)
    y[RANDOM.random(y.shape) < 0.1] = np.nan
    where = RANDOM.random(X.shape) < 0.6
    for mask in (None, where, where[:, 0]):
        expected = own.fit(x, mask, y)
        full = np.ones_like(where) if mask is None else np.broadcast_to(mask.reshape(90, -1), where.shape)
        for target in range(2):
            t = y[:, target]
            there = full.any(1) & ~np.isnan(t)
            mean, variance = t[there].mean(), t[there].var()
            np.testing.assert_allclose(expected["mean"][target], mean, rtol=1e-13)
            for code in range(4):
                own_targets = t[full[:, 0] & (x[:, 0] == code) & ~np.isnan(t)]
                n, m = len(own_targets), own_targets.mean()
                s = own_targets.var() / variance if smoothing == "auto" else smoothing
                np.testing.assert_allclose(
                    expected["encodings"][code, target], (n * m + s * mean) / (n + s), rtol=1e-12
                )
        for cuts in ([1, 2, 40], [89], [30, 60]):
            sums = None
            for rows in np.split(np.arange(90), cuts)[::-1]:
                sums = own.partial_fit(sums, x[rows], None if mask is None else mask[rows], y[rows])
            found = own.compute(sums)
            for name in expected:
                np.testing.assert_allclose(found[name], expected[name], rtol=1e-12)


@pytest.mark.parametrize("smoothing", ["auto", 2.0])
def test_a_program_learns_and_changes_the_same(smoothing: Any):
    own = target_encode(SIZES, smoothing=smoothing)
    x = np.where(RANDOM.random(X.shape) < 0.1, np.nan, X)
    where = RANDOM.random(90) < 0.8
    y = np.stack([NUMBERS, CLASSES], 1)
    state = own.fit(x, where, y)
    inside = quick_jit(own.fit)(jnp.asarray(x), where, jnp.asarray(y))
    for name in state:
        np.testing.assert_allclose(inside[name], state[name], rtol=1e-5)
    z = quick_jit(own.transform)(state, jnp.asarray(NEW))
    assert z.dtype == np.float32 and isinstance(z, jax.Array)
    np.testing.assert_allclose(z, own.transform(state, NEW), rtol=1e-6)
    assert isinstance(own.fit(x, y=jnp.asarray(y))["mean"], jax.Array)


def test_smoothing_may_be_traced():
    def encoded(smoothing):
        return target_encode(SIZES, smoothing=smoothing).fit(jnp.asarray(X), None, jnp.asarray(NUMBERS))["encodings"]

    values = jnp.array([0.5, 4.0])
    many = jax.vmap(encoded)(values)
    for smoothing, found in zip((0.5, 4.0), many, strict=True):
        np.testing.assert_allclose(found, target_encode(SIZES, smoothing=smoothing).fit(X, None, NUMBERS)["encodings"],
                                   rtol=1e-5)  # fmt: skip
    slope = jax.grad(lambda s: encoded(s).sum())(4.0)
    step = [target_encode(SIZES, smoothing=s).fit(X, None, NUMBERS)["encodings"].sum() for s in (3.999, 4.001)]
    np.testing.assert_allclose(slope, (step[1] - step[0]) / 0.002, rtol=1e-2)


@pytest.mark.parametrize("smoothing", ["auto", 0.0, 2.0])
def test_constant_targets_and_codes_of_no_examples(smoothing: Any):
    own = target_encode((2, 3, 0), smoothing=smoothing)
    x = np.array([[0, np.nan, 0], [0, -1, 0], [0, 7, 0]])
    state, z = own.fit_transform(x, y=np.array([0.1, 0.1, 0.1]))
    np.testing.assert_allclose(z, 0.1, rtol=1e-14)
    np.testing.assert_allclose(state["encodings"], np.full((5, 1), 0.1), rtol=1e-14)
    state = own.fit(x, np.zeros(3, bool), np.array([1.0, 2.0, 3.0]))
    assert np.isfinite(own.transform(state, x)).all()
    state = own.fit(x, y=np.full(3, np.nan))
    assert np.isfinite(state["encodings"]).all() and state["mean"].tolist() == [0]
    alone = target_encode((2,), smoothing=0)
    state, z = alone.fit_transform(np.array([0, 1, 1]), y=np.array([True, False, True]))
    assert z.tolist() == [[1.0], [0.5], [0.5]] and alone.transform(state, np.zeros((0,), int)).shape == (0, 1)


def test_bad_options_and_data_are_refused():
    for bad in (3, None, (), (2, -1)):
        assert_input_error(lambda bad=bad: target_encode(bad), "sizes")
    for bad in ("none", -1.0, float("nan"), None):
        assert_input_error(lambda bad=bad: target_encode(SIZES, smoothing=bad), "smoothing")
    own = target_encode(SIZES)
    state = own.fit(X, None, NUMBERS)
    for bad in (X[:, :2], X + 0.5, X.astype(str), X[:, None]):
        assert_input_error(lambda bad=bad: own.fit(bad, None, NUMBERS), "x")
    assert_input_error(lambda: own.transform(state, X[:, :2]), "x")
    assert_input_error(lambda: own.transform(state, X + 0.5), "x")
    assert_input_error(lambda: target_encode((4, 12, 3)).transform(state, X), "state")
    assert_input_error(lambda: own.fit(X), "y", given="None")
    assert_input_error(lambda: own.partial_fit(None, X), "y", given="None")
    for bad in (NUMBERS[:-1], NUMBERS[:, None, None], NUMBERS.astype(str), NUMBERS.tolist(), NUMBERS * np.inf):
        assert_input_error(lambda bad=bad: own.fit(X, None, bad), "y")
        assert_input_error(lambda bad=bad: cross_fit(own, X, bad), "y")
    a, b = own.partial_fit(None, X, None, NUMBERS), own.partial_fit(None, X, None, np.eye(3)[np.arange(90) % 3])
    assert_input_error(lambda: own.merge(a, b), "sums")
    for bad in (1, 91, 2.5, "5", None, [(np.arange(90), np.arange(90))], [(np.arange(45), np.arange(45, 90))], []):
        assert_input_error(lambda bad=bad: cross_fit(own, X, NUMBERS, folds=bad), "folds")
    assert_input_error(lambda: cross_fit(own, X, NUMBERS, folds=k_fold(90, 3), key=jax.random.key(0)), "key")
    assert_input_error(lambda: cross_fit(own, X, NUMBERS, key=0), "key")
    assert_input_error(lambda: cross_fit(TargetEncoder(), X, NUMBERS), "preprocessor")
    assert not standard().traits & {"reads_targets"} and "reads_targets" in own.traits
    assert_input_error(lambda: own.inverse_transform(state, X), "inverse_transform")
