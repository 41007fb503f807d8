"""A value of weight 0 says nothing under a loss of a person's own, either: whatever it holds, in no value or slope."""

from __future__ import annotations

import functools
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxann as ja
from jaxann.losses.places import keeps_to_places
from jaxann.train.objective import loss_sums
from tests.programs import quick_jit

KEY = jax.random.key(0)
RANDOM = np.random.default_rng(0)
ROWS, PLACES, CLASSES = 5, 2, 3
GONE = (3, 1)  # the place of weight 0
WEIGHTS = RANDOM.uniform(0.5, 2, (ROWS, PLACES)).astype(np.float32)
WEIGHTS[GONE] = 0
Z = RANDOM.normal(size=(ROWS, PLACES)).astype(np.float32)
Y = RANDOM.integers(0, 4, (ROWS, PLACES)).astype(np.float32)
LOGITS = RANDOM.normal(size=(ROWS, PLACES, CLASSES)).astype(np.float32)
LABELS = RANDOM.integers(0, CLASSES, (ROWS, PLACES)).astype(np.int32)


def poisson(z, y):
    return jnp.exp(z) - y * z


@jax.custom_jvp
def _cubed(x):
    return x**3


@_cubed.defjvp
def _cubed_slope(primals, tangents):
    return _cubed(*primals), 3 * primals[0] ** 2 * tangents[0]


def picked(z, y):
    return -jnp.take_along_axis(jax.nn.log_softmax(z), y[..., None], -1)[..., 0]


def one_hot(z, y):
    return -jnp.sum(jax.nn.one_hot(y, CLASSES) * jax.nn.log_softmax(z), -1)


def mapped(z, y):
    return jax.vmap(jax.vmap(lambda row, label: -jax.nn.log_softmax(row)[label]))(z, y)


def projected(z, y):
    return jnp.sum((z @ jnp.ones((CLASSES, 2)) - y[..., None]) ** 2, -1)


PLACED = {
    "poisson": (poisson, Z, Y),
    "relative": (lambda z, y: jnp.where(z > y, z / (y + 1), jax.nn.relu(y - z) ** 3), Z, Y),
    "cubed": (lambda z, y: _cubed(z - y) + jax.nn.gelu(z), Z, Y),
    "picked": (picked, LOGITS, LABELS),
    "one_hot": (one_hot, LOGITS, LABELS),
    "mapped": (mapped, LOGITS, LABELS),
    "projected": (projected, LOGITS, Y),
    "ordered": (lambda z, y: jnp.sum(jnp.cumsum(jnp.sort(z, -1), -1) ** 2, -1) + y, LOGITS, Y),
    "bound": (functools.partial(lambda z, y, power: jnp.abs(z - y) ** power, power=1.5), Z, Y),
    "levels": (lambda z, y: jnp.sum(jnp.maximum(z, 0) ** 2 * jnp.arange(3.0)[None, None], -1) * y, LOGITS, Y),
    "members": (ja.losses.squared_error, Z, Y),
}
LISTWISE = {
    "log_softmax": (lambda z, y: -y * jax.nn.log_softmax(z), Z, Y),
    "differences": (lambda z, y: jnp.cumsum(z - y, 1) ** 2, Z, Y),
    "turned": (lambda z, y: (z[:, ::-1] - y) ** 2, Z, Y),
    "centered": (lambda z, y: (z - z.mean(0) - y) ** 2, Z, Y),
    "product": (lambda z, y: (z @ jnp.ones((2, 2)) - y) ** 2, Z, Y),
    "square": (lambda z, y: (z[:2].T - y[:2]) ** 2, Z[:2], Y[:2]),
    "reshaped": (lambda z, y: (z.T.reshape(ROWS, PLACES) - y) ** 2, Z, Y),
    "looked up": (lambda z, y: (z[jnp.asarray([0, 0, 1, 1, 2])] - y) ** 2, Z, Y),
    "scanned": (lambda z, y: jax.lax.associative_scan(jnp.add, z, axis=1) - y, Z, Y),
}


def _slope(loss: Any, z: Any, y: Any, weights: Any) -> Any:
    def mean(z):
        total, weight = loss_sums(loss, z, y, weights)
        return total / weight

    return jax.value_and_grad(mean)(z)


