"""The exponentially weighted average against a loop, its known values, and its state form."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann.ops import EwmaState, ewma, ewma_init, ewma_read, ewma_update
from tests.contract import assert_input_error
from tests.tolerances import assert_close


def _loop(x: np.ndarray, beta: float, debias: bool, skip_nan: bool) -> np.ndarray:
    """The recurrence along the first axis, one value after the other."""
    value, weight, found = np.zeros(x.shape[1:]), np.zeros(x.shape[1:]), []
    for row in x.astype(np.float64):
        keep = np.isnan(row) & skip_nan
        value = np.where(keep, value, beta * value + (1 - beta) * row)
        weight = np.where(keep, weight, beta * weight + (1 - beta))
        with np.errstate(invalid="ignore"):
            found.append(value / weight if debias else value)
    return np.array(found)


def _numbers() -> np.ndarray:
    x = np.random.default_rng(0).normal(size=(13, 4))
    x[[0, 1, 5, 6, 10], [0, 0, 1, 1, 2]] = np.nan
    return x


@pytest.mark.usefixtures("x64")
def test_ewma_follows_the_recurrence():
    x = _numbers()
    for debias in (True, False):
        for skip_nan in (True, False):
            for beta in (0.0, 0.3, 0.9, 0.9999):
                found = ewma(jnp.asarray(x), beta, debias=debias, skip_nan=skip_nan)
                np.testing.assert_allclose(found, _loop(x, beta, debias, skip_nan), rtol=1e-12, atol=1e-15)


@pytest.mark.usefixtures("x64")
def test_ewma_has_its_known_values_and_those_of_optax():
    x = jnp.array([1.0, 2.0, 3.0])
    np.testing.assert_allclose(ewma(x, 0.9, debias=False), [0.1, 0.29, 0.561], rtol=1e-12)
    np.testing.assert_allclose(ewma(x, 0.9), [1.0, 1.526315789, 2.070110701], rtol=1e-9)
    optax = pytest.importorskip("optax")
    for debias in (True, False):
        theirs = optax.ema(0.9, debias)
        state, found = theirs.init(x[0]), []
        for value in x:
            with jax.numpy_dtype_promotion("standard"):
                average, state = theirs.update(value, state)
            found.append(float(average))
        np.testing.assert_allclose(ewma(x, 0.9, debias=debias), found, rtol=1e-12)


def test_a_debiased_average_of_a_constant_is_the_constant():
    for dtype in (jnp.float32, jnp.bfloat16, jnp.float16):
        for beta in (0.9, 0.999999):
            y = ewma(jnp.full((100, 2), 3.0, dtype), beta)
            assert y.dtype == dtype
            np.testing.assert_allclose(np.asarray(y, np.float32), 3.0, rtol=1e-5 if dtype == jnp.float32 else 0)


@pytest.mark.usefixtures("x64")
def test_after_its_window_a_weight_has_fallen_to_about_one_in_e():
    for beta, left in ((0.9, 0.3487), (0.98, 0.3642), (0.999, 0.3677)):
        window = round(1 / (1 - beta))
        impulse = ewma(jnp.zeros(window + 1).at[0].set(1.0), beta, debias=False)
        assert round(float(impulse[-1] / impulse[0]), 4) == left


def test_any_axis_any_program_and_a_finite_slope():
    x = jax.random.normal(jax.random.key(0), (3, 9, 2))
    along = ewma(x, 0.8, axis=-2)
    assert_close(along, jnp.moveaxis(ewma(jnp.moveaxis(x, 1, 0), 0.8), 0, 1), "program")
    assert_close(jax.vmap(lambda b: ewma(x, b, axis=1))(jnp.array([0.8, 0.1]))[0], along, "program")
    holes = x.at[:, 3].set(jnp.nan).at[:, 0].set(jnp.nan)

    @jax.jit
    def total(x, beta):
        return jnp.nansum(ewma(x, beta, axis=1, skip_nan=True) ** 2)

    gradients = jax.jit(jax.grad(total, argnums=(0, 1)))(holes, 0.8)
    assert all(np.isfinite(s).all() for s in gradients) and np.asarray(gradients[0][:, 4]).all()
    step = 1e-3
    numeric = (total(holes, 0.8 + step) - total(holes, 0.8 - step)) / (2 * step)
    np.testing.assert_allclose(gradients[1], numeric, rtol=1e-3)
    assert ewma(jnp.zeros((0, 2)), 0.5).shape == (0, 2)


@functools.partial(jax.jit, static_argnames="skip_nan")
def _one_by_one(x: jax.Array, beta: float, skip_nan: bool) -> tuple:
    def body(state, row):
        state = ewma_update(state, row, beta, skip_nan=skip_nan)
        return state, (ewma_read(state, beta), ewma_read(state, beta, debias=False))

    return jax.lax.scan(body, ewma_init(x[0]), x)


def test_the_state_form_equals_the_whole():
    x = jnp.asarray(_numbers(), jnp.float32)
    assert np.isnan(ewma_read(ewma_init(x[0]), 0.5)).all()
    for beta in (0.0, 0.9, 0.999):
        last, (debiased, plain) = _one_by_one(x, beta, True)
        # 1 - beta^t of a rounded beta differs from the sum of the rounded weights
        np.testing.assert_allclose(debiased, ewma(x, beta, skip_nan=True), rtol=2e-4)
        np.testing.assert_allclose(plain, ewma(x, beta, skip_nan=True, debias=False), rtol=1e-5, atol=1e-7)
        assert last.step.tolist() == [11, 11, 12, 13]
    last, _ = _one_by_one(x, 0.9, False)
    assert np.isnan(last.value).tolist() == [True, True, True, False]


def test_what_is_no_average_is_refused():
    x, state = np.zeros((3, 2), np.float32), EwmaState(np.zeros(2, np.float32), np.zeros(2, np.int32))
    assert_input_error(lambda: ewma(x, 1.0), "beta", given="1.0")
    assert_input_error(lambda: ewma(x, 0.5, axis=2), "axis", given="2")
    assert_input_error(lambda: ewma(np.zeros(3, np.int32), 0.5), "x", given="int32")
    assert_input_error(lambda: ewma_init(np.zeros(3, np.int32)), "x", given="int32")
    assert_input_error(lambda: ewma_update(state, np.zeros(3, np.float32), 0.5), "x", given="(3,)")
    assert_input_error(lambda: ewma_read(state, -0.1), "beta", given="-0.1")
