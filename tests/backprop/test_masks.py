"""Padding of a batch and of sequences, in inputs and in targets; weights of values; several inputs and heads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann import backprop, layers, losses
from jaxann.backprop.registry import LAYERS, LOSSES
from jaxann.core import TrainMode, padded
from jaxann.core.factories import factory
from jaxann.core.padding import Padded
from jaxann.core.products import Layer, LayerFunctions
from jaxann.layers.base import init_child, run_child
from tests.backprop.interpret import evaluate
from tests.backprop.nets import draw_numbers
from tests.contract import assert_input_error
from tests.tolerances import assert_close

BATCH, TIME, FEATURES, CLASSES = 4, 5, 3, 3
LENGTHS = np.array([5, 2, 3, 0])
RANDOM = np.random.default_rng(0)
X, MASK = RANDOM.normal(size=(BATCH, TIME, FEATURES)), np.arange(TIME) < LENGTHS[:, None]
LABELS = RANDOM.integers(0, CLASSES, (BATCH, TIME))
ROWS = np.array([1.0, 1.0, 0.0, 1.0])
CE = losses.softmax_cross_entropy


@factory(Layer)
def doubled(inside: Layer):
    """y = 2 inside(x)."""

    def init(key, spec):
        params, state = init_child(inside, "inside", key, spec)
        return {"inside": params}, {"inside": state}

    def apply(params, state, x, **context):
        y, after = run_child(inside, "inside", params, state, x, **context)
        return 2 * y, {"inside": after}

    return LayerFunctions(init, apply, {"inside": inside})


@pytest.fixture(autouse=True)
def tables() -> Iterator[None]:
    """The tables as they were, afterwards; with a rule for the layer above."""
    kept = [(table, dict(table)) for table in (LAYERS, LOSSES)]

    @backprop.layer_rule(doubled)
    def rule(call: backprop.Call) -> backprop.Step:
        step = call.child("inside", call.x)

        def vjp(g: Any) -> backprop.Cotangents:
            got = step.vjp(2 * g)
            return backprop.Cotangents(got.input_grad, {"inside": got.grads})

        return backprop.Step(2 * step.y, {"inside": step.state}, vjp)

    yield
    for table, before in kept:
        table.clear()
        table.update(before)


def _model(**settings: Any) -> Layer:
    """A norm in a chain, in a block, and in a layer of one's own."""
    body = layers.sequential({"d": layers.dense(4), "norm": layers.batch_norm(eps=0.1, **settings)})
    return layers.sequential(
        {
            "in": layers.dense(4),
            "norm": layers.batch_norm(eps=0.1, **settings),
            "block": layers.residual(body),
            "act": layers.elementwise("tanh"),
            "own": doubled(layers.batch_norm(eps=0.1, **settings)),
            "out": layers.dense(CLASSES),
        }
    )


def _mean(values: Any, counts: Any) -> Any:
    return jnp.sum(jnp.where(counts == 0, 0, counts * values)) / jnp.sum(counts)


