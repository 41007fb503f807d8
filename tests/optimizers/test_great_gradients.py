"""Finite gradients of every size: no rule makes NaN of them, and the rules that cut them step by their own formula."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest

from jaxann import optimizers as o
from tests.programs import quick_jit
from tests.test_contracts_optimizers import step_of

ROOT = np.random.default_rng(0).normal(size=(4, 3, 2))
PARAMS = {"a": {"w": ROOT[0].astype(np.float32), "b": ROOT[1, 0].astype(np.float32)}}


def _steps(rule: Any, grads: Any, state: Any) -> Any:
    def body(state, g):
        updates, state = step_of(rule, g, state, PARAMS)
        return state, updates

    return jax.lax.scan(body, state, grads)


run = quick_jit(jax.vmap(_steps, in_axes=(None, 0, None)))


def _tree(weights: np.ndarray) -> Any:
    return {"a": {"w": weights, "b": weights[..., 0, :]}}


def _of_one_length(leaf: np.ndarray) -> np.ndarray:
    """Each step's gradient 1.5 long, so that all are cut alike."""
    axes = tuple(range(1, leaf.ndim))
    return 1.5 * leaf / np.sqrt((leaf * leaf).sum(axes, keepdims=True))


SIZES = (1.0, 2.0**70, 2.0**100, 2.0**127)
PLAIN = np.clip(ROOT[:3], -1, 1).astype(np.float32)
RULES = {
    "shampoo": o.shampoo(0.1, graft=None, eps=1e-3),
    "shampoo of adam's length": o.shampoo(0.1),
    "soap": o.soap(0.1, weight_decay=0.0),
}


@pytest.mark.parametrize("name", RULES)
def test_rules_of_covariances_step_alike_whatever_the_gradient_s_size(name: str):
    """They divide by the root of the gradient's squares: 2^100 G is to move as G does."""
    rule = RULES[name]
    plain = jax.tree.map(_of_one_length, _tree(PLAIN))
    many = jax.tree.map(lambda g: np.stack([g * np.float32(size) for size in SIZES]), plain)
    after, updates = run(rule, many, rule.init(PARAMS))
    for leaf in jax.tree.leaves(updates):
        for found in np.asarray(leaf[1:]):
            np.testing.assert_allclose(found, leaf[0], rtol=1e-3, atol=1e-6)
    assert all(np.isfinite(np.asarray(leaf)).all() for leaf in jax.tree.leaves(after))


@pytest.mark.parametrize("name", ["yogi", "adafactor", "muon", "prodigy", "sophia", "novograd"])
def test_no_rule_makes_nan_of_finite_gradients(name: str):
    """Two steps of a great one, then an ordinary one."""
    rule = getattr(o, name)(0.1)
    many = np.stack([PLAIN * np.float32([[[size]], [[size]], [[1]]]) for size in (1e-20, 1e20, -1e30)])
    _, updates = run(rule, _tree(many), rule.init(PARAMS))
    assert all(np.isfinite(np.asarray(leaf)).all() for leaf in jax.tree.leaves(updates))


def test_adafactor_divides_great_rows_and_columns():
    rule = o.adafactor(0.1, min_dim_size_to_factor=2)
    many = np.stack([PLAIN * np.float32(size) for size in (1.0, 1e20, 1e30)])
    after, updates = run(rule, _tree(many), rule.init(PARAMS))
    assert all(np.isfinite(np.asarray(leaf)).all() for leaf in jax.tree.leaves((after, updates)))
    for found in np.asarray(updates["a"]["w"][1:, 0]):  # its length is that of any first step: clipped, by rms
        np.testing.assert_allclose(np.linalg.norm(found), np.linalg.norm(updates["a"]["w"][0, 0]), rtol=0.1)
