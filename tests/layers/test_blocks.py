"""Highway, squeeze and excitation, dense blocks: against PyTorch, and the backward rules against autodiff."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann import backprop, layers, losses
from tests.contract import assert_input_error
from tests.layers.test_steps import recurrent
from tests.programs import quick_jit

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.normal(size=(3, 4, 5, 6))
MASKS = {"example_mask": np.arange(3) < 2, "sequence_mask": np.arange(4) < np.array([[4], [2], [0]])}


def _drawn(model: Any, x: np.ndarray) -> tuple[Any, Any]:
    params, state = model.init(jax.random.key(0), x)
    return jax.tree.map(lambda a: np.asarray(a) + 0.3 * RANDOM.normal(size=a.shape), params), state


def _first(x: Any) -> Any:
    """Channels first, as PyTorch has them."""
    return np.ascontiguousarray(np.moveaxis(np.asarray(x), -1, 1))


def _highway(torch: Any, p: Any, x: Any) -> Any:
    share = torch.sigmoid(x @ p["gate"]["weight"] + p["gate"]["bias"])
    return share * torch.tanh(x @ p["body"]["dense"]["weight"] + p["body"]["dense"]["bias"]) + (1 - share) * x


def _squeeze_excitation(torch: Any, p: Any, x: Any) -> Any:
    """As torchvision: two convolutions of one place on the pooled channels, here without moving the channels."""
    pooled = torch.nn.functional.adaptive_avg_pool2d(x.permute(0, 3, 1, 2), 1)
    kernel = lambda w: w.T[:, :, None, None]  # noqa: E731
    hidden = torch.relu(torch.nn.functional.conv2d(pooled, kernel(p["squeeze"]["weight"]), p["squeeze"]["bias"]))
    share = torch.sigmoid(torch.nn.functional.conv2d(hidden, kernel(p["excite"]["weight"]), p["excite"]["bias"]))
    return x * share.permute(0, 2, 3, 1)


def _dense_block(torch: Any, p: Any, x: Any) -> Any:
    found = [x.permute(0, 3, 1, 2)]
    for name in ("b", "a"):
        kernel = p[name]["weight"].permute(3, 2, 0, 1)
        found.append(torch.nn.functional.conv2d(torch.cat(found, 1), kernel, p[name]["bias"], padding=1))
    return torch.cat(found, 1).permute(0, 2, 3, 1)


ORACLES = {
    "highway": (
        layers.highway(layers.sequential({"dense": layers.dense(6), "act": layers.elementwise("tanh")})), _highway),
    "squeeze_excitation": (layers.squeeze_excitation(2), _squeeze_excitation),
    "dense_block": (layers.dense_block({"b": layers.conv(2, 3), "a": layers.conv(3, 3)}), _dense_block),
}  # fmt: skip


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", ORACLES)
def test_block_is_pytorchs(name: str):
    torch = pytest.importorskip("torch")
    model, formula = ORACLES[name]
    params, state = _drawn(model, IMAGES)

    @quick_jit
    def ours(params, x, cotangent):
        y, vjp = jax.vjp(lambda p, x: model.apply(p, state, x)[0], params, x)
        return y, vjp(cotangent)

    tensors = jax.tree.map(lambda a: torch.tensor(a, requires_grad=True), params)
    x = torch.tensor(IMAGES, requires_grad=True)
    y = formula(torch, tensors, x)
    cotangent = RANDOM.normal(size=tuple(y.shape))
    y.backward(torch.tensor(cotangent))
    wanted = y.detach().numpy(), (jax.tree.map(lambda t: t.grad.numpy(), tensors), x.grad.numpy())
    found = ours(params, IMAGES, cotangent)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12), found, wanted)


NETS = {
    "images": (
        {"block": layers.dense_block({"b": layers.conv(2, 3), "a": layers.sequential({"norm": layers.batch_norm(),
                                      "act": layers.elementwise("relu"), "conv": layers.conv(3, 3)})}),
         "scale": layers.squeeze_excitation(3, activation="tanh", gate="hard_sigmoid"),
         "pass": layers.highway(layers.conv(11, 3), gate_bias=-1)}, {"example_mask": MASKS["example_mask"]}),
    "sequences": (
        {"scale": layers.squeeze_excitation(units=4), "block": layers.dense_block({"conv": layers.conv(2, (3, 1))}),
         "pass": layers.highway(layers.dense(8))}, MASKS),
}  # fmt: skip


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", NETS)
def test_backward_is_autodiff(name: str):
    table, masks = NETS[name]
    model = layers.sequential(table)
    params, state = _drawn(model, IMAGES)
    y = RANDOM.normal(size=jax.eval_shape(lambda: model.apply(params, state, IMAGES)[0]).shape)
    weights = np.broadcast_to(masks["example_mask"].reshape(3, 1, 1, 1), y.shape).astype(float)
    if "sequence_mask" in masks:
        weights = weights * masks["sequence_mask"][:, :, None, None]
    x = np.where(weights[..., :1] > 0, IMAGES, 1e3)

    @quick_jit
    def both(params, x):
        loss = losses.squared_error
        trace = backprop.backward(model, params, state, x, y, loss, train=True, weights=weights, **masks)

        def cost(params, x):
            given = model.apply(params, state, x, train=True, **masks)[0]
            return jnp.sum(weights * (given - y) ** 2) / np.sum(weights)

        return (trace.grads, trace.input_grad), jax.grad(cost, (0, 1))(params, x)

    ours, wanted = both(params, x)
    for one, other in zip(jax.tree.leaves(ours), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12)
        assert np.asarray(other).any()


def test_highway_and_dense_block_step_through_a_sequence():
    table = {
        "pass": layers.highway(recurrent(6)),
        "block": layers.dense_block({"a": recurrent(2), "b": layers.dense(1)}),
    }
    model, x = layers.sequential(table), IMAGES[:, :, 0].astype(np.float32)
    params, state = model.init(jax.random.key(0), x)
    carry, ys = model.start(params, len(x)), []
    step = jax.jit(model.step)
    for t in range(x.shape[1]):
        y, carry = step(params, carry, x[:, t])
        ys.append(y)
    np.testing.assert_allclose(np.stack(ys, 1), model.apply(params, state, x)[0], rtol=1e-5, atol=1e-6)


def test_a_highway_begins_nearly_shut():
    model, x = layers.highway(layers.dense(6)), IMAGES.astype(np.float32)
    params, state = model.init(jax.random.key(0), x)
    np.testing.assert_array_equal(params["gate"]["bias"], np.full(6, -2, np.float32))
    shut = jax.tree.map(jnp.zeros_like, params) | {"gate": {"weight": jnp.zeros((6, 6)), "bias": jnp.full(6, -200.0)}}
    np.testing.assert_array_equal(model.apply(shut, state, x)[0], x)


def test_blocks_refuse_what_does_not_fit():
    x, key = IMAGES.astype(np.float32), jax.random.key(0)
    wide = layers.highway(layers.dense(7))
    params, state = wide.init(key, x)
    assert_input_error(lambda: jax.eval_shape(wide.apply, params, state, x), "body", given="float32 (3, 4, 5, 7)")
    smaller = layers.dense_block({"pool": layers.max_pool(2)})
    assert_input_error(lambda: smaller.init(key, x), "layers['pool']", given="float32 (3, 2, 2, 6)")
    squeeze = layers.squeeze_excitation()
    assert jax.eval_shape(squeeze.init, key, x)[0]["squeeze"]["weight"].shape == (6, 1)
    assert_input_error(lambda: squeeze.init(key, x[:, 0, 0]), "spec", given="(3, 6)")
