"""What holds for every optimizer and gradient transformation."""

from __future__ import annotations

import functools
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann import optimizers, schedules
from jaxann.core import InputError
from jaxann.core.factories import every_declares, some_declares
from jaxann.core.products import Optimizer
from tests.catalogue import OPTIMIZERS, OptimizerRow
from tests.contract import compiles
from tests.programs import quick_jit
from tests.tolerances import assert_close

every_optimizer = pytest.mark.parametrize("row", OPTIMIZERS, ids=str)


def step_of(optimizer: Any, grads: Any, state: Any, params: Any) -> tuple[Any, Any]:
    """An update with all that the trainer gives: an objective whose gradient at `params` is `grads`, and a key."""

    def value_fn(p):
        terms = jax.tree.map(
            lambda a, b, g: jnp.sum(g * (a - b) + (a - b) ** 2 / 2).astype(jnp.float32), p, params, grads
        )
        return sum(jax.tree.leaves(terms))

    key = jax.random.key(3)
    return optimizer.update(grads, state, params, value=value_fn(params), value_fn=value_fn, key=key)


update = jax.jit(step_of)


@functools.cache
def _tree() -> Any:
    wide = jax.random.normal(jax.random.key(0), (3, 2))
    return {"dense0": {"weight": wide, "bias": jnp.array([0.5, -0.25])}, "slope": jnp.array(2.0, jnp.bfloat16)}


def _grads() -> Any:
    return jax.tree.map(lambda p: p * p + jnp.asarray(0.1, p.dtype), _tree())


SCHEDULE = schedules.cosine(0.1, 4, warmup=2, start=0.05)


def _scheduled(row: OptimizerRow) -> Any:
    """With a rate that changes where there is one."""
    return row.build(SCHEDULE if "learning_rate" in row.build(0.1).arguments else 0.1)


@every_optimizer
def test_optimizer_unpacks_as_a_pair(row: OptimizerRow):
    optimizer = row.build(0.1)
    init, step = optimizer
    assert isinstance(optimizer, Optimizer) and callable(init) and callable(step)
    state = init(_tree())
    assert isinstance(state, tuple)
    assert step == optimizer.update
    chex.assert_trees_all_equal_shapes_and_dtypes(jax.eval_shape(optimizer.init, _tree()), state)


@every_optimizer
def test_optimizer_updates_have_the_parameters_structure_and_dtypes(row: OptimizerRow):
    optimizer, params = row.build(0.1), _tree()
    state = optimizer.init(params)
    assert all(leaf.dtype != jnp.bfloat16 for leaf in jax.tree.leaves(state))  # state is float32 or better
    updates, after = update(optimizer, _grads(), state, params)
    chex.assert_trees_all_equal_shapes_and_dtypes(updates, params)
    chex.assert_trees_all_equal_shapes_and_dtypes(after, state)
    assert jax.tree.structure(after) == jax.tree.structure(state)
    chex.assert_trees_all_equal_shapes_and_dtypes(optimizers.apply_updates(params, updates), params)


@every_optimizer
def test_optimizer_takes_zero_gradients(row: OptimizerRow):
    optimizer, params = row.build(0.1), _tree()
    state, zeros = optimizer.init(params), jax.tree.map(jnp.zeros_like, params)
    for _ in range(3):
        updates, state = update(optimizer, zeros, state, params)
        chex.assert_tree_all_finite((updates, state))


@every_optimizer
def test_optimizer_compiles_once_for_all_rates(row: OptimizerRow):
    first, second = row.build(0.1), row.build(0.02)
    params, grads = _tree(), _grads()
    _, after = update(first, grads, first.init(params), params)  # some rules only look in their first step
    before = compiles()
    a, _ = update(row.build(0.1), grads, after, params)
    b, _ = update(second, grads, after, params)
    assert compiles() == before
    if first != second:
        assert (np.asarray(a["dense0"]["bias"]) != np.asarray(b["dense0"]["bias"])).all()


@jax.jit
def scanned(optimizer: Any, gradients: Any, state: Any, params: Any) -> tuple[Any, Any]:
    """The state after many steps, and the updates of each."""

    def body(state, grads):
        updates, state = step_of(optimizer, grads, state, params)
        return state, updates

    return jax.lax.scan(body, state, gradients)


@every_optimizer
def test_optimizer_scanned_equals_a_loop_bit_for_bit(row: OptimizerRow):
    # Gradients from outside, updates not added: where products meet in a sum, the compiler chooses which of them to
    # round, and chooses by the program around.
    optimizer, params = _scheduled(row), _tree()
    state = optimizer.init(params)
    grads = [jax.tree.map(lambda p, i=i: p * jnp.asarray(np.sin(i + 1.0), p.dtype), params) for i in range(20)]
    last, updates = scanned(optimizer, jax.tree.map(lambda *leaves: jnp.stack(leaves), *grads), state, params)
    for i, g in enumerate(grads):
        step, state = update(optimizer, g, state, params)
        for a, b in zip(jax.tree.leaves(updates), jax.tree.leaves(step), strict=True):
            np.testing.assert_array_equal(a[i], b) if row.exact else assert_close(a[i], b, "program")
    for a, b in zip(jax.tree.leaves(last), jax.tree.leaves(state), strict=True):
        if row.exact or not jnp.issubdtype(b.dtype, jnp.floating):
            np.testing.assert_array_equal(a, b)
        else:
            assert_close(a, b, "program")


