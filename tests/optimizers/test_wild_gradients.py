"""One finite gradient whose square overflows stops no rule for ever: what forgets goes on, what sums stays finite."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann import optimizers
from jaxann.optimizers.squares import bounded, capped
from tests.catalogue import OPTIMIZERS, OptimizerRow
from tests.programs import quick_jit

STEPS = 300
WILD = 1e25
PARAMS = {
    "weight": np.array([[0.5, -1.0], [2.0, 0.25], [1.0, -0.5]], np.float32),
    "bias": np.array([0.5, -0.25], np.float32),
}
OWN_TESTS = ("optimizers.from_optax", "optimizers.lbfgs", "optimizers.shampoo")  # no squares of ours, or whole matrices
ROWS = [row for row in OPTIMIZERS if row.name not in OWN_TESTS]
_DRAWN = np.random.default_rng(0)
GRADS = jax.tree.map(lambda p: 1 + _DRAWN.random((STEPS, *p.shape), np.float32), PARAMS)


def _with(first: float) -> Any:
    """The gradients, the first of which is a number everywhere."""
    return jax.tree.map(lambda g: np.concatenate([np.full_like(g[:1], first), g[1:]]), GRADS)


@quick_jit
def _updates(optimizer: Any, grads: Any) -> tuple[Any, Any]:
    """All updates in a scan, at parameters that stand still, and the state after them."""

    def value_fn(params):
        return sum(jax.tree.leaves(jax.tree.map(lambda p: jnp.sum(p * p), params)))

    def step(state, grads):
        given = {"value": jnp.float32(1), "value_fn": value_fn, "key": jax.random.key(3)}
        updates, state = optimizer.update(grads, state, PARAMS, **given)
        return state, updates

    state, updates = jax.lax.scan(step, optimizer.init(jax.tree.map(jnp.asarray, PARAMS)), grads)
    return updates, state


def _finite(tree: Any) -> bool:
    floats = [leaf for leaf in map(np.asarray, jax.tree.leaves(tree)) if leaf.dtype.kind == "f"]
    return all(np.isfinite(leaf).all() for leaf in floats)


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_a_rule_goes_on_after_one_wild_gradient(row: OptimizerRow):
    optimizer = row.build(0.1)
    updates, state = _updates(optimizer, _with(WILD))
    plain, _ = _updates(optimizer, _with(1.0))
    assert _finite((updates, state))
    for one, other in zip(jax.tree.leaves(updates), jax.tree.leaves(plain), strict=True):
        moved = np.any(np.asarray(other)[-20:], 0)
        assert np.all(np.any(np.asarray(one)[-20:], 0) == moved)
    always, state = _updates(optimizer, jax.tree.map(lambda g: np.full_like(g, WILD), GRADS))
    assert _finite((always, state))


SHORT = {
    "adam": optimizers.adam(0.1, b1=0.5, b2=0.5),
    "lamb": optimizers.lamb(0.1, b1=0.5, b2=0.5),
    "novograd": optimizers.novograd(0.1, b1=0.5),
    "rmsprop": optimizers.rmsprop(0.1, decay=0.5),
}


@pytest.mark.parametrize("name", SHORT)
def test_what_forgets_is_where_it_would_have_been(name: str):
    """After 300 steps that halve it nothing is left of the wild one."""
    wild, plain = (_updates(SHORT[name], _with(first))[0] for first in (WILD, 1.0))
    for one, other in zip(jax.tree.leaves(wild), jax.tree.leaves(plain), strict=True):
        np.testing.assert_allclose(one[-1], other[-1], rtol=1e-4)


@pytest.mark.parametrize("name", ["adam", "adamw", "nadam", "amsgrad", "adan", "rmsprop", "adagrad"])
def test_the_wild_step_is_no_longer_than_after_any_other_first_gradient(name: str):
    """All of these are g / sqrt(c g^2) in the first step, whatever the size of g."""
    optimizer = getattr(optimizers, name)(0.1, **({"weight_decay": 0.0} if name == "adamw" else {}))
    wild, plain = (_updates(optimizer, _with(first))[0] for first in (WILD, 1e3))
    for one, other in zip(jax.tree.leaves(wild), jax.tree.leaves(plain), strict=True):
        np.testing.assert_allclose(one[0], other[0], rtol=1e-5)


def test_what_is_no_number_stays_none():
    given = jnp.array([np.nan, np.inf, -np.inf, 1e30, -1e30, 2.0**60, 1.5, 0.0], jnp.float32)
    want = np.array([np.nan, np.inf, -np.inf, 2.0**60, -(2.0**60), 2.0**60, 1.5, 0.0], np.float32)
    np.testing.assert_array_equal(bounded({"w": given})["w"], want)
    np.testing.assert_array_equal(np.isnan(capped(given)), np.isnan(want))
    assert np.isfinite(capped(jnp.float32(np.inf)))
    for broken in (np.nan, np.inf):
        updates, _ = _updates(SHORT["adam"], _with(broken))
        assert all(np.isnan(np.asarray(leaf)[0]).all() for leaf in jax.tree.leaves(updates))
