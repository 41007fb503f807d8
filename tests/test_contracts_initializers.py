"""What holds for every initializer."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.catalogue import INITIALIZERS
from tests.contract import assert_input_error
from tests.rows.kinds import InitializerRow
from tests.tolerances import assert_close

DTYPES = [jnp.float32, jnp.bfloat16, jnp.float16]


@pytest.mark.parametrize("row", INITIALIZERS, ids=str)
def test_initializer_is_a_function_of_key_shape_and_dtype(row: InitializerRow, key: jax.Array):
    draw, shape = row.build(), row.shape
    compiled = jax.jit(lambda k: [draw(k, shape, dtype) for dtype in DTYPES])(key)
    for dtype, fast in zip(DTYPES, compiled, strict=True):
        w = draw(key, shape, dtype)
        assert (w.shape, w.dtype) == (shape, dtype)
        np.testing.assert_array_equal(w, fast)
    one, again, other = (np.asarray(draw(k, shape)) for k in (key, key, jax.random.key(1)))
    np.testing.assert_array_equal(one, again)
    assert row.random == (one != other).any()
    keys = jax.random.split(key, 3)
    many = jax.vmap(lambda k: draw(k, shape, jnp.float32))(keys)
    assert_close(many[2], draw(keys[2], shape), "program")
    assert_input_error(lambda: draw(3, shape), "key", given="3")


@pytest.mark.parametrize("row", INITIALIZERS, ids=str)
def test_initializer_of_nothing_gives_nothing(row: InitializerRow, key: jax.Array):
    shape = (*row.shape[:-2], 0, row.shape[-1])
    assert jax.eval_shape(lambda k: row.build()(k, shape), key).shape == shape


@pytest.mark.parametrize("row", INITIALIZERS, ids=str)
def test_initializer_works_in_double_precision(row: InitializerRow):
    with jax.enable_x64(True):
        w = row.build()(jax.random.key(0), row.shape, jnp.float64)
        assert w.dtype == jnp.float64 and np.isfinite(w).all()


@pytest.mark.parametrize("row", [row for row in INITIALIZERS if jax.tree.leaves(row.build())], ids=str)
def test_initializer_takes_traced_numbers(row: InitializerRow, key: jax.Array):
    product = row.build()
    numbers = jax.tree.map(jnp.float32, product)
    traced = jax.jit(lambda law, k: law(k, row.shape))(numbers, key)
    assert_close(traced, product(key, row.shape), "program")
