"""What the trainer has seen of a gradient a rule need not cut again; what is made of that gradient it has to."""

from __future__ import annotations

import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxann as ja
from jaxann.optimizers.squares import bounded, greatest, seen_within

LIMIT = 2.0**60


def tilted(predictions, targets):
    """Its slope in a prediction is 1e15 times the target, whatever the weights are."""
    return (predictions * 1e15 * targets)[:, 0]


def _steps(optimizer: Any, gradients: list[float], **changes: Any) -> Any:
    """A run of one weight, of which each step's gradient is given."""
    y = (np.asarray(gradients) / 1e15).astype(np.float32)[:, None]
    recipe = ja.recipe(ja.layers.dense(1, use_bias=False), tilted, optimizer, batch_size=1, shuffle=False, **changes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ja.DivergedWarning)
        return ja.fit(recipe, (np.ones_like(y), y), key=jax.random.key(0), epochs=1)


def test_a_gradient_that_was_seen_is_left_and_no_other():
    seen = {"weight": jnp.full(3, 1e30)}
    with seen_within(seen):
        assert bounded(seen)["weight"] is seen["weight"]
        assert np.all(np.asarray(bounded({"weight": seen["weight"] * 2})["weight"]) == LIMIT)
    assert np.all(np.asarray(bounded(seen)["weight"]) == LIMIT)


def test_the_bound_is_that_of_the_narrowest_leaf():
    assert greatest({"a": jnp.zeros(1), "b": jnp.zeros(1, jnp.bfloat16)}) == LIMIT
    assert greatest({}) == 1


@pytest.mark.parametrize("rule", [ja.optimizers.adam(0.1), ja.optimizers.sgd(1e-20)], ids=["adam", "sgd"])
def test_a_step_is_made_with_what_squares_can_hold(rule: Any):
    assert _steps(rule, [1.0, 0.99 * LIMIT, 1.0]).status is ja.train.Status.FINISHED
    over = _steps(rule, [1.0, 1.01 * LIMIT, 1.0])
    assert over.status is ja.train.Status.DIVERGED and int(over.carry.trained.guard.first_bad) == 1


def test_a_gradient_that_is_too_long_is_called_that():
    with pytest.raises(ja.DivergedError, match=r"gradient longer than 1.15e\+18.*gradient norm 2e\+20"):
        _steps(ja.optimizers.sgd(1e-20), [2e20, 1.0], on_nonfinite="raise")


def test_what_a_chain_makes_of_a_gradient_is_cut():
    """A gradient of 1e10 times 1e20 is beyond what squares hold: the rule after it moves on all the same."""
    rule = ja.optimizers.chain(ja.optimizers.scale(1e20), ja.optimizers.adam(0.1, b1=0.5, b2=0.5))
    short = _steps(rule, [1e10] + [1e-20] * 160)
    long = _steps(rule, [1e10] + [1e-20] * 200)
    assert np.isfinite(np.asarray(long.params["weight"])).all()
    assert abs(float(long.params["weight"][0, 0] - short.params["weight"][0, 0])) > 1


def test_a_clip_lets_any_finite_gradient_through():
    rule = ja.optimizers.chain(ja.optimizers.clip_by_global_norm(1.0), ja.optimizers.adam(0.1))
    assert _steps(rule, [1.0, 1e30, 1.0]).status is ja.train.Status.FINISHED
