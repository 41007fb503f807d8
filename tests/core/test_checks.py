"""The checks: what passes, what is refused, and the one format of their messages."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann.core import InputError
from jaxann.core.checks import (
    check_choice,
    check_count,
    check_floating,
    check_integer,
    check_key,
    check_range,
    check_same_shape,
    fail,
    show,
)
from tests.contract import assert_input_error

NUMBERS = [0, 1, 0.5, np.float64(0.5), np.int8(1), np.float16(0.5), jnp.float32(0.5), jnp.bfloat16(0.5)]


@pytest.mark.parametrize("value", NUMBERS, ids=repr)
def test_range_lets_numbers_in_it_pass(value: Any):
    check_range("f", "a", value, 0, 1)
    check_range("f", "a", value)


@pytest.mark.parametrize("value", [np.array([0.0, 1.0]), jnp.array([0.25])], ids=repr)
def test_range_lets_arrays_in_it_pass_where_they_are_meant(value: Any):
    check_range("f", "a", value, 0, 1, arrays=True)
    assert_input_error(lambda: check_range("f", "a", value, 0, 1), "a", expected="one number in [0, 1]", given="shape")


@pytest.mark.parametrize(
    "value", [-0.1, 1.5, np.nan, np.inf, -np.inf, True, None, "1", b"1", 1j, [0.5], (0.5,), {}, np.float64(2)], ids=repr
)
def test_range_refuses_what_is_no_number_in_it(value: Any):
    assert_input_error(lambda: check_range("f", "a", value, 0, 1), "a", expected="in [0, 1]")


@pytest.mark.parametrize("value", [np.bool_(True), np.array([True]), np.array(["a"]), np.array([1j])], ids=repr)
def test_range_refuses_arrays_of_no_real_numbers(value: Any):
    assert_input_error(lambda: check_range("f", "a", value, 0, 1), "a")


def test_range_says_which_end_is_open_and_which_member_is_out():
    assert_input_error(lambda: check_range("f", "a", 0, 0, open_low=True), "a", expected="in (0, inf)", given="0")
    assert_input_error(lambda: check_range("f", "a", 1, 0, 1, open_high=True), "a", expected="in [0, 1)")
    assert_input_error(lambda: check_range("f", "a", np.nan), "a", expected="in (-inf, inf)", given="nan")
    assert_input_error(lambda: check_range("f", "a", np.array([0.5, 7.0, 0.1]), 0, 1, arrays=True), "a", given="7.0")


def test_range_looks_at_a_number_as_programs_hold_it():
    def check(value: Any, **ends: Any) -> Any:
        return lambda: check_range("f", "a", value, 0, 1, **ends)

    assert_input_error(check(0.99999999, open_high=True), "a", given="0.99999999, which is 1 in float32")
    assert_input_error(check(1e-40, open_low=True), "a", given="1e-40, which is 0 in float32")
    assert_input_error(lambda: check_range("f", "a", 1e39, 0), "a", given="1e+39, which is inf in float32")
    assert_input_error(lambda: check_range("f", "a", np.longdouble(0.5)), "a", expected="at most 64 bits")
    check(1e-40)()
    check(0.9999999, open_high=True)()
    with jax.enable_x64(True):
        check(0.99999999, open_high=True)()
        check(1e-40, open_low=True)()
        assert_input_error(check(1e-310, open_low=True), "a", given="0 in float64")


def test_range_lets_traced_numbers_and_shapes_pass():
    jax.jit(lambda v: check_range("f", "a", v, 0, 1))(5.0)
    check_range("f", "a", jax.ShapeDtypeStruct((), jnp.float32), 0, 1)
    jax.vmap(lambda v: check_range("f", "a", v, 0, 1))(np.array([0.5, 0.1]))
    with pytest.raises(InputError, match="one number"):
        jax.jit(lambda v: check_range("f", "a", v, 0, 1))(np.array([0.5, 0.1]))
    with pytest.raises(InputError):
        jax.jit(lambda v: check_range("f", "a", 5.0, 0, 1))(5.0)


def test_integers_and_counts():
    for good in (1, 3, np.int64(2), np.uint8(1)):
        check_integer("f", "n", good)
    for bad in (0, -1, 2.0, True, "2", None, np.float32(2), jnp.int32(2), np.array(2)):
        assert_input_error(lambda bad=bad: check_integer("f", "n", bad), "n", expected="an integer of at least 1")
    for bad, given in (
        (jnp.int32(20), "int32 array 20"),
        (np.array(20), "int64 array 20"),
        (jnp.ones(2, int), "shape"),
    ):
        hint = assert_input_error(lambda bad=bad: check_integer("f", "batch_size", bad), "batch_size", given=given)
        assert ("int(batch_size)" in hint) == (bad.ndim == 0)
    for good in (0, 3, 3.0, np.int64(2), jnp.int32(2)):
        check_count("f", "n", good)
    for bad in (-1, 2.5, np.nan, np.inf, np.float64(2.5), np.float32(2.5), jnp.float32(2.5), np.array(2.5), "3", True):
        assert_input_error(lambda bad=bad: check_count("f", "n", bad), "n")


def test_choice_lists_the_names_and_points_at_the_closest():
    check_choice("f", "mode", "min", ("min", "max"))
    message = assert_input_error(lambda: check_choice("f", "mode", "mim", ("min", "max")), "mode", expected="max, min")
    assert message.endswith("\nDid you mean 'min'?")
    for bad in (None, 3, ["min"], "zzz"):
        message = assert_input_error(lambda bad=bad: check_choice("f", "mode", bad, ("min", "max")), "mode")
        assert "\n" not in message
    many = [f"name_of_a_factory_{i}" for i in range(60)]
    assert_input_error(lambda: check_choice("f", "mode", "other", many), "mode", given="'other'")


def test_shapes_are_equal_or_refused():
    check_same_shape("f", np.zeros((2, 3)), jnp.zeros((2, 3)))
    for a, b in (((3,), (3, 1)), ((3, 1), (3,)), ((3,), (4,)), ((), (1,)), ((2, 3), (3, 2))):
        message = assert_input_error(
            lambda a=a, b=b: check_same_shape("f", np.zeros(a), np.zeros(b)), "targets", given=str(b), expected=str(a)
        )
        assert ("\n" in message) == (len(a) != len(b)), message


def test_floating_point_is_told_by_dtype():
    for good in (1.0, np.float16(1), jnp.bfloat16(1), np.zeros(3), jax.ShapeDtypeStruct((2,), jnp.float32)):
        check_floating("f", "x", good)
    for bad in (1, True, 1j, np.zeros(3, np.uint8), jax.ShapeDtypeStruct((2,), jnp.int32)):
        message = assert_input_error(lambda bad=bad: check_floating("f", "x", bad), "x")
        assert "astype" in message


def test_key_is_one_typed_key():
    check_key("f", jax.random.key(0))
    check_key("f", jax.random.key(0, impl="rbg"))
    jax.vmap(lambda k: check_key("f", k))(jax.random.split(jax.random.key(0)))
    old, two = jax.random.key_data(jax.random.key(0)), jax.random.split(jax.random.key(0))
    many = jax.random.split(jax.random.key(0), (2, 3))
    assert "jax.random.key(7)" in assert_input_error(lambda: check_key("f", 7), "key", given="7")
    assert "PRNGKey" in assert_input_error(lambda: check_key("f", old), "key", given="uint32 of shape (2,)")
    assert "vmap" in assert_input_error(lambda: check_key("f", two), "key", given="2 keys")
    assert_input_error(lambda: check_key("f", many), "key", given="(2, 3)")
    assert_input_error(lambda: check_key("f", None), "key", given="None")
    assert_input_error(lambda: check_key("f", "seed", "seed_key"), "seed_key", given="'seed'")


def test_messages_are_short_and_show_what_was_given():
    long = "x" * 1000
    assert_input_error(lambda: fail("f", "a", "short", long), "a")
    message = assert_input_error(lambda: fail("f", "a", long, 3), "a", given="3")
    assert len(message) <= 300
    assert_input_error(lambda: fail("f", "a", "b", list(range(1000)), hint="Do this."), "a", given="(list)")
    assert show(np.zeros((2, 3), np.float32)) == "float32 of shape (2, 3)"
    assert show(jnp.float32(0.5)) == "0.5" and show("a") == "'a'" and show(None) == "None"
    assert show([1]) == "[1] (list)" and show(jax.random.key(0)) == "key<fry> of shape ()"
