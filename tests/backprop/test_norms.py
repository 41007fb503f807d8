"""The backward rules of norms with each example's own statistics and of weights made of others, against autodiff."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann import backprop, layers, losses
from jaxann.core import Padded, TrainMode
from jaxann.core.trees import map_named
from tests.backprop.reference import mean_loss
from tests.programs import quick_jit

RANDOM = np.random.default_rng(0)
NETS: dict[str, tuple[dict[str, Any], tuple[int, ...]]] = {
    "pictures": (
        {"conv": layers.weight_standardized(layers.conv(6, 3, groups=2), use_scale=True),
         "group": layers.group_norm(3, eps=0.1), "act": layers.elementwise("tanh"),
         "up": layers.weight_norm(layers.conv_transpose(4, 2, stride=2, groups=2)),
         "instance": layers.instance_norm(use_scale=True, use_bias=True), "layer": layers.layer_norm(axes=3),
         "each": layers.spectral_norm(layers.depthwise_conv(3), n_steps=2), "plain": layers.instance_norm(),
         "rms": layers.rms_norm(), "flat": layers.flatten()}, (2, 3, 4, 4)),
    "vectors": (
        {"gate": layers.weight_standardized(layers.gated_dense(4), eps=0.1), "rms": layers.rms_norm(use_scale=False),
         "max": layers.spectral_norm(layers.maxout(4, k=2)), "norm": layers.layer_norm(use_bias=False),
         "drop": layers.weight_norm(layers.drop_connect_dense(3, 0.3)), "group": layers.group_norm(1, use_scale=False),
         "block": layers.residual(layers.weight_norm(layers.dense(3)))}, (4, 5)),
    "sequences": (
        {"conv": layers.weight_norm(layers.conv(4, (3,))), "layer": layers.layer_norm(axes=2),
         "group": layers.group_norm(2), "instance": layers.instance_norm(use_scale=True), "place": layers.layer_norm(),
         "each": layers.spectral_norm(layers.depthwise_conv((3,))), "rms": layers.rms_norm(),
         "mean": layers.global_pool()}, (3, 5, 4)),
}  # fmt: skip
MASK = np.arange(5) < np.array([5, 2, 3])[:, None]
RUNS = [(name, True) for name in NETS] + [("vectors", TrainMode.NOISE), ("sequences", False)]


def _draw(model: Any, shape: tuple[int, ...]) -> Any:
    """Parameters and state without compiling anything."""
    shapes = jax.eval_shape(model.init, jax.random.key(0), jax.ShapeDtypeStruct(shape, np.float64))
    return map_named(lambda name, s: RANDOM.normal(size=s.shape) * 0.4 + name.endswith("scale"), shapes)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(("name", "train"), RUNS, ids=str)
def test_backward_is_autodiff(name: str, train: Any):
    table, shape = NETS[name]
    model = layers.sequential(table | {"out": layers.dense(3)})
    params, state = _draw(model, shape)
    x, y = RANDOM.normal(size=shape), RANDOM.integers(0, 3, shape[0], np.int32)
    loss, key = losses.softmax_cross_entropy, jax.random.key(0)
    mask = jnp.asarray(MASK) if name == "sequences" else None

    @quick_jit
    def both(params, x):
        given = x if mask is None else Padded(x, mask)
        trace = backprop.backward(model, params, state, given, y, loss, key, train)

        def cost(params, x):
            real = x if mask is None else jnp.where(mask[..., None], x, 0)
            found, after = model.apply(params, state, real, key=key, train=train, sequence_mask=mask)
            return mean_loss(loss, found, y, None), after

        wanted, after = jax.grad(cost, (0, 1), has_aux=True)(params, x)
        by_x = trace.input_grad if mask is None else jnp.where(mask[..., None], trace.input_grad, 0)
        return (trace.grads, by_x, trace.state), (*wanted, after)

    ours, wanted = both(params, np.where(MASK[..., None], x, np.nan) if name == "sequences" else x)
    assert jax.tree.structure(ours) == jax.tree.structure(wanted)
    for one, other in zip(jax.tree.leaves(ours), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12)
        assert np.asarray(other).any()


@pytest.mark.usefixtures("x64")
def test_a_row_without_a_length_has_autodiffs_gradient():
    """Where |v| is below eps, and where a weight is all zeros."""
    x, y = RANDOM.normal(size=(4, 3)), RANDOM.normal(size=(4, 2))
    for layer in (layers.weight_norm(layers.dense(2), eps=0.5), layers.spectral_norm(layers.dense(2))):
        params, state = _draw(layer, x.shape)
        params["layer"]["weight"][:, 0] *= 0 if "scale" not in params else 0.01
        if "scale" not in params:
            params["layer"]["weight"][:] = 0

        @quick_jit
        def both(params, layer=layer, state=state):
            trace = backprop.backward(layer, params, state, x, y, losses.squared_error)
            return trace.grads, jax.grad(
                lambda p: mean_loss(losses.squared_error, layer.apply(p, state, x, train=True)[0], y, None)
            )(params)

        for one, other in zip(*map(jax.tree.leaves, both(params)), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12)
            assert np.isfinite(one).all()
