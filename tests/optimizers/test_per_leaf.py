"""Freezing, rates and decay by path pattern, and what rules on a part of the tree are shown."""

from __future__ import annotations

from collections import OrderedDict

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxann import optimizers, schedules
from jaxann.core.factories import factory
from jaxann.core.products import Optimizer
from jaxann.core.trees import flatten_named
from jaxann.optimizers import (
    adam,
    adamw,
    apply_updates,
    chain,
    freeze,
    leaf_learning_rates,
    masked,
    matrices,
    muon,
    partition,
    per_leaf,
    sgd,
)
from tests.contract import assert_input_error

SHAPES = {"encoder": {"weight": (7, 3), "bias": (3,)}, "head": {"weight": (3, 5), "bias": (5,)}}
PARAMS = jax.tree.map(lambda s: np.full(s, 0.5, np.float32), SHAPES, is_leaf=lambda s: isinstance(s, tuple))
ONES = jax.tree.map(np.ones_like, PARAMS)


@factory(Optimizer)
def second_look(rate: float):
    """A rule that asks for the objective elsewhere: the gradient at w - g, times -rate."""

    def init(params):
        return (jnp.zeros((), jnp.int32),)

    def update(grads, state, params, *, value=None, value_fn=None, key=None):
        assert value is not None and key is not None
        there = jax.tree.map(lambda p, g: p - g, params, grads)
        return jax.tree.map(lambda g: -rate * g, jax.grad(value_fn)(there)), (state[0] + 1,)

    return init, update


def _cubes(p):
    """Each leaf's slope depends on all leaves: the cube of the sum of everything."""
    return sum(jnp.sum(leaf) for leaf in jax.tree.leaves(p)) ** 3


def _step(rule, params=PARAMS, grads=ONES, state=None, **more):
    state = rule.init(params) if state is None else state
    return flatten_named(rule.update(grads, state, params, **more)[0])


def _shapes(state):
    return {leaf.shape for leaf in jax.tree.leaves(state)}


def test_frozen_leaves_get_exact_zeros_and_no_memory():
    rules = [
        per_leaf(adamw(0.1), freeze="encoder"),
        per_leaf(adamw(0.1), freeze=lambda name, leaf: name.startswith("encoder")),
        freeze(adamw(0.1), ("encoder.weight", "encoder.bias")),
        partition({"encoder": None, "*": adamw(0.1)}),
        per_leaf(optimizers.ema(optimizers.lookahead(adam(0.1))), freeze="encoder"),
        per_leaf(optimizers.accumulate(adam(0.1), 1), freeze="enc*"),
        chain(per_leaf(adam(0.1), freeze="encoder"), optimizers.scale(1.0)),
    ]
    for rule in rules:
        state = rule.init(PARAMS)
        assert _shapes(state) <= {(), (3, 5), (5,)} and (3, 5) in _shapes(state), rule
        updates = _step(rule, state=state)
        for name, u in updates.items():
            assert (np.asarray(u) == 0).all() == name.startswith("encoder"), (rule, name)
            assert u.dtype == np.float32
        point = rule.evaluation_params(state, PARAMS)
        assert jax.tree.structure(point) == jax.tree.structure(PARAMS)
        np.testing.assert_array_equal(point["encoder"]["weight"], PARAMS["encoder"]["weight"])


@settings(max_examples=25, deadline=None)
@given(st.sets(st.sampled_from(sorted(flatten_named(PARAMS))), min_size=1, max_size=3), st.floats(-1e6, 1e6, width=32))
def test_whatever_is_frozen_stays(names, size):
    rule = per_leaf(sgd(0.1, momentum=0.9), freeze=tuple(names))
    updates = _step(rule, grads=jax.tree.map(lambda g: g * np.float32(size), ONES))
    assert all((np.asarray(updates[name]) == 0).all() for name in names)
    alone = _step(sgd(0.1, momentum=0.9), grads=jax.tree.map(lambda g: g * np.float32(size), ONES))
    for name in set(updates) - names:
        np.testing.assert_array_equal(updates[name], alone[name])


def test_rates_are_scaled_by_the_first_pattern_and_may_be_traced():
    rule = per_leaf(sgd(1.0), learning_rate_scale={"*.bias": 0.5, "encoder": 0.25})
    expected = {"encoder.weight": -0.25, "encoder.bias": -0.5, "head.weight": -1.0, "head.bias": -0.5}
    for name, u in _step(rule).items():
        np.testing.assert_array_equal(u, expected[name])
    layers = optimizers.layerwise_learning_rate(sgd(1.0), ("encoder", "head"), decay=0.25)
    for name, u in _step(layers).items():
        np.testing.assert_array_equal(u, -0.25 if name.startswith("encoder") else -1.0)

    @jax.jit
    @jax.vmap
    def moves(factor):
        return _step(per_leaf(sgd(1.0), learning_rate_scale={"encoder": factor}))["encoder.bias"][0]

    np.testing.assert_allclose(moves(jnp.array([0.1, 3.0])), [-0.1, -3.0], rtol=1e-6)


