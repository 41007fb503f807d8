"""Embedding: against PyTorch, the backward rule against autodiff, ids that are none."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxann as ja
from jaxann import backprop, layers, losses
from tests.contract import assert_input_error
from tests.programs import quick_jit

RANDOM = np.random.default_rng(0)
IDS = RANDOM.integers(0, 7, (4, 6), np.int32)
IDS[0, :3] = 2  # one that stands there often, and is the padding of some


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("padding_id", [None, 2])
@pytest.mark.parametrize("scale", [False, True])
def test_embedding_is_pytorchs(scale: bool, padding_id: int | None):
    torch = pytest.importorskip("torch")
    layer = layers.embedding(7, 3, padding_id=padding_id, scale=scale)
    weight = RANDOM.normal(size=(7, 3))
    if padding_id is not None:
        weight[padding_id] = 0
    module = torch.nn.Embedding(7, 3, padding_idx=padding_id, dtype=torch.float64)
    module.weight.data = torch.tensor(weight)
    y = module(torch.tensor(IDS)) * (np.sqrt(3) if scale else 1)
    cotangent = RANDOM.normal(size=tuple(y.shape))
    y.backward(torch.tensor(cotangent))

    @quick_jit
    def ours(weight):
        y, vjp = jax.vjp(lambda w: layer.apply({"weight": w}, {}, IDS)[0], weight)
        return y, vjp(cotangent)[0]

    found, grad = ours(weight)
    np.testing.assert_allclose(found, y.detach().numpy(), rtol=1e-12)
    np.testing.assert_allclose(grad, module.weight.grad.numpy(), rtol=1e-12)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("settings", [{}, {"padding_id": 2, "scale": True}], ids=["plain", "padded"])
def test_backward_is_autodiff(settings: dict):
    model = layers.sequential({"embed": layers.embedding(7, 3, **settings), "rnn": layers.gru(4),
                               "out": layers.dense(2)})  # fmt: skip
    params, state = model.init(jax.random.key(0), IDS)
    y = RANDOM.normal(size=(4, 6, 2))

    @quick_jit
    def both(params):
        trace = backprop.backward(model, params, state, IDS, y, losses.squared_error)
        return trace.grads, jax.grad(lambda p: jnp.mean((model.apply(p, state, IDS)[0] - y) ** 2))(params)

    ours, wanted = both(params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14), ours, wanted)
    assert backprop.backward(model, params, state, IDS, y, losses.squared_error).input_grad is None


def test_an_id_that_is_none_is_told():
    layer = layers.embedding(7, 3)
    params, state = layer.init(jax.random.key(0), IDS)
    for wrong in (-1, 7):
        given = IDS.copy()
        given[1, 2] = wrong
        assert_input_error(lambda v=given: layer.apply(params, state, v), "ids", given=str(wrong), expected="in 0..6")
        inside = np.asarray(quick_jit(layer.apply)(params, state, given)[0])
        assert np.isnan(inside[1, 2]).all() and np.isfinite(np.delete(inside.reshape(24, 3), 8, 0)).all()


def test_fit_learns_from_ids_and_stops_at_one_that_is_none():
    """Which of two words a sentence holds."""
    ids = RANDOM.integers(0, 5, (64, 6)).astype(np.int32)
    y = RANDOM.integers(0, 2, 64).astype(np.int32)
    ids[np.arange(64), RANDOM.integers(0, 6, 64)] = 5 + y
    model = layers.sequential({"embed": layers.embedding(7, 8), "pool": layers.global_pool(kind="max"),
                               "out": layers.dense(2)})  # fmt: skip
    recipe = ja.recipe(
        model, losses.softmax_cross_entropy, ja.optimizers.adam(0.05), metrics={"accuracy": ja.metrics.accuracy}
    )
    result = ja.fit(recipe, (ids, y), key=jax.random.key(0), epochs=30, batch_size=16)
    assert result.history["accuracy"][-1] == 1
    logits = ja.predict(model, result.params, result.state, ids)
    assert (np.argmax(logits, -1) == y).all()
    ids[3, 3] = 9
    with pytest.warns(UserWarning):
        broken = ja.fit(recipe, (ids, y), key=jax.random.key(0), epochs=1, batch_size=16)
    assert broken.status != "finished"
