"""The search space: there and back through the unit cube, conditions, and what is refused."""

from __future__ import annotations

import math

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxann import tune
from tests.contract import assert_input_error

FINITE = st.floats(-1e100, 1e100)
POSITIVE = st.floats(1e-300, 1e300)
OPTIONS = st.one_of(
    st.integers(-5, 5), st.floats(-2, 2), st.text(max_size=3), st.booleans(), st.none(), st.tuples(st.integers(1, 3))
)


def _different(options):
    return all(a != b or isinstance(a, bool) != isinstance(b, bool) for i, a in enumerate(options) for b in options[:i])


@st.composite
def dimensions(draw):
    kind = draw(st.sampled_from(("uniform", "log_uniform", "integer", "log_integer", "choice")))
    if kind == "uniform":
        low, high = sorted(draw(st.lists(FINITE, min_size=2, max_size=2, unique=True)))
        return tune.uniform(low, high)
    if kind == "log_uniform":
        low, high = sorted(draw(st.lists(POSITIVE, min_size=2, max_size=2, unique_by=math.log)))
        return tune.log_uniform(low, high)
    if kind == "choice":
        return tune.choice(draw(st.lists(OPTIONS, min_size=1, max_size=6).filter(_different)))
    lowest = 1 if kind == "log_integer" else -(2**31)
    low, high = sorted(draw(st.lists(st.integers(lowest, 2**31 - 1), min_size=2, max_size=2)))
    return tune.integer(low, high, log=kind == "log_integer")


def _one(columns):
    return {name: column[0].item() if isinstance(column, np.ndarray) else column[0] for name, column in columns.items()}


@settings(max_examples=100, deadline=None)
@given(st.lists(dimensions(), min_size=1, max_size=4), st.data())
def test_decode_gives_back_what_encode_took(several, data):
    space = {f"name{i}": dimension for i, dimension in enumerate(several)}
    point = np.array([[data.draw(st.floats(0, 1)) for _ in space]])
    setting = _one(tune.decode(space, point))
    code = tune.encode(space, setting)
    assert code.shape == (len(space),) and code.min() >= 0 and code.max() <= 1
    again = _one(tune.decode(space, code[None]))
    for name, value in setting.items():
        if isinstance(value, float) and hasattr(space[name], "low"):
            scale = (
                abs(value)
                if space[name] == tune.log_uniform(1, 2)
                else max(abs(space[name].low), abs(space[name].high))
            )
            assert abs(again[name] - value) <= 1e-12 * scale
        else:
            assert again[name] == value and type(again[name]) is type(value)


@settings(max_examples=100, deadline=None)
@given(dimensions())
def test_ends_are_exact_and_order_is_kept(dimension):
    column = tune.decode({"a": dimension}, np.linspace(0, 1, 7)[:, None])["a"]
    if hasattr(dimension, "options"):
        assert column[0] == dimension.options[0] and column[-1] == dimension.options[-1]
    else:
        assert column[0] == dimension.low and column[-1] == dimension.high
        values = column.astype(np.float64)
        assert (np.diff(values) >= -1e-12 * np.abs(values).max()).all()  # neighbouring floats may round apart


def test_decode_follows_the_formulas():
    space = {"a": tune.uniform(-1, 3), "b": tune.log_uniform(1e-4, 1.0), "c": tune.integer(0, 3), "d": ["x", "y"]}
    half = tune.decode(space, [[0.25, 0.5, 0.5, 0.49], [0.5, 0.75, 0.249, 0.5]])
    np.testing.assert_allclose(half["a"], [0.0, 1.0], atol=1e-15)
    np.testing.assert_allclose(half["b"], [1e-2, 1e-1], rtol=1e-14)
    assert half["c"].tolist() == [2, 0] and half["d"] == ["x", "y"]
    np.testing.assert_allclose(
        tune.encode(space, {"a": 0.0, "b": 1e-2, "c": 2, "d": "y"}), [0.25, 0.5, 0.625, 0.75], atol=1e-15
    )


def test_ends_of_integers_are_integers_of_any_kind():
    assert tune.integer(np.int8(1), jnp.int32(5)) == tune.integer(1, 5)


@pytest.mark.parametrize("log", (False, True))
def test_integer_shares_follow_the_scale(log: bool):
    unit = (np.arange(100_000) + 0.5) / 100_000
    column = tune.decode({"a": tune.integer(1, 8, log=log)}, unit[:, None])["a"]
    edges = np.arange(0.5, 9)
    expected = np.diff(np.log(edges)) / np.log(17) if log else np.full(8, 1 / 8)
    np.testing.assert_allclose(np.bincount(column, minlength=9)[1:] / len(unit), expected, atol=1e-5)


