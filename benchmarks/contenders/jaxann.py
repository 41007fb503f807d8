"""jaxann through its public verbs alone: `ja.fit`, continued turn by turn with `resume=`, and `ja.predict`."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

import jaxann as ja
from benchmarks.contenders.base import BETA_1, BETA_2, EPSILON, LEARNING_RATE, Task, share_correct


class Contestant:
    """`ja.fit` with the arrays on the device, as `raw_jax` has them."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.platform = jax.default_backend()
        model = ja.models.mlp((*task.hidden, task.sizes[-1]), activation="relu")
        optimizer = ja.optimizers.adam(LEARNING_RATE, b1=BETA_1, b2=BETA_2, eps=EPSILON)
        self.recipe = ja.recipe(model, ja.losses.softmax_cross_entropy, optimizer)
        self.rows = (jnp.asarray(task.x), jnp.asarray(task.y))
        self.key = jax.random.key(task.seed)
        self.done = 0
        self.result = None

    def train(self, epochs: int) -> list[float]:
        """One call of `ja.fit`: `epochs` more epochs from where the last call ended."""
        self.done += epochs
        self.result = ja.fit(
            self.recipe,
            self.rows,
            key=self.key,
            epochs=self.done,
            batch_size=self.task.batch_size,
            resume=self.result,
        )
        jax.block_until_ready(self.result.params)
        return np.asarray(self.result.history["loss"]).tolist()[-epochs:]

    def accuracy(self) -> float:
        """Share of the test rows named correctly."""
        scores = ja.predict(self.recipe, self.result.params, self.result.state, self.task.x_test)
        return share_correct(np.asarray(scores), self.task.y_test)
