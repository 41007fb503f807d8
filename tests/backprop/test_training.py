"""Training by hand-written gradients: inside a compiled loop they give the loss curve of automatic differentiation."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from sklearn.datasets import load_digits

from jaxann import backprop, losses, models, optimizers
from tests.backprop.reference import mean_loss

STEPS, BATCH = 150, 64


def test_digits_learn_alike_by_hand_and_by_autodiff():
    pictures, digits = load_digits(return_X_y=True)
    x, y = jnp.asarray(pictures / 16, jnp.float32), jnp.asarray(digits, jnp.int32)
    model = models.mlp((32, 10), dropout=0.1, batch_norm=True)
    loss, optimizer = losses.softmax_cross_entropy, optimizers.adam(3e-3)
    rows = np.random.default_rng(0).integers(0, len(digits), (STEPS, BATCH))

    def cost(params: Any, state: Any, x: Any, y: Any, key: Any) -> Any:
        predictions, state = model.apply(params, state, x, key=key, train=True)
        return mean_loss(loss, predictions, y, None), (predictions, state)

    def by_autodiff(params: Any, state: Any, x: Any, y: Any, *, key: Any) -> Any:
        return jax.value_and_grad(cost, has_aux=True)(params, state, x, y, key)

    def curve(gradient: Any, start: Any) -> Any:
        def step(carry: Any, given: Any) -> Any:
            params, state, opt_state = carry
            chosen, key = given
            (value, (_, state)), grads = gradient(params, state, x[chosen], y[chosen], key=key)
            updates, opt_state = optimizer.update(grads, opt_state, params)
            return (optimizers.apply_updates(params, updates), state, opt_state), value

        return lax.scan(step, start, (rows, jax.random.split(jax.random.key(1), STEPS)))[1]

    @functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
    def both(key: Any) -> Any:
        params, state = model.init(key, x[:1])
        start = (params, state, optimizer.init(params))
        return curve(backprop.value_and_grad(model, loss), start), curve(by_autodiff, start)

    by_hand, wanted = both(jax.random.key(0))
    assert float(wanted[-10:].mean()) < 0.5 < 2 < float(wanted[0])
    np.testing.assert_allclose(by_hand, wanted, rtol=1e-6, atol=1e-6)
