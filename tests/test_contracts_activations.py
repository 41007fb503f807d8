"""What holds for every activation."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.catalogue import ACTIVATIONS, ActivationRow
from tests.contract import assert_input_error

DTYPES = [jnp.float32, jnp.bfloat16, jnp.float16]
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: jnp.dtype(d).name)


@pytest.mark.parametrize("row", ACTIVATIONS, ids=str)
@every_dtype
def test_activation_keeps_shape_and_dtype(row: ActivationRow, dtype: Any):
    for shape in ((), (5,), (2, 3), (0, 4)):
        x = jnp.ones(shape, dtype)
        if row.limits is None and not shape:
            continue  # softmax needs an axis
        y = jax.eval_shape(row.build, x)
        assert (y.shape, y.dtype) == (shape, dtype)


@pytest.mark.parametrize("row", ACTIVATIONS, ids=str)
def test_activation_takes_floating_point_alone(row: ActivationRow):
    for dtype in (jnp.int32, jnp.uint8, jnp.bool_, jnp.complex64):
        x = np.ones((3,), dtype)
        assert_input_error(lambda x=x: row.build(x), "x", given=x.dtype.name, expected="floating-point")