@pytest.mark.parametrize("name", PLACED)
def test_a_value_of_weight_0_that_is_not_finite_is_in_no_value_and_no_slope(name: str):
    loss, z, y = PLACED[name]
    assert keeps_to_places(loss, z, y, WEIGHTS.shape)
    program = quick_jit(functools.partial(_slope, loss))
    value, slope = program(z, y, WEIGHTS)
    for bad in (np.inf, np.nan, 3e38):
        spoilt, others = z.copy(), y.copy()
        spoilt[GONE], others[GONE] = bad, 100
        found, got = program(spoilt, others, WEIGHTS)
        np.testing.assert_array_equal(found, value)
        np.testing.assert_array_equal(np.asarray(got)[GONE], 0)
        kept = WEIGHTS != 0
        np.testing.assert_array_equal(np.asarray(got)[kept], np.asarray(slope)[kept])


def test_the_slope_of_a_persons_own_loss_is_that_of_the_counted_values():
    spoilt = Z.copy()
    spoilt[GONE] = 1e3
    value, slope = quick_jit(functools.partial(_slope, poisson))(spoilt, Y, WEIGHTS)
    z, w = np.where(WEIGHTS == 0, 0, Z).astype(np.float64), WEIGHTS.astype(np.float64)
    np.testing.assert_allclose(value, (w * (np.exp(z) - Y * z)).sum() / w.sum(), rtol=1e-6)
    np.testing.assert_allclose(slope, w * (np.exp(z) - Y) / w.sum(), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", LISTWISE)
def test_values_that_look_at_each_other_are_known_by_their_steps(name: str):
    loss, z, y = LISTWISE[name]
    assert not keeps_to_places(loss, z, y, z.shape)


def test_an_example_whose_values_all_have_weight_0_is_left_out_of_a_listwise_loss():
    weights = np.where(np.arange(ROWS)[:, None] == 3, 0, WEIGHTS).astype(np.float32)
    spoilt = Z.copy()
    spoilt[3] = np.inf
    program = quick_jit(functools.partial(_slope, LISTWISE["log_softmax"][0]))
    for a, b in zip(program(spoilt, Y, weights), program(Z, Y, weights), strict=True):
        np.testing.assert_array_equal(a, b)


def test_fit_populations_and_evaluate_leave_a_value_out_that_overflows():
    """Its target is what overflows: (1e18 - z)^3 is infinite."""

    def cubed(z, y):
        return jnp.abs(z - y) ** 3

    y = Y.copy()
    y[GONE] = 1e18
    recipe = ja.recipe(ja.layers.dense(2), cubed, ja.optimizers.sgd(0.01), batch_size=ROWS, shuffle=False)
    x = RANDOM.normal(size=(ROWS, 3)).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found, wanted = (ja.fit(recipe, (x, t, WEIGHTS), key=KEY, epochs=2) for t in (y, Y))
        many = ja.train.fit_population(
            lambda hyper: recipe,
            {},
            (x, y, WEIGHTS),
            keys=jax.random.split(KEY, 2),
            epochs=2,
            validation=(x, y, WEIGHTS),
        )
        figures = [ja.train.evaluate(recipe, found.params, found.state, (x, t, WEIGHTS))["loss"] for t in (y, Y)]
    for a, b in zip(jax.tree.leaves(found.params), jax.tree.leaves(wanted.params), strict=True):
        np.testing.assert_array_equal(a, b)
    assert np.isfinite(many.history["validation_loss"]).all() and (many.diverged_step == -1).all()
    assert np.isfinite(figures[0]) and figures[0] == figures[1]


def test_a_loss_that_is_given_values_of_weight_0_is_told():
    recipe = ja.recipe(ja.layers.dense(2), LISTWISE["log_softmax"][0], ja.optimizers.sgd(0.01), batch_size=ROWS)
    data = RANDOM.normal(size=(ROWS, 3)).astype(np.float32), Y, WEIGHTS
    with pytest.warns(UserWarning, match="given those of weight 0 in train, too"):
        ja.fit(recipe, data, key=KEY, epochs=1)


def test_the_backward_pass_by_hand_leaves_a_value_out_that_overflows():
    params = {"weight": np.eye(2, dtype=np.float32), "bias": np.zeros(2, np.float32)}
    back = quick_jit(lambda x, y: ja.backprop.backward(ja.layers.dense(2), params, {}, x, y, ja.losses.poisson_nll,
                                                       weights=WEIGHTS)[:3:2])  # fmt: skip
    spoilt = Z.copy()
    spoilt[GONE] = 1e3  # exp(1e3) is infinite
    cost, grads = back(spoilt, Y)
    z, w = np.where(WEIGHTS == 0, 0, Z).astype(np.float64), WEIGHTS.astype(np.float64)
    np.testing.assert_allclose(cost, (w * (np.exp(z) - Y * z)).sum() / w.sum(), rtol=1e-6)
    np.testing.assert_allclose(grads["bias"], (w * (np.exp(z) - Y)).sum(0) / w.sum(), rtol=1e-5)
