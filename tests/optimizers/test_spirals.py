"""Every optimizer brings a small network to 95 % on the two spirals; some of them inside `fit`."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import pytest

import jaxann as ja
from tests.catalogue import TABLES
from tests.optimizers.problems import two_spirals
from tests.optimizers.spirals import SETTINGS

MODEL = ja.models.mlp((20, 20, 1), activation="tanh")
ASKING = ("lbfgs", "polyak_sgd", "sam", "schedule_free", "sophia")


def _trained(optimizer: Any, epochs: int) -> Any:
    """The weights after so many steps on all points: what `fit` does, without what it watches."""
    x, y = (jnp.asarray(a) for a in two_spirals())
    params, state = MODEL.init(jax.random.key(0), x)

    def mean_loss(p):
        return jnp.mean(ja.losses.sigmoid_cross_entropy(MODEL.apply(p, state, x)[0], y))

    def step(_, carry):
        params, own = carry
        updates, own = optimizer.update(jax.grad(mean_loss)(params), own, params)
        return ja.optimizers.apply_updates(params, updates), own

    return jax.jit(lambda carry, n: jax.lax.fori_loop(0, n, step, carry))((params, optimizer.init(params)), epochs)[0]


def _accuracy(params: Any) -> float:
    x, y = two_spirals()
    _, state = MODEL.init(jax.random.key(0), x)
    return float(ja.metrics.accuracy(ja.predict(MODEL, params, state, x), y))


def test_every_optimizer_has_a_setting():
    assert set(SETTINGS) == {name.rpartition(".")[2] for name in TABLES["optimizers"]}


@pytest.mark.parametrize("name", [name for name in SETTINGS if name not in ASKING])
def test_optimizer_learns_the_two_spirals(name: str):
    setting = SETTINGS[name]
    assert _accuracy(_trained(setting.optimizer, setting.epochs)) >= 0.95


@pytest.mark.parametrize("name", ASKING)
def test_optimizer_that_asks_for_more_than_the_gradient_learns_them_through_fit(name: str):
    x, y = two_spirals()
    setting, loss = SETTINGS[name], ja.losses.sigmoid_cross_entropy
    recipe = ja.recipe(MODEL, loss, setting.optimizer)
    result = ja.fit(recipe, (x, y), key=jax.random.key(0), epochs=setting.epochs, batch_size=len(x))
    assert _accuracy(result.params) >= 0.95
