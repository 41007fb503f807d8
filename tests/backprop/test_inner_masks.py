"""Masks that arise inside a model go on in the backward pass by hand as they do in `apply`."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest

from jaxann import backprop, core, layers, losses, models
from jaxann.core.padding import Padded
from tests.programs import quick_jit

RANDOM = np.random.default_rng(0)
BATCH, TIME, OTHER = 3, 4, 5
REAL = np.arange(TIME) < np.array([[4], [2], [1]])
SEEN = np.arange(OTHER) < np.array([[5], [1], [3]])
X, SOURCE = RANDOM.normal(size=(BATCH, TIME, 8)), RANDOM.normal(size=(BATCH, OTHER, 6))
IDS = RANDOM.integers(0, 7, (BATCH, TIME), np.int32)
BOTH = {"x": Padded(X, REAL), "source": Padded(SOURCE, SEEN)}
TEXTS = {"ids": Padded(IDS, REAL), "segments": IDS % 2}
attend = layers.multi_head_attention(8, 2)
token = layers.sequential({"token": layers.class_token(), "attend": attend})
block = layers.decoder_block(attend, layers.cross_attention(8), layers.feed_forward(8, 8))
wider = layers.encoder_decoder(layers.dense(8), layers.dense(8), block, layers.dense(8))
tied = layers.tied_embedding(layers.segment_embedding(8, 8), layers.layer_norm())
NETS = {
    "a token in front": (token, Padded(X, REAL)),
    "nested": (layers.sequential({"inside": token, "attend": attend}), Padded(X, REAL)),
    "cross-attention": (layers.sequential({"cross": layers.cross_attention(8), "attend": attend}), BOTH),
    "both": (layers.sequential({"both": wider, "attend": attend}), {"source": BOTH["source"], "target": BOTH["x"]}),
    "tied": (layers.sequential({"tied": tied, "attend": attend}), TEXTS),
    "text": (models.bert(7, features=8, heads=2, blocks=1, context=6), TEXTS),
    "heads": (
        layers.sequential({
            "heads": layers.branch({"a": token, "b": token}), "joined": layers.concatenate(), "attend": attend
        }),
        Padded(X, REAL),
    ),
    "two ends": (layers.branch({"a": layers.sequential({"attend": attend}), "b": token}), Padded(X, REAL)),
}  # fmt: skip


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", NETS)
def test_masks_go_on(name: str):
    model, x = NETS[name]
    params, state = model.init(jax.random.key(0), x)
    params = jax.tree.map(lambda a: a + 0.3 * RANDOM.normal(size=a.shape), params)
    given = jax.eval_shape(lambda p: model.apply(p, state, x)[0], params)
    found = jax.eval_shape(lambda p: backprop.forward(model, p, state, x, train=False).predictions, params)
    assert jax.tree.structure(found) == jax.tree.structure(given)
    targets = jax.tree.map(
        lambda one: RANDOM.normal(size=(one.values if isinstance(one, Padded) else one).shape), given,
        is_leaf=lambda one: isinstance(one, Padded),
    )  # fmt: skip
    loss: Any = (
        losses.by_head(dict.fromkeys(targets, losses.squared_error)) if name == "two ends" else losses.squared_error
    )

    @quick_jit
    def both(params):
        trace = backprop.backward(model, params, state, x, targets, loss, train=False)

        def of_one(y: Any, target: Any) -> Any:
            one, other, weights = core.unpadded(y, target)
            return losses.mean(losses.squared_error(one, other), weights=weights)

        def of_head(y: Any, target: Any) -> Any:
            """Of heads each example counts once, with the mean over its positions."""
            values = ((y.values - target) ** 2).mean(-1)
            real = y.mask.astype(values.dtype)
            return ((values * real).sum(1) / real.sum(1)).mean()

        def cost(params):
            y, _ = model.apply(params, state, x)
            return sum(of_head(y[n], targets[n]) for n in y) if name == "two ends" else of_one(y, targets)

        return (trace.loss, trace.grads), jax.value_and_grad(cost)(params)

    ours, wanted = both(params)
    for one, other in zip(jax.tree.leaves(ours), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-13)
