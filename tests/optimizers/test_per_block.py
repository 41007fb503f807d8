"""Stacked blocks are updated as the same blocks one by one, by rules that look at a whole leaf too."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxann as ja
from jaxann import layers
from jaxann import optimizers as o
from jaxann.train.steps import at_rest
from tests.contract import assert_input_error
from tests.programs import quick_jit

L = 2
RANDOM = np.random.default_rng(0)
SINGLE = {
    "net": {
        "block": {
            str(block): {"dense": {"weight": RANDOM.normal(size=(4, 5)), "bias": RANDOM.normal(size=5)},
                         "norm": {"scale": RANDOM.normal(size=5)}}
            for block in range(L)
        }
    },
    "out": {"weight": RANDOM.normal(size=(5, 2))},
}  # fmt: skip
BLOCKS = "*.block"
RULES = {
    "lamb": o.lamb(0.1, weight_decay=0.1),
    "muon": o.muon(0.1),
    "centralize": o.chain(o.clip_by_global_norm(1.0), o.centralize(), o.ema(o.sgd(0.1))),
    "per_leaf": o.per_leaf(o.sgd(0.1), freeze="net.block.0", learning_rate_scale={"net.block.1": 0.5}),
    "partly frozen": o.max_norm(o.per_block(o.freeze(o.sgd(0.1), "net.block.1.dense"), BLOCKS), 1e6),
}


def _stacked(tree: Any) -> Any:
    each = [tree["net"]["block"][str(block)] for block in range(L)]
    return {"net": {"block": jax.tree.map(lambda *leaves: jnp.stack(leaves), *each)}, "out": tree["out"]}


def _twice(rule: Any, params: Any, cost: Any) -> Any:
    state = rule.init(params)
    for _ in range(2):
        value, grads = jax.value_and_grad(cost)(params)
        updates, state = rule.update(grads, state, params, value=value, value_fn=cost)
        params = o.apply_updates(params, updates)
    return rule.evaluation_params(state, params)


def _cost(params: Any) -> Any:
    return sum(jnp.sum(jnp.cos(leaf) + leaf**2) for leaf in jax.tree.leaves(params))


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", RULES)
def test_per_block_is_the_blocks_one_by_one(name: str):
    rule = RULES[name]
    if name == "partly frozen":
        single, stacked = o.freeze(o.sgd(0.1), "net.block.1.dense"), rule
    else:
        single, stacked = rule, o.per_block(rule, BLOCKS)
    ours, wanted = quick_jit(lambda p: (_twice(stacked, _stacked(p), _cost), _stacked(_twice(single, p, _cost))))(
        SINGLE
    )
    assert jax.tree.structure(ours) == jax.tree.structure(wanted)
    for one, other, begun in zip(*map(jax.tree.leaves, (ours, wanted, _stacked(SINGLE))), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12)
        assert (np.asarray(one) != np.asarray(begun)).any()


def test_per_block_names_what_does_not_fit():
    rule = o.per_block(o.sgd(0.1), BLOCKS)
    assert_input_error(lambda: rule.init({"out": {"weight": np.ones(3)}}), "blocks", given="*.block")
    wrong = {"net": {"block": {"bias": np.ones(2), "weight": np.ones((3, 2))}}}
    assert_input_error(lambda: rule.init(wrong), "blocks", given="net.block.weight")
    assert_input_error(lambda: rule.init({"net": {"block": np.ones(())}}), "blocks", given="()")


def test_statistics_of_a_frozen_block_rest_and_those_of_the_others_move():
    block = layers.sequential({"conv": layers.conv(2, 3), "norm": layers.batch_norm()})
    model = layers.repeat(block, 3)
    params, state = model.init(jax.random.key(0), np.ones((1, 4, 4, 2), np.float32))
    rule = o.per_block(o.freeze(o.sgd(0.1), ("block.0", "block.2.norm")), "block")
    trained: Any = SimpleNamespace(params=params, state=state, optimizer=rule.init(params))
    moved = jax.tree.map(lambda leaf: leaf + 1, state)
    after = at_rest(ja.recipe(model, ja.losses.squared_error, rule), trained, moved)
    for leaf, old in zip(jax.tree.leaves(after), jax.tree.leaves(state), strict=True):
        np.testing.assert_array_equal(leaf - old, np.array([[0, 0], [1, 1], [0, 0]], np.float32))
