"""Which step a run that was ended names: the one that ended it, whatever was skipped before."""

from __future__ import annotations

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxann as ja

X = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
Y = X[:, :1].copy()
Y_BAD = Y.copy()
Y_BAD[7] = 200  # cosh of this row is beyond float32: the first of four steps of each epoch
KEY = jax.random.key(0)


def loss(predictions, targets):
    """cosh of the residual."""
    return jnp.cosh(predictions - targets)[:, 0]


def _recipe(rate) -> ja.Recipe:
    rule = ja.optimizers.sgd(rate)
    return ja.recipe(ja.layers.dense(1), loss, rule, shuffle=False, batch_size=10, on_nonfinite="skip")


def test_a_step_skipped_at_the_start_is_not_blamed_for_the_end():
    rate = ja.schedules.piecewise_constant(0.01, {9: 1e25})  # the tenth update, which is step 12
    with pytest.warns(ja.DivergedWarning) as told:
        result = ja.fit(_recipe(rate), (X, Y_BAD), key=KEY, epochs=12)
    text = str(told[-1].message)
    assert result.status is ja.train.Status.DIVERGED and "last good weights" in text
    assert f"step {result.diverged_step} " in text and result.diverged_step > 12
    assert "learning rate 1e+23" in text
    assert np.isfinite(result.history["loss"][:3]).all()


def test_a_run_without_one_good_step_has_nothing_to_return():
    bad = np.full_like(Y, 200)
    with pytest.raises(ja.DivergedError, match="learning rate 0.01"):
        ja.fit(_recipe(0.01), (X, bad), key=KEY, epochs=12)


def test_steps_skipped_before_are_not_told_again_when_a_run_goes_on():
    with pytest.warns(ja.DivergedWarning, match="1 steps .* the first was 0"):
        first = ja.fit(_recipe(0.01), (X, Y_BAD), key=KEY, epochs=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clean = ja.fit(_recipe(0.01), (X, Y), key=KEY, epochs=2, resume=first)
    assert clean.status is ja.train.Status.FINISHED
    with pytest.warns(ja.DivergedWarning, match="1 steps .* skipped[.]"):
        ja.fit(_recipe(0.01), (X, Y_BAD), key=KEY, epochs=2, resume=first)


def test_values_of_as_many_places_as_a_batch_has_examples_are_values():
    def over_the_middle(predictions, targets):
        return jnp.mean((predictions - targets) ** 2, axis=1)

    x, y = np.zeros((12, 3, 8), np.float32), np.ones((12, 3, 8), np.float32)
    recipe = ja.recipe(ja.layers.dense(8), over_the_middle, ja.optimizers.sgd(0.1))
    found = [ja.fit(recipe, (x, y), key=KEY, epochs=1, batch_size=size).history["loss"] for size in (8, 4)]
    assert all(np.isfinite(losses).all() for losses in found)
    pairs = ja.recipe(ja.layers.dense(1), lambda p, t: (p - t) ** 2, ja.optimizers.sgd(0.1))
    with jax.numpy_rank_promotion("allow"), pytest.raises(ja.InputError, match="of each example alone"):
        ja.fit(pairs, (X[:8], X[:8, 0]), key=KEY, epochs=1, batch_size=8)
