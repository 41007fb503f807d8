"""Codes of categories, against scikit-learn's OrdinalEncoder and against plain Python."""

from __future__ import annotations

import datetime
import decimal
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.preprocessing import OrdinalEncoder

from jaxann.core.trees import flatten_named, unflatten_named
from jaxann.io import load_arrays, save_arrays
from jaxann.preprocessing.ordinal import ordinal, sizes
from tests.contract import assert_input_error

RANDOM = np.random.default_rng(0)
WORDS = np.array(["red", "green", "blue", "Grün", "", "日本", "a longer text", "z" * 40], object)


def mixed(rows: int = 60) -> np.ndarray:
    """Three columns of everything at once."""
    pool = [
        1,
        1.0,
        True,
        False,
        "1",
        "True",
        0.1,
        -3,
        2**53 + 1,
        float(2**53),
        "b",
        None,
        float("nan"),
        np.float32(2.5),
    ]
    pool += [np.int8(7), np.bool_(True), np.str_("b"), np.datetime64("NaT"), 1e300, float("inf")]
    x = np.empty((rows, 3), object)
    x.reshape(-1)[:] = [pool[i] for i in RANDOM.integers(0, len(pool), rows * 3)]
    return x


def key(value: Any) -> Any:
    """What a value is, told apart as the docstring says; None where it is missing."""
    value = value.item() if isinstance(value, np.generic) else value
    if value is None or value != value:
        return None
    return (0 if isinstance(value, bool) else 2 if isinstance(value, str) else 1, value)


def assert_same_state(found: Any, expected: Any) -> None:
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("dtype", [object, str, "numbers", "floats", np.dtypes.StringDType()])
def test_ordinal_is_scikit_learns(dtype: Any):
    codes = RANDOM.integers(0, len(WORDS), (200, 3))
    if isinstance(dtype, str):
        x = codes * 3 - 7 if dtype == "numbers" else np.where(codes == 2, np.nan, codes / 8)
    else:
        x = WORDS[codes].astype(dtype)
    peer = OrdinalEncoder(encoded_missing_value=-1).fit(x.astype(object) if dtype == np.dtypes.StringDType() else x)
    state, z = ordinal().fit_transform(x)
    assert z.dtype == np.int32 and z.shape == x.shape
    np.testing.assert_array_equal(z, peer.transform(x.astype(object) if dtype == np.dtypes.StringDType() else x))
    again = ordinal().inverse_transform(state, z)
    assert again.dtype == object
    assert [key(v) for v in again.reshape(-1)] == [key(v) for v in x.reshape(-1).tolist()]


@pytest.mark.parametrize("min_frequency", [None, 10, 25, 0.05, 0.2])
@pytest.mark.parametrize("max_categories", [None, 1, 2, 4, 6, 20])
def test_rare_values_are_those_of_scikit_learn(min_frequency: float | None, max_categories: int | None):
    shares = np.array([8, 1, 5, 5, 2, 1, 0.5, 3])
    x = np.stack([WORDS[RANDOM.choice(8, 150, p=shares / shares.sum())] for _ in range(3)], 1)
    own = ordinal(unknown="rare", min_frequency=min_frequency, max_categories=max_categories)
    other = np.append(x[:20], [["unheard of"] * 3], 0)
    peer = OrdinalEncoder(
        min_frequency=min_frequency,
        max_categories=max_categories,
        handle_unknown="use_encoded_value",
        unknown_value=-1,
    ).fit(x)
    state, z = own.fit_transform(x)
    np.testing.assert_array_equal(z, peer.transform(x))
    np.testing.assert_array_equal(own.transform(state, other)[:-1], peer.transform(other)[:-1])
    assert own.transform(state, other)[-1].tolist() == [size - 1 for size in sizes(state)]
    if max_categories is not None:
        assert max(sizes(state)) <= max_categories
    missing = own.replace(unknown="missing")
    plain = missing.fit(x)
    np.testing.assert_array_equal(missing.transform(plain, other)[-1], -1)
    np.testing.assert_array_equal(missing.transform(plain, x), z)


def test_the_code_of_rare_values_counts_as_one_and_leads_to_none():
    x = np.array(["a", "b", "b", "c", "c", "c", None], object)
    plain = ordinal(max_categories=3)
    assert plain.fit_transform(x)[1].tolist() == [0, 1, 1, 2, 2, 2, -1]  # as many as may be: nobody is rare
    reserved = ordinal(max_categories=3, unknown="rare")
    state, z = reserved.fit_transform(x)
    assert z.tolist() == [2, 0, 0, 1, 1, 1, -1] and sizes(state) == (3,)
    assert reserved.inverse_transform(state, z).tolist() == [None, "b", "b", "c", "c", "c", None]
    assert sizes(ordinal(unknown="rare").fit(x)) == (4,)
    share = ordinal(min_frequency=0.5)  # of the six that are there
    assert share.fit_transform(x)[1].tolist() == [1, 1, 1, 0, 0, 0, -1]


