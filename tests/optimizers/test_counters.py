"""Counters of steps stop at the greatest whole number: no rule, wrapper or trainer wraps to negative steps."""

from __future__ import annotations

import ast
import functools
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann import optimizers
from jaxann.optimizers.counting import MOST_STEPS, is_due, minus, multiple, next_step
from tests.catalogue import OPTIMIZERS, OptimizerRow
from tests.programs import quick_jit
from tests.tolerances import close

LATE = 60 * 33_333_333  # a multiple of every period in the catalogue, not far from the end
RESET = {"accumulate", "lbfgs"}  # theirs count what goes round: gradients gathered, rows of a ring
PARAMS = {"weight": np.array([[0.5, -1.0], [2.0, 0.25], [1.0, -0.5]], np.float32), "bias": np.float32([0.5, -0.25])}
GRADS = jax.tree.map(lambda p: p * p + np.float32(0.1), PARAMS)


def _value_fn(params: Any) -> Any:
    terms = jax.tree.map(lambda p, q, g: jnp.sum(g * (p - q) + (p - q) ** 2 / 2), params, PARAMS, GRADS)
    return sum(jax.tree.leaves(terms))


@quick_jit
def _later(optimizer: Any, state: Any, step: Any) -> tuple[Any, Any]:
    """Two updates from a state whose counters all stand at a step."""

    def late(leaf):
        whole = leaf.ndim == 0 and jnp.issubdtype(leaf.dtype, jnp.integer)
        return jnp.broadcast_to(step, ()).astype(leaf.dtype) if whole else leaf

    state = jax.tree.map(late, state)
    seen = []
    for _ in range(2):
        given = {"value": jnp.float32(0), "value_fn": _value_fn, "key": jax.random.key(3)}
        updates, state = optimizer.update(jax.tree.map(jnp.asarray, GRADS), state, PARAMS, **given)
        seen.append(updates)
    return seen, state


def _counters(state: Any) -> list[int]:
    return [int(leaf) for leaf in jax.tree.leaves(state) if leaf.ndim == 0 and np.issubdtype(leaf.dtype, np.integer)]


@pytest.mark.parametrize("row", [r for r in OPTIMIZERS if r.name != "optimizers.from_optax"], ids=str)
def test_no_counter_of_a_rule_wraps(row: OptimizerRow):
    optimizer = row.build(0.1)
    state = optimizer.init(jax.tree.map(jnp.asarray, PARAMS))
    seen, after = _later(optimizer, state, np.int32(MOST_STEPS))
    name = row.name.rpartition(".")[2]
    assert all(count >= 0 if name in RESET else count in (0, MOST_STEPS) for count in _counters(after))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((seen, after)) if leaf.dtype == np.float32)
    if name in ("add_noise", "lbfgs", "sophia"):  # their randomness, and their history, hang on the step
        return
    before = [_later(optimizer, state, np.int32(step))[0] for step in (LATE, LATE - 1, MOST_STEPS - 1)]
    equal = functools.partial(np.allclose, rtol=close(np.float32, "training"), atol=1e-7)
    assert any(all(map(equal, jax.tree.leaves(seen[0]), jax.tree.leaves(other[0]))) for other in before)


def test_the_counting_functions_stop_at_the_end():
    last = jnp.int32(MOST_STEPS)
    assert [int(next_step(jnp.int32(step))) for step in (0, 5, MOST_STEPS - 1, MOST_STEPS)] == [
        1, 6, MOST_STEPS, MOST_STEPS,
    ]  # fmt: skip
    assert [bool(is_due(jnp.int32(step), 3)) for step in (0, 1, 3, MOST_STEPS)] == [True, False, True, True]
    assert [int(minus(last, offset)) for offset in (3, 0, -3, -MOST_STEPS)] == [MOST_STEPS - 3] + 3 * [MOST_STEPS]
    assert [int(multiple(n, 2**30)) for n in (0, 1, 2, 7)] == [0, 2**30, MOST_STEPS, MOST_STEPS]


def test_unfreezing_a_layer_that_is_due_after_the_last_step_does_not_happen_at_once():
    rule = optimizers.gradual_unfreezing(optimizers.sgd(1.0), ("a", "b", "c", "d"), every=1_500_000_000)
    params = {name: jnp.ones(1) for name in "abcd"}
    updates, _ = rule.update(params, rule.init(params), params)
    assert {name: float(u[0]) for name, u in updates.items()} == {"a": 0.0, "b": 0.0, "c": 0.0, "d": -1.0}
    rates = optimizers.leaf_learning_rates(rule, jnp.int32(0), params)
    assert {name: float(rate) for name, rate in rates.items()} == {"a": 0.0, "b": 0.0, "c": 0.0, "d": 1.0}


def test_every_counter_goes_by_next_step():
    """A `step + 1` outside the one place that stops at the end would wrap."""
    for path in [*Path(optimizers.__file__).parent.glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add) and path.stem != "counting":
                text = ast.unparse(node)
                assert not text.endswith(("step + 1", "calls + 1", "skipped + 1", "failures + 1")), (path.name, text)
