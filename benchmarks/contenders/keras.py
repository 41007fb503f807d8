"""Keras 3 on its JAX backend: `model.fit` on NumPy arrays with its own shuffling, compiled steps, no progress bar.

The backend is chosen before the import, by the environment in the table of contenders.
"""

from __future__ import annotations

import jax
import keras
import numpy as np

from benchmarks.contenders.base import BETA_1, BETA_2, EPSILON, LEARNING_RATE, Task, share_correct


class Contestant:
    """A compiled Keras model, continued with `initial_epoch`."""

    def __init__(self, task: Task) -> None:
        keras.utils.set_random_seed(task.seed)
        self.task = task
        self.platform = jax.default_backend()
        self.done = 0
        self.model = keras.Sequential(
            [
                keras.layers.Input((task.sizes[0],)),
                *(keras.layers.Dense(units, "relu", kernel_initializer="he_normal") for units in task.hidden),
                keras.layers.Dense(task.sizes[-1], kernel_initializer="lecun_normal"),
            ]
        )
        self.model.compile(
            optimizer=keras.optimizers.Adam(LEARNING_RATE, beta_1=BETA_1, beta_2=BETA_2, epsilon=EPSILON),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            jit_compile=True,
        )

    def train(self, epochs: int) -> list[float]:
        """One call of `model.fit`: `epochs` more epochs."""
        history = self.model.fit(
            self.task.x,
            self.task.y,
            batch_size=self.task.batch_size,
            initial_epoch=self.done,
            epochs=self.done + epochs,
            verbose=0,
        )
        self.done += epochs
        return [float(loss) for loss in history.history["loss"]]

    def accuracy(self) -> float:
        """Share of the test rows named correctly."""
        return share_correct(np.asarray(self.model.predict(self.task.x_test, verbose=0)), self.task.y_test)
