"""Gradients whose squares float32 does not hold: a clip makes right steps of them, a rule that squares them stops."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxann as ja
from jaxann import optimizers as o
from jaxann.optimizers.clip import limits_gradients

X = np.random.default_rng(0).normal(size=(24, 3)).astype(np.float32)
Y = X @ np.float32([[1.0], [-2.0], [0.5]])


def scaled(predictions: Any, targets: Any, *, size: float = 1.0) -> Any:
    return jnp.float32(size) * jnp.square(predictions - targets)[:, 0]


def _fitted(rule: Any, size: float, **more: Any) -> Any:
    recipe = ja.recipe(ja.layers.dense(1), functools.partial(scaled, size=size), rule, **more)
    return ja.fit(recipe, (X, Y), key=jax.random.key(0), epochs=3, batch_size=8)


def test_clipped_gradients_of_any_size_train_alike():
    rule = o.chain(o.clip_by_global_norm(0.5), o.adam(0.1))
    plain, great = _fitted(rule, 2.0**30), _fitted(rule, 2.0**100)
    assert great.diverged_step < 0 and great.epochs_run == 3
    np.testing.assert_allclose(great.params["weight"], plain.params["weight"], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(great.history["gradient_norm"], 2.0**70 * plain.history["gradient_norm"], rtol=1e-3)


def test_members_are_guarded_each_alone():
    def build(hyper):
        rule = o.chain(o.clip_by_global_norm(0.5), o.sgd(0.1))
        return ja.recipe(ja.layers.dense(1), functools.partial(scaled, size=hyper["size"]), rule)

    sizes = np.float32([1.0, 2.0**100, np.finfo(np.float32).max])
    keys = jax.random.split(jax.random.key(0), 3)
    with pytest.warns(ja.core.DivergedWarning, match="1 of 3 members"):
        found = ja.train.fit_population(build, {"size": sizes}, (X, Y), keys=keys, epochs=2, batch_size=8)
    assert list(np.asarray(found.diverged_step) < 0) == [True, True, False]


def test_squares_that_overflow_stop_a_rule_that_keeps_them():
    for rule in (o.adam(0.1), o.chain(o.adam(0.1), o.clip_by_global_norm(0.5))):
        with pytest.raises(ja.core.DivergedError):
            _fitted(rule, 2.0**100)


def test_a_clip_that_comes_first_is_seen_through_chains_and_wrappers():
    clip, adam = o.clip_by_norm(1.0), o.adam(0.1)
    for rule in (clip, o.chain(clip, adam), o.accumulate(o.chain(clip, adam), 2), o.lookahead(o.chain(clip, adam))):
        assert limits_gradients(rule)
    for rule in (adam, o.chain(adam, clip), o.accumulate(adam, 2), o.chain(o.scale(2.0), clip)):
        assert not limits_gradients(rule)
