"""Several inputs and several outputs: names, messages, and a whole net against the same one written by hand."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxann as ja
from jaxann import layers
from tests.contract import assert_input_error
from tests.programs import quick_jit

BATCH = 6


def _model() -> ja.core.Layer:
    return layers.sequential(
        {
            "inputs": layers.parallel(
                {
                    "picture": layers.sequential({"flat": layers.flatten(), "dense": layers.dense(4)}),
                    "numbers": layers.dense(3),
                }
            ),
            "join": layers.concatenate(names=("picture", "numbers")),
            "act": layers.elementwise("tanh"),
            "heads": layers.branch({"digit": layers.dense(10), "parity": layers.dense(1)}),
        }
    )


def _data() -> tuple[dict, dict]:
    random = np.random.default_rng(0)
    shapes = {"picture": (BATCH, 2, 3), "numbers": (BATCH, 5)}
    x = {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    digit = random.integers(0, 10, BATCH, np.int32)
    return x, {"digit": digit, "parity": (digit % 2).astype(np.float32)[:, None]}


def _by_hand(p, x):
    def affine(p, x):
        return jnp.matmul(x, p["weight"]) + jnp.broadcast_to(p["bias"], (BATCH, p["bias"].shape[0]))

    picture = affine(p["inputs"]["picture"]["dense"], x["picture"].reshape(BATCH, 6))
    h = jnp.tanh(jnp.concatenate([picture, affine(p["inputs"]["numbers"], x["numbers"])], 1))
    return {name: affine(p["heads"][name], h) for name in ("digit", "parity")}


def test_two_inputs_and_two_heads_have_the_gradients_of_the_net_by_hand():
    model, (x, y) = _model(), _data()
    params, state = model.init(jax.random.key(1), x)
    loss = ja.losses.by_head(
        {"digit": ja.losses.softmax_cross_entropy, "parity": ja.losses.sigmoid_cross_entropy}, weights={"parity": 0.5}
    )

    def ours(p, x):
        return jnp.mean(loss(model.apply(p, state, x, train=True)[0], y))

    def hand(p, x):
        z = _by_hand(p, x)
        digit = optax.softmax_cross_entropy_with_integer_labels(z["digit"], y["digit"])
        parity = optax.sigmoid_binary_cross_entropy(z["parity"], y["parity"])
        return jnp.mean(digit + 0.5 * jnp.mean(parity, 1))

    found, expected = (quick_jit(jax.value_and_grad(function, (0, 1)))(params, x) for function in (ours, hand))
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_backward_rules_of_several_inputs_and_heads_are_those_of_autodiff():
    model, (x, _) = _model(), _data()
    params, state = model.init(jax.random.key(1), x)
    walk = ja.backprop.walk.Walk(None, ja.backprop.Context(True))

    @quick_jit
    def both(params, x):
        step = walk.forward(model, params, state, x)
        y, pullback = jax.vjp(lambda p, x: model.apply(p, state, x, train=True)[0], params, x)
        upstream = jax.tree.map(jnp.cos, y)
        below = step.vjp(upstream)
        return (step.y, below.grads, below.input_grad), (y, *pullback(upstream))

    for a, b in zip(*map(jax.tree.leaves, both(params, x)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_branch_of_backward_rules_adds_the_gradients_of_all_heads():
    model = layers.branch({"a": layers.dense(2), "b": layers.dense(3), "c": layers.elementwise("tanh")})
    x = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)
    params, state = model.init(jax.random.key(1), x)

    @quick_jit
    def both(x):
        step = ja.backprop.walk.Walk(None, ja.backprop.Context(True)).forward(model, params, state, x)
        y, pullback = jax.vjp(lambda x: model.apply(params, state, x)[0], x)
        return step.vjp(y).input_grad, pullback(y)[0]

    ours, expected = both(x)
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-6)


def test_joined_arrays_stand_in_the_order_of_names():
    a, b = np.zeros((2, 1), np.float32), np.ones((2, 3), np.float32)
    cases = {"given": (("b", "a"), {"a": a, "b": b}), "sorted": (None, {"b": b, "a": a}), "tuple": (None, (b, a))}
    run = {name: layers.concatenate(names=names).apply({}, {}, x)[0] for name, (names, x) in cases.items()}
    np.testing.assert_array_equal(run["given"][0], [1, 1, 1, 0])
    np.testing.assert_array_equal(run["sorted"][0], [0, 1, 1, 1])
    np.testing.assert_array_equal(run["tuple"][0], [1, 1, 1, 0])


@pytest.mark.parametrize("call", ["init", "apply"])
def test_missing_and_extra_inputs_are_named_in_one_message(call: str):
    model, (x, _) = _model(), _data()
    params, state = model.init(jax.random.key(1), x)

    def run(x):
        return model.init(jax.random.key(0), x) if call == "init" else model.apply(params, state, x)

    argument = "spec" if call == "init" else "x"
    names = "a dict with the names 'picture', 'numbers'"
    for wrong, given in (
        ({"picture": x["picture"]}, "none called 'numbers'"),
        (x | {"sound": x["numbers"]}, "'sound' too"),
        ({"picture": x["picture"], "number": x["numbers"]}, "none called 'numbers' and 'number' too"),
        ((x["picture"], x["numbers"]), "tuple"),
    ):
        assert_input_error(lambda w=wrong: run(w), argument, given=given, expected=names)


def test_concatenate_refuses_what_does_not_fit_together():
    join = layers.concatenate()
    cases = (
        ({"a": np.ones((2, 3), np.float32), "b": np.ones((3, 3), np.float32)}, "'a' (2, 3), 'b' (3, 3)"),
        ({"a": np.ones((2, 3), np.float32), "b": np.ones((2, 4, 3), np.float32)}, "'b' (2, 4, 3)"),
        ({"a": np.ones((2, 3), np.float32), "b": np.ones((2, 3), np.int32)}, "float32, int32"),
        ({}, "none"),
        (np.ones((2, 3), np.float32), "shape (2, 3)"),
    )
    for x, given in cases:
        assert_input_error(lambda x=x: join.apply({}, {}, x), "x", given=given)
    named = layers.concatenate(names=("a", "b"))
    message = assert_input_error(lambda: named.apply({}, {}, {"a": np.ones((2, 3))}), "x", given="none called 'b'")
    assert "'a', 'b'" in message


def test_names_of_branches_are_those_of_parameters():
    for build in (layers.parallel, layers.branch):
        assert_input_error(lambda b=build: b({"a.b": layers.dense(3)}), "each name", given="'a.b'")
        assert_input_error(lambda b=build: b({"": layers.dense(3)}), "each name")
