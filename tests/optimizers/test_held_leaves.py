"""Leaves that are frozen stay where they are, and leaves of whole numbers are refused or left alone, in every order."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann import optimizers as o
from jaxann.core.products import Optimizer
from tests.catalogue import OPTIMIZERS, OptimizerRow
from tests.contract import assert_input_error
from tests.programs import quick_jit

# Far outside every ball; a rule that decays, adds noise or averages would move it.
PARAMS = {
    "fixed": {"weight": np.full((3, 2), 40, np.float32)},
    "moving": {"weight": np.full((3, 2), 30, np.float32), "bias": np.float32([1, -1])},
}
GRADS = jax.tree.map(lambda p: p / 8, PARAMS)

INSIDE = {
    "freeze": lambda rule: o.freeze(rule, "fixed"),
    "partition": lambda rule: o.partition({"fixed": None, "*": rule}),
    "per_leaf": lambda rule: o.per_leaf(rule, freeze="fixed"),
    "scaled by 0": lambda rule: o.per_leaf(rule, learning_rate_scale={"fixed": 0.0}),
    "unfreezing": lambda rule: o.gradual_unfreezing(rule, ("fixed", "moving"), every=10),
    "chain": lambda rule: o.chain(o.clip_by_global_norm(1.0), o.freeze(rule, "fixed")),
}
AROUND = {
    "max_norm": lambda rule: o.max_norm(rule, 3.0),
    "proximal_l1": lambda rule: o.proximal_l1(rule, 5.0),
    "lookahead": lambda rule: o.lookahead(rule, sync_period=2),
    "ema": lambda rule: o.ema(rule, 0.9),
    "swa": lambda rule: o.swa(rule, start=1, every=1),
    "schedule_free": lambda rule: o.schedule_free(rule),
    "accumulate": lambda rule: o.accumulate(rule, 2),
    "apply_if_finite": lambda rule: o.apply_if_finite(rule, 2),
    "sam": lambda rule: o.sam(rule),
    "chain decay": lambda rule: o.chain(rule, o.add_decayed_weights(0.1)),
    "chain noise": lambda rule: o.chain(rule, o.add_noise(1.0)),
    "chain adamw": lambda rule: o.chain(rule, o.adamw(0.1, weight_decay=0.1)),
    "layerwise": lambda rule: o.layerwise_learning_rate(rule, ("fixed", "moving"), decay=0.5),
    "masked": lambda rule: o.chain(o.masked(rule, "fixed"), o.sgd(0.1), o.add_decayed_weights(0.1)),
    "nothing": lambda rule: rule,
}


@quick_jit
def _three(optimizer: Any, params: Any) -> Any:
    state = optimizer.init(params)
    for step in range(3):
        key = jax.random.fold_in(jax.random.key(0), step)
        given = {"value": jnp.float32(1), "key": key, "value_fn": lambda p: sum(map(jnp.sum, jax.tree.leaves(p)))}
        updates, state = optimizer.update(jax.tree.map(jnp.asarray, GRADS), state, params, **given)
        params = o.apply_updates(params, updates)
    return params, optimizer.evaluation_params(state, params)


def _held(optimizer: Optimizer) -> bool:
    params, evaluated = jax.tree.map(np.asarray, _three(optimizer, jax.tree.map(jnp.asarray, PARAMS)))
    moves = (params["moving"]["weight"] != PARAMS["moving"]["weight"]).any()
    fixed = [(p["fixed"]["weight"] == 40).all() for p in (params, evaluated)]
    return bool(all(fixed) and moves)


@pytest.mark.parametrize("outside", AROUND)
@pytest.mark.parametrize("inside", INSIDE)
def test_no_order_of_wrappers_moves_a_frozen_leaf(inside: str, outside: str):
    if outside == "masked" and inside in ("partition", "unfreezing"):  # their patterns have to mean a leaf
        return
    assert _held(AROUND[outside](INSIDE[inside](o.sgd(0.1))))


WHOLE = {"count": np.int32([3, 4]), "flag": np.array([True]), "weight": np.float32([[1, -2], [3, 4]])}


@pytest.mark.parametrize("row", OPTIMIZERS, ids=str)
def test_leaves_of_whole_numbers_are_refused_by_every_rule(row: OptimizerRow):
    optimizer, weight = row.build(0.1), WHOLE["weight"]
    for dtype in (np.int32, np.bool_, np.complex64):
        params = {"weight": weight, "count": np.ones(2, dtype)}
        assert_input_error(lambda p=params: optimizer.init(p), "params", given=str(np.dtype(dtype)))
    params = {"weight": weight, "bias": weight[0]}
    state = jax.eval_shape(optimizer.init, params)
    grads = {"weight": weight, "bias": np.ones(2, np.int32)}
    assert_input_error(
        lambda: jax.eval_shape(lambda s: optimizer.update(grads, s, params), state), "grads", given="int32"
    )


@pytest.mark.parametrize("name", ["freeze", "partition", "per_leaf"])
def test_frozen_whole_numbers_keep_their_values_and_dtypes(name: str):
    patterns = ("count", "flag")
    rule = {
        "freeze": o.freeze(o.adamw(0.1), patterns),
        "partition": o.partition({"count": None, "flag": None, "*": o.adamw(0.1)}),
        "per_leaf": o.chain(o.per_leaf(o.adamw(0.1), freeze=patterns)),
    }[name]

    @quick_jit
    def step(params):
        grads = jax.grad(lambda p: jnp.sum(p["weight"] ** 2), allow_int=True)(params)
        updates, _ = rule.update(grads, rule.init(params), params)
        return o.apply_updates(params, updates)

    after = step(WHOLE)
    for leaf in ("count", "flag"):
        np.testing.assert_array_equal(after[leaf], WHOLE[leaf])
        assert after[leaf].dtype == WHOLE[leaf].dtype
    assert (np.asarray(after["weight"]) != WHOLE["weight"]).all()
