"""Sequences of unequal lengths as one array."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from jaxann.core import Padded, padded
from jaxann.core.padding import is_padded, zero_padding
from tests.contract import assert_input_error

VALUES = np.arange(24, dtype=np.float32).reshape(3, 4, 2)


def test_padded_marks_the_first_positions_of_each_example():
    sequences = padded(VALUES, [4, 0, 2])
    assert is_padded(sequences) and not is_padded(VALUES)
    np.testing.assert_array_equal(sequences.mask, [[1, 1, 1, 1], [0, 0, 0, 0], [1, 1, 0, 0]])
    assert sequences.mask.dtype == bool and sequences.values is VALUES


def test_padded_takes_traced_lengths():
    found = jax.jit(lambda v, n: padded(v, n).mask)(VALUES, jnp.array([1, 4, 0]))
    np.testing.assert_array_equal(found, padded(VALUES, [1, 4, 0]).mask)


def test_padded_is_a_tree_that_is_cut_along_with_everything_else():
    part = jax.tree.map(lambda a: a[1:], padded(VALUES, [4, 3, 2]))
    assert isinstance(part, Padded) and part.values.shape == (2, 4, 2) and part.mask.sum() == 5


def test_padded_refuses_what_does_not_fit():
    assert_input_error(lambda: padded(np.zeros(3), [1, 1, 1]), "values", given="(3,)")
    assert_input_error(lambda: padded(VALUES, [1, 2]), "lengths", given="(2,)")
    assert_input_error(lambda: padded(VALUES, [1.0, 2.0, 3.0]), "lengths", given="float")
    assert_input_error(lambda: padded(VALUES, [1, 5, 3]), "lengths", given="5 at row 1", expected="0..4")
    assert_input_error(lambda: padded(VALUES, [1, 2, -1]), "lengths", given="-1 at row 2")


def test_zero_padding_lets_nothing_through_that_stands_in_the_padding():
    mask = padded(VALUES, [4, 0, 2]).mask
    spoiled = np.where(mask[..., None], VALUES, np.nan)
    clean = zero_padding(jnp.asarray(spoiled), jnp.asarray(mask))
    np.testing.assert_array_equal(clean, np.where(mask[..., None], VALUES, 0))
    slope = jax.grad(lambda v: jnp.sum(zero_padding(v, jnp.asarray(mask)) ** 2))(jnp.asarray(spoiled))
    np.testing.assert_array_equal(slope, np.where(mask[..., None], 2 * VALUES, 0))
    rows = zero_padding(jnp.asarray(VALUES), jnp.array([1.0, 0.0, 1.0]))
    np.testing.assert_array_equal(rows[1], 0)
    np.testing.assert_array_equal(rows[2], VALUES[2])