@pytest.mark.parametrize(
    "dimension, expected",
    (
        (tune.uniform(0, 1), "float64"),
        (tune.log_uniform(1, 2), "float64"),
        (tune.integer(1, 2), "int64"),
        (tune.choice([1, 2]), "int64"),
        (tune.choice([0.5, 1.5]), "float64"),
        (tune.choice([0, 1e-4]), "float64"),
        (tune.choice([np.float32(0.5), jnp.float32(1.5)]), "float64"),
        (tune.choice([True, False]), "list"),
        (tune.choice(["a", "b"]), "list"),
        (tune.choice([1, None]), "list"),
        (tune.choice([(1,), (2, 3)]), "list"),
        (tune.choice([2**60, 0.5]), "list"),
        (tune.conditional([1, 2], when={"b": 1}, otherwise=0), "int64"),
        (tune.conditional([1, 2], when={"b": 1}, otherwise=0.5), "float64"),
        (tune.conditional([1, 2], when={"b": 1}, otherwise=None), "list"),
        (tune.conditional(tune.integer(3, 4), when={"b": 1}, otherwise=0), "int64"),
        (tune.conditional(tune.uniform(3, 4), when={"b": 1}, otherwise=0), "float64"),
    ),
    ids=str,
)
def test_columns_are_arrays_of_numbers_or_lists(dimension, expected):
    column = tune.decode({"a": dimension, "b": [0, 1]}, np.array([[0.1, 0.1], [0.9, 0.9]]))["a"]
    assert (column.dtype.name if isinstance(column, np.ndarray) else "list") == expected
    assert len(column) == 2 and len(tune.decode({"a": dimension, "b": [0, 1]}, np.zeros((0, 2)))["a"]) == 0


CHAIN = {  # listed against the order of dependence
    "nesterov": tune.conditional([True, False], when={"momentum": (0.9, 0.99)}, otherwise=None),
    "momentum": tune.conditional([0.9, 0.99], when={"optimizer": "sgd", "layers": (1, 2)}, otherwise=0.0),
    "optimizer": ["sgd", "adam"],
    "layers": tune.integer(1, 4),
}


@settings(max_examples=100, deadline=None)
@given(st.tuples(*[st.floats(0, 1)] * 4))
def test_conditionals_are_active_only_beside_their_values(point):
    setting = _one(tune.decode(CHAIN, np.array([point])))
    assert list(setting) == list(CHAIN)
    with_momentum = setting["optimizer"] == "sgd" and setting["layers"] <= 2
    assert setting["momentum"] in ((0.9, 0.99) if with_momentum else (0.0,))
    assert setting["nesterov"] in ((True, False) if with_momentum else (None,))
    code = tune.encode(CHAIN, setting)
    assert _one(tune.decode(CHAIN, code[None])) == setting
    assert with_momentum or (code[:2] == 0.5).all()


def test_condition_may_name_a_tuple_that_is_an_option():
    space = {"widths": [(64,), (64, 64)], "deep": tune.conditional([1, 2], when={"widths": (64, 64)}, otherwise=0)}
    assert tune.decode(space, [[0.1, 0.9], [0.9, 0.9]])["deep"].tolist() == [0, 2]


def test_condition_may_wait_for_the_value_of_an_inactive_dimension():
    space = CHAIN | {"nesterov": tune.conditional([1, 2], when={"momentum": 0.0}, otherwise=0)}
    columns = tune.decode(space, [[0.9, 0.1, 0.9, 0.1], [0.9, 0.1, 0.1, 0.1]])
    assert columns["optimizer"] == ["adam", "sgd"] and columns["nesterov"].tolist() == [2, 0]


def test_true_is_not_one():
    space = {"a": [1, True, "1"]}
    assert [tune.encode(space, {"a": value}).item() for value in (1, True, "1")] == [1 / 6, 0.5, 5 / 6]


