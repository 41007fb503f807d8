"""The dense layer against PyTorch, its names and its errors; flatten; composition."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann import initializers
from jaxann.core import Layer
from jaxann.core.trees import flatten_named
from jaxann.layers import as_layer, custom, dense, dropout, elementwise, flatten, residual, sequential
from jaxann.models import mlp
from tests.contract import assert_input_error
from tests.rows.layers import own_apply, own_init


@pytest.mark.usefixtures("x64")
def test_dense_and_its_gradients_match_torch():
    torch = pytest.importorskip("torch")
    x = jax.random.normal(jax.random.key(0), (2, 4, 5), jnp.float64)
    layer = dense(3, bias_init=initializers.normal(1.0))
    params, state = layer.init(jax.random.key(1), x)
    theirs = torch.nn.Linear(5, 3, dtype=torch.float64)
    theirs.weight.data = torch.tensor(np.asarray(params["weight"]).T.copy())
    theirs.bias.data = torch.tensor(np.asarray(params["bias"]))
    inputs = torch.tensor(np.asarray(x), requires_grad=True)
    out = theirs(inputs)
    (out**2).sum().backward()
    y = layer.apply(params, state, x)[0]
    np.testing.assert_allclose(y, out.detach().numpy(), rtol=1e-12)
    gradients = jax.grad(lambda p, v: jnp.sum(layer.apply(p, state, v)[0] ** 2), argnums=(0, 1))(params, x)
    np.testing.assert_allclose(gradients[0]["weight"], theirs.weight.grad.numpy().T, rtol=1e-12)
    np.testing.assert_allclose(gradients[0]["bias"], theirs.bias.grad.numpy(), rtol=1e-12)
    np.testing.assert_allclose(gradients[1], inputs.grad.numpy(), rtol=1e-12)


def test_dense_sums_half_precision_in_single():
    x = jnp.ones((1, 4096), jnp.bfloat16)
    layer = dense(1, kernel_init=initializers.normal(0.0), use_bias=False)
    params = {"weight": jnp.ones((4096, 1), jnp.bfloat16)}
    assert float(layer.apply(params, {}, x)[0][0, 0]) == 4096.0


def test_dense_checks_features_and_dtype():
    layer = dense(3)
    params, state = layer.init(jax.random.key(0), jnp.zeros((1, 5)))
    assert set(params) == {"weight", "bias"} and not np.asarray(params["bias"]).any()
    assert set(dense(3, use_bias=False).init(jax.random.key(0), jnp.zeros((1, 5)))[0]) == {"weight"}
    assert_input_error(lambda: layer.apply(params, state, np.zeros((2, 4), np.float32)), "x", given="(2, 4)")
    assert_input_error(lambda: layer.apply(params, state, np.float32(1)), "x", given="()")
    assert_input_error(lambda: layer.apply(params, state, np.zeros((2, 5), np.float16)), "x", given="float16")
    key = jax.random.key(0)
    for bad in (np.zeros((2, 0), np.float32), np.float32(3), np.zeros((2, 3), np.int32)):
        assert_input_error(lambda bad=bad: layer.init(key, bad), "spec")


def test_flatten_joins_all_axes_but_the_first():
    x = jnp.arange(24.0).reshape(2, 3, 4)
    np.testing.assert_array_equal(flatten().apply({}, {}, x)[0], x.reshape(2, 12))
    assert flatten().apply({}, {}, x[:, 0, 0])[0].shape == (2, 1)
    assert_input_error(lambda: flatten().apply({}, {}, np.float32(1)), "x")


def test_sequential_runs_in_the_order_of_the_table():
    model = sequential({"z": dense(4), "a": elementwise("relu"), "m": dense(2)})
    x = jax.random.normal(jax.random.key(0), (3, 5))
    params, state = model.init(jax.random.key(1), x)
    assert list(flatten_named(params)) == ["m.bias", "m.weight", "z.bias", "z.weight"]
    hidden = jax.nn.relu(x @ params["z"]["weight"])
    np.testing.assert_allclose(model.apply(params, state, x)[0], hidden @ params["m"]["weight"], rtol=1e-5, atol=1e-6)


def test_inserting_a_layer_moves_no_other_weights():
    x, key = jnp.zeros((1, 5)), jax.random.key(1)
    plain = sequential({"d0": dense(4), "act": elementwise("relu"), "d1": dense(2)})
    longer = sequential({"d0": dense(4), "act": elementwise("relu"), "drop": dropout(0.5), "d1": dense(2)})
    first, second = (flatten_named(model.init(key, x)[0]) for model in (plain, longer))
    assert first.keys() == second.keys()
    for name, leaf in first.items():
        np.testing.assert_array_equal(leaf, second[name])
    small, large = (flatten_named(mlp((4, 4, 2), dropout=rate).init(key, x)[0]) for rate in (None, 0.5))
    for name, leaf in small.items():
        np.testing.assert_array_equal(leaf, large[name])
    square = sequential({"a": dense(5), "b": dense(5), "c": residual(dense(5))}).init(key, x)[0]
    weights = [np.asarray(w) for name, w in flatten_named(square).items() if name.endswith("weight")]
    assert (weights[0] != weights[1]).all() and (weights[1] != weights[2]).all()


def test_randomness_of_a_layer_stays_when_another_is_inserted():
    x, key = jnp.ones((4, 50)), jax.random.key(1)
    plain = sequential({"drop": dropout(0.5)})
    longer = sequential({"first": dropout(0.0), "drop": dropout(0.5)})
    draws = [m.apply(*m.init(key, x), x, key=key, train=True)[0] for m in (plain, longer)]
    np.testing.assert_array_equal(*draws)
    two = sequential({"a": dropout(0.5), "b": dropout(0.5)})
    kept = np.asarray(two.apply(*two.init(key, x), x, key=key, train=True)[0] != 0).mean()
    assert 0.15 < kept < 0.35  # two different masks; the same one twice would keep half


def test_sequential_checks_its_table():
    assert_input_error(lambda: sequential([dense(1)]), "layers", expected="a dict from name to layer")
    for name in ("a.b", "", 3):
        assert_input_error(lambda name=name: sequential({name: dense(1)}), "name", given=repr(name))
    assert_input_error(lambda: sequential({"a": dense}), "layers['a']")
    empty = sequential({})
    x = jnp.ones((2, 3))
    np.testing.assert_array_equal(empty.apply(*empty.init(jax.random.key(0), x), x)[0], x)


def test_residual_adds_and_checks_shapes():
    x = jax.random.normal(jax.random.key(0), (3, 4))
    layer = residual(dense(4))
    params, state = layer.init(jax.random.key(1), x)
    expected = x + x @ params["body"]["weight"]
    np.testing.assert_allclose(layer.apply(params, state, x)[0], expected, rtol=1e-5, atol=1e-6)
    wrong = residual(dense(3))
    made = wrong.init(jax.random.key(1), x)
    message = assert_input_error(
        lambda: jax.eval_shape(wrong.apply, *made, x), "body", given="(3, 3)", expected="(3, 4)"
    )
    assert "skip=" in message
    skipped = residual(dense(3), dense(3, use_bias=False))
    params, state = skipped.init(jax.random.key(1), x)
    assert set(params) == {"body", "skip"} and skipped.apply(params, state, x)[0].shape == (3, 3)


def test_foreign_layers_are_taken_in():
    class Foreign:
        init = staticmethod(own_init)
        apply = staticmethod(own_apply)

    layer = as_layer(Foreign())
    assert isinstance(layer, Layer) and layer == custom(own_init, own_apply)
    model = sequential({"own": Foreign(), "out": dense(2)})
    x = jnp.ones((2, 3))
    assert model.apply(*model.init(jax.random.key(0), x), x)[0].shape == (2, 2)
    assert_input_error(lambda: as_layer(Foreign), "model")
    assert_input_error(lambda: as_layer(None), "model", given="None")


def test_custom_layer_hears_of_padding():
    def apply(params, state, x, *, key=None, train=False, example_mask=None):
        return x * 0 if example_mask is None else x, state

    for function in (apply, functools.partial(apply), jax.jit(apply, static_argnames="train")):
        layer = custom(own_init, function)
        x = jnp.ones((2, 3))
        y, _ = layer.apply({}, {}, x, train=True, example_mask=jnp.ones(2))
        np.testing.assert_array_equal(y, x)


def test_elementwise_takes_names_and_functions():
    x = jnp.array([-1.0, 2.0])
    np.testing.assert_array_equal(elementwise("relu").apply({}, {}, x)[0], [0.0, 2.0])
    np.testing.assert_array_equal(elementwise(jnp.abs).apply({}, {}, x)[0], [1.0, 2.0])
    message = assert_input_error(lambda: elementwise("Relu"), "activation", given="'Relu'")
    assert "Did you mean 'relu'?" in message
