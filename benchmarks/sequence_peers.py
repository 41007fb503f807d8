"""What `sequence` compares with in Flax and Keras (on JAX): a jitted step at a time, as their users run them."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["flax_step_of", "keras_step_of"]


def _flax_net(kind: str, sizes: dict[str, int]) -> Any:
    """A recurrent layer with a dense one behind it, or the transformer; `kind` is "lstm", "gru" or "gpt"."""
    from flax import linen

    class Block(linen.Module):
        """Attention and two dense layers, each after a norm and beside the identity."""

        @linen.compact
        def __call__(self, x: Any) -> Any:
            features = x.shape[-1]
            mask = linen.make_causal_mask(x[..., 0])
            attend = linen.MultiHeadDotProductAttention(sizes["heads"], qkv_features=features)
            x = x + attend(linen.LayerNorm(epsilon=1e-5)(x), mask=mask)
            hidden = linen.gelu(linen.Dense(4 * features)(linen.LayerNorm(epsilon=1e-5)(x)))
            return x + linen.Dense(features)(hidden)

    class Net(linen.Module):
        """Logits at each position."""

        @linen.compact
        def __call__(self, x: Any) -> Any:
            if kind != "gpt":
                cell = {"lstm": linen.OptimizedLSTMCell, "gru": linen.GRUCell}[kind](sizes["units"])
                return linen.Dense(sizes["classes"])(linen.RNN(cell)(x))
            places = self.param("places", linen.initializers.normal(0.02), (sizes["context"], sizes["features"]))
            x = linen.Embed(sizes["vocabulary"], sizes["features"])(x) + places[None, : x.shape[1]]
            for _ in range(sizes["blocks"]):
                x = Block()(x)
            return linen.Dense(sizes["vocabulary"], use_bias=False)(linen.LayerNorm(epsilon=1e-5)(x))

    return Net()


def flax_step_of(kind: str, sizes: dict[str, int], x: np.ndarray, y: np.ndarray, steps: int) -> Callable[[], Any]:
    """So many training steps with AdamW."""
    import jax
    import jax.numpy as jnp
    import optax

    net, optimizer = _flax_net(kind, sizes), optax.adamw(1e-3, weight_decay=0.01)
    params = net.init(jax.random.key(0), x)

    @jax.jit
    def step(params: Any, inside: Any, x: Any, y: Any) -> Any:
        def cost(params: Any) -> Any:
            return optax.softmax_cross_entropy_with_integer_labels(net.apply(params, x), y).mean()

        updates, inside = optimizer.update(jax.grad(cost)(params), inside, params)
        return optax.apply_updates(params, updates), inside

    kept, given, labels = [params, optimizer.init(params)], jnp.asarray(x), jnp.asarray(y)

    def run() -> None:
        for _ in range(steps):
            kept[:] = step(*kept, given, labels)
        jax.block_until_ready(kept)

    return run


def _keras_net(kind: str, sizes: dict[str, int], x: np.ndarray) -> Any:
    os.environ["KERAS_BACKEND"] = "jax"
    import keras

    layers = keras.layers
    start = keras.Input(x.shape[1:], dtype=x.dtype.name)
    if kind != "gpt":
        cell = {"lstm": layers.LSTM, "gru": layers.GRU}[kind]
        return keras.Model(start, layers.Dense(sizes["classes"])(cell(sizes["units"], return_sequences=True)(start)))
    features = sizes["features"]
    places = layers.Embedding(sizes["context"], features)(np.arange(x.shape[1])[None])
    found = layers.Embedding(sizes["vocabulary"], features)(start) + places
    for _ in range(sizes["blocks"]):
        normed = layers.LayerNormalization(epsilon=1e-5)(found)
        attend = layers.MultiHeadAttention(sizes["heads"], features // sizes["heads"])
        found = layers.add([found, attend(normed, normed, use_causal_mask=True)])
        hidden = layers.Dense(4 * features)(layers.LayerNormalization(epsilon=1e-5)(found))
        hidden = layers.Dense(features)(layers.Lambda(lambda a: keras.ops.gelu(a, approximate=True))(hidden))
        found = layers.add([found, hidden])
    found = layers.LayerNormalization(epsilon=1e-5)(found)
    return keras.Model(start, layers.Dense(sizes["vocabulary"], use_bias=False)(found))


def keras_step_of(kind: str, sizes: dict[str, int], x: np.ndarray, y: np.ndarray, steps: int) -> Callable[[], Any]:
    """So many training steps with AdamW, by `train_on_batch`."""
    net = _keras_net(kind, sizes, x)
    import keras

    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    net.compile(keras.optimizers.AdamW(1e-3, weight_decay=0.01), loss)

    def run() -> None:
        for _ in range(steps):
            net.train_on_batch(x, y)

    return run