@pytest.mark.parametrize(
    "make, argument, given",
    (
        (lambda: tune.uniform(1, 1), "high", "1"),
        (lambda: tune.uniform(float("nan"), 1), "low", "nan"),
        (lambda: tune.uniform(0, "1"), "high", "'1'"),
        (lambda: tune.uniform(-1.5e308, 1.5e308), "high", "1.5e+308"),
        (lambda: tune.log_uniform(0, 1), "low", "0"),
        (lambda: tune.log_uniform(2, 1), "high", "1"),
        (lambda: tune.log_uniform(1e-300, np.nextafter(1e-300, 1)), "high", "e-300"),
        (lambda: tune.integer(1.0, 2), "low", "1.0"),
        (lambda: tune.integer(1, True), "high", "True"),
        (lambda: tune.integer(3, 2), "high", "2"),
        (lambda: tune.integer(0, 2**31), "high", "2147483648"),
        (lambda: tune.integer(0, 2, log=True), "low", "0"),
        (lambda: tune.integer(1, 2, log="yes"), "log", "yes"),
        (lambda: tune.choice([]), "options", "[]"),
        (lambda: tune.choice("abc"), "options", "abc"),
        (lambda: tune.choice([1, 2, 1.0]), "options", "1.0 twice"),
        (lambda: tune.choice([0.5, float("nan")]), "options[1]", "nan"),
        (lambda: tune.choice([np.zeros(2)]), "options[0]", "shape (2,)"),
        (lambda: tune.conditional(3, when={"a": 1}, otherwise=0), "dimension", "3"),
        (lambda: tune.conditional(CHAIN["momentum"], when={"a": 1}, otherwise=0), "dimension", "Conditional"),
        (lambda: tune.conditional([1], when={}, otherwise=0), "when", "{}"),
        (lambda: tune.conditional([1], when={1: 2}, otherwise=0), "when", "{1: 2}"),
        (lambda: tune.conditional(tune.uniform(0, 1), when={"a": 1}, otherwise=None), "otherwise", "None"),
        (lambda: tune.conditional(tune.uniform(0, 1), when={"a": 1}, otherwise=True), "otherwise", "True"),
        (lambda: tune.conditional(tune.uniform(0, 1), when={"a": 1}, otherwise=float("inf")), "otherwise", "inf"),
        (lambda: tune.conditional(tune.integer(0, 1), when={"a": 1}, otherwise=0.5), "otherwise", "0.5"),
        (lambda: tune.conditional([1], when={"a": 1}, otherwise=np.zeros(2)), "otherwise", "(2,)"),
    ),
)
def test_dimensions_refuse_what_is_no_range(make, argument, given):
    assert_input_error(make, argument, given=given)


def _on(**when):
    return tune.conditional([1, 2], when=when, otherwise=0)


@pytest.mark.parametrize(
    "space, argument, given",
    (
        ({}, "space", "{}"),
        ([("a", 1)], "space", "list"),
        ({1: [1, 2]}, "space", "name 1"),
        ({"a": 0.5}, "space['a']", "0.5"),
        ({"a": _on(b=1)}, "space['a']", "'b'"),
        ({"a": _on(a=1)}, "space", "circle within a"),
        ({"a": _on(b=1), "b": _on(c=1), "c": _on(a=1), "d": [1]}, "space", "circle within a, b, c"),
        ({"a": _on(b="sdg"), "b": ["sgd", "adam"]}, "space['a']", "'sdg'"),
        ({"a": _on(b=("sgd", "sdg")), "b": ["sgd", "adam"]}, "space['a']", "'sdg'"),
        ({"a": _on(b=()), "b": ["sgd", "adam"]}, "space['a']", "()"),
        ({"a": _on(b=5), "b": tune.integer(1, 4)}, "space['a']", "5"),
        ({"a": _on(b=0.5), "b": tune.uniform(0, 1)}, "space['a']", "'b'"),
    ),
)
def test_space_refuses_what_cannot_be_resolved(space, argument, given):
    assert_input_error(lambda: tune.decode(space, np.zeros((1, 1))), argument, given=given)
    assert_input_error(lambda: tune.encode(space, {}), argument, given=given)


@pytest.mark.parametrize(
    "change, argument, given",
    (
        ({"layers": 5}, "setting['layers']", "5"),
        ({"layers": 1.0}, "setting['layers']", "1.0"),
        ({"optimizer": "rprop"}, "setting['optimizer']", "rprop"),
        ({"momentum": 0.0}, "setting['momentum']", "0.0"),
        ({"optimizer": "adam"}, "setting['momentum']", "0.9"),
        ({"extra": 1}, "setting", "extra"),
    ),
)
def test_encode_refuses_what_is_outside_the_space(change, argument, given):
    setting = {"nesterov": True, "momentum": 0.9, "optimizer": "sgd", "layers": 2}
    tune.encode(CHAIN, setting)
    assert_input_error(lambda: tune.encode(CHAIN, setting | change), argument, given=given)
    assert_input_error(lambda: tune.encode(CHAIN, {"layers": 1}), "setting", given="layers")


def test_decode_refuses_what_is_no_point_of_the_cube():
    space = {"a": [1, 2], "b": tune.uniform(0, 1)}
    assert_input_error(lambda: tune.decode(space, [0.5, 0.5]), "unit_points", given="(2,)")
    assert_input_error(lambda: tune.decode(space, np.zeros((3, 1))), "unit_points", expected="(n, 2)", given="(3, 1)")
    assert_input_error(lambda: tune.decode(space, [[0.5, 1.5]]), "unit_points", given="1.5")
    assert_input_error(lambda: tune.decode(space, [[0.5, np.nan]]), "unit_points", given="nan")
    assert_input_error(lambda: tune.decode(space, [["a", "b"]]), "unit_points", given="<U1")
