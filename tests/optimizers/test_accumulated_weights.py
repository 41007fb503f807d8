"""Gathered micro-batches are one large batch, also where their examples do not count alike."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxann as ja
from jaxann import optimizers as o

X = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
Y = np.random.default_rng(1).integers(0, 3, 30).astype(np.int32)
MISSING = np.where(np.arange(30) % 8 < 5, Y, -1).astype(np.int32)  # 0 to 5 labels of 8 count
MISSING[8:16] = -1
CROSS = ja.losses.softmax_cross_entropy
PENALTY = ja.regularizers.l2_penalty(0.01)
LOSSES = {
    "plain": (CROSS, Y, None),
    "class weights": (functools.partial(CROSS, class_weights=(0.1, 1.0, 7.0)), Y, None),
    "ignored labels": (functools.partial(CROSS, ignore_index=-1), MISSING, None),
    "example weights": (CROSS, Y, np.random.default_rng(2).random(30).astype(np.float32)),
}


def _fitted(name: str, optimizer: Any, batch_size: int) -> Any:
    loss, y, weights = LOSSES[name]
    recipe = ja.recipe(ja.models.mlp((3,)), loss, optimizer, penalty=PENALTY, shuffle=False)
    train = (X, y) if weights is None else (X, y, weights)
    return ja.fit(recipe, train, key=jax.random.key(0), epochs=3, batch_size=batch_size).params


@pytest.mark.parametrize("name", LOSSES)
def test_gathered_batches_are_one_large_batch(name: str):
    """Four batches of 8, the last one of 6, against all 30 at once."""
    whole = _fitted(name, o.adamw(0.1), 30)
    small = _fitted(name, o.accumulate(o.adamw(0.1), 4), 8)
    for a, b in zip(jax.tree.leaves(small), jax.tree.leaves(whole), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_batches_weigh_what_they_count_for():
    rule, params = o.accumulate(o.sgd(1.0), 2), jnp.zeros(1)
    state = rule.init(params)

    @jax.jit
    def step(g, state, weight):
        return rule.update(g, state, params, weight=weight)

    seen = []
    for g, weight in ((3.0, 1.0), (7.0, 3.0), (5.0, 0.0), (np.nan, 0.0), (1.0, 0.0), (4.0, 2.0)):
        updates, state = step(jnp.full(1, g, jnp.float32), state, jnp.float32(weight))
        seen.append(float(updates[0]))
    assert seen == [0, -6, 0, 0, 0, -4]  # (3 + 3 * 7) / 4; nothing counted; 4 alone
    assert int(state.calls) == 0 and float(state.weight) == 0


def test_a_rule_of_one_s_own_is_given_the_weight_it_names():
    def update(grads, state, params, *, weight):
        return jax.tree.map(lambda g: -g * weight, grads), state

    rule = o.custom(lambda params: (), update)
    assert float(rule.update(jnp.ones(1), (), jnp.ones(1), weight=jnp.float32(3))[0][0]) == -3


def test_a_plain_number_is_a_weight():
    rule = ja.optimizers.accumulate(ja.optimizers.sgd(0.1), 2)
    params = {"weight": jnp.ones(2)}
    found = [rule.update(params, rule.init(params), params, weight=w)[1] for w in (2.0, 2, jnp.float32(2))]
    assert all(float(state.weight) == 2 for state in found)