@pytest.mark.parametrize("train", [True, False, TrainMode.NOISE, TrainMode.STATISTICS], ids=str)
@pytest.mark.parametrize("rows", [None, ROWS], ids=["all rows", "padded rows"])
def test_padding_counts_nowhere(train: Any, rows: Any, x64: None):
    """The gradients of autodiff through `apply` with both masks, whatever stands in the padding."""
    model = _model(unbiased=True)
    params, state = draw_numbers(np.random.default_rng(1), model, X.shape)
    counts = MASK * (1.0 if rows is None else rows[:, None])

    def both(params, x, labels):
        trace = backprop.backward(
            model, params, state, Padded(x, MASK), Padded(labels, MASK), CE, None, train,
            weights=rows, example_mask=rows,
        )  # fmt: skip

        def cost(params, x):
            real = jnp.where(MASK[..., None], x, 0)
            y, after = model.apply(params, state, real, train=train, example_mask=rows, sequence_mask=jnp.asarray(MASK))
            return _mean(CE(y, jnp.where(MASK, labels, 0)), counts), (y, after)

        found = jax.value_and_grad(cost, (0, 1), has_aux=True)(params, x)
        return (trace.grads, trace.input_grad, trace.loss, trace.state, trace.predictions), found

    (grads, by_x, value, after, y), ((wanted, (y_wanted, state_wanted)), (by_params, by_input)) = evaluate(
        both, params, X, LABELS
    )
    for ours, theirs in zip(
        jax.tree.leaves((grads, value, after, y, np.where(MASK[..., None], by_x, 0))),
        jax.tree.leaves((by_params, wanted, state_wanted, y_wanted, by_input)),
        strict=True,
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)
    spoilt = np.where(MASK[..., None], X, np.nan), np.where(MASK, LABELS, -7)
    (again, _, value_again, after_again, _), _ = evaluate(both, params, *spoilt)
    for ours, theirs in zip(
        jax.tree.leaves((grads, value, after)), jax.tree.leaves((again, value_again, after_again)), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_a_padded_batch_is_its_sequences_end_to_end(x64: None):
    """The norm's statistics, the cost and the gradients are those of the real positions alone, as one long batch."""
    model = _model()
    params, state = draw_numbers(np.random.default_rng(1), model, X.shape)

    def program(params):
        long = backprop.backward(model, params, state, padded(X, LENGTHS), padded(LABELS, LENGTHS), CE)
        flat = backprop.backward(model, params, state, X[MASK], LABELS[MASK], CE)
        return long.grads, long.loss, long.state, flat.grads, flat.loss, flat.state

    found = evaluate(program, params)
    largest = max(np.abs(leaf).max() for leaf in jax.tree.leaves(found[3]))
    for ours, theirs in zip(jax.tree.leaves(found[:3]), jax.tree.leaves(found[3:]), strict=True):
        if np.abs(theirs).max() > 1e-12 * largest:
            assert_close(ours, theirs, "reduction")
        else:  # a bias before the norm has no gradient: what is left of it is rounding
            assert np.abs(ours).max() <= 1e-12 * largest


def test_forward_and_value_and_grad_hand_the_masks_down(x64: None):
    model = _model()
    params, state = draw_numbers(np.random.default_rng(1), model, X.shape)

    def program(params):
        context = {"example_mask": jnp.asarray(ROWS), "sequence_mask": jnp.asarray(MASK)}
        ours = backprop.forward(model, params, state, X, **context)
        (value, (y, after)), grads = backprop.value_and_grad(model, CE)(
            params, state, X, Padded(LABELS, MASK), weights=ROWS, **context
        )
        trace = backprop.backward(model, params, state, X, Padded(LABELS, MASK), CE, weights=ROWS, **context)
        plain = model.apply(params, state, X, train=True, **context)
        return (ours.predictions, ours.state), plain, (value, y, after, grads), (
            trace.loss, trace.predictions, trace.state, trace.grads
        )  # fmt: skip

    forward, applied, by_value, by_trace = evaluate(program, params)
    for ours, theirs in zip(jax.tree.leaves((forward, by_value)), jax.tree.leaves((applied, by_trace)), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("loss", [CE, losses.huber], ids=["classes", "numbers"])
def test_each_value_may_have_a_weight(loss: Any, x64: None):
    model, targets = layers.dense(CLASSES), LABELS
    if loss is losses.huber:
        targets = RANDOM.normal(size=(BATCH, TIME, CLASSES))
    weights = RANDOM.random(targets.shape) * (RANDOM.random(targets.shape) < 0.7)
    params, state = draw_numbers(np.random.default_rng(1), model, X.shape)

    def program(params):
        def cost(params):
            return _mean(loss(model.apply(params, state, X)[0], targets), weights)

        trace = backprop.backward(model, params, state, X, targets, loss, weights=weights)
        return (trace.loss, trace.grads), jax.value_and_grad(cost)(params)

    ours, theirs = evaluate(program, params)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert_close(a, b, "reduction")


def test_what_does_not_fit_is_refused():
    model = _model()
    params, state = draw_numbers(np.random.default_rng(1), model, X.shape)

    def call(x: Any = X, y: Any = LABELS, model: Any = model, **settings: Any) -> None:
        backprop.backward(model, params, state, x, y, CE, **settings)

    assert_input_error(lambda: call(example_mask=MASK), "example_mask", expected="(batch,)")
    assert_input_error(lambda: call(sequence_mask=ROWS), "sequence_mask", expected="(batch, time)")
    assert_input_error(lambda: call(sequence_mask=MASK[:2]), "sequence_mask", expected="(4, 5)")
    assert_input_error(lambda: call(example_mask=ROWS[:2]), "example_mask", expected="(4,)")
    assert_input_error(lambda: call(Padded(X, MASK), sequence_mask=MASK), "sequence_mask", expected="None")
    for verb in (
        lambda: call(train="nosie"),
        lambda: backprop.forward(model, params, state, X, train=1),
        lambda: backprop.value_and_grad(model, CE, train="noise"),
    ):
        assert assert_input_error(verb, "train", expected="TrainMode").startswith("backprop.")  # before any layer
    deaf = layers.custom(lambda key, spec: ({}, {}), mixing)
    backprop.layer_rule(mixing)(lambda call: backprop.Step(*call.apply(), lambda g: backprop.Cotangents(g, {})))
    with pytest.raises(ValueError, match="custom: sequence_mask must be None for a layer that does not heed it"):
        backprop.backward(deaf, {}, {}, X.astype("f4"), LABELS[:, 0], CE, sequence_mask=MASK)
    backprop.loss_derivative(of_example)(lambda predictions, targets: jnp.ones_like(predictions))
    pooled = layers.dense(CLASSES)
    numbers = jax.tree.map(np.float32, draw_numbers(np.random.default_rng(1), pooled, X.shape))
    with pytest.raises(ValueError, match="Padded targets"):
        backprop.backward(pooled, *numbers, X.astype("f4"), Padded(LABELS, MASK), of_example)


def mixing(params, state, x, *, key=None, train=False):
    """Every position sees every other, padded or not."""
    return jnp.sum(x, 1), state


def test_flatten_ends_the_sequence_and_hands_padding_no_gradient():
    model = layers.sequential({"flat": layers.flatten(), "norm": layers.batch_norm(), "out": layers.dense(CLASSES)})
    x, y = jnp.asarray(X, jnp.float32), LABELS[:, 0]
    params, state = model.init(jax.random.key(0), x)

    def cost(params, x):
        logits, _ = model.apply(params, state, x, train=True, sequence_mask=MASK)
        return jnp.mean(CE(logits, y))

    value, grads = jax.value_and_grad(cost, (0, 1))(params, x)
    trace = backprop.backward(model, params, state, x, y, CE, sequence_mask=MASK)
    np.testing.assert_allclose(trace.loss, value, rtol=1e-5)
    for ours, wanted in zip(jax.tree.leaves((trace.grads, trace.input_grad)), jax.tree.leaves(grads), strict=True):
        np.testing.assert_allclose(ours, wanted, rtol=1e-4, atol=1e-6)
    assert not np.asarray(trace.input_grad)[~np.asarray(MASK, bool)].any()


def of_example(predictions, targets):
    """A value an example, whatever the targets."""
    return jnp.sum(predictions, (1, 2))


def test_a_child_that_is_not_there_is_refused():
    backprop.layer_rule(doubled)(lambda call: call.child("body", call.x))
    model = doubled(layers.dense(2))
    params, state = draw_numbers(np.random.default_rng(1), model, (2, 3))
    with pytest.raises(ValueError, match="the name of each child that a rule runs must be one of inside"):
        backprop.backward(model, params, state, X[0, :2], X[0, :2, :2], losses.squared_error)


def test_several_inputs_and_several_heads(x64: None):
    """x, targets and predictions may be trees; a layer and a loss of one's own have rules like any other."""

    def init(key, spec):
        return {}, {}

    def apply(params, state, x, *, key=None, train=False):
        y = x["left"] * params["a"] + x["right"] * params["b"]
        return {"sum": y, "square": y * y}, state

    @backprop.layer_rule(apply)
    def rule(call: backprop.Call) -> backprop.Step:
        y, state = call.apply()
        a, b = call.params["a"], call.params["b"]

        def vjp(g: Any) -> backprop.Cotangents:
            by_y = g["sum"] + 2 * y["sum"] * g["square"]
            grads = {"a": jnp.sum(by_y * call.x["left"]), "b": jnp.sum(by_y * call.x["right"])}
            return backprop.Cotangents({"left": by_y * a, "right": by_y * b}, grads)

        return backprop.Step(y, state, vjp)

    def two_heads(predictions, targets):
        return sum(jnp.sum((predictions[name] - targets[name]) ** 2, -1) for name in ("sum", "square"))

    @backprop.loss_rule(two_heads)
    def loss_vjp(g: Any, predictions: Any, targets: Any) -> Any:
        return {name: g[:, None] * 2 * (predictions[name] - targets[name]) for name in predictions}

    model, params = layers.custom(init, apply), {"a": np.array(0.5), "b": np.array(-2.0)}
    x = {name: RANDOM.normal(size=(4, 2)) for name in ("left", "right")}
    y = {name: RANDOM.normal(size=(4, 2)) for name in ("sum", "square")}
    weights = np.array([1.0, 0.0, 2.0, 1.0])

    def program(params, x):
        def cost(params, x):
            return _mean(two_heads(apply(params, {}, x)[0], y), weights)

        trace = backprop.backward(model, params, {}, x, y, two_heads, weights=weights)
        return (trace.loss, (trace.grads, trace.input_grad)), jax.value_and_grad(cost, (0, 1))(params, x)

    ours, theirs = evaluate(program, params, x)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert_close(a, b, "reduction")