def test_scaling_reaches_the_step_inside_what_looks_at_the_weights():
    table = {"encoder": 0.5}
    once = per_leaf(sgd(0.1), learning_rate_scale=table)
    weights = apply_updates(PARAMS, once.update(ONES, once.init(PARAMS), PARAMS)[0])
    for around in (
        optimizers.polyak(sgd(0.1)),
        optimizers.lookahead(sgd(0.1), sync_period=1, slow_step_size=1.0),
        chain(optimizers.scale(2.0), optimizers.polyak(chain(optimizers.scale(0.5), sgd(0.1)))),
        partition({"*": optimizers.polyak(sgd(0.1))}),
    ):
        rule = per_leaf(around, learning_rate_scale=table)
        _, state = rule.update(ONES, rule.init(PARAMS), PARAMS)
        for a, b in zip(*map(jax.tree.leaves, (rule.evaluation_params(state, PARAMS), weights)), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6)
    # The threshold is the leaf's own rate, 0.05 or 0.1, times the strength.
    shrunk = per_leaf(optimizers.proximal_l1(sgd(0.1), 4.5, mask=None), learning_rate_scale=table)
    new = flatten_named(apply_updates(PARAMS, shrunk.update(ONES, shrunk.init(PARAMS), PARAMS)[0]))
    np.testing.assert_allclose(new["encoder.bias"], 0.5 - 0.05 - 0.05 * 4.5, rtol=1e-6)
    np.testing.assert_array_equal(new["head.bias"], 0.0)


def test_decay_is_set_in_every_rule_inside_that_decays():
    decaying = adamw(1.0, weight_decay=0.5, mask="head")
    zeros = jax.tree.map(np.zeros_like, PARAMS)
    expected = {"encoder.weight": -0.25, "encoder.bias": 0.0, "head.weight": -0.25, "head.bias": 0.0}
    for rule in (
        decaying,
        optimizers.ema(chain(optimizers.centralize(), decaying)),
        partition({"encoder": optimizers.accumulate(decaying, 1), "*": decaying}),
        chain(optimizers.add_decayed_weights(0.5), sgd(1.0)),
        freeze(decaying, lambda name, leaf: False),
    ):
        for selection in ("*.weight", matrices, ("encoder.weight", "head.weight")):
            for name, u in _step(per_leaf(rule, decay=selection), grads=zeros).items():
                np.testing.assert_allclose(u, expected[name], rtol=1e-6)
    both = per_leaf(decaying, freeze="encoder", decay="*.weight", learning_rate_scale={"head": 0.5, "encoder": 2.0})
    updates = _step(both, grads=zeros)
    np.testing.assert_allclose(updates["head.weight"], -0.125, rtol=1e-6)
    assert not updates["encoder.weight"].any()
    assert per_leaf(decaying, decay=matrices).arguments["optimizer"] == decaying  # what was given stays as it was
    for rule in (adam(0.1), muon(0.1)):  # the mask of Muon says what is a matrix
        assert_input_error(lambda r=rule: per_leaf(r, decay="*.weight"), "decay", expected="mask")


def test_patterns_that_mean_nothing_are_told_with_the_names_there_are():
    everything = "encoder.bias, encoder.weight, head.bias, head.weight"
    wrong = {
        "freeze": [per_leaf(sgd(0.1), freeze=("encoder", "decoder"))],
        "learning_rate_scale": [per_leaf(sgd(0.1), learning_rate_scale={"decoder": 0.1})],
        "decay": [per_leaf(adamw(0.1), decay=("decoder", "*.weight"))],
        "mask": [
            masked(sgd(0.1), ("head", "decoder")),
            freeze(sgd(0.1), "decoder"),
            optimizers.add_decayed_weights(0.1, mask="decoder"),
            optimizers.adaptive_grad_clip(mask=("head", "decoder")),
            optimizers.max_norm(sgd(0.1), mask="decoder"),
            optimizers.proximal_l1(sgd(0.1), 0.1, mask="decoder"),
        ],
        "groups": [partition({"decoder": None, "*": sgd(0.1)})],
        "layers": [
            optimizers.layerwise_learning_rate(sgd(0.1), ("decoder", "*"), decay=0.5),
            optimizers.gradual_unfreezing(sgd(0.1), ("decoder", "*"), every=1),
        ],
    }
    for argument, rules in wrong.items():
        for rule in rules:
            assert_input_error(lambda r=rule: r.init(PARAMS), argument, given="decoder", expected=everything)
    assert_input_error(lambda: partition({"head": sgd(0.1)}).init(PARAMS), "groups", expected="encoder.weight")
    assert_input_error(
        lambda: optimizers.layerwise_learning_rate(sgd(0.1), ("head",), decay=0.5).init(PARAMS), "layers",
        expected="encoder.weight",
    )  # fmt: skip
    hidden = partition(OrderedDict([("*", adam(0.1)), ("head", sgd(0.1))]))
    assert_input_error(lambda: hidden.init(PARAMS), "groups", expected="'head' before '*'")