def test_values_of_several_kinds_are_told_apart():
    x = mixed()
    own = ordinal()
    state, z = own.fit_transform(x)
    for column in range(3):
        known = {key(v) for v in x[:, column]} - {None}
        order = sorted(known)
        expected = [-1 if key(v) is None else order.index(key(v)) for v in x[:, column]]
        assert z[:, column].tolist() == expected
        assert sizes(state)[column] == len(known)
    again = own.inverse_transform(state, z)
    assert [key(v) for v in again.reshape(-1)] == [key(v) for v in x.reshape(-1)]
    assert {type(v) for v in again.reshape(-1)} <= {str, int, float, bool, type(None)}
    flags = np.array([True, False])
    assert ordinal(unknown="missing").transform(ordinal().fit(flags), np.array([1, 0])).tolist() == [-1, -1]


@pytest.mark.parametrize("unknown", ["error", "rare"])
def test_pieces_in_any_split_are_the_whole(unknown: str):
    own = ordinal(unknown=unknown, min_frequency=3, max_categories=7)
    x, where = mixed(), RANDOM.random((60, 3)) < 0.8
    for mask in (None, where, where[:, 0]):
        expected = own.fit(x, mask)
        for cuts in ([1, 2, 30], [59], []):
            rows = np.split(np.arange(60), cuts)
            sums = None
            for one in rows[::-1]:
                sums = own.partial_fit(sums, x[one], None if mask is None else mask[one])
            assert_same_state(own.compute(sums), expected)


def test_where_leaves_values_out():
    x = np.array([["a", 1], ["b", 2], ["c", 3]], object)
    state = ordinal().fit(x, np.array([[True, False], [True, True], [False, True]]))
    z = ordinal(unknown="missing").transform(state, x)
    assert z.tolist() == [[0, -1], [1, 0], [-1, 1]]
    assert_same_state(ordinal().fit(x, np.array([True, False, True])), ordinal().fit(x[[0, 2]]))
    assert_input_error(lambda: ordinal().fit(x, np.array([True])), "where", given="(1,)")


def test_given_categories_keep_their_order():
    own = ordinal(categories=[["S", "M", "L"], [2, 0, True]], unknown="missing")
    x = np.array([["L", 0], ["S", True], ["XL", 2.0], [None, 1]], object)
    state, z = own.fit_transform(x)
    assert z.tolist() == [[2, 1], [0, 2], [-1, 0], [-1, -1]]
    assert sizes(state) == (3, 3)
    message = assert_input_error(
        lambda: own.replace(unknown="error").fit(x), "x", given="'XL' in row 2", expected="'M'"
    )
    assert "column 0" in message and "unknown=" in message
    own.replace(unknown="error").fit(x, np.array([True, True, False, False]))  # what does not count is not looked at
    rare = own.replace(unknown="rare", min_frequency=1)  # M and L twice, XL is none
    assert rare.fit_transform(np.array([["M", 2], ["M", 2], ["L", 0], ["XL", 7]], object))[1].tolist() == [
        [0, 0],
        [0, 0],
        [1, 1],
        [2, 2],
    ]


def test_a_state_outlives_a_file_and_a_device_of_32_bits(tmp_path: Path):
    x = np.array([0.1, 2**60 + 1, 2**60, -(2**70), 1e-300, np.nan, 5, "é\ud800", ""], object)
    own = ordinal()
    state, z = own.fit_transform(x)
    save_arrays(tmp_path / "state.safetensors", flatten_named(state))
    stored = unflatten_named(load_arrays(tmp_path / "state.safetensors")[0])
    for other in (stored, jax.tree.map(jnp.asarray, state)):
        np.testing.assert_array_equal(own.transform(other, x), z)
        assert own.inverse_transform(other, z).tolist()[:5] == x.tolist()[:5]
        assert sizes(other) == (8,)


