"""The nets of `benchmarks conv` in Flax and Keras (on JAX), a jitted step at a time as their users run them."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["flax_net", "flax_step_of", "keras_net", "keras_step_of"]

RESNETS = {"ResNet-20": ((3, 3, 3), 16), "ResNet-18": ((2, 2, 2, 2), 64)}


def flax_net(name: str) -> Any:
    """A net by the name that the benchmark gives it."""
    from flax import linen

    def normed(x: Any, filters: int, size: int, stride: int, train: bool) -> Any:
        x = linen.Conv(filters, (size, size), (stride, stride), "SAME", use_bias=False)(x)
        return linen.BatchNorm(use_running_average=not train, momentum=0.9)(x)

    class Net(linen.Module):
        """LeNet-5 or a residual net."""

        @linen.compact
        def __call__(self, x: Any, train: bool) -> Any:
            if name == "LeNet-5":
                x = linen.max_pool(linen.relu(linen.Conv(6, (5, 5), padding="SAME")(x)), (2, 2), (2, 2))
                x = linen.max_pool(linen.relu(linen.Conv(16, (5, 5), padding="VALID")(x)), (2, 2), (2, 2))
                x = linen.relu(linen.Dense(120)(x.reshape(len(x), -1)))
                return linen.Dense(10)(linen.relu(linen.Dense(84)(x)))
            blocks, width = RESNETS[name]
            x = linen.relu(normed(x, width, 3, 1, train))
            for stage, number in enumerate(blocks):
                for i in range(number):
                    stride, filters = 2 if stage and not i else 1, width * 2**stage
                    found = normed(linen.relu(normed(x, filters, 3, stride, train)), filters, 3, 1, train)
                    x = linen.relu(found + (normed(x, filters, 1, stride, train) if stride > 1 else x))
            return linen.Dense(10)(x.mean((1, 2)))

    return Net()


def flax_step_of(name: str, x: np.ndarray, y: np.ndarray, steps: int) -> Callable[[], Any]:
    """So many training steps with SGD of momentum 0.9."""
    import jax
    import jax.numpy as jnp
    import optax

    net, optimizer = flax_net(name), optax.sgd(0.01, momentum=0.9)
    held = net.init(jax.random.key(0), x[:1], train=False)
    params, state = held["params"], held.get("batch_stats", {})

    @jax.jit
    def step(params: Any, state: Any, inside: Any, x: Any, y: Any) -> Any:
        def cost(params: Any) -> Any:
            z, after = net.apply({"params": params, "batch_stats": state}, x, train=True, mutable=["batch_stats"])
            return optax.softmax_cross_entropy_with_integer_labels(z, y).mean(), after.get("batch_stats", {})

        grads, after = jax.grad(cost, has_aux=True)(params)
        updates, inside = optimizer.update(grads, inside, params)
        return optax.apply_updates(params, updates), after, inside

    kept, images, labels = [params, state, optimizer.init(params)], jnp.asarray(x), jnp.asarray(y)

    def run() -> None:
        for _ in range(steps):
            kept[:] = step(*kept, images, labels)
        jax.block_until_ready(kept)

    return run


def keras_net(name: str, shape: tuple[int, ...]) -> Any:
    """A net by the name that the benchmark gives it, of pictures of this shape."""
    os.environ["KERAS_BACKEND"] = "jax"
    import keras

    layers = keras.layers

    def normed(x: Any, filters: int, size: int, stride: int) -> Any:
        x = layers.Conv2D(filters, size, stride, padding="same", use_bias=False)(x)
        return layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x)

    start = found = keras.Input(shape)
    if name == "LeNet-5":
        for filters, padding in ((6, "same"), (16, "valid")):
            found = layers.MaxPooling2D()(layers.Conv2D(filters, 5, padding=padding, activation="relu")(found))
        found = layers.Flatten()(found)
        for units in (120, 84):
            found = layers.Dense(units, activation="relu")(found)
    else:
        blocks, width = RESNETS[name]
        found = layers.ReLU()(normed(found, width, 3, 1))
        for stage, number in enumerate(blocks):
            for i in range(number):
                stride, filters = 2 if stage and not i else 1, width * 2**stage
                body = normed(layers.ReLU()(normed(found, filters, 3, stride)), filters, 3, 1)
                skip = normed(found, filters, 1, stride) if stride > 1 else found
                found = layers.ReLU()(layers.add([body, skip]))
        found = layers.GlobalAveragePooling2D()(found)
    return keras.Model(start, layers.Dense(10)(found))


def keras_step_of(name: str, x: np.ndarray, y: np.ndarray, steps: int) -> Callable[[], Any]:
    """So many training steps with SGD of momentum 0.9, by `train_on_batch`."""
    net = keras_net(name, x.shape[1:])
    import keras

    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    net.compile(keras.optimizers.SGD(0.01, momentum=0.9), loss)

    def run() -> None:
        for _ in range(steps):
            net.train_on_batch(x, y)

    return run
