"""Activations: values against mpmath, kinks, limits, NaN, derivatives against differences, and finite everywhere."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann import activations
from jaxann.activations import by_name, log_softmax, relu, sigmoid, softmax, tanh
from tests.catalogue import ACTIVATIONS, ActivationRow
from tests.contract import assert_input_error
from tests.tolerances import close

every_activation = pytest.mark.parametrize("row", ACTIVATIONS, ids=str)
ELEMENTWISE = [row for row in ACTIVATIONS if row.limits is not None]
every_elementwise = pytest.mark.parametrize("row", ELEMENTWISE, ids=str)


@pytest.mark.usefixtures("x64")
@every_activation
def test_derivatives_match_central_differences(row: ActivationRow):
    x = jnp.asarray(np.random.default_rng(0).normal(size=(5, 6)) * 2 + 0.05)
    weight, direction = jax.random.normal(jax.random.key(1), x.shape), jax.random.normal(jax.random.key(2), x.shape)

    def along(t):
        return jnp.sum(weight * row.build(x + t * direction))

    h = 1e-5
    exact = jax.grad(along)(0.0)
    np.testing.assert_allclose(exact, (along(h) - along(-h)) / (2 * h), rtol=close("float64", "gradient"))
    bend = (jax.grad(along)(h) - jax.grad(along)(-h)) / (2 * h)
    np.testing.assert_allclose(jax.grad(jax.grad(along))(0.0), bend, rtol=close("float64", "second"), atol=1e-9)
    forward = jax.jvp(along, (0.0,), (1.0,))[1]
    np.testing.assert_allclose(forward, exact, rtol=1e-12)


@every_activation
@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16", "float16"])
def test_value_and_gradient_are_finite_for_finite_input(row: ActivationRow, dtype: str):
    with jax.enable_x64(dtype == "float64"):
        tiny = float(jnp.finfo(dtype).tiny)
        edges = [0.0, -0.0, tiny, -tiny, 1e4, -1e4, 88.0, -88.0, 104.0, -104.0, 710.0, -710.0]
        half = 3e4 if row.limits is None else 6e4  # over an axis differences must be below float16's 65,504 too
        far = {"float64": 1e300, "float16": half}.get(dtype, 1e30)
        edges += [far, -far]
        x = jnp.asarray(np.concatenate([np.linspace(-50.0, 50.0, 4001), edges])).astype(dtype)
        x = x if row.limits is not None else jnp.stack([x, jnp.roll(x, 1)], -1)
        y, back = jax.vjp(row.build, x)
        slope = back(jnp.ones_like(y))[0]
        for name, array in (("value", y), ("gradient", slope)):
            bad = ~np.isfinite(np.asarray(array, np.float64))
            assert not bad.any(), f"{name} at {np.asarray(x)[bad][:5]}"


@every_elementwise
def test_limits_and_nan(row: ActivationRow):
    x = jnp.array([-jnp.inf, jnp.inf, jnp.nan])
    values = row.build(x)
    np.testing.assert_array_equal(values, [*row.limits, np.nan])


@every_elementwise
def test_kinks_are_where_the_table_says(row: ActivationRow):
    slope = jax.vmap(jax.grad(row.build))
    x = jnp.linspace(-8.0, 8.0, 1601)
    jumps = np.abs(np.diff(slope(x))) > 0.1
    at = [float(x[i + 1]) for i in np.flatnonzero(jumps)]
    assert len(at) == len(row.kinks)
    for kink, found in zip(row.kinks, at, strict=True):
        assert abs(found - kink) < 0.011


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_relu_at_its_kink_and_at_nan(dtype: str):
    x = jnp.array([-1.0, -0.0, 0.0, 1e-30, 2.0], dtype)
    np.testing.assert_array_equal(relu(x), jnp.array([0.0, 0.0, 0.0, 1e-30, 2.0], dtype))
    np.testing.assert_array_equal(jax.vmap(jax.grad(relu))(x), jnp.array([0.0, 0.0, 0.0, 1.0, 1.0], dtype))
    assert np.isnan(relu(jnp.asarray(jnp.nan, dtype)))


@pytest.mark.parametrize("name", ["sigmoid", "tanh"])
def test_values_within_four_units_of_the_last_place(name: str):
    mpmath = pytest.importorskip("mpmath")
    exact = {"sigmoid": lambda v: 1 / (1 + mpmath.exp(-v)), "tanh": mpmath.tanh}[name]
    x = np.linspace(-12, 12, 401, dtype=np.float32)
    expected = np.array([float(exact(mpmath.mpf(float(v)))) for v in x])
    actual = np.asarray(getattr(activations, name)(jnp.asarray(x)), np.float64)
    units = np.abs(actual - expected) / np.spacing(np.abs(expected).astype(np.float32)).astype(np.float64)
    assert units.max() <= 4


def test_sigmoid_and_tanh_where_they_saturate():
    assert float(sigmoid(jnp.float32(17.0))) == 1.0 and float(sigmoid(jnp.float32(16.0))) < 1.0
    assert float(jax.grad(sigmoid)(jnp.float32(17.0))) == 0.0
    np.testing.assert_allclose(jax.grad(sigmoid)(0.0), 0.25, rtol=1e-6)
    np.testing.assert_allclose(jax.grad(lambda x: sigmoid(x, 3.0))(0.0), 0.75, rtol=1e-6)
    np.testing.assert_allclose(jax.grad(lambda b: sigmoid(jnp.float32(0.5), b))(2.0), 0.5 * 0.19661193, rtol=1e-5)
    x = jnp.linspace(-3.0, 3.0, 13)
    np.testing.assert_allclose(tanh(x), 2 * sigmoid(x, 2.0) - 1, atol=3e-7)


def test_softmax_is_a_distribution_and_shift_invariant():
    x = jax.random.normal(jax.random.key(0), (4, 6)) * 10
    p = softmax(x)
    np.testing.assert_allclose(p.sum(-1), np.ones(4), rtol=1e-6)
    np.testing.assert_allclose(softmax(x + 100.0), p, rtol=2e-5)  # the shift itself rounds the logits by 4e-6
    np.testing.assert_allclose(softmax(x, axis=0).sum(0), np.ones(6), rtol=1e-6)
    np.testing.assert_allclose(softmax(x, temperature=4.0), softmax(x / 4), rtol=1e-6)
    np.testing.assert_allclose(log_softmax(x), np.log(np.asarray(p, np.float64)), rtol=1e-5, atol=1e-6)
    huge = jnp.array([1e4, 0.0, -1e4])
    np.testing.assert_array_equal(softmax(huge), [1.0, 0.0, 0.0])
    np.testing.assert_array_equal(log_softmax(huge), [0.0, -1e4, -2e4])
    jacobian = jax.jacobian(softmax)(x[0])
    expected = np.diag(p[0]) - np.outer(p[0], p[0])
    np.testing.assert_allclose(jacobian, expected, atol=1e-6)


@pytest.mark.parametrize("row", [[np.inf, 0.0], [-np.inf, -np.inf], [np.nan, 0.0]], ids=str)
def test_softmax_of_no_distribution_is_nan(row: list[float]):
    assert np.isnan(softmax(jnp.array(row))).all()


def test_activations_are_looked_up_by_name():
    assert by_name("relu") is relu and by_name(jnp.abs) is jnp.abs
    for bad in (3, None, ["relu"]):
        assert_input_error(lambda bad=bad: by_name(bad), "activation", given=repr(bad)[:4])
    message = assert_input_error(
        lambda: by_name("sigmiod"), "activation", given="'sigmiod'", expected="sigmoid, softmax"
    )
    assert "Did you mean 'sigmoid'?" in message
    for row in ACTIVATIONS:
        name: Any = row.name.rpartition(".")[2]
        assert by_name(name) is row.build
