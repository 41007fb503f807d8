"""Columns of zeros and ones, against scikit-learn's OneHotEncoder."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.preprocessing import OneHotEncoder

from jaxann.preprocessing.one_hot import one_hot
from jaxann.preprocessing.ordinal import ordinal, sizes
from tests.contract import assert_input_error
from tests.programs import quick_jit

RANDOM = np.random.default_rng(0)
SIZES = (3, 2, 5, 1)
X = np.stack([RANDOM.integers(0, size, 60) for size in SIZES], 1)
WILD = np.array([[0, 1, 4, 0], [3, -1, 4, 1], [-2, 2, 5, -1], [2, 0, 0, 0]])


@pytest.mark.parametrize("drop", [None, "first", "if_binary"])
@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.float64, np.float32, np.uint8])
def test_one_hot_is_scikit_learns(drop: str | None, dtype: Any):
    peer = OneHotEncoder(
        categories=[np.arange(size) for size in SIZES], drop=drop, sparse_output=False, handle_unknown="error"
    ).fit(X)
    own, x = one_hot(SIZES, drop=drop), X.astype(dtype)
    state, z = own.fit_transform(x)
    assert state == {} and z.dtype == (dtype if np.dtype(dtype).kind == "f" else np.float32)
    np.testing.assert_array_equal(z, peer.transform(X))
    again = own.inverse_transform(state, z)
    assert again.dtype == np.int32
    np.testing.assert_array_equal(again, X)
    learned, found = own.replace(sizes=None).fit_transform(x)
    np.testing.assert_array_equal(found, z)
    assert {name: codes.tolist() for name, codes in learned.items()} == {
        f"column{i}": list(range(size)) for i, size in enumerate(SIZES)
    }
    names = own.feature_names(state, ["a", "b", "c", "d"])
    assert list(names) == peer.get_feature_names_out(["a", "b", "c", "d"]).tolist()


@pytest.mark.filterwarnings("ignore:Found unknown categories")
@pytest.mark.parametrize("drop", [None, "if_binary"])
def test_unknown_codes_are_zeros_as_scikit_learns(drop: str | None):
    peer = OneHotEncoder(
        categories=[np.arange(size) for size in SIZES], drop=drop, sparse_output=False, handle_unknown="ignore"
    ).fit(X)
    own = one_hot(SIZES, drop=drop)
    z = own.transform({}, WILD)
    np.testing.assert_array_equal(z, peer.transform(WILD))
    expected = peer.inverse_transform(z)
    assert own.inverse_transform({}, z).tolist() == np.where(expected == None, -1, expected).tolist()  # noqa: E711
    missing = np.where(WILD == -1, np.nan, WILD)
    np.testing.assert_array_equal(own.transform({}, missing), z)


def test_other_codes_have_a_column_of_their_own():
    own = one_hot(SIZES, unknown="other")
    z = own.transform({}, WILD)
    known = (WILD >= 0) & (np.array(SIZES) > WILD)
    expected = np.where(known, WILD, SIZES)
    for i, (start, size) in enumerate(zip(np.cumsum([0, 4, 3, 6]), SIZES, strict=True)):
        np.testing.assert_array_equal(z[:, start : start + size + 1], np.eye(size + 1)[expected[:, i]])
    assert own.inverse_transform({}, z).tolist() == np.where(known, WILD, -1).tolist()
    assert own.feature_names({}, ["a", "b", "c", "d"])[2:5] == ("a_2", "a_other", "b_0")
    dropped = own.replace(drop="first")
    assert dropped.inverse_transform({}, dropped.transform({}, WILD)).tolist() == np.where(known, WILD, -1).tolist()
    binary = own.replace(drop="if_binary")  # one code and the others are two
    names = binary.feature_names({}, ["a", "b", "c", "d"])
    assert names[4:7] == ("b_0", "b_1", "b_other") and names[-2:] == ("c_other", "d_other")
    assert binary.transform({}, WILD)[:, -1].tolist() == [0, 1, 1, 0] and binary.transform({}, WILD).shape == (4, 14)


def test_unknown_codes_are_refused_where_they_can_be_looked_at():
    own = one_hot(SIZES, unknown="error")
    assert_input_error(lambda: own.transform({}, WILD), "x", given="3 in row 1", expected="from 0 to 2 in column 0")
    assert_input_error(lambda: own.transform({}, np.where(X == 4, np.nan, X)), "x", given="nan", expected="column 2")
    assert_input_error(lambda: own.transform({}, X - (X == 4)[:, ::-1]), "x", given="-1", expected="column 1")
    np.testing.assert_array_equal(quick_jit(own.transform)({}, jnp.asarray(WILD)), one_hot(SIZES).transform({}, WILD))


@pytest.mark.parametrize("unknown", ["ignore", "other"])
@pytest.mark.parametrize("drop", [None, "first"])
def test_a_program_does_the_same(unknown: str, drop: str | None):
    own = one_hot(unknown=unknown, drop=drop)
    state = own.fit(X)
    for x in (WILD, np.where(WILD < 0, np.nan, WILD).astype(np.float32)):
        z = own.transform(state, x)
        inside = quick_jit(own.transform)(jax.tree.map(jnp.asarray, state), jnp.asarray(x))
        assert isinstance(inside, jax.Array) and inside.dtype == np.float32
        np.testing.assert_array_equal(inside, z)
    again = quick_jit(own.inverse_transform)(state, jnp.asarray(z))
    assert again.dtype == np.int32
    np.testing.assert_array_equal(again, own.inverse_transform(state, z))
    np.testing.assert_array_equal(jax.vmap(own.transform, (None, 0))(state, jnp.asarray(WILD)[None])[0], z)
    gradient = jax.grad(lambda x: own.transform(state, x).sum())(jnp.ones((2, 4)))
    np.testing.assert_array_equal(gradient, 0)


def test_sizes_are_learned_on_the_host_alone():
    own = one_hot()
    x = jnp.asarray(X)
    assert_input_error(lambda: jax.eval_shape(own.fit, x), "sizes", given="None", expected="program")
    state = own.fit(x)
    assert [len(state[f"column{i}"]) for i in range(4)] == list(SIZES)
    assert quick_jit(one_hot(SIZES).fit)(x) == {}


def test_sizes_from_pieces_and_from_what_counts():
    own, where = one_hot(), RANDOM.random((60, 4)) < 0.1
    x = np.where(RANDOM.random(X.shape) < 0.2, np.nan, X)
    for mask in (None, where, where[:, 1]):
        expected = own.fit(x, mask)
        for cuts in ([1, 20], [59]):
            sums = None
            for rows in np.split(np.arange(60), cuts):
                sums = own.partial_fit(sums, x[rows], None if mask is None else mask[rows])
            found = own.compute(sums)
            assert {n: v.tolist() for n, v in found.items()} == {n: v.tolist() for n, v in expected.items()}
    counts = [int(np.nanmax(np.where(where[:, i], x[:, i], -1), initial=-1)) + 1 for i in range(4)]
    learned = own.fit(x, where)
    assert [len(learned[f"column{i}"]) for i in range(4)] == counts


def test_columns_of_one_code_and_of_none():
    x = np.array([[-1.0, np.nan, 0], [-1, np.nan, 0]])
    state, z = one_hot().fit_transform(x)
    assert z.tolist() == [[1.0], [1.0]]
    assert one_hot().inverse_transform(state, z).tolist() == [[-1, -1, 0], [-1, -1, 0]]
    assert one_hot(drop="first").transform(state, x).shape == (2, 0)
    assert one_hot(drop="first").inverse_transform(state, np.zeros((2, 0))).tolist() == [[-1, -1, 0], [-1, -1, 0]]
    assert one_hot(unknown="other").transform(state, x).tolist() == [[1, 1, 1, 0], [1, 1, 1, 0]]
    assert one_hot().fit_transform(x[:0])[1].shape == (0, 0)
    alone, z = one_hot().fit_transform(np.array([1, 0, 2]))
    assert z.tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 1]] and list(alone) == ["column0"]
    assert one_hot((2, 2)).transform({}, [[0, 1]]).tolist() == [[1, 0, 0, 1]]
    pictures = RANDOM.integers(0, 3, (4, 5, 2))
    np.testing.assert_array_equal(one_hot((3, 3)).transform({}, pictures).reshape(4, 5, 2, 3), np.eye(3)[pictures])
    np.testing.assert_array_equal(one_hot((2,)).transform({}, np.array([[True], [False]])), [[0, 1], [1, 0]])


def test_the_nearest_codes_lead_back():
    z = np.array([[0.2, 0.3, 0.1, 0.9], [0.0, 0.0, 0.0, -0.2]])
    assert one_hot((3, 1)).inverse_transform({}, z).tolist() == [[1, 0], [-1, 0]]
    assert one_hot((4, 2), drop="first").inverse_transform({}, z).tolist() == [[0, 1], [0, 0]]


def test_texts_go_through_both():
    words = np.array([["a", "x"], ["b", None], ["c", "y"]], object)
    codes_of = ordinal(unknown="missing")
    state, codes = codes_of.fit_transform(words)
    z = one_hot(sizes(state)).transform({}, codes)
    assert z.tolist() == [[1, 0, 0, 1, 0], [0, 1, 0, 0, 0], [0, 0, 1, 0, 1]]
    again = codes_of.inverse_transform(state, one_hot(sizes(state)).inverse_transform({}, z))
    assert again.tolist() == words.tolist()


def test_bad_options_and_data_are_refused():
    assert_input_error(lambda: one_hot(unknown="missing"), "unknown")
    assert_input_error(lambda: one_hot(drop="last"), "drop")
    for bad in (3, (), (3, -1), (2.0,), (True,), "ab"):
        assert_input_error(lambda bad=bad: one_hot(bad), "sizes")
    own = one_hot(SIZES)
    for bad in (X[:, :2], X[:, 0], X + 0.5, X.astype(str), [[0, 1, 0]], np.full((2, 4), np.inf)):
        for call in (own.fit, lambda x: own.transform({}, x)):
            assert_input_error(lambda bad=bad, call=call: call(bad), "x")
    assert_input_error(lambda: own.transform({}, np.array([[0, 0.25, 0, 0]])), "x", given="0.25")
    assert_input_error(lambda: own.inverse_transform({}, np.zeros((2, 12))), "z", expected="11 columns")
    assert_input_error(lambda: own.feature_names({}, ["a"]), "names")
    assert_input_error(lambda: one_hot().fit(X, np.ones(3, bool)), "where")
