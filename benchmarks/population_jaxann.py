"""jaxann in the population benchmark, through its public verbs alone.

The population and the searches call `ja.setup()` first, so that each core is a device; the loop of `ja.fit` does not,
so that one fit has all cores.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

import jaxann as ja
from benchmarks.contenders.base import share_correct
from benchmarks.population_work import EPOCHS, WORK, folds_of, settings_of, split_task

PATIENCE = 10
"""Epochs without a better validation loss, as scikit-learn's `n_iter_no_change` has it by default."""
NEVER = 10 * EPOCHS


def model():
    """The network."""
    return ja.models.mlp(WORK.sizes[1:], activation="relu")


def recipe(optimizer, **settings):
    """What is trained."""
    return ja.recipe(model(), ja.losses.softmax_cross_entropy, optimizer, **settings)


def build(hyper):
    """A member of the population."""
    return recipe(ja.optimizers.adam(hyper["learning_rate"]))


def build_decaying(hyper, stopping=None):
    """A member of the search, ranked by its validation loss where it stops early, else by its accuracy."""
    stopping = stopping or ja.train.early_stopping(None, monitor="validation_accuracy", mode="max", restore_best=False)
    optimizer = ja.optimizers.adamw(
        hyper["learning_rate"], weight_decay=hyper["weight_decay"], mask=ja.optimizers.matrices
    )
    return recipe(optimizer, metrics={"accuracy": ja.metrics.accuracy}, stopping=stopping)


def build_patient(hyper):
    """A member of the search that stops once its validation loss no longer falls."""
    return build_decaying(hyper, ja.train.early_stopping(PATIENCE))


def build_stopping(hyper):
    """A member that stops after its second epoch, having learnt nothing, or never."""
    rate, patience = (0.0, 1) if hyper["stops"] else (hyper["learning_rate"], NEVER)
    return recipe(ja.optimizers.adam(rate), stopping=ja.train.early_stopping(patience))


class Search:
    """All settings on all folds to the last epoch: `ja.tune.cross_validate`."""

    def __init__(self, x: np.ndarray, y: np.ndarray) -> None:
        ja.setup()
        self.platform = jax.default_backend()
        self.data = (x, y)
        self.folds = folds_of(len(x))

    def search(self, rates: list[float], decays: list[float], epochs: int, number: int) -> dict:
        """One search; accuracies and epochs run, `(settings, folds)`."""
        settings = settings_of(rates, decays)
        columns = {
            "learning_rate": [rate for rate, _ in settings],
            "weight_decay": [decay for _, decay in settings],
        }
        table = self.run(columns, jax.random.key(number), epochs)
        return {
            "settings": settings,
            "accuracy": table.scores["accuracy"].tolist(),
            "epochs": np.asarray(table.epochs).tolist(),
        }

    def run(self, columns: dict, key: jax.Array, epochs: int) -> ja.tune.Table:
        """The call that is measured."""
        return ja.tune.cross_validate(
            build_decaying, columns, self.data, folds=self.folds, key=key, epochs=epochs, batch_size=WORK.batch_size
        )


class PatientSearch(Search):
    """Every training ends once its validation loss no longer falls; the accuracy is that of its best epoch."""

    def run(self, columns: dict, key: jax.Array, epochs: int) -> ja.tune.Table:
        """The call that is measured."""
        return ja.tune.cross_validate(
            build_patient, columns, self.data, folds=self.folds, key=key, epochs=epochs, batch_size=WORK.batch_size
        )


class HalvingSearch(Search):
    """The better third of the settings trains on, at three points: `ja.tune.halving`."""

    def run(self, columns: dict, key: jax.Array, epochs: int) -> ja.tune.Table:
        """The call that is measured."""
        return ja.tune.halving(
            build_decaying,
            columns,
            self.data,
            validation=ja.tune.resampling(folds=self.folds),
            key=key,
            epochs=epochs,
            batch_size=WORK.batch_size,
            factor=3,
        )


class Loop:
    """One `ja.fit` after the other."""

    def __init__(self, x: np.ndarray, y: np.ndarray) -> None:
        self.platform = jax.default_backend()
        self.task = split_task(x, y)
        self.rows = (jnp.asarray(self.task.x), jnp.asarray(self.task.y))
        self.results = []

    def warm(self, rates: list[float]) -> None:
        """Compile."""
        self.train(rates[:1], 2, 0)

    def train(self, rates: list[float], epochs: int, number: int) -> None:
        """Train one network for each learning rate."""
        self.results = []
        for member, rate in enumerate(rates):
            key = jax.random.fold_in(jax.random.key(number), member)
            self.results.append(
                ja.fit(build({"learning_rate": rate}), self.rows, key=key, epochs=epochs, batch_size=WORK.batch_size)
            )
        jax.block_until_ready([result.params for result in self.results])

    def accuracy(self) -> dict:
        """Mean share of the held-out rows named correctly."""
        scores = [ja.predict(model(), result.params, result.state, self.task.x_test) for result in self.results]
        return {"accuracy": float(np.mean([share_correct(np.asarray(s), self.task.y_test) for s in scores]))}


class Population(Loop):
    """All members in one call of `ja.train.fit_population`."""

    def __init__(self, x: np.ndarray, y: np.ndarray) -> None:
        ja.setup()
        super().__init__(x, y)
        self.validation = (jnp.asarray(self.task.x_test), jnp.asarray(self.task.y_test))
        self.population = None

    def warm(self, rates: list[float]) -> None:
        """Compile."""
        self.train(rates, 2, 0)

    def train(self, rates: list[float], epochs: int, number: int) -> None:
        """Train one network for each learning rate."""
        keys = jax.random.split(jax.random.key(number), len(rates))
        columns = {"learning_rate": rates}
        self.population = ja.train.fit_population(
            build, columns, self.rows, keys=keys, epochs=epochs, batch_size=WORK.batch_size
        )
        jax.block_until_ready(self.population.params)

    def train_singly(self, rates: list[float], epochs: int, number: int) -> None:
        """What `Loop` does, here where each core is a device."""
        Loop.train(self, rates, epochs, number)

    def train_stopping(self, rates: list[float], stops: list[bool], epochs: int, number: int) -> dict:
        """Train with a validation set; members that `stops` marks end after their second epoch."""
        keys = jax.random.split(jax.random.key(number), len(rates))
        columns = {"learning_rate": rates, "stops": stops}
        found = ja.train.fit_population(
            build_stopping, columns, self.rows, validation=self.validation, keys=keys, epochs=epochs,
            batch_size=WORK.batch_size,
        )  # fmt: skip
        jax.block_until_ready(found.params)
        return {"epochs_run": int(found.epochs_run.sum())}

    def accuracy(self) -> dict:
        """Mean share of the held-out rows named correctly."""
        scores = self.population.predict(self.task.x_test)
        return {"accuracy": float(np.mean([share_correct(s, self.task.y_test) for s in np.asarray(scores)]))}
