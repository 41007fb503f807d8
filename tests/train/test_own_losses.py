"""Losses of a person's own that give numbers and teach nothing, or something else: all pairs, and no slope."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxann as ja
from tests.contract import assert_input_error

X = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
Y = X[:, 0]
KEY = jax.random.key(0)


def fit(loss: Any, y: Any = Y, width: int = 1, batch: int = 6) -> Any:
    recipe = ja.recipe(ja.layers.dense(width), loss, ja.optimizers.sgd(0.01), batch_size=batch)
    return ja.fit(recipe, (X, y), key=KEY, epochs=1)


@pytest.fixture(autouse=True)
def _as_users_have_it():
    """The tests refuse to broadcast a rank up, JAX alone does not."""
    with jax.numpy_rank_promotion("allow"):
        yield


PAIRS = {
    "mean": lambda p, t: ((p - t) ** 2).mean(-1),
    "sum over the batch": lambda p, t: jnp.abs(p - t).sum(0),
    "inside a jitted function": jax.jit(lambda p, t: ((p - t) ** 2).mean(-1)),
}


@pytest.mark.parametrize("name", PAIRS)
def test_pairs_that_are_averaged_inside_are_refused_in_every_verb(name: str):
    loss = PAIRS[name]
    assert_input_error(lambda: fit(loss), "values", expected="of each example alone", given="all pairs")
    recipe = ja.recipe(ja.layers.dense(1), loss, ja.optimizers.sgd(0.01), batch_size=6, epochs=1)
    params, state = recipe.model.init(KEY, X)
    assert_input_error(lambda: ja.train.evaluate(recipe, params, state, (X, Y)), "values", given="all pairs")


def test_as_many_outputs_as_examples_are_no_pairs_unless_they_grow_with_the_batch():
    squared = lambda p, t: (p - t) ** 2  # noqa: E731
    assert_input_error(lambda: fit(squared, width=6), "values", given="(6, 6)")
    assert_input_error(lambda: fit(lambda p, t: (p[:, :1] - t) ** 2, width=6), "values", given="(6, 6)")
    many = np.repeat(Y[:, None], 6, 1)
    assert np.isfinite(fit(squared, many, width=6).history["loss"]).all()
    labels = (np.arange(12) % 6).astype(np.int32)
    own = fit(lambda p, t: (p - jax.nn.one_hot(t, 6)) ** 2, labels, width=6)
    assert np.isfinite(own.history["loss"]).all()


FINE = {
    "one column": lambda p, t: (p[:, 0] - t) ** 2,
    "squeezed": lambda p, t: (p.squeeze(-1) - t) ** 2,
    "mapped": jax.vmap(lambda p, t: (p[0] - t) ** 2),
    "linear": lambda p, t: p[:, 0] * t,
    "kinks": lambda p, t: jnp.where(p[:, 0] > 0, p[:, 0], 0) + jnp.abs(t),
}


@pytest.mark.parametrize("name", FINE)
def test_losses_of_each_example_alone_are_taken(name: str):
    assert np.isfinite(fit(FINE[name]).history["loss"]).all()


def test_a_loss_that_compares_examples_and_says_so_is_taken():
    def ranked(p, t, where=None):
        where = jnp.ones(t.shape, bool) if where is None else where
        other = jnp.where(where[None], jax.nn.relu(1 - (p - p.T) * jnp.sign(t[:, None] - t)), 0)
        return other.mean(-1)

    assert np.isfinite(fit(ranked).history["loss"]).all()


FLAT = {
    "stopped": lambda p, t: jax.lax.stop_gradient(p[:, 0] - t) ** 2,
    "compared": lambda p, t: ((p[:, 0] > 0) != (t > 0)).astype(jnp.float32),
    "rounded": lambda p, t: jnp.round(jnp.abs(p[:, 0] - t)),
    "sign": lambda p, t: jnp.sign(p[:, 0] - t),
    "of the targets": lambda p, t: t**2,
    "constant": lambda p, t: np.ones(t.shape, np.float32),
}


@pytest.mark.parametrize("name", FLAT)
def test_a_loss_without_a_slope_is_refused(name: str):
    assert_input_error(lambda: fit(FLAT[name]), "values", expected="a gradient by the predictions", given="0 whatever")


def test_weights_that_are_0_in_a_program_are_no_weights():
    weights = np.full(12, 1e-40, np.float32)
    recipe = ja.recipe(ja.layers.dense(1), FINE["one column"], ja.optimizers.sgd(0.01))
    assert_input_error(lambda: ja.fit(recipe, (X, Y, weights), key=KEY, epochs=1), "weights", expected="positive")
