"""Every optimizer brings a small network to 95 % on the two spirals; some of them inside the trainer.

Thousands of steps at rates like these go another way for a difference in the last digit, and processors differ there:
that one start misses says nothing of the optimizer, that most do says much. So each trains from a few that differ by
what rounding does, and the median counts.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import jaxann as ja
from tests.catalogue import OPTIMIZERS, TABLES
from tests.optimizers.problems import two_spirals
from tests.optimizers.spirals import SETTINGS
from tests.programs import stepping_jit

MODEL = ja.models.mlp((20, 20, 1), activation="tanh")
ASKING = ("lbfgs", "polyak_sgd", "sam", "schedule_free", "sophia")
STARTS = 3
# To which weights in one leaf are as good as in six: a program of them takes two thirds of the time to compile and run.
BY_NUMBER = {row.name.rpartition(".")[2] for row in OPTIMIZERS if row.exact} - {"sm3"}  # which keeps rows and columns


def _trained(optimizer: Any, epochs: int, by_number: bool) -> Any:
    """The weights of each start after so many steps on all points: what `fit` does, without what it watches."""
    x, y = (jnp.asarray(a) for a in two_spirals())
    params, state = MODEL.init(jax.random.key(0), x)
    params, as_model = ravel_pytree(params) if by_number else (params, lambda p: p)

    def mean_loss(p):
        return jnp.mean(ja.losses.sigmoid_cross_entropy(MODEL.apply(as_model(p), state, x)[0], y))

    def step(_, carry):
        params, own = carry
        updates, own = optimizer.update(jax.grad(mean_loss)(params), own, params)
        return ja.optimizers.apply_updates(params, updates), own

    def run(key, steps):
        start = jax.tree.map(lambda p: p * (1 + 1e-6 * jax.random.normal(key, p.shape)), params)
        return as_model(jax.lax.fori_loop(0, steps, step, (start, optimizer.init(start)))[0])

    return stepping_jit(jax.vmap(run, (0, None)))(jax.random.split(jax.random.key(1), STARTS), epochs)


def _median_accuracy(params: Any) -> float:
    x, y = two_spirals()
    _, state = MODEL.init(jax.random.key(0), x)
    members = [jax.tree.map(lambda p, i=i: p[i], params) for i in range(STARTS)]
    return float(np.median([ja.metrics.accuracy(ja.predict(MODEL, one, state, x), y) for one in members]))


def test_every_optimizer_has_a_setting():
    assert set(SETTINGS) == {name.rpartition(".")[2] for name in TABLES["optimizers"]}


@pytest.mark.parametrize("name", [name for name in SETTINGS if name not in ASKING])
def test_optimizer_learns_the_two_spirals(name: str):
    setting = SETTINGS[name]
    assert _median_accuracy(_trained(setting.optimizer, setting.epochs, name in BY_NUMBER)) >= 0.95


@pytest.mark.parametrize("name", ASKING)
def test_optimizer_that_asks_for_more_than_the_gradient_learns_them_through_the_trainer(name: str):
    x, y = two_spirals()
    setting, loss = SETTINGS[name], ja.losses.sigmoid_cross_entropy
    noise = np.random.default_rng(0).normal(size=(STARTS, *x.shape)) * 1e-6
    sets = [((x * (1 + near)).astype(x.dtype), y) for near in noise]
    keys = jnp.stack([jax.random.key(0)] * STARTS)
    trained = ja.train.fit_population(
        lambda _: ja.recipe(MODEL, loss, setting.optimizer), {}, sets, dataset=range(STARTS), keys=keys,
        epochs=setting.epochs, batch_size=len(x),
    )  # fmt: skip
    assert _median_accuracy(trained.params) >= 0.95
