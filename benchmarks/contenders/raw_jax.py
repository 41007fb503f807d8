"""The floor: what a JAX user writes by hand. One jitted program per turn, no library beside JAX.

A turn of k epochs is one call: a scan over epochs around a scan over batches. Each epoch draws a permutation on the
device; the last batch is padded to full size and masked, so that its mean is exact.
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.contenders.base import BETA_1, BETA_2, EPSILON, LEARNING_RATE, Task, share_correct

Params = list[dict[str, jax.Array]]


class Training(NamedTuple):
    """Everything one step hands to the next."""

    params: Params
    mean: Params
    square: Params
    count: jax.Array


@partial(jax.jit, static_argnames="sizes")
def init_training(key: jax.Array, sizes: tuple[int, ...]) -> Training:
    """Draw He normal weights (LeCun normal ones for the output) and zero biases; start Adam's moments at zero."""
    shapes = list(pairwise(sizes))
    initializers = [jax.nn.initializers.he_normal()] * (len(shapes) - 1) + [jax.nn.initializers.lecun_normal()]
    params = [
        {"kernel": draw(layer_key, shape), "bias": jnp.zeros(shape[1])}
        for draw, layer_key, shape in zip(initializers, jax.random.split(key, len(shapes)), shapes, strict=True)
    ]
    return Training(params, jax.tree.map(jnp.zeros_like, params), jax.tree.map(jnp.zeros_like, params), jnp.zeros(()))


def predict(params: Params, x: jax.Array) -> jax.Array:
    """Return the logits."""
    for layer in params[:-1]:
        x = jax.nn.relu(x @ layer["kernel"] + layer["bias"])
    return x @ params[-1]["kernel"] + params[-1]["bias"]


def mean_loss(params: Params, x: jax.Array, y: jax.Array, mask: jax.Array) -> jax.Array:
    """Return the softmax cross-entropy, averaged over the rows that `mask` keeps."""
    log_probabilities = jax.nn.log_softmax(predict(params, x))
    losses = -jnp.take_along_axis(log_probabilities, y[:, None], axis=1)[:, 0]
    return jnp.sum(losses * mask) / jnp.sum(mask)


def adam_step(training: Training, grads: Params) -> Training:
    """Apply one step of Adam."""
    count = training.count + 1
    mean = jax.tree.map(lambda m, g: BETA_1 * m + (1 - BETA_1) * g, training.mean, grads)
    square = jax.tree.map(lambda v, g: BETA_2 * v + (1 - BETA_2) * g * g, training.square, grads)
    mean_scale, square_scale = 1 / (1 - BETA_1**count), 1 / (1 - BETA_2**count)

    def move(p: jax.Array, m: jax.Array, v: jax.Array) -> jax.Array:
        return p - LEARNING_RATE * (m * mean_scale) / (jnp.sqrt(v * square_scale) + EPSILON)

    return Training(jax.tree.map(move, training.params, mean, square), mean, square, count)


@partial(jax.jit, static_argnames=("epochs", "batch_size"), donate_argnames="training")
def train_epochs(
    training: Training, key: jax.Array, x: jax.Array, y: jax.Array, *, epochs: int, batch_size: int
) -> tuple[Training, jax.Array]:
    """Train for `epochs` epochs; return the new training state and the mean loss of each epoch."""
    rows = x.shape[0]
    steps = -(-rows // batch_size)
    padding = steps * batch_size - rows
    masks = (jnp.arange(steps * batch_size) < rows).astype(x.dtype).reshape(steps, batch_size)

    def step(training: Training, batch: tuple[jax.Array, jax.Array]) -> tuple[Training, jax.Array]:
        indices, mask = batch
        loss, grads = jax.value_and_grad(mean_loss)(training.params, x[indices], y[indices], mask)
        return adam_step(training, grads), loss * jnp.sum(mask)

    def epoch(training: Training, epoch_key: jax.Array) -> tuple[Training, jax.Array]:
        # One batch of everything needs no shuffle: it would only permute the terms of a sum.
        order = jnp.arange(rows) if rows == batch_size else jax.random.permutation(epoch_key, rows)
        order = jnp.pad(order, (0, padding)).reshape(steps, batch_size)
        training, losses = jax.lax.scan(step, training, (order, masks))
        return training, jnp.sum(losses) / rows

    return jax.lax.scan(epoch, training, jax.random.split(key, epochs))


class Contestant:
    """Hand-written JAX."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.platform = jax.default_backend()
        self.x, self.y = jnp.asarray(task.x), jnp.asarray(task.y)
        self.key, init_key = jax.random.split(jax.random.key(task.seed))
        self.training = jax.block_until_ready(init_training(init_key, task.sizes))

    def train(self, epochs: int) -> list[float]:
        """One call of the compiled program."""
        self.key, key = jax.random.split(self.key)
        self.training, losses = jax.block_until_ready(
            train_epochs(self.training, key, self.x, self.y, epochs=epochs, batch_size=self.task.batch_size)
        )
        return np.asarray(losses).tolist()

    def accuracy(self) -> float:
        """Share of the test rows named correctly."""
        return share_correct(np.asarray(predict(self.training.params, self.task.x_test)), self.task.y_test)
