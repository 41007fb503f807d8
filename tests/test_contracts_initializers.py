"""What holds for every initializer."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.catalogue import INITIALIZERS, Row
from tests.contract import assert_input_error
from tests.tolerances import assert_close

DTYPES = [jnp.float32, jnp.bfloat16, jnp.float16]


@pytest.mark.parametrize("row", INITIALIZERS, ids=str)
def test_initializer_is_a_function_of_key_shape_and_dtype(row: Row, key: jax.Array):
    draw, shape = row.build(), (6, 5)
    for dtype in DTYPES:
        w = draw(key, shape, dtype)
        assert (w.shape, w.dtype) == (shape, dtype)
        np.testing.assert_array_equal(w, draw(key, shape, dtype))
        np.testing.assert_array_equal(w, jax.jit(draw, static_argnums=(1, 2))(key, shape, dtype))
    random = draw(key, shape).any()
    assert random == (np.asarray(draw(key, shape)) != np.asarray(draw(jax.random.key(1), shape))).any()
    assert random == (row.name != "initializers.zeros")
    keys = jax.random.split(key, 3)
    many = jax.vmap(lambda k: draw(k, shape, jnp.float32))(keys)
    assert_close(many[2], draw(keys[2], shape), "program")
    assert_input_error(lambda: draw(3, shape), "key", given="3")
