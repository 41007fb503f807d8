"""Every optimizer, through `fit`, brings a small network to 95 % on the two spirals."""

from __future__ import annotations

import jax
import pytest

import jaxann as ja
from tests.catalogue import TABLES
from tests.optimizers.problems import two_spirals
from tests.optimizers.spirals import SETTINGS


def test_every_optimizer_has_a_setting():
    assert set(SETTINGS) == {name.rpartition(".")[2] for name in TABLES["optimizers"]}


@pytest.mark.parametrize("name", SETTINGS)
def test_optimizer_learns_the_two_spirals(name: str):
    x, y = two_spirals()
    model, setting = ja.models.mlp((20, 20, 1), activation="tanh"), SETTINGS[name]
    result = ja.fit(
        model, ja.losses.sigmoid_cross_entropy, setting.optimizer, (x, y),
        key=jax.random.key(0), epochs=setting.epochs, batch_size=len(x),
    )  # fmt: skip
    accuracy = float(ja.metrics.accuracy(ja.predict(model, result.params, result.state, x), y))
    assert accuracy >= 0.95
