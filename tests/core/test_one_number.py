"""An array in the place of one number: members for `vmap` to take apart, or refused, never broadcast."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxann as ja
from jaxann import layers, optimizers, regularizers, schedules
from jaxann.core import InputError, Layer, Optimizer, batch_axes, factory
from jaxann.core.checks import check_range
from tests.catalogue import LOSSES, PRODUCTS, LossRow, Row
from tests.contract import assert_input_error
from tests.programs import quick_jit
from tests.train.problems import small_fit

# Which arguments are arrays by nature, or another library's.
ARRAYS = {"initializers.constant": "value", "regularizers.l2_sp": "reference", "optimizers.from_optax": "moving"}
PER_CLASS = {"losses.sigmoid_cross_entropy": "positive_weight", "losses.softmax_focal": "alpha"}
GRADS = {"w": np.full((4, 3), 0.5, np.float32)}


def _numbers(value: Any) -> Iterator[tuple[Callable[[Any], Any], Any]]:
    """Each number in an argument, and how another value is put in its place."""
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        yield (lambda new: new), value
    elif type(value) is tuple:
        for place, part in enumerate(value):
            for put, number in _numbers(part):
                yield (lambda new, i=place, put=put: (*value[:i], put(new), *value[i + 1 :])), number
    elif isinstance(value, dict):
        for name, part in value.items():
            for put, number in _numbers(part):
                yield (lambda new, n=name, put=put: {**value, n: put(new)}), number


@pytest.mark.parametrize("row", PRODUCTS, ids=str)
def test_no_array_passes_for_a_number(row: Row):
    product = row.build()
    for name, value in product.arguments.items():
        if ARRAYS.get(row.name) == name:
            continue
        for put, number in _numbers(value):
            for many in (np.array([number]), np.full(3, number)):
                # A size is refused at once; the numbers of many members when they are used as one.
                given = {name: put(many)}
                assert_input_error(lambda g=given: product.replace(**g).functions, "", given="shape")


@pytest.mark.parametrize("row", PRODUCTS, ids=str)
def test_no_object_passes_for_a_flag(row: Row):
    product = row.build()
    for name in product._factory.flags:
        for other in ("no", "true", 2, 0.5, None, object(), np.array([True, False]), jnp.array(True)):
            assert_input_error(lambda n=name, v=other: product.replace(**{n: v}), name, expected="True or False")
        assert product.replace(**{name: np.bool_(product.arguments[name])}) == product


KEY = jax.random.key(0)
FLAGS = {
    "glu": lambda flag: ja.activations.glu(GRADS["w"].T, gate_first=flag),
    "swiglu": lambda flag: ja.activations.swiglu(GRADS["w"].T, gate_first=flag),
    "gelu": lambda flag: ja.activations.gelu(GRADS["w"], flag),
    "gumbel_softmax": lambda flag: ja.activations.gumbel_softmax(GRADS["w"], key=KEY, hard=flag),
    "ewma": lambda flag: ja.ops.ewma(GRADS["w"], 0.9, debias=flag),
    "ewma, skip_nan": lambda flag: ja.ops.ewma(GRADS["w"], 0.9, skip_nan=flag),
    "expected_calibration_error": lambda flag: ja.metrics.expected_calibration_error(
        np.ones(3, np.float32), np.ones(3, np.int32), adaptive=flag
    ),
}


@pytest.mark.parametrize("name", FLAGS)
def test_no_object_passes_for_a_flag_of_a_function(name: str):
    for other in ("no", 2, None, np.array([True, False])):
        assert_input_error(lambda v=other: FLAGS[name](v), "", expected="True or False")


@pytest.mark.parametrize("row", [r for r in LOSSES if r.numbers], ids=str)
def test_no_array_passes_for_a_number_of_a_loss(row: LossRow):
    random = np.random.default_rng(0)
    shape = (4, 3) if not row.event else (4, *row.event)
    predictions = random.normal(size=shape).astype(np.float32)
    assert row.targets is not None
    targets = row.targets(random, shape)
    for name, number in row.numbers.items():
        for many in (np.array([number]), np.full(5, number)):
            assert_input_error(lambda n=name, v=many: row.build(predictions, targets, **{n: v}), "", given="shape")


@pytest.mark.parametrize(
    ("build", "argument"),
    [
        (lambda v: {"optimizer": optimizers.adam(v)}, "adam: learning_rate"),
        (lambda v: {"optimizer": optimizers.sgd(0.1, momentum=v)}, "sgd: momentum"),
        (lambda v: {"optimizer": optimizers.adamw(0.1, weight_decay=schedules.linear(v, 10))}, "linear: value"),
        (lambda v: {"optimizer": optimizers.sgd(schedules.scaled(v, 0.5))}, "scaled: rate"),
        (lambda v: {"optimizer": optimizers.sgd(schedules.join((v, 0.1), (3,)))}, "join: each number"),
        (lambda v: {"optimizer": optimizers.chain(optimizers.clip_by_norm(v), optimizers.sgd(0.1))}, "clip_by_norm"),
        (lambda v: {"optimizer": optimizers.adagrad(0.1, initial_accumulator_value=v)}, "initial_accumulator_value"),
        (lambda v: {"optimizer": optimizers.yogi(0.1, initial_accumulator_value=v)}, "initial_accumulator_value"),
        (lambda v: {"optimizer": optimizers.rmsprop(0.1, initial_scale=v)}, "rmsprop: initial_scale"),
        (lambda v: {"optimizer": optimizers.rprop(v)}, "rprop: initial_step_size"),
        (lambda v: {"penalty": regularizers.l2_penalty(v)}, "l2_penalty: strength"),
        (lambda v: {"model": ja.models.mlp((10,), dropout=v)}, "dropout"),
        (
            lambda v: {"model": layers.sequential({"drop0": layers.dropout(v), "dense0": layers.dense(10)})},
            "dropout: rate",
        ),
        (lambda v: {"augment": ja.data.mixup(v)}, "mixup: alpha"),
    ],
)
def test_a_run_with_an_array_for_a_number_is_refused(build: Callable[[Any], Any], argument: str):
    for value in (np.array([0.1]), jnp.full(10, 0.1)):
        with pytest.raises(InputError, match=rf"^[^\n]*{argument}[^\n]* must be one number in .*, got .*of shape \(1"):
            small_fit(epochs=1, metrics=None, **build(value))


def test_members_are_made_asked_and_taken_apart():
    rates = jnp.asarray([0.1, 0.2, 0.4], jnp.float32)

    def made(rate):
        return optimizers.chain(optimizers.clip_by_global_norm(10.0), optimizers.sgd(rate, momentum=rate))

    many = made(rates)
    assert "chain" in many.traits and not many.averages and "0.2" in repr(many)
    state = many.init(GRADS)

    def moved(rule):
        return rule.update(GRADS, state, GRADS)[0]["w"]

    found = quick_jit(jax.vmap(moved, in_axes=(batch_axes(many),)))(many)
    np.testing.assert_allclose(found[:, 0, 0], -0.5 * rates, rtol=1e-6)
    with pytest.raises(InputError, match=r"sgd: learning_rate must be one number .*, got float32 of shape \(3,\)"):
        quick_jit(moved)(many)
    with pytest.raises(InputError, match="vmap"):
        moved(many)
    for bad in ([0.1, -0.2], [np.nan, 0.1]):
        assert_input_error(lambda bad=bad: optimizers.sgd(np.array(bad)), "learning_rate")
    nested = jax.vmap(lambda r: quick_jit(moved)(made(r)))(rates)  # made inside: one number
    np.testing.assert_allclose(nested[:, 0, 0], -0.5 * rates, rtol=1e-6)


@factory(Optimizer)
def own_rule(rate: float = 0.1):
    """A rule of somebody's own with a checked number."""
    check_range("own_rule", "rate", rate, 0)
    return (lambda params: ()), lambda grads, state, params: (jax.tree.map(lambda g: -rate * g, grads), state)


@factory(Layer, traits=("positionwise",))
def own_layer(scale: float = 1.0):
    """A layer of somebody's own with a checked number."""
    check_range("own_layer", "scale", scale)
    return (lambda key, spec: ({}, {})), lambda params, state, x, *, key=None, train=False: (scale * x, state)


def test_the_numbers_of_one_s_own_products_are_one_number_too():
    assert_input_error(lambda: own_rule(np.ones(3)).update(GRADS, (), GRADS), "rate", given="shape (3,)")
    layer = own_layer(np.ones(3))
    assert layer.traits == {"positionwise"}
    assert_input_error(lambda: layer.apply({}, {}, np.ones((4, 3))), "scale", given="shape (3,)")
    axes = batch_axes(layer)
    found = jax.vmap(lambda one: one.apply({}, {}, jnp.ones((4, 3)))[0], in_axes=(axes,))(layer)
    assert found.shape == (3, 4, 3)
