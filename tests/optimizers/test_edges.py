"""Edges of rules: leaves of size 0, no leaves, eps = 0 with gradients of 0, and objectives of any size."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann import optimizers as o
from jaxann.core import InputError
from jaxann.core.trees import power_of_two
from tests.catalogue import OPTIMIZERS, OptimizerRow
from tests.programs import quick_jit

EMPTY = {
    "two": {"weight": np.zeros((3, 0), np.float32), "bias": np.zeros(0, np.float32)},
    "more": {"weight": np.zeros((2, 0, 3), np.float32), "other": np.zeros((0, 3), np.float32)},
    "full": {"weight": np.float32([[0.5, -1], [2, 0.25]]), "scale": np.float32(2)},
}


def _updated(rule: Any, params: Any, steps: int = 2) -> Any:
    def value_fn(p):
        return sum((jnp.sum(leaf * leaf) for leaf in jax.tree.leaves(p)), jnp.float32(0))

    state, updates = rule.init(params), params
    for _ in range(steps):
        given = {"value": value_fn(params), "value_fn": value_fn, "key": jax.random.key(0)}
        updates, state = rule.update(jax.grad(value_fn)(params), state, params, **given)
        params = o.apply_updates(params, updates)
    return updates


@pytest.mark.parametrize("row", OPTIMIZERS, ids=str)
def test_leaves_of_size_0_are_leaves_like_others(row: OptimizerRow):
    updates = jax.eval_shape(lambda p: _updated(row.build(0.1), p), EMPTY)
    assert jax.tree.map(lambda u: u.shape, updates) == jax.tree.map(lambda p: p.shape, EMPTY)


@pytest.mark.parametrize("name", ["muon", "lbfgs", "shampoo", "soap", "adamw"])
def test_leaves_of_size_0_change_nothing_at_the_others(name: str):
    rule = getattr(o, name)(0.1)
    beside, alone = quick_jit(lambda: (_updated(rule, EMPTY), _updated(rule, {"full": EMPTY["full"]})))()
    for a, b in zip(jax.tree.leaves(beside["full"]), jax.tree.leaves(alone["full"]), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


@pytest.mark.parametrize("row", OPTIMIZERS, ids=str)
def test_no_leaves_at_all_are_taken_or_refused(row: OptimizerRow):
    try:
        assert jax.eval_shape(lambda: _updated(row.build(0.1), {})) == {}
    except InputError as refused:  # a pattern that means no leaf
        assert "must be a pattern" in str(refused)


_EPS = ("eps", "eps_root", "adam_eps", "graft_eps")


@pytest.mark.parametrize("row", [r for r in OPTIMIZERS if {*_EPS} & r.build(0.1).arguments.keys()], ids=str)
def test_without_eps_a_gradient_of_0_makes_no_step(row: OptimizerRow):
    rule = row.build(0.1)
    for zeros in ({n: 0.0 for n in _EPS if n in rule.arguments}, {n: 0.0 for n in ("eps",) if n in rule.arguments}):
        try:
            rule = rule.replace(**zeros)
        except InputError:  # an eps that has to be positive
            continue
    params = {"weight": jnp.float32([[0.5, -1], [2, 0.25]]), "bias": jnp.float32([1, 2]), "scale": jnp.float32(2)}
    grads = jax.tree.map(jnp.zeros_like, params)

    @quick_jit
    def twice():
        state, seen = rule.init(params), []
        for _ in range(2):
            given = {"value": jnp.float32(0), "value_fn": lambda p: jnp.float32(0), "key": jax.random.key(0)}
            updates, state = rule.update(grads, state, params, **given)
            seen.append(updates)
        return seen, state

    seen, state = twice()
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((seen, state)) if leaf.dtype == np.float32)
    if rule.arguments.get("weight_decay", 0.0) == 0.0 and row.name != "optimizers.yogi":  # its mean begins above 0
        assert not any(np.asarray(u).any() for u in jax.tree.leaves(seen))


@jax.jit
def _descent(curvatures: Any, size: Any, offset: Any) -> Any:
    def function(p):
        return offset + size * jnp.sum(curvatures * (p - 1) ** 2)

    rule = o.lbfgs()

    def body(carry, _):
        x, state = carry
        value, grads = jax.value_and_grad(function)(x)
        updates, state = rule.update(grads, state, x, value=value, value_fn=function)
        return (o.apply_updates(x, updates), state), None

    start = jnp.zeros(3)
    (x, _), _ = jax.lax.scan(body, (start, rule.init(start)), None, length=40)
    return x


@pytest.mark.parametrize(
    ("size", "offset"),
    [(1e-6, 1.0), (1e-9, 1.0), (1e-12, 1.0), (1.0, 0.0), (1e22, 0.0), (1e30, 0.0), (1e22, 1e22), (1e-22, 0.0)],
)
def test_lbfgs_finds_the_minimum_whatever_the_unit_of_the_objective(size: float, offset: float):
    """A slope of 1e-6 beside a value of 1 is lost in the values' rounding; squares of 1e22 overflow."""
    found = _descent(np.float32([1, 10, 100]), np.float32(size), np.float32(offset))
    np.testing.assert_allclose(found, 1, rtol=1e-4)


def test_lbfgs_counts_its_pairs_in_a_ring():
    rule, x = o.lbfgs(memory_size=2), jnp.float32([3.0, -2.0])

    def bowl(p):
        return jnp.sum(jnp.cosh(p * jnp.float32([1, 3])))

    @jax.jit
    def step(state, x):
        value, grads = jax.value_and_grad(bowl)(x)
        updates, state = rule.update(grads, state, x, value=value, value_fn=bowl)
        return o.apply_updates(x, updates), state

    state, seen = rule.init(x), []
    for _ in range(30):
        x, state = step(state, x)
        seen.append(int(state.pairs))
    assert max(seen) <= 2 * 3 + 1
    np.testing.assert_allclose(x, 0, atol=1e-3)


def test_a_power_of_two_is_exact():
    numbers = np.float32([1, 1.5, 2, 3, 0.7, 1e22, 1e-30, 3e38, 2.0**-126])
    np.testing.assert_array_equal(quick_jit(power_of_two)(numbers), 2.0 ** np.floor(np.log2(numbers.astype(float))))


def test_what_whole_numbers_have_for_a_gradient_moves_nothing():
    params = {"count": jnp.arange(2), "weight": jnp.ones(2)}
    updates = {"count": np.zeros(2, jax.dtypes.float0), "weight": jnp.ones(2)}
    for apply in (o.apply_updates, jax.jit(o.apply_updates)):
        moved = apply(params, updates)
        assert moved["count"].tolist() == [0, 1] and moved["weight"].tolist() == [2, 2]