@every_optimizer
def test_optimizer_descends_a_parabola(row: OptimizerRow):
    optimizer, goal = row.build(row.rate), jnp.array([1.0, -2.0, 0.5])

    def parabola(x):
        return jnp.sum((x - goal) ** 2)

    def body(carry, number):
        x, state = carry
        value, grads = jax.value_and_grad(parabola)(x)
        key = jax.random.fold_in(jax.random.key(0), number)
        updates, state = optimizer.update(grads, state, x, value=value, value_fn=parabola, key=key)
        return (optimizers.apply_updates(x, updates), state), None

    start = jnp.zeros(3)
    if not row.descends:
        updates, _ = update(optimizer, goal, optimizer.init(start), start)
        assert float(jnp.sum(updates * goal)) > 0  # the gradient's direction, for another rule to take
        return
    run = quick_jit(lambda c: jax.lax.scan(body, c, jnp.arange(1000, dtype=jnp.int32))[0])
    x, state = run((start, optimizer.init(start)))
    np.testing.assert_allclose(optimizer.evaluation_params(state, x), goal, atol=row.within)


@pytest.mark.parametrize("row", [r for r in OPTIMIZERS if "learning_rate" in r.build(0.1).arguments], ids=str)
def test_optimizer_follows_a_schedule(row: OptimizerRow):
    params, grads = _tree(), _grads()
    scheduled = _scheduled(row)
    state = scheduled.init(params)
    for step in range(5):
        rate = float(SCHEDULE(step))
        updates, after = update(scheduled, grads, state, params)
        expected, _ = update(row.build(rate), grads, state, params)
        for a, b in zip(jax.tree.leaves(updates), jax.tree.leaves(expected), strict=True):
            assert_close(a, b, "program")
        assert float(optimizers.learning_rate_at(scheduled, jnp.int32(step))) == rate
        state = after


@pytest.mark.parametrize("row", [r for r in OPTIMIZERS if "learning_rate" in r.build(0.1).arguments], ids=str)
def test_optimizer_maps_over_rates_and_is_differentiated(row: OptimizerRow):
    params, grads = _tree(), _grads()
    rates = np.array([0.1, 0.02, 0.3], np.float32)
    population = row.build(rates)
    axes = jax.tree.map(lambda leaf: 0 if jnp.ndim(leaf) else None, population)
    state = population.init(params)

    def total(optimizer):
        updates, _ = step_of(optimizer, grads, state, params)
        return jnp.sum(updates["dense0"]["weight"])

    @quick_jit
    def program(population, optimizer):
        many, _ = jax.vmap(lambda o: step_of(o, grads, state, params), in_axes=(axes,))(population)
        return many, jax.grad(total, allow_int=True)(optimizer) if row.proportional else None

    many, slope = program(population, row.build(0.1))
    one, _ = update(row.build(float(rates[2])), grads, state, params)
    for a, b in zip(jax.tree.map(np.asarray, jax.tree.leaves(many)), jax.tree.leaves(one), strict=True):
        assert_close(a[2], b, "program")

    if not row.proportional:
        return
    expected = np.sum(one["dense0"]["weight"]) / rates[2]  # updates are proportional to the rate
    np.testing.assert_allclose(slope.arguments["learning_rate"], expected, rtol=1e-4)


# Derivatives of their own, a search, decompositions or coefficients of any size, a step they estimate, foreign code.
_CHECKED = {
    "custom", "from_optax", "lbfgs", "muon", "prodigy", "sam", "shampoo", "soap", "sophia",
}  # fmt: skip
SIZES = (0.0, 1e-30, 1e15, -1e20, 1.0)


def test_what_is_declared_of_the_rules():
    rules = {row.name.rpartition(".")[2]: row.build(0.1) for row in OPTIMIZERS}
    assert {name for name, rule in rules.items() if not every_declares(rule, "finite_updates")} == _CHECKED
    assert {name for name, rule in rules.items() if some_declares(rule, "whole_batch")} == {"lbfgs"}
    decaying = {name for name, rule in rules.items() if {"weight_decay", "mask"} <= rule.arguments.keys()}
    declared = {name for name, rule in rules.items() if "decays_by_mask" in rule.traits}
    assert decaying - declared == {"muon"} and declared <= decaying  # muon's mask says which leaves are matrices
    around = {name for name, rule in rules.items() if isinstance(rule.arguments.get("optimizer"), Optimizer)}
    wrappers = {name for name, rule in rules.items() if "wrapper" in rule.traits}
    assert around - wrappers == {"masked"} and wrappers - around == {"partition"}


def _without_eps(optimizer: Optimizer) -> list[Optimizer]:
    """The same with every eps 0, where that is allowed."""
    zeros = {name: 0.0 for name in ("eps", "eps_root", "adam_eps") if name in optimizer.arguments}
    try:
        return [optimizer.replace(**zeros)] if zeros else []
    except InputError:
        return []


@pytest.mark.parametrize("row", [r for r in OPTIMIZERS if every_declares(r.build(0.1), "finite_updates")], ids=str)
def test_declared_finite_updates_are_finite(row: OptimizerRow):
    params, rule = _tree(), row.build(0.1)
    mixed = jax.tree.map(lambda p: jnp.resize(jnp.asarray(SIZES, p.dtype), p.shape), params)
    runs = [[s, s, s] for s in SIZES] + [[1e15, 0.0, 0.0, 1e-30], [1e-30, 1e15, -1e15], [0.0, 1e-30, 0.0, 1.0]]
    for optimizer in [rule, *_without_eps(rule)]:
        for sizes in runs:
            state = optimizer.init(params)
            given = [jax.tree.map(lambda p, s=s: jnp.full_like(p, s), params) for s in sizes] + [mixed]
            for step, grads in enumerate(given):
                updates, state = update(optimizer, grads, state, params)
                finite = all(np.isfinite(np.asarray(u, np.float32)).all() for u in jax.tree.leaves(updates))
                assert finite, (optimizer, sizes, step)