def test_empty_columns_rows_and_numbers_of_jax():
    x = np.array([[None, "a"], [np.nan, "a"]], object)
    state, z = ordinal().fit_transform(x)
    assert z.tolist() == [[-1, 0], [-1, 0]] and sizes(state) == (0, 1)
    assert ordinal().inverse_transform(state, z).tolist() == [[None, "a"], [None, "a"]]
    assert ordinal().transform(state, x[:0]).shape == (0, 2)
    assert sizes(ordinal().fit(x[:0])) == (0, 0)
    bits = jnp.array([[0.5], [2.0], [jnp.nan]], jnp.bfloat16)
    assert ordinal().fit_transform(bits)[1].tolist() == [[0], [1], [-1]]
    pictures = RANDOM.integers(0, 3, (4, 5, 2))
    assert ordinal().fit_transform(pictures)[1].tolist() == pictures.tolist()
    many = WORDS[RANDOM.integers(0, 8, (30, 12))]
    state = ordinal().fit(many)
    np.testing.assert_array_equal(
        ordinal().inverse_transform(jax.tree.map(np.copy, state), state_codes(state, many)), many
    )
    assert ordinal().feature_names(state, [f"c{i}" for i in range(12)])[11] == "c11"


def state_codes(state: Any, x: np.ndarray) -> np.ndarray:
    return np.stack([np.searchsorted(np.unique(x[:, i]), x[:, i]) for i in range(x.shape[1])], 1).astype(np.float32)


class NAType:
    """As pandas' NA, which has no truth value."""

    def __eq__(self, other: object) -> Any:
        return self

    def __bool__(self) -> bool:
        raise TypeError("boolean value of NA is ambiguous")

    __hash__ = object.__hash__


class Frame:
    """Something that numpy makes an array of."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.array([["a", NAType()], ["b", 1]], object)


def test_data_frames_and_their_missing_values():
    assert ordinal().fit_transform(Frame())[1].tolist() == [[0, -1], [1, 0]]  # pyright: ignore[reportArgumentType]


def test_unknown_values_are_named():
    state = ordinal().fit(np.array([["a", 1], ["b", 2]] + [[f"c{i}", 3] for i in range(20)], object))
    new = np.array([["a", 1], ["zebra", 2], ["y", True]], object)
    message = assert_input_error(lambda: ordinal().transform(state, new), "x", given="'zebra' in row 1 (2 unknown)")
    assert "'a', 'b', 'c0', 'c1', 'c10', ... (22)" in message
    assert_input_error(lambda: ordinal().transform(state, new[[0, 0]][:, [0, 0]]), "x", expected="column 1")
    flagged = np.array([["a", True]], object)
    assert_input_error(
        lambda: ordinal().transform(state, flagged), "x", given="True in row 0", expected="one of 1, 2, 3"
    )
    long = np.array([["x" * 500, 1]], object)
    assert_input_error(lambda: ordinal().transform(state, long), "x")


def test_bad_options_and_data_are_refused():
    assert_input_error(lambda: ordinal(unknown="ignore"), "unknown")
    for bad in (0, 1.0, 0.0, -1, True, "3", float("nan")):
        assert_input_error(lambda bad=bad: ordinal(min_frequency=bad), "min_frequency")
    for bad in (0, 1.5, True):
        assert_input_error(lambda bad=bad: ordinal(max_categories=bad), "max_categories")
    for bad in ("abc", ("a", "b"), (), (("a", None),), (("a", "a"),), ((1, 1.0),), ((b"a",),)):
        assert_input_error(lambda bad=bad: ordinal(categories=bad), "categories")
    own, x = ordinal(), np.array([["a"], ["b"]], object)
    state = own.fit(x)
    for bad in (
        [["a"]],
        np.array("a"),
        np.array([1j]),
        np.array(["2020-01-01"], "datetime64[D]"),
        np.array([b"a"]),
        None,
    ):
        assert_input_error(lambda bad=bad: own.fit(bad), "x")
    for bad in (b"a", [1], 1j, decimal.Decimal(1), datetime.date(2020, 1, 1), np.datetime64("2020-01-01")):
        column = np.array(["a", None], object)
        column[1] = bad
        assert_input_error(lambda column=column: own.fit(column), "x", given="row 1 of column 0")
    assert_input_error(lambda: own.fit(np.ma.masked_array([1, 2], [True, False])), "x")
    assert_input_error(lambda: own.transform(state, np.array([["a", "b"]], object)), "x", given="2")
    assert_input_error(lambda: own.merge(own.partial_fit(None, x), own.partial_fit(None, x[:, [0, 0]])), "sums")
    for bad in (np.array([[2]]), np.array([[-2]]), np.array([[0.5]]), np.array([[0, 0]])):
        assert_input_error(lambda bad=bad: own.inverse_transform(state, bad), "z")
    assert own.inverse_transform(state, np.array([[np.nan]])).tolist() == [[None]]
    with pytest.raises(Exception, match="ordinal: x must be known when it is called"):
        jax.jit(own.fit)(jnp.arange(3))
