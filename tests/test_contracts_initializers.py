"""What holds for every initializer. All are drawn in one compiled program; the tests read its results."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.catalogue import INITIALIZERS
from tests.contract import assert_input_error
from tests.rows.kinds import InitializerRow
from tests.tolerances import assert_close

every_initializer = pytest.mark.parametrize("row", INITIALIZERS, ids=str)


def _keys() -> jax.Array:
    return jax.random.split(jax.random.key(20), 3)


@functools.cache
def _mapped() -> Any:
    """Three draws of each initializer, mapped over keys, compiled."""
    draws = {row.name: (row.build(), row.shape) for row in INITIALIZERS}
    program = jax.jit(jax.vmap(lambda key: {name: draw(key, shape) for name, (draw, shape) in draws.items()}))
    return jax.device_get(program(_keys()))


@functools.cache
def _traced() -> Any:
    """A draw of each initializer in float64 with traced numbers, compiled."""
    with jax.enable_x64(True):
        initializers = {row.name: jax.tree.map(jnp.float64, row.build()) for row in INITIALIZERS}

        @jax.jit
        def program(initializers, key):
            return {row.name: initializers[row.name](key, row.shape, jnp.float64) for row in INITIALIZERS}

        return jax.device_get(program(initializers, jax.random.key(0)))


@every_initializer
def test_initializer_is_a_function_of_key_shape_and_dtype(row: InitializerRow):
    draw, shape, keys = row.build(), row.shape, _keys()
    for dtype in (jnp.float32, jnp.bfloat16, jnp.float16):
        for size in (shape, (*shape[:-2], 0, shape[-1])):
            w = jax.eval_shape(lambda k, size=size, dtype=dtype: draw(k, size, dtype), keys[0])
            assert (w.shape, w.dtype) == (size, dtype)
    one, again, other = (np.asarray(draw(k, shape)) for k in (keys[0], keys[0], keys[2]))
    np.testing.assert_array_equal(one, again)
    assert row.random == (one != other).any()
    many = _mapped()[row.name]
    assert_close(many[2], other, "program")
    if row.exact:
        np.testing.assert_array_equal(many[0], one)
    assert_input_error(lambda: draw(3, shape), "key", given="3")


@every_initializer
def test_initializer_takes_traced_numbers_and_double_precision(row: InitializerRow):
    with jax.enable_x64(True):
        fixed = row.build()(jax.random.key(0), row.shape, jnp.float64)
        traced = _traced()[row.name]
        assert traced.dtype == fixed.dtype == jnp.float64 and np.isfinite(fixed).all()
        assert_close(traced, fixed, "program", "float32")  # the deviation of a cut normal is found in float32