def test_rules_on_a_part_see_the_whole_objective():
    seen = dict(value=jnp.asarray(1.0), value_fn=_cubes, key=jax.random.key(0))

    def total_after(frozen):  # the sum of all numbers at the second look
        return sum(float(a.sum()) - (0 if name.startswith(frozen) else a.size) for name, a in flat.items())

    flat = flatten_named(PARAMS)
    for frozen, rule in {
        "encoder": freeze(second_look(0.01), "encoder"),
        "head": per_leaf(optimizers.ema(second_look(0.01)), freeze="head"),
        "encoder.": per_leaf(optimizers.accumulate(masked(second_look(0.01), "*.weight"), 1), freeze="encoder*"),
        "encoder.b": partition({"encoder.bias": None, "*": optimizers.apply_if_finite(second_look(0.01), 1)}),
    }.items():
        updates = _step(rule, **seen)
        sight = total_after(frozen)
        if frozen == "encoder.":  # the bias of the head passes through and is not looked beyond
            np.testing.assert_array_equal(updates["head.bias"], 1.0)
            sight += 5
        np.testing.assert_allclose(updates["encoder.weight" if frozen == "head" else "head.weight"],
                                   -0.01 * 3 * sight**2, rtol=1e-5)  # fmt: skip
    later = optimizers.gradual_unfreezing(second_look(0.01), ("encoder", "head"), every=2)
    updates = _step(later, **seen)
    np.testing.assert_allclose(updates["head.bias"], -0.03 * total_after("encoder") ** 2, rtol=1e-5)
    assert not updates["encoder.bias"].any()


def test_a_layer_begins_afresh_when_it_is_unfrozen():
    rule = optimizers.gradual_unfreezing(adam(schedules.multi_step(0.1, (1,), gamma=0.5)), ("encoder", "head"), every=2)
    state, moved = rule.init(PARAMS), []
    for _ in range(4):
        updates, state = rule.update(ONES, state, PARAMS)
        moved.append((float(updates["encoder"]["bias"][0]), float(updates["head"]["bias"][0])))
    np.testing.assert_allclose(moved, [(0, -0.1), (0, -0.05), (-0.1, -0.05), (-0.05, -0.05)], rtol=1e-4)
    assert [int(inner.step) for inner in state.inner] == [2, 4]
    averaging = optimizers.gradual_unfreezing(optimizers.ema(sgd(0.1)), ("encoder", "head"), every=2)
    point = averaging.evaluation_params(averaging.init(PARAMS), PARAMS)
    np.testing.assert_array_equal(point["head"]["bias"], PARAMS["head"]["bias"])


def test_the_rate_in_force_is_known_at_every_leaf():
    falling = schedules.multi_step(1.0, (2,), gamma=0.5)

    def rates(rule, step=0):
        return {n: float(r) for n, r in flatten_named(leaf_learning_rates(rule, jnp.int32(step), PARAMS)).items()}

    everywhere = dict.fromkeys(flatten_named(PARAMS), 0.5)
    assert rates(chain(optimizers.centralize(), sgd(falling)), 2) == everywhere
    assert rates(optimizers.ema(optimizers.max_norm(sgd(0.5)))) == everywhere
    frozen = per_leaf(sgd(0.5), freeze="encoder", learning_rate_scale={"head.bias": 0.5})
    assert rates(frozen) == {"encoder.bias": 0, "encoder.weight": 0, "head.bias": 0.25, "head.weight": 0.5}
    groups = partition({"encoder": None, "*.bias": sgd(0.125), "*": adam(falling)})
    assert rates(groups, 1) == {"encoder.bias": 0, "encoder.weight": 0, "head.bias": 0.125, "head.weight": 1.0}
    gathered = optimizers.accumulate(sgd(falling), 2)
    assert [rates(gathered, i)["head.bias"] for i in range(6)] == [0, 1.0, 0, 1.0, 0, 0.5]
    both = muon(0.5, adam_learning_rate=falling, mask="*.weight")
    assert rates(both)["head.weight"] == 0.5 and rates(both)["head.bias"] == 1.0
    layers = optimizers.layerwise_learning_rate(sgd(0.5), ("encoder", "head"), decay=0.5)
    assert rates(layers)["encoder.bias"] == 0.25 and rates(layers)["head.bias"] == 0.5
    later = optimizers.gradual_unfreezing(sgd(falling), ("encoder", "head"), every=3)
    assert [rates(later, i)["encoder.bias"] for i in range(6)] == [0, 0, 0, 1.0, 1.0, 0.5]
    assert rates(later, 2)["head.bias"] == 0.5


@pytest.mark.parametrize("rule", [
    per_leaf(adam(0.1), freeze=lambda name, leaf: True),
    per_leaf(adam(0.1), learning_rate_scale={"*": 0.5}),
    partition({"*": adam(0.1)}),
], ids=["frozen", "scaled", "partition"])  # fmt: skip
def test_a_tree_may_be_one_array(rule):
    w = np.ones(3, np.float32)
    updates, _ = rule.update(w, rule.init(w), w)
    assert updates.shape == (3,) and np.isfinite(updates).all()
