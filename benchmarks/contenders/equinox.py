"""Equinox as its documentation shows it: an `eqx.filter_jit` step in a Python loop over batches, with `optax.adam`.

Both of its recipes for speed are used: model and optimizer state enter and leave the step as flat lists ("low-overhead
training loops"), and their memory is donated. The data lies on the device; the step gathers its batch from indices.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.contenders.base import BETA_1, BETA_2, EPSILON, LEARNING_RATE, Task, share_correct

ADAM = optax.adam(LEARNING_RATE, b1=BETA_1, b2=BETA_2, eps=EPSILON)


def build_network(sizes: tuple[int, ...], seed: int) -> eqx.nn.Sequential:
    """Stack linear layers with ReLU between them: He normal weights (LeCun normal for the output), zero biases."""
    initializers = [jax.nn.initializers.he_normal] * (len(sizes) - 2) + [jax.nn.initializers.lecun_normal]
    keys = jax.random.split(jax.random.key(seed), len(initializers))
    layers: list = []
    for initializer, key, (units_in, units_out) in zip(initializers, keys, pairwise(sizes), strict=True):
        draw = initializer(in_axis=1, out_axis=0)
        linear = eqx.nn.Linear(units_in, units_out, key=key)
        weights = draw(key, linear.weight.shape), jnp.zeros_like(linear.bias)
        linear = eqx.tree_at(lambda layer: (layer.weight, layer.bias), linear, weights)
        layers += [linear, eqx.nn.Lambda(jax.nn.relu)]
    return eqx.nn.Sequential(layers[:-1])


def build_step(model: eqx.nn.Sequential, state: optax.OptState) -> Callable:
    """Return the compiled step over flat lists of the leaves of a model and an optimizer state like these."""
    model_structure, state_structure = jax.tree.structure(model), jax.tree.structure(state)

    @eqx.filter_jit(donate="all-except-first")
    def step(data: tuple[jax.Array, jax.Array], flat_model: list, flat_state: list, indices: jax.Array) -> tuple:
        x, y = data
        model = jax.tree.unflatten(model_structure, flat_model)
        state = jax.tree.unflatten(state_structure, flat_state)

        @eqx.filter_value_and_grad
        def mean_loss(model: eqx.nn.Sequential) -> jax.Array:
            return optax.softmax_cross_entropy_with_integer_labels(jax.vmap(model)(x[indices]), y[indices]).mean()

        loss, grads = mean_loss(model)
        updates, state = ADAM.update(grads, state)
        return jax.tree.leaves(eqx.apply_updates(model, updates)), jax.tree.leaves(state), loss

    return step


class Contestant:
    """The training loop of the Equinox examples."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.platform = jax.default_backend()
        self.data = (jnp.asarray(task.x), jnp.asarray(task.y))
        model = build_network(task.sizes, task.seed)
        state = ADAM.init(eqx.filter(model, eqx.is_inexact_array))
        self.step = build_step(model, state)
        self.flat_model, self.model_structure = jax.tree.flatten(model)
        self.flat_state = jax.tree.leaves(state)
        self.rng = np.random.default_rng(task.seed)

    def train(self, epochs: int) -> list[float]:
        """Loop over epochs and batches; losses are read once an epoch, so that steps are dispatched ahead."""
        rows, size = len(self.task.x), self.task.batch_size
        means = []
        for _ in range(epochs):
            order = self.rng.permutation(rows).astype(np.int32)
            batches = [order[start : start + size] for start in range(0, rows, size)]
            losses = []
            for indices in batches:
                self.flat_model, self.flat_state, loss = self.step(self.data, self.flat_model, self.flat_state, indices)
                losses.append(loss)
            means.append(sum(float(loss) * len(batch) for loss, batch in zip(losses, batches, strict=True)) / rows)
        jax.block_until_ready([leaf for leaf in self.flat_model if eqx.is_array(leaf)])
        return means

    def accuracy(self) -> float:
        """Share of the test rows named correctly."""
        model = jax.tree.unflatten(self.model_structure, self.flat_model)
        return share_correct(np.asarray(jax.vmap(model)(jnp.asarray(self.task.x_test))), self.task.y_test)
