"""Activations: golden values, distributions, random ones, masks, and what each promises beside the contract of all."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann import activations as act
from jaxann.activations import by_name, log_softmax, relu, sigmoid, softmax, straight_through, tanh
from tests.contract import assert_input_error


@functools.partial(jax.jit, static_argnums=0)
def value_and_pullback(function: Any, x: jax.Array, cotangent: jax.Array | None = None) -> tuple[jax.Array, jax.Array]:
    """The value, and the gradient of its sum weighted by the cotangent, in one compiled program."""
    y, back = jax.vjp(function, x)
    return y, back(jnp.ones_like(y) if cotangent is None else cotangent)[0]


def test_relu_at_its_kink_and_at_nan():
    for dtype in ("float32", "bfloat16"):
        x = jnp.array([-1.0, -0.0, 0.0, 1e-30, 2.0, jnp.nan], dtype)
        slope = jax.vmap(jax.grad(relu))(x)
        for found, expected in (
            (relu(x), [0.0, 0.0, 0.0, x[3], 2.0, np.nan]),
            (slope, [0.0, 0.0, 0.0, 1, 1, np.nan]),
        ):
            np.testing.assert_array_equal(np.asarray(found, np.float64), np.asarray(expected, np.float64))


def test_sigmoid_and_tanh_where_they_saturate():
    assert float(sigmoid(jnp.float32(17.0))) == 1.0 and float(sigmoid(jnp.float32(16.0))) < 1.0
    assert float(jax.grad(sigmoid)(jnp.float32(17.0))) == 0.0
    np.testing.assert_allclose(jax.grad(sigmoid)(0.0), 0.25, rtol=1e-6)
    np.testing.assert_allclose(jax.grad(lambda b: sigmoid(jnp.float32(0.5), b))(2.0), 0.5 * 0.19661193, rtol=1e-5)
    x = jnp.linspace(-3.0, 3.0, 13)
    np.testing.assert_allclose(tanh(x), 2 * sigmoid(x, 2.0) - 1, atol=3e-7)


LOWEST = {  # where the slope is 0, and the value there
    "hard_swish": (-1.5, -0.375),
    "mish": (-1.192431, -0.308843),
    "silu": (-1.278465, -0.278465),
    "gelu": (-0.751792, -0.169971),
}


@pytest.mark.usefixtures("x64")
def test_dipping_activations_have_the_known_least_values():
    for name, (place, value) in LOWEST.items():
        exact = {"approximate": False} if name == "gelu" else {}
        function = getattr(act, name)
        found, slope = jax.value_and_grad(lambda x, f=function, e=exact: f(x, **e))(jnp.float64(place))
        assert abs(found - value) < 1e-6 and abs(slope) < 2e-6
    x = jnp.linspace(-6.0, 6.0, 2001)
    apart = np.abs(act.gelu(x) - act.gelu(x, approximate=False)).max()
    assert 4.7e-4 < apart < 4.8e-4
    assert abs(float(jax.vmap(jax.grad(lambda v: act.gelu(v, False)))(x).max()) - 1.1289) < 1e-4


@pytest.mark.usefixtures("x64")
def test_known_slopes_far_to_the_left():
    def slope(function: Any) -> float:
        return float(jax.grad(function)(jnp.float64(-10.0)))

    np.testing.assert_allclose(slope(lambda x: act.gelu(x, False)), -7.6e-22, rtol=0.01)
    np.testing.assert_allclose(slope(act.elu), np.exp(-10), rtol=1e-12)
    assert slope(act.leaky_relu) == 0.01


def test_slope_of_elu_keeps_its_digits_in_single_precision():
    x = jnp.array([-1.0, -10.0, -30.0])
    for function in (act.elu, act.celu):
        np.testing.assert_allclose(jax.vmap(jax.grad(function))(x), np.exp(np.array([-1.0, -10.0, -30.0])), rtol=1e-6)


def test_selu_keeps_mean_and_variance():
    y = np.asarray(act.selu(jax.random.normal(jax.random.key(0), (1_000_000,))), np.float64)
    assert abs(y.mean()) < 4e-3 and abs(y.var() - 1) < 8e-3


def test_squareplus_without_a_bend_is_relu():
    x = jnp.array([-2.0, 0.0, 3.0])
    y, slope = value_and_pullback(lambda x: act.squareplus(x, 0.0), x)
    np.testing.assert_array_equal(y, [0.0, 0.0, 3.0])
    np.testing.assert_array_equal(slope, [0.0, 0.5, 1.0])
    np.testing.assert_allclose(act.squareplus(jnp.float32(-1e6)), 1e-6, rtol=1e-6)  # no cancellation


def test_parameters_at_infinity_have_finite_slopes():
    x = jnp.array([-jnp.inf, jnp.inf])
    functions = [functools.partial(getattr(act, name), x) for name in ("silu", "softplus", "celu", "elu", "squareplus")]
    slope = jax.jit(jax.jacobian(lambda p: [f(p) for f in functions]))(1.5)
    assert np.isfinite(slope).all()


def test_rrelu_draws_a_slope_for_each_number():
    x = -jnp.ones((40_000,))
    drawn = -np.asarray(act.rrelu(x, key=jax.random.key(0)), np.float64)
    assert drawn.min() >= 1 / 8 and drawn.max() <= 1 / 3
    deviation = (1 / 3 - 1 / 8) / np.sqrt(12)
    assert abs(drawn.mean() - 11 / 48) < 4 * deviation / 200
    assert abs(drawn.std() - deviation) < 0.01 * deviation
    np.testing.assert_array_equal(act.rrelu(-x, key=jax.random.key(0)), 1.0)
    slope = jax.grad(lambda high: act.rrelu(x, 0.0, high, key=jax.random.key(0)).mean())(1.0)
    assert -0.51 < slope < -0.49
    assert_input_error(lambda: act.rrelu(np.ones(3, np.float32), 0.5, 0.2), "upper", given="0.2")
    assert_input_error(lambda: act.rrelu(np.ones(3, np.float32), key=3), "key", given="3")  # type: ignore[arg-type]


def test_prelu_has_a_slope_for_each_channel():
    x = jnp.array([[-1.0, -2.0, 0.0], [1.0, 2.0, -3.0]])
    alpha = jnp.array([0.1, 0.2, 0.3])
    np.testing.assert_allclose(act.prelu(x, alpha), [[-0.1, -0.4, 0.0], [1.0, 2.0, -0.9]], rtol=1e-6)
    by_x, by_alpha = jax.grad(lambda x, a: act.prelu(x, a).sum(), (0, 1))(x, alpha)
    np.testing.assert_allclose(by_x, [[0.1, 0.2, 1.0], [1.0, 1.0, 0.3]], rtol=1e-6)
    np.testing.assert_array_equal(by_alpha, [-1.0, -2.0, -3.0])
    for wrong in (np.ones(2), np.ones((2, 3))):
        assert_input_error(lambda a=wrong: act.prelu(np.ones((2, 3), np.float32), a), "alpha", given=str(wrong.shape))


def test_heaviside_takes_integers_and_a_value_at_zero():
    np.testing.assert_array_equal(act.heaviside(jnp.array([-2, 0, 3]), 1), [0, 1, 1])
    np.testing.assert_array_equal(act.heaviside(jnp.array([-2.0, 0.0, jnp.nan]), 0.5), [0.0, 0.5, np.nan])
    assert_input_error(lambda: act.heaviside(np.array([1]), 0.5), "value_at_zero", given="0.5")


def test_straight_through_steps_forward_and_slopes_backward():
    x = jnp.array([-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, jnp.nan])
    y, slope = value_and_pullback(straight_through, x)
    np.testing.assert_array_equal(y, [0, 0, 0, 0, 1, 1, 1, np.nan])
    np.testing.assert_array_equal(slope[:7], [0, 1, 1, 1, 1, 1, 0])
    logits, cotangent = jax.random.normal(jax.random.key(0), (2, 3, 4))
    hard, slope = value_and_pullback(lambda v: straight_through(v, "hard_max", softmax), logits, cotangent)
    np.testing.assert_array_equal(hard, np.eye(4)[np.asarray(logits).argmax(-1)])
    np.testing.assert_allclose(slope, value_and_pullback(softmax, logits, cotangent)[1], rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(straight_through(jnp.array([-jnp.inf, jnp.inf]), "heaviside", "identity"), [0, 1])
    assert_input_error(lambda: straight_through(np.ones(3, np.float32), "step"), "activation", given="'step'")
    assert_input_error(
        lambda: jax.eval_shape(lambda v: straight_through(v, "glu", "relu"), jax.ShapeDtypeStruct((4,), jnp.float32)),
        "surrogate",
    )


def test_softmax_is_a_distribution_and_shift_invariant():
    x = jax.random.normal(jax.random.key(0), (4, 6)) * 10
    huge = jnp.array([1e4, 0.0, -1e4])

    @jax.jit
    def several(x):
        p, shifted, flat = softmax(x), softmax(x + 100.0), (softmax(x, temperature=4.0), softmax(x / 4))
        return p, shifted, flat, log_softmax(x), softmax(huge), log_softmax(huge), jax.jacobian(softmax)(x[0])

    p, shifted, flat, logs, sure, sure_logs, jacobian = several(x)
    np.testing.assert_allclose(p.sum(-1), np.ones(4), rtol=1e-6)
    np.testing.assert_allclose(shifted, p, rtol=2e-5)  # the shift itself rounds the logits by 4e-6
    np.testing.assert_allclose(*flat, rtol=1e-6)
    np.testing.assert_allclose(logs, np.log(np.asarray(p, np.float64)), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(sure, [1.0, 0.0, 0.0])
    np.testing.assert_array_equal(sure_logs, [0.0, -1e4, -2e4])
    np.testing.assert_allclose(jacobian, np.diag(p[0]) - np.outer(p[0], p[0]), atol=1e-6)


def test_softmax_of_a_row_without_a_greatest_number_is_nan():
    rows = jnp.array([[np.inf, 0.0], [-np.inf, -np.inf], [np.nan, 0.0]])
    for values in jax.jit(lambda x: [softmax(x), log_softmax(x), act.sparsemax(x)])(rows):
        assert np.isnan(values).any(-1).all()


def test_masked_entries_take_no_part():
    x = jnp.array([[1.0, 2.0, jnp.nan], [4.0, jnp.inf, 6.0], [0.0, 1e30, -jnp.inf]])
    mask = jnp.array([[True, True, False], [True, False, True], [False, False, False]])
    p, slope = value_and_pullback(lambda v: softmax(v, where=mask), x, jnp.arange(9.0).reshape(3, 3))
    np.testing.assert_allclose(p[0, :2], [1 / (1 + np.e), np.e / (1 + np.e)], rtol=1e-6)
    np.testing.assert_array_equal(p[2], [0.0, 0.0, 0.0])
    np.testing.assert_array_equal(np.asarray(p)[~mask], 0.0)
    assert np.isfinite(slope).all()
    y, slope = value_and_pullback(lambda v: act.log_sum_exp(v, where=mask), x)
    np.testing.assert_allclose(y, [np.log(np.exp(1) + np.exp(2)), np.log(np.exp(4) + np.exp(6)), -np.inf], rtol=1e-6)
    np.testing.assert_allclose(slope, p, rtol=1e-6)
    column = jax.jit(lambda x: softmax(x, where=jnp.array([True, True, False])))(jnp.zeros((2, 3)))
    np.testing.assert_array_equal(column, [[0.5, 0.5, 0.0]] * 2)


def test_log_sum_exp_is_bounded_by_the_greatest():
    x = jnp.array([[1e4, 1e4], [-1e4, -1e4], [-jnp.inf, 3.0], [jnp.inf, 0.0]])
    np.testing.assert_allclose(act.log_sum_exp(x), [1e4 + np.log(2), -1e4 + np.log(2), 3.0, np.inf], rtol=1e-7)


def test_hard_max_takes_the_first_of_equals_and_shows_nan():
    x = jnp.array([[1.0, 3.0, 3.0], [2.0, jnp.nan, 5.0]])
    np.testing.assert_array_equal(act.hard_max(x), [[0.0, 1.0, 0.0], [np.nan] * 3])
    np.testing.assert_array_equal(act.hard_max(jnp.array([[7, 7], [1, 9]])), [[1, 0], [0, 1]])


def test_sparsemax_gives_zeros_and_ones_exactly():
    x = jnp.array([[0.3, 0.1, -0.8, 0.2], [1e4, -1e4, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0], [0.5, 0.2, -3.0, -9.0]])
    p, jacobian = jax.jit(lambda x: (act.sparsemax(x), jax.jacobian(act.sparsemax)(x[3])))(x)
    np.testing.assert_allclose(p[0], [0.4333333, 0.2333333, 0.0, 0.3333333], rtol=1e-6)
    np.testing.assert_array_equal(p[1], [1.0, 0.0, 0.0, 0.0])
    np.testing.assert_allclose(p[2], [0.25] * 4, rtol=1e-6)
    expected = np.zeros((4, 4))
    expected[:2, :2] = [[0.5, -0.5], [-0.5, 0.5]]
    np.testing.assert_allclose(jacobian, expected, atol=1e-6)


def test_maxout_contains_relu_and_shares_ties():
    x = jnp.array([[1.0, 0.0, -2.0, 0.0], [3.0, 3.0, -1.0, -1.0]])
    y, slope = value_and_pullback(act.maxout, x)
    np.testing.assert_array_equal(y, [[1.0, 0.0], [3.0, -1.0]])
    np.testing.assert_array_equal(slope, [[1.0, 0.0, 0.0, 1.0], [0.5, 0.5, 0.5, 0.5]])


def test_gumbel_softmax_draws_with_the_probabilities_of_softmax():
    logits = jnp.log(jnp.array([0.1, 0.2, 0.7]))
    keys = jax.random.split(jax.random.key(0), 20_000)
    hard = jax.jit(jax.vmap(lambda k: act.gumbel_softmax(logits, key=k, hard=True)))(keys)
    assert set(np.unique(hard)) == {0.0, 1.0}
    shares = np.asarray(hard.mean(0))
    assert (np.abs(shares - [0.1, 0.2, 0.7]) < 4 * np.sqrt(0.21 / 20_000)).all()
    key, cotangent = keys[0], jnp.arange(3.0)
    draw = functools.partial(act.gumbel_softmax, key=key, temperature=0.7)
    soft, slope = value_and_pullback(draw, logits, cotangent)
    noisy = (np.asarray(logits, np.float64) + np.asarray(jax.random.gumbel(key, (3,)))) / 0.7
    np.testing.assert_allclose(soft, np.exp(noisy) / np.exp(noisy).sum(), rtol=1e-5)
    hard, straight = value_and_pullback(functools.partial(draw, hard=True), logits, cotangent)
    np.testing.assert_array_equal(hard, np.eye(3)[noisy.argmax()])
    np.testing.assert_allclose(straight, slope, rtol=1e-6)
    wide = jax.jit(lambda k: act.gumbel_softmax(jnp.zeros((2, 3)), key=k, hard=True, axis=0))(key)
    np.testing.assert_array_equal(wide.sum(0), np.ones(3))


def test_activations_are_looked_up_by_name():
    assert by_name("relu") is relu and by_name(jnp.abs) is jnp.abs
    for bad in (3, None, ["relu"]):
        assert_input_error(lambda bad=bad: by_name(bad), "activation", given=repr(bad)[:4])
    message = assert_input_error(lambda: by_name("sigmiod"), "activation", given="'sigmiod'", expected="celu, elu")
    assert "Did you mean 'sigmoid'?" in message
    for name, hint in (("swish", "silu"), ("prelu", "layers.prelu"), ("linear", "identity")):
        message = assert_input_error(lambda n=name: by_name(n), "activation", given=repr(name))
        assert hint in message.splitlines()[1]
