"""Layers, formulas and optimizers of one's own in an account: shown as the library's are."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxann as ja
from jaxann import backprop
from jaxann.backprop import registry
from jaxann.core.factories import factory
from jaxann.core.products import Layer, LayerFunctions
from jaxann.layers.base import init_child, run_child
from jaxann.teach import explain, layer_formula, layers
from tests.contract import assert_input_error
from tests.teach.cases import value
from tests.teach.nets import filled, recipe
from tests.tolerances import assert_close

DRAW = np.random.default_rng(5)
X, Y = DRAW.normal(size=(3, 2)), DRAW.normal(size=(3, 1))
HALF = ja.losses.half_squared_error


def relu(x):
    """Not the library's, whatever its name."""
    return 3 * x


@factory(Layer)
def together(left: Layer, right: Layer):
    """y = left(x) right(2 x)."""
    sides = {"left": left, "right": right}

    def init(key, spec):
        pairs = {name: init_child(layer, name, key, spec) for name, layer in sides.items()}
        return {n: p for n, (p, _) in pairs.items()}, {n: s for n, (_, s) in pairs.items()}

    def apply(params, state, x, **context):
        a, _ = run_child(left, "left", params, state, x, **context)
        b, _ = run_child(right, "right", params, state, 2 * x, **context)
        return a * b, state

    return LayerFunctions(init, apply, sides)


@factory(Layer)
def three(one: Layer, two: Layer, last: Layer):
    """y = one(x) + two(x) + last(x)."""
    sides = {"one": one, "two": two, "last": last}

    def init(key, spec):
        pairs = {name: init_child(layer, name, key, spec) for name, layer in sides.items()}
        return {n: p for n, (p, _) in pairs.items()}, {n: s for n, (_, s) in pairs.items()}

    def apply(params, state, x, **context):
        return sum(run_child(layer, name, params, state, x, **context)[0] for name, layer in sides.items()), state

    return LayerFunctions(init, apply, sides)


@pytest.fixture(autouse=True)
def rules() -> Iterator[None]:
    """Rules and formulas of the layers above, and all tables as they were, afterwards."""
    tables = (registry.LAYERS, registry.ACTIVATIONS, layers._FORMULAS)
    kept = [dict(table) for table in tables]

    @backprop.layer_rule(together)
    def product(call: backprop.Call) -> backprop.Step:
        left, right = call.child("left", call.x), call.child("right", 2 * call.x)

        def vjp(g: Any) -> backprop.Cotangents:
            by_left, by_right = left.vjp(g * right.y), right.vjp(g * left.y)
            grads = {"left": by_left.grads, "right": by_right.grads}
            return backprop.Cotangents(by_left.input_grad + 2 * by_right.input_grad, grads)

        return backprop.Step(left.y * right.y, {"left": left.state, "right": right.state}, vjp)

    @backprop.layer_rule(three)
    def added(call: backprop.Call) -> backprop.Step:
        steps = {name: call.child(name, call.x) for name in call.layer.children}

        def vjp(g: Any) -> backprop.Cotangents:
            found = {name: step.vjp(g) for name, step in steps.items()}
            below = sum(one.input_grad for one in found.values())
            return backprop.Cotangents(below, {name: one.grads for name, one in found.items()})

        return backprop.Step(sum(step.y for step in steps.values()), {n: s.state for n, s in steps.items()}, vjp)

    backprop.activation_derivative(relu)(lambda x, y: 3 * jnp.ones_like(x))
    yield
    for table, before in zip(tables, kept, strict=True):
        table.clear()
        table.update(before)


def _gradients(model: Layer, params: Any, state: Any) -> Any:
    def cost(params):
        return jnp.mean(HALF(model.apply(params, state, jnp.asarray(X), train=True)[0], Y))

    return jax.jit(jax.grad(cost))(params)


def _formulas(account) -> list[str]:
    return [step.formula for section in account.sections for step in section.steps]


def test_a_composite_of_your_own_is_walked_child_by_child(x64: None):
    block = together(
        ja.layers.dense(2), ja.layers.sequential({"d": ja.layers.dense(2), "t": ja.layers.elementwise("tanh")})
    )
    model = ja.layers.sequential({"first": ja.layers.dense(2), "block": block, "out": ja.layers.dense(1)})
    params, state = filled(model, X)
    account = explain(recipe(model, HALF), params, X, Y, digits=17)
    for ours, wanted in zip(
        jax.tree.leaves(account.grads), jax.tree.leaves(_gradients(model, params, state)), strict=True
    ):
        assert_close(ours, np.asarray(wanted), "reduction")
    z1 = X[0] @ params["first"]["weight"] + params["first"]["bias"]
    left = z1 @ params["block"]["left"]["weight"] + params["block"]["left"]["bias"]
    right = np.tanh(2 * z1 @ params["block"]["right"]["d"]["weight"] + params["block"]["right"]["d"]["bias"])
    for j in range(2):
        assert_close(np.float64(value(account, f"z2[{j + 1}]")), left[j], "reduction")
        assert_close(np.float64(value(account, f"a3[{j + 1}]")), right[j], "reduction")
    assert_close(value(account, "block"), left * right, "reduction")
    formulas = _formulas(account)
    assert "block = together(z1)" in formulas and "delta1 = J(together)^T dJ/dblock" in formulas
    assert any(f.startswith("z3[1] = block.right.in[1] W3[1,1]") for f in formulas)
    assert "delta1[1] = sum" not in " ".join(formulas) and account.net is None


