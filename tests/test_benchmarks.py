"""What the benchmarks time is equal work, and can be called."""

from __future__ import annotations

import jax
import numpy as np
import pytest

import jaxann as ja
from benchmarks import backprop
from tests.programs import quick_jit


@pytest.mark.parametrize("settings", [{}, {"dropout": 0.2, "batch_norm": True}], ids=["plain", "dropout, batch norm"])
def test_gradients_by_hand_and_by_autodiff_are_one(settings: dict):
    model = ja.models.mlp((4, 3), **settings)
    x, y = np.random.default_rng(0).normal(size=(6, 5)).astype(np.float32), np.arange(6, dtype=np.int32) % 3
    params, state = model.init(jax.random.key(0), x)
    weights = np.array([1, 1, 1, 1, 1, 0], np.float32)
    found = [
        quick_jit(lambda *a, way=way: way(*a[:-2], key=a[-2], weights=a[-1]))(
            params, state, x, y, jax.random.key(1), weights
        )
        for way in backprop.gradients(model, ja.losses.softmax_cross_entropy).values()
    ]
    assert len(found) == 2
    for ours, wanted in zip(*map(jax.tree.leaves, found), strict=True):
        np.testing.assert_allclose(ours, wanted, rtol=1e-5, atol=1e-6)
