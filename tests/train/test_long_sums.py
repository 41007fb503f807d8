"""The mean loss of an epoch and of a data set, of very many examples: one of great weight stands for most of them."""

from __future__ import annotations

import jax
import numpy as np

import jaxann as ja
from jaxann.train.batches import Batch
from jaxann.train.measure import measure
from tests.programs import quick_jit

ROWS, HEAVY = 4000, 1e9


def test_an_epochs_loss_counts_every_example():
    """1e9 + 1 is 1e9 in float32: batches of one example each would count for nothing."""
    y = np.ones(ROWS, np.float32)
    weights = np.ones(ROWS, np.float32)
    y[0], weights[0] = 0.01, HEAVY
    x = np.zeros((ROWS, 1), np.float32)  # whose prediction is the bias, 0
    recipe = ja.recipe(ja.models.mlp((1,)), ja.losses.squared_error, ja.optimizers.sgd(0.0))
    data = (x, y[:, None], weights)
    result = ja.fit(recipe, data, key=jax.random.key(0), epochs=1, batch_size=1)
    want = np.average(y.astype(np.float64) ** 2, weights=weights.astype(np.float64))
    np.testing.assert_allclose(result.history["loss"], want, rtol=3e-7)

    @quick_jit
    def measured(params, state):
        return measure(recipe, params, state, Batch(x, y[:, None], weights), rows=1)[0]

    np.testing.assert_allclose(measured(result.params, result.state), want, rtol=3e-7)
