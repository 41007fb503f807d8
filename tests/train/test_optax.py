"""optax's optimizers in the trainer: another rate compiles nothing, and the weights are those of optax's own."""

from __future__ import annotations

import jax
import numpy as np
import optax
import pytest

import jaxann as ja
from tests.contract import compiles

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(40, 6)).astype(np.float32)
Y = RANDOM.integers(0, 3, 40).astype(np.int32)
MODEL = ja.models.mlp((8, 3))


def _fit(optimizer) -> ja.train.Result:
    recipe = ja.recipe(MODEL, ja.losses.softmax_cross_entropy, optimizer)
    return ja.fit(recipe, (X, Y), key=jax.random.key(0), epochs=3, batch_size=16)


@pytest.mark.parametrize(
    ("constructor", "first", "second"),
    [
        (optax.adam, {"learning_rate": 1e-2}, {"learning_rate": 3e-2}),
        (optax.adamw, {"learning_rate": 1e-2, "weight_decay": 0.1}, {"learning_rate": 1e-2, "weight_decay": 0.2}),
        (optax.sgd, {"learning_rate": 0.1, "momentum": 0.9}, {"learning_rate": 0.2, "momentum": 0.8}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_another_number_compiles_nothing_and_trains_as_optax_does(constructor, first, second):
    begun = _fit(ja.optimizers.from_optax(constructor, **first))
    before = compiles()
    found = _fit(ja.optimizers.from_optax(constructor, **second))
    assert compiles() == before
    for result, given in ((begun, first), (found, second)):
        plain = _fit(constructor(**given))
        np.testing.assert_allclose(result.history["loss"], plain.history["loss"], rtol=1e-5)
        for ours, wanted in zip(jax.tree.leaves(result.params), jax.tree.leaves(plain.params), strict=True):
            np.testing.assert_allclose(ours, wanted, rtol=1e-4, atol=1e-6)
    assert np.abs(begun.history["loss"] - found.history["loss"]).max() > 1e-4


def test_members_of_a_population_have_rates_of_their_own():
    def build(hyper):
        rule = ja.optimizers.from_optax(optax.adam, learning_rate=hyper["rate"])
        return ja.recipe(MODEL, ja.losses.softmax_cross_entropy, rule)

    keys = jax.random.split(jax.random.key(1), 2)
    together = ja.train.fit_population(build, {"rate": [1e-2, 3e-2]}, (X, Y), keys=keys, epochs=2, batch_size=16)
    assert len(together.groups) == 1
    for number, rate in enumerate((1e-2, 3e-2)):
        alone = ja.fit(build({"rate": rate}), (X, Y), key=keys[number], epochs=2, batch_size=16)
        np.testing.assert_allclose(together.history["loss"][number], alone.history["loss"], rtol=1e-5)
