"""Batch normalization against PyTorch, its running statistics, and padding."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann.layers import batch_norm
from tests.contract import assert_input_error


def _torch(x: np.ndarray, momentum: float = 0.1, eps: float = 1e-5) -> Any:
    torch = pytest.importorskip("torch")
    layer = torch.nn.BatchNorm1d(x.shape[-1], momentum=momentum, eps=eps, dtype=torch.float64)
    layer.weight.data = torch.linspace(0.5, 2.0, x.shape[-1], dtype=torch.float64)
    layer.bias.data = torch.linspace(-1.0, 1.0, x.shape[-1], dtype=torch.float64)
    return torch, layer


@pytest.mark.usefixtures("x64")
def test_batch_norm_matches_torch_in_training_and_after():
    x = np.asarray(jax.random.normal(jax.random.key(0), (16, 3), jnp.float64)) * 3 + 5
    torch, theirs = _torch(x)
    layer = batch_norm(decay=0.9, unbiased=True)
    params, state = layer.init(jax.random.key(0), jnp.asarray(x))
    params = {"scale": jnp.asarray(theirs.weight.detach().numpy()), "bias": jnp.asarray(theirs.bias.detach().numpy())}
    for step in range(3):
        batch = x * (step + 1)
        inputs = torch.tensor(batch, requires_grad=True)
        expected = theirs(inputs)
        theirs.zero_grad()
        (expected**3).sum().backward()
        y, after = layer.apply(params, state, jnp.asarray(batch), train=True)
        np.testing.assert_allclose(y, expected.detach().numpy(), rtol=1e-10, atol=1e-12)

        def total(p, v, state=state):
            return jnp.sum(layer.apply(p, state, v, train=True)[0] ** 3)

        gradients = jax.grad(total, argnums=(0, 1))(params, jnp.asarray(batch))
        np.testing.assert_allclose(gradients[0]["scale"], theirs.weight.grad.numpy(), rtol=1e-9)
        np.testing.assert_allclose(gradients[0]["bias"], theirs.bias.grad.numpy(), rtol=1e-9)
        np.testing.assert_allclose(gradients[1], inputs.grad.numpy(), rtol=1e-8, atol=1e-10)
        state = after
    np.testing.assert_allclose(state["mean"], theirs.running_mean.numpy(), rtol=1e-12)
    np.testing.assert_allclose(state["var"], theirs.running_var.numpy(), rtol=1e-12)
    theirs.eval()
    y = layer.apply(params, state, jnp.asarray(x))[0]
    np.testing.assert_allclose(y, theirs(torch.tensor(x)).detach().numpy(), rtol=1e-10)


@pytest.mark.usefixtures("x64")
def test_running_variance_is_the_biased_one_unless_asked():
    x = jnp.array([[1.0], [3.0]])
    for unbiased, variance in ((False, 1.0), (True, 2.0)):
        layer = batch_norm(decay=0.5, unbiased=unbiased)
        _, after = layer.apply(*layer.init(jax.random.key(0), x), x, train=True)
        np.testing.assert_allclose(after["mean"], [1.0])
        np.testing.assert_allclose(after["var"], [0.5 + 0.5 * variance])


@pytest.mark.parametrize("shape", [(6, 3), (6, 2, 2, 3)], ids=str)
def test_masked_rows_do_not_count(shape: tuple[int, ...]):
    x = jax.random.normal(jax.random.key(0), shape)
    layer = batch_norm(unbiased=True)
    params, state = layer.init(jax.random.key(0), x)
    y, after = layer.apply(params, state, x[:4], train=True)
    spoiled = x.at[4:].set(jnp.nan)
    for mask in (jnp.array([1.0, 1, 1, 1, 0, 0]), jnp.arange(6) < 4):
        masked, masked_after = layer.apply(params, state, spoiled, train=True, example_mask=mask)
        np.testing.assert_allclose(masked[:4], y, rtol=1e-5, atol=1e-6)
        for name in ("mean", "var"):
            np.testing.assert_allclose(masked_after[name], after[name], rtol=1e-5)
    slope = jax.grad(lambda v: jnp.sum(layer.apply(params, state, v, train=True, example_mask=mask)[0][:4] ** 3))(
        spoiled
    )
    assert np.isfinite(slope[:4]).all() and not np.asarray(slope[4:]).any()


def test_batch_of_nothing_but_padding_leaves_the_statistics_alone():
    x = jnp.ones((3, 2))
    layer = batch_norm()
    params, state = layer.init(jax.random.key(0), x)
    state = {"mean": jnp.array([1.0, 2.0]), "var": jnp.array([3.0, 4.0])}
    _, after = layer.apply(params, state, x, train=True, example_mask=jnp.zeros(3))
    for name in state:
        np.testing.assert_array_equal(after[name], state[name])


def test_one_example_gives_the_bias():
    x = jnp.array([[3.0, -4.0]])
    layer = batch_norm()
    params, state = layer.init(jax.random.key(0), x)
    params = params | {"bias": jnp.array([0.5, -0.5])}
    np.testing.assert_array_equal(layer.apply(params, state, x, train=True)[0], [[0.5, -0.5]])


def test_statistics_survive_a_large_mean():
    x = 1e4 + jnp.array([[0.0], [1.0], [2.0]])
    layer = batch_norm(decay=0.0)
    _, after = layer.apply(*layer.init(jax.random.key(0), x), x, train=True)
    np.testing.assert_allclose(after["var"], [2 / 3], rtol=1e-4)
    np.testing.assert_array_equal(after["mean"], [10001.0])


def test_features_are_those_of_the_weights():
    layer = batch_norm()
    params, state = layer.init(jax.random.key(0), jnp.zeros((2, 3)))
    assert_input_error(lambda: layer.apply(params, state, np.zeros((2, 4), np.float32)), "x", given="(2, 4)")


def test_nothing_that_varies_without_an_eps_gives_the_bias_and_what_overflows_is_no_number():
    layer = batch_norm(eps=0.0)
    x = jnp.stack([jnp.ones(4), jnp.arange(4.0), jnp.arange(4.0) * 1e19], 1)
    params, state = layer.init(jax.random.key(0), x)
    params = params | {"bias": jnp.array([0.5, 0.5, 0.5])}
    y = np.asarray(layer.apply(params, state, x, train=True)[0])
    assert (y[:, 0] == 0.5).all() and np.isfinite(y[:, 1]).all() and np.isnan(y[:, 2]).all()
    slope = jax.grad(lambda x: jnp.sum(layer.apply(params, state, x, train=True)[0][:, :2] ** 3))(x)
    assert np.isfinite(slope[:, :2]).all() and not np.asarray(slope[:, 0]).any()
