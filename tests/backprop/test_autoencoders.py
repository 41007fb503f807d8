"""The backward rules of autoencoders and their losses: equal to autodiff to rounding, in float64."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann import backprop, layers, losses, models
from jaxann.core.products import Layer
from tests.backprop.nets import draw_numbers
from tests.backprop.reference import mean_loss
from tests.programs import quick_jit

RANDOM = np.random.default_rng(0)
BINARY = losses.sigmoid_cross_entropy
MODELS: dict[str, tuple[Layer, Any]] = {
    "variational": (models.variational_autoencoder((4, 3), 6), losses.negative_elbo(BINARY, beta=0.7)),
    "share": (
        models.autoencoder((4, 3), 6, activation="tanh", code_activation="sigmoid", with_code=True),
        losses.sparse_code(losses.squared_error, weight=0.3, share=0.2),
    ),
    "l1": (
        models.autoencoder((3,), 6, corruption=layers.gaussian_noise(0.3), with_code=True),
        losses.sparse_code(losses.squared_error, weight=0.3, kind="l1"),
    ),
    "sigmoid": (models.contractive_autoencoder(4, 6), losses.contractive(losses.squared_error, weight=0.5)),
    "tanh": (
        layers.contractive_encode_decode(4, layers.sequential({"out": layers.dense(6)}), activation="tanh"),
        losses.contractive(BINARY),
    ),
}


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("name", MODELS)
def test_backward_is_autodiff(name: str, train: bool):
    model, loss = MODELS[name]
    params, state = draw_numbers(RANDOM, model, (5, 6))
    x = RANDOM.uniform(size=(5, 6))
    _compare(model, params, state, x, loss, train)


@pytest.mark.usefixtures("x64")
def test_backward_of_maps_is_autodiff():
    model = layers.sequential(
        {
            "whole": models.conv_autoencoder((2, 3), 2, (5, 6, 1), activation="tanh"),
            "turned": layers.permute((3, 1, 2)),
            "scale": layers.layer_scale(0.5),
            "back": layers.reshape((5, -1, 1)),
        }
    )
    x = RANDOM.normal(size=(3, 5, 6, 1))
    params, state = draw_numbers(RANDOM, model, x.shape)
    _compare(model, params, state, x, losses.squared_error, True)


def _compare(model: Layer, params: Any, state: Any, x: np.ndarray, loss: Any, train: bool) -> None:
    key = jax.random.key(3)

    @quick_jit
    def both(params, x):
        trace = backprop.backward(model, params, state, x, jnp.asarray(x), loss, key, train)

        def cost(params, given):
            return mean_loss(loss, model.apply(params, state, given, key=key, train=train)[0], x, None)

        return (trace.grads, trace.input_grad, trace.loss), (*jax.grad(cost, (0, 1))(params, x), cost(params, x))

    ours, wanted = both(params, x)
    for one, other in zip(jax.tree.leaves(ours), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12)
        assert np.asarray(other).any()