def test_branches_of_your_own_are_added_line_by_line(x64: None):
    layer_formula(three, branches=True)(lambda layer, train: "one(u) + two(u) + last(u)")
    block = three(*(ja.layers.dense(2) for _ in range(3)))
    model = ja.layers.sequential({"first": ja.layers.dense(2), "sum": block, "out": ja.layers.dense(1)})
    params, state = filled(model, X)
    account = explain(recipe(model, HALF), params, X, Y, digits=17)
    (line,) = [
        step for section in account.sections if section.title.startswith("Backward: where")
        for step in section.steps if step.formula.startswith("delta1[1] = ")
    ]  # fmt: skip
    assert line.formula.count("(by ") == 3 and all(side in line.formula for side in ("one", "two", "last"))
    terms = line.substituted.replace("(", "").replace(")", "").split(" + ")
    assert_close(np.float64(sum(map(float, terms))), line.value, "reduction")
    wanted = _gradients(model, params, state)
    assert_close(account.grads["first"]["weight"], np.asarray(wanted["first"]["weight"]), "reduction")


def test_a_formula_goes_by_the_function_and_not_by_its_name(x64: None):
    """An activation of your own called relu is no relu."""
    model = ja.layers.sequential({"d": ja.layers.dense(1), "act": ja.layers.elementwise(relu)})
    account = explain(recipe(model, HALF), filled(model, X)[0], X, Y, digits=17)
    assert not any("max(" in formula for formula in _formulas(account))
    assert_close(np.float64(value(account, "a1")), 3 * value(account, "z1"), "reduction")
    assert_close(np.float64(value(account, "delta1")), 3 * value(account, "dJ/da1"), "reduction")


def test_a_layer_of_your_own_may_be_an_activation_or_a_weighted_sum(x64: None):
    @factory(Layer, traits=("positionwise",))
    def tripled():
        """y = 3 x."""
        return (lambda key, spec: ({}, {})), lambda params, state, x, *, key=None, train=False: (relu(x), state)

    @backprop.layer_rule(tripled, activation=True, function=lambda layer: relu)
    def rule(call: backprop.Call) -> backprop.Step:
        y, state = call.apply()
        return backprop.Step(y, state, lambda g: backprop.Cotangents(3 * g, {}))

    model = ja.layers.sequential({"d": ja.layers.dense(1), "act": tripled()})
    account = explain(recipe(model, HALF), filled(model, X)[0], X, Y)
    assert account.sections[0].title == "Forward: layer 1 (d, act: relu)"
    assert account.net is not None and account.net.columns[-1].title == "d, act"
    assert_input_error(lambda: layer_formula("dense"), "layer", given="dense")


@pytest.mark.parametrize(
    "optimizer",
    [
        ja.optimizers.adam(0.1),
        ja.optimizers.sgd(0.1, momentum=0.9, nesterov=True),
        ja.optimizers.sam(ja.optimizers.sgd(0.1)),
    ],
    ids=str,
)
def test_the_update_is_the_first_step_of_the_recipe_s_optimizer(optimizer: Any, x64: None):
    model = ja.models.mlp((2, 1), activation="tanh")
    params, state = filled(model, X)
    account = explain(recipe(model, HALF, optimizer), params, X, Y, digits=17)

    def cost(params):
        return jnp.mean(HALF(model.apply(params, state, jnp.asarray(X))[0], Y))

    grads = jax.grad(cost)(params)
    updates, _ = optimizer.update(grads, optimizer.init(params), params, value=cost(params), value_fn=cost)
    for ours, before, by in zip(*map(jax.tree.leaves, (account.params_after, params, updates)), strict=True):
        np.testing.assert_allclose(ours, before + np.asarray(by), rtol=1e-7)
    assert_close(np.float64(account.loss_after), cost(account.params_after), "reduction")
    text = " ".join(str(account).split())
    assert f"The first step of {optimizer!r}." in text and "w <- w - update" in text and "eta" not in text
    (update,) = [section for section in account.sections if section.title.startswith("Update of")]
    for step in update.steps:
        if step.substituted:
            first, second = step.substituted.replace("(", "").replace(")", "").split(" + ")
            assert_close(np.float64(float(first) + float(second)), np.float64(step.value), "reduction")


def test_plain_descent_by_a_schedule_takes_its_first_rate(x64: None):
    model, loss = ja.layers.dense(1), functools.partial(ja.losses.huber, delta=0.5)
    params = filled(model, X)[0]
    schedule = ja.schedules.step(0.25, 2)
    found = explain(recipe(model, loss, ja.optimizers.sgd(schedule)), params, X, Y)
    assert found.loss_after == explain(recipe(model, loss, ja.optimizers.sgd(0.25)), params, X, Y).loss_after
