"""The temporal convolution network: the authors' blocks in PyTorch, what a position sees, and that it learns."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxann as ja
from jaxann import layers, models
from tests.programs import quick_jit

RANDOM = np.random.default_rng(0)
FILTERS, SIZE, TIME, CHANNELS = (4, 4, 3), 3, 20, 2
X = RANDOM.normal(size=(3, TIME, CHANNELS))


def _made(**more: Any) -> tuple[Any, Any, Any]:
    model = models.temporal_conv_net(5, filters=FILTERS, kernel_size=SIZE, **more)
    params, state = model.init(jax.random.key(0), X.astype(np.float32))
    draw = lambda leaf: RANDOM.normal(size=leaf.shape) / math.sqrt(math.prod(leaf.shape[:-1]) or 1)  # noqa: E731
    return model, jax.tree.map(draw, params), state


def _in_torch(torch: Any, params: Any, x: Any) -> Any:
    """The authors' TemporalBlock: convolutions padded on both sides, and what is too much at the end cut off."""
    functional = torch.nn.functional

    def conv(own: Any, x: Any, dilation: int) -> Any:
        if "layer" in own:
            direction = own["layer"]["weight"]
            length = direction.pow(2).sum((0, 1), keepdim=True).sqrt()
            own = {"weight": own["scale"] * direction / length, "bias": own["layer"]["bias"]}
        pad = (SIZE - 1) * dilation
        y = functional.conv1d(x, own["weight"].permute(2, 1, 0), own["bias"], padding=pad, dilation=dilation)
        return y[:, :, :-pad].contiguous()

    x = x.transpose(1, 2)
    for i in range(len(FILTERS)):
        own = params[f"block{i}"]["sum"]
        y = functional.relu(conv(own["body"]["conv0"], x, 2**i))
        y = functional.relu(conv(own["body"]["conv1"], y, 2**i))
        if "skip" in own:
            x = functional.linear(x.transpose(1, 2), own["skip"]["weight"].T, own["skip"]["bias"]).transpose(1, 2)
        x = functional.relu(x + y)
    return functional.linear(x.transpose(1, 2), params["dense"]["weight"].T, params["dense"]["bias"])


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("use_weight_norm", [True, False])
def test_net_and_its_gradients_are_those_in_pytorch(use_weight_norm: bool):
    torch = pytest.importorskip("torch")
    model, params, state = _made(use_weight_norm=use_weight_norm)
    cotangent = RANDOM.normal(size=(3, TIME, 5))
    tensors = jax.tree.map(lambda a: torch.tensor(a, requires_grad=True), params)
    x = torch.tensor(X, requires_grad=True)
    wanted = _in_torch(torch, tensors, x)
    wanted.backward(torch.tensor(cotangent))

    @quick_jit
    def ours(params: Any, x: Any) -> Any:
        y, vjp = jax.vjp(lambda p, x: model.apply(p, state, x)[0], params, x)
        return y, vjp(jnp.asarray(cotangent))

    y, (by_params, by_x) = ours(params, X)
    assert np.abs(wanted.detach().numpy()).max() > 0.1
    np.testing.assert_allclose(y, wanted.detach().numpy(), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(by_x, x.grad.numpy(), rtol=1e-10, atol=1e-12)
    jax.tree.map(lambda a, t: np.testing.assert_allclose(a, t.grad.numpy(), rtol=1e-9, atol=1e-11), by_params, tensors)


@pytest.mark.usefixtures("x64")
def test_a_position_sees_so_many_before_it_and_none_after():
    """2 (3 - 1) (2^2 - 1) = 12 places before it; all weights are positive, so that nothing is cut off."""
    model = models.temporal_conv_net(1, filters=(3, 2), kernel_size=3)
    params, state = model.init(jax.random.key(0), X[:1])
    params = jax.tree.map(lambda a: jnp.abs(a) + 0.1, params)
    slope = quick_jit(jax.grad(lambda x: model.apply(params, state, x)[0][0, 15, 0]))(np.abs(X[:1]))
    seen = np.flatnonzero(np.asarray(slope)[0].any(-1))
    np.testing.assert_array_equal(seen, np.arange(15 - 12, 16))


def test_padding_changes_nothing():
    model, params, state = _made()
    params, x = jax.tree.map(lambda a: a.astype(np.float32), params), X.astype(np.float32)
    lengths = np.array([20, 7, 1])
    spoiled = np.where((np.arange(TIME) < lengths[:, None])[..., None], x, 1e6).astype(np.float32)
    padded = ja.core.padded(spoiled, lengths)

    def cost(params: Any, x: Any) -> Any:
        y = model.apply(params, state, x)[0]
        return jnp.sum(y**2 if x is not padded else jnp.where(padded.mask[..., None], y, 0) ** 2), y

    (_, together), grads = quick_jit(jax.value_and_grad(lambda p: cost(p, padded), has_aux=True))(params)
    alone = quick_jit(jax.value_and_grad(cost, has_aux=True))
    summed = jax.tree.map(np.zeros_like, params)
    for row, length in enumerate(lengths):
        (_, y), one = alone(params, x[row : row + 1, :length])
        np.testing.assert_allclose(together[row, :length], y[0], rtol=1e-5, atol=1e-6)
        summed = jax.tree.map(np.add, summed, one)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4), grads, summed)


def test_parameters_are_as_many_as_the_authors():
    """Their net of 8 blocks of 25 filters, windows of 7, for digits pixel by pixel: 70 thousand."""
    model = models.temporal_conv_net(10)
    spec = jax.ShapeDtypeStruct((1, 784, 1), jnp.float32)
    params, _ = jax.eval_shape(lambda key: model.init(key, spec), jax.random.key(0))
    count = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))
    conv = lambda channels: 7 * channels * 25 + 25 + 25  # weight, bias, lengths  # noqa: E731
    assert count == conv(1) + 15 * conv(25) + (25 + 25) + (25 * 10 + 10)


def test_it_writes_and_learns_what_lies_far_back():
    """Each id is the one 5 places before it: no shorter view tells it."""
    ids = np.tile(RANDOM.integers(0, 6, (64, 5), np.int32), (1, 5))
    ids = ids[:, :24]
    net = models.temporal_conv_net(6, filters=(16, 16), kernel_size=2)
    model = layers.sequential({"embed": layers.embedding(6, 8), "net": net})
    recipe = ja.recipe(model, ja.losses.softmax_cross_entropy, ja.optimizers.adam(1e-2), batch_size=16)
    result = ja.fit(recipe, (ids[:, :-1], ids[:, 1:]), key=jax.random.key(0), epochs=60)
    written = ja.train.generate(recipe, result.params, result.state, ids[:8, :12], length=10)
    assert (np.asarray(written) == ids[:8, 12:22]).mean() > 0.95
    best, _ = ja.train.beam_search(recipe, result.params, result.state, ids[:8, :12], length=10)
    assert (np.asarray(best)[:, 0] == ids[:8, 12:22]).mean() > 0.95
