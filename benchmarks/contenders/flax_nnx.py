"""Flax NNX as its guides show it: an `nnx.jit` train step in a Python loop over batches, `optax.adam` underneath.

The step is wrapped in `nnx.cached_partial`, which the performance guide advises for small models, and donates the
memory of model and optimizer. The data lies on the device; the step gathers its batch from indices.
"""

from __future__ import annotations

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from benchmarks.contenders.base import BETA_1, BETA_2, EPSILON, LEARNING_RATE, Task, share_correct


def build_network(sizes: tuple[int, ...], seed: int) -> nnx.Sequential:
    """Stack linear layers with ReLU between them: He normal weights (LeCun normal for the output), zero biases."""
    rngs = nnx.Rngs(seed)
    initializers = [nnx.initializers.he_normal()] * (len(sizes) - 2) + [nnx.initializers.lecun_normal()]
    layers: list = []
    for draw, (units_in, units_out) in zip(initializers, pairwise(sizes), strict=True):
        layers += [nnx.Linear(units_in, units_out, kernel_init=draw, rngs=rngs), nnx.relu]
    return nnx.Sequential(*layers[:-1])


@nnx.jit(graph=True, graph_updates=True, donate_argnums=(0, 1))
def train_step(
    model: nnx.Sequential, optimizer: nnx.Optimizer, x: jax.Array, y: jax.Array, indices: jax.Array
) -> jax.Array:
    """Take one step on the rows at `indices`; return their mean loss."""

    def mean_loss(model: nnx.Sequential) -> jax.Array:
        return optax.softmax_cross_entropy_with_integer_labels(model(x[indices]), y[indices]).mean()

    loss, grads = nnx.value_and_grad(mean_loss)(model)
    optimizer.update(model, grads)
    return loss


class Contestant:
    """The training loop of the Flax guides."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.platform = jax.default_backend()
        self.x, self.y = jnp.asarray(task.x), jnp.asarray(task.y)
        self.model = build_network(task.sizes, task.seed)
        adam = optax.adam(LEARNING_RATE, b1=BETA_1, b2=BETA_2, eps=EPSILON)
        self.optimizer = nnx.Optimizer(self.model, adam, wrt=nnx.Param)
        with nnx.set_graph_mode(True), nnx.set_graph_updates(True):
            self.step = nnx.cached_partial(train_step, self.model, self.optimizer)
        self.rng = np.random.default_rng(task.seed)

    def train(self, epochs: int) -> list[float]:
        """Loop over epochs and batches; losses are read once an epoch, so that steps are dispatched ahead."""
        rows, size = len(self.task.x), self.task.batch_size
        means = []
        for _ in range(epochs):
            order = self.rng.permutation(rows).astype(np.int32)
            batches = [order[start : start + size] for start in range(0, rows, size)]
            losses = [self.step(self.x, self.y, indices) for indices in batches]
            means.append(sum(float(loss) * len(batch) for loss, batch in zip(losses, batches, strict=True)) / rows)
        jax.block_until_ready(nnx.state(self.model))
        return means

    def accuracy(self) -> float:
        """Share of the test rows named correctly."""
        return share_correct(np.asarray(self.model(jnp.asarray(self.task.x_test))), self.task.y_test)
