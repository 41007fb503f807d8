"""The layers of an ensemble against PyTorch and against one plain layer a member; how they begin; their errors."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann import initializers
from jaxann.core.trees import flatten_named
from jaxann.layers import batch_ensemble_dense, dense, packed_dense, repeat_members, sequential
from jaxann.optimizers import matrices
from tests.contract import assert_input_error

KEY = jax.random.key(3)


def _drawn(layer, shape):
    """Parameters with nothing at a special value, and an input, in double precision."""
    x = jax.random.normal(jax.random.key(0), shape, jnp.float64)
    params, _ = layer.init(KEY, x)
    random = np.random.default_rng(1)
    return jax.tree.map(lambda a: jnp.asarray(random.normal(size=a.shape)), params), x


@jax.jit
def _output(layer, params, x):
    return layer.apply(params, {}, x)[0]


@jax.jit
def _gradients(layer, params, x):
    return jax.grad(lambda p, v: jnp.sum(layer.apply(p, {}, v)[0] ** 2), argnums=(0, 1))(params, x)


@pytest.mark.usefixtures("x64")
def test_batch_ensemble_dense_and_its_gradients_match_torch():
    torch = pytest.importorskip("torch")
    layer = batch_ensemble_dense(4, 3)
    params, x = _drawn(layer, (6, 3, 5))
    t = {name: torch.tensor(np.asarray(v), requires_grad=True) for name, v in flatten_named(params).items()}
    inputs = torch.tensor(np.asarray(x), requires_grad=True)
    out = (inputs * t["input.scale"]) @ t["weight"] * t["output.scale"] + t["bias"]
    (out**2).sum().backward()
    np.testing.assert_allclose(_output(layer, params, x), out.detach().numpy(), rtol=1e-10, atol=1e-12)
    grads, slope = _gradients(layer, params, x)
    for name, grad in flatten_named(grads).items():
        np.testing.assert_allclose(grad, t[name].grad.numpy(), rtol=1e-10, atol=1e-10, err_msg=name)
    np.testing.assert_allclose(slope, inputs.grad.numpy(), rtol=1e-10, atol=1e-10)


@pytest.mark.usefixtures("x64")
def test_packed_dense_and_its_gradients_match_torch():
    torch = pytest.importorskip("torch")
    layer = packed_dense(4, 3)
    params, x = _drawn(layer, (6, 3, 5))
    t = {name: torch.tensor(np.asarray(v), requires_grad=True) for name, v in params.items()}
    inputs = torch.tensor(np.asarray(x), requires_grad=True)
    out = torch.einsum("bki,kio->bko", inputs, t["weight"]) + t["bias"]
    (out**2).sum().backward()
    np.testing.assert_allclose(_output(layer, params, x), out.detach().numpy(), rtol=1e-10, atol=1e-12)
    grads, slope = _gradients(layer, params, x)
    for name, grad in grads.items():
        np.testing.assert_allclose(grad, t[name].grad.numpy(), rtol=1e-10, atol=1e-10, err_msg=name)
    np.testing.assert_allclose(slope, inputs.grad.numpy(), rtol=1e-10, atol=1e-10)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("make", [batch_ensemble_dense, packed_dense])
def test_one_member_with_unit_scales_is_dense(make):
    layer, plain = make(4, 1, bias_init=initializers.normal(1.0)), dense(4)
    x = jax.random.normal(jax.random.key(0), (2, 6, 5), jnp.float64)
    params, _ = layer.init(KEY, x[..., None, :])
    weight = params["weight"].reshape(5, 4)
    expected = plain.apply({"weight": weight, "bias": params["bias"][0]}, {}, x)[0]
    np.testing.assert_allclose(layer.apply(params, {}, x[..., None, :])[0][..., 0, :], expected, rtol=1e-14)
    np.testing.assert_array_equal(
        batch_ensemble_dense(4, 1).init(KEY, x[..., None, :])[0]["weight"], plain.init(KEY, x)[0]["weight"]
    )


@pytest.mark.usefixtures("x64")
def test_a_member_of_batch_ensemble_dense_is_dense_with_a_scaled_weight():
    layer = batch_ensemble_dense(4, 3)
    params, x = _drawn(layer, (2, 6, 3, 5))
    y = np.asarray(_output(layer, params, x))
    assert y.shape == (2, 6, 3, 4)
    for k in range(3):
        r, s = params["input"]["scale"][k], params["output"]["scale"][k]
        own = {"weight": jnp.outer(r, s) * params["weight"], "bias": params["bias"][k]}
        np.testing.assert_allclose(y[:, :, k], _output(dense(4), own, x[:, :, k]), rtol=1e-10, atol=1e-12)


def test_scales_begin_as_documented():
    x = jnp.zeros((1, 50, 400))
    ones, _ = batch_ensemble_dense(60, 50).init(KEY, x)
    assert (ones["input"]["scale"] == 1).all() and (ones["output"]["scale"] == 1).all()
    drawn, _ = batch_ensemble_dense(60, 50, input_scale="random_signs", output_scale="normal").init(KEY, x)
    signs, normal = np.asarray(drawn["input"]["scale"]), np.asarray(drawn["output"]["scale"])
    assert signs.shape == (50, 400) and set(np.unique(signs)) == {-1.0, 1.0}
    assert abs(signs.mean()) < 4 / np.sqrt(signs.size)
    assert abs(normal.mean()) < 4 / np.sqrt(normal.size) and abs(normal.std() - 1) < 4 / np.sqrt(2 * normal.size)
    np.testing.assert_array_equal(drawn["weight"], ones["weight"])


def test_members_of_batch_ensemble_dense_begin_with_one_bias_and_those_of_packed_dense_each_with_its_own():
    x = jnp.zeros((1, 3, 40))
    initializer = initializers.normal(1.0)
    bias = np.asarray(batch_ensemble_dense(6, 3, bias_init=initializer).init(KEY, x)[0]["bias"])
    assert bias.shape == (3, 6) and (bias == bias[0]).all() and (bias[0] != 0).all()
    own, _ = packed_dense(300, 3, bias_init=initializer).init(KEY, x)
    assert (np.asarray(own["bias"])[0] != np.asarray(own["bias"])[1]).all()
    weight = np.asarray(own["weight"])
    assert weight.shape == (3, 40, 300) and (weight[0] != weight[1]).all()
    np.testing.assert_allclose(weight.std(), 1 / np.sqrt(40), rtol=0.02)  # the fan of one member, not of three


def test_weight_decay_leaves_scales_and_biases_alone():
    for layer, expected in ((batch_ensemble_dense(4, 3), {"weight"}), (packed_dense(4, 3), {"weight"})):
        params, _ = layer.init(KEY, jnp.zeros((1, 3, 5)))
        assert {name for name, leaf in flatten_named(params).items() if matrices(name, leaf)} == expected
    assert "bias" not in batch_ensemble_dense(4, 3, use_bias=False).init(KEY, jnp.zeros((1, 3, 5)))[0]
    assert set(packed_dense(4, 3, use_bias=False).init(KEY, jnp.zeros((1, 3, 5)))[0]) == {"weight"}


def test_spread_gives_every_member_the_same():
    x = jax.random.normal(KEY, (2, 6, 5))
    y, _ = repeat_members(3).apply({}, {}, x)
    assert y.shape == (2, 6, 3, 5)
    np.testing.assert_array_equal(y, np.stack([x] * 3, 2))
    assert_input_error(lambda: repeat_members(3).apply({}, {}, np.float32(1)), "x")


@pytest.mark.parametrize("make", [batch_ensemble_dense, packed_dense])
def test_ensemble_layers_check_members_features_and_dtype(make):
    layer = make(4, 3)
    params, _ = layer.init(KEY, jnp.zeros((1, 3, 5)))
    for shape in ((2, 5), (2, 3, 4), (2, 4, 5), (5,)):
        assert_input_error(lambda s=shape: layer.apply(params, {}, np.zeros(s, np.float32)), "x", given=str(shape))
    assert_input_error(lambda: layer.apply(params, {}, np.zeros((2, 3, 5), np.float16)), "x", given="float16")
    message = assert_input_error(lambda: layer.init(KEY, np.zeros((2, 5), np.float32)), "spec", given="(2, 5)")
    assert "repeat_members(3)" in message
    for bad in (np.zeros((3, 0), np.float32), np.zeros((2, 3, 5), np.int32)):
        assert_input_error(lambda bad=bad: layer.init(KEY, bad), "spec")
    model = sequential({"all": repeat_members(3), "first": layer})
    x = jnp.ones((2, 5))
    assert model.apply(*model.init(KEY, x), x)[0].shape == (2, 3, 4)
