"""What is computed once: nothing but itself, with the derivative 1, and read by all that follow."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann.core import programs
from jaxann.layers import batch_norm, conv, elementwise, residual, sequential
from jaxann.ops.dense import dense
from jaxann.ops.once import computed_once, gradient_once
from tests.programs import quick_jit


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64", "int32"])
def test_computed_once_is_the_array_itself(dtype: str, x64: None):
    numbers = [[1, 2, 3], [4, 5, 6]] if dtype == "int32" else [[1.5, -0.0, 3e-5], [np.nan, np.inf, -np.inf]]
    x = np.array(numbers).astype(jnp.dtype(dtype))
    for once in (computed_once, gradient_once):
        found = np.asarray(quick_jit(once)(jnp.asarray(x)))
        assert found.dtype == x.dtype and found.tobytes() == x.tobytes()
        assert np.asarray(jax.vmap(once)(jnp.asarray(x))).tobytes() == x.tobytes()


@pytest.mark.parametrize("once", [computed_once, gradient_once])
def test_its_derivatives_are_those_of_x(once):
    def cube(x):
        return jnp.sum(once(x) ** 3)

    x = jnp.linspace(-1.0, 2.0, 5)
    first, second, tangent = quick_jit(
        lambda x: (jax.grad(cube)(x), jax.hessian(cube)(x), jax.jvp(cube, (x,), (jnp.ones_like(x),))[1])
    )(x)
    np.testing.assert_allclose(first, 3 * x**2, rtol=1e-6)
    np.testing.assert_allclose(second, np.diag(6 * x), rtol=1e-6)
    np.testing.assert_allclose(tangent, np.sum(3 * np.asarray(x) ** 2), rtol=1e-6)


def _maxima(blocks: int) -> int:
    """How often a maximum stands in the compiled evaluation of a residual net."""
    body = {"conv": conv(4, 3, use_bias=False), "norm": batch_norm()}
    table = {
        f"block{i}": sequential({"sum": residual(sequential(body)), "act": elementwise("relu")}) for i in range(blocks)
    }
    model = sequential(table)
    params, state = jax.eval_shape(model.init, jax.random.key(0), jax.ShapeDtypeStruct((1, 5, 5, 4), jnp.float32))
    x = jax.ShapeDtypeStruct((1, 5, 5, 4), jnp.float32)
    program = programs.jit(lambda p, s, x: model.apply(p, s, x)[0])
    return program.lower(params, state, x).compile().as_text().count(" maximum(")


def test_residual_blocks_do_not_begin_with_all_blocks_before_them():
    assert _maxima(8) <= 2 * _maxima(4) + 2


def test_the_gradient_of_a_large_map_is_computed_once_for_all_that_read_it():
    rows, wide = 512, 128  # of so many numbers its gradient is kept

    def cost(weight, bias, x):
        return jnp.sum(jnp.tanh(dense(x, weight, bias)))

    kinds = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((8, wide), (wide,), (rows, 8))]
    program = programs.jit(lambda *given: jax.grad(cost, (0, 1, 2))(*given)).lower(*kinds).compile().as_text()
    assert program.count(" tanh(") == 1, "the slope of tanh is computed anew in the loop of the sum"
    few = (*kinds[:2], jax.ShapeDtypeStruct((4, 8), jnp.float32))
    assert "gradient_once" not in str(jax.make_jaxpr(cost)(*few)), "small ones stay as they are"
