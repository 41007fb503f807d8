"""The finite guard of rules of one's own: a finite gradient and an update that is not."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxann as ja
from jaxann.core.factories import factory
from jaxann.core.products import Optimizer

X = np.abs(np.random.default_rng(0).normal(size=(40, 3))).astype(np.float32)
Y = X[:, :1].copy()
RHO, RATE = 1e4, 0.05


def loss(predictions, targets):
    """cosh of the residual: far off in any direction it is beyond float32."""
    return jnp.cosh(predictions - targets)[:, 0]


def _norm(tree: Any) -> Any:
    return jnp.sqrt(sum(jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(tree)))


def _sam(grads: Any, params: Any, value_fn: Any, rho: Any, rate: Any) -> Any:
    scale = rho / _norm(grads)
    worst = jax.grad(value_fn)(jax.tree.map(lambda p, g: p + scale * g, params, grads))
    return jax.tree.map(lambda g: -rate * g, worst)


def _update(grads, state, params, *, value_fn):
    return _sam(grads, params, value_fn, RHO * (state > 1), RATE), state + 1  # steps 0 and 1 look at no distance


CUSTOM = ja.optimizers.custom(lambda params: jnp.int32(0), _update)


@factory(Optimizer)
def own_sam(learning_rate, rho):
    """SAM that begins to look around in its third step."""

    def update(grads, state, params, *, value_fn):
        far = jnp.asarray(rho, jnp.float32) * (state > 1).astype(jnp.float32)
        return _sam(grads, params, value_fn, far, jnp.asarray(learning_rate, jnp.float32)), state + 1

    return lambda params: jnp.int32(0), update


RULES = {"custom": CUSTOM, "factory": own_sam(RATE, RHO), "chain": ja.optimizers.chain(own_sam(RATE, RHO))}


def _recipe(rule: Any, **changes: Any) -> Any:
    return ja.recipe(ja.layers.dense(1), loss, rule, shuffle=False, batch_size=10, **changes)


def _fit(recipe: Any, rows: int = 40, epochs: int = 2) -> ja.train.Result:
    return ja.fit(recipe, (X[:rows], Y[:rows]), key=jax.random.key(0), epochs=epochs)


@pytest.mark.parametrize("rule", RULES)
def test_the_last_good_weights_come_back(rule: str):
    with pytest.warns(ja.DivergedWarning, match=r"step 2 \(epoch 0, batch 2\) gave an update") as told:
        result = _fit(_recipe(RULES[rule]))
    assert told[0].filename == __file__  # a warning points at the line that called
    assert result.status is ja.train.Status.DIVERGED and result.diverged_step == 2
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(result.params))
    good = _fit(_recipe(RULES[rule]), rows=20, epochs=1)  # the two batches before
    for ours, wanted in zip(jax.tree.leaves(result.params), jax.tree.leaves(good.params), strict=True):
        np.testing.assert_allclose(ours, wanted, rtol=1e-6)
    norm = result.history["gradient_norm"]
    assert np.isfinite(norm).all() and np.isfinite(result.history["loss"]).all()  # the gradient was fine


def test_such_a_step_may_be_skipped_or_raised():
    with pytest.warns(ja.DivergedWarning, match="6 steps .* were skipped, the first was 2"):
        result = _fit(_recipe(CUSTOM, on_nonfinite="skip"))
    assert result.status is ja.train.Status.FINISHED
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(result.params))
    with pytest.raises(ja.DivergedError) as caught:
        _fit(_recipe(CUSTOM, on_nonfinite="raise"))
    assert caught.value.step == 2 and all(np.isfinite(p).all() for p in jax.tree.leaves(caught.value.params))


def test_members_of_a_population_are_guarded_alone():
    keys = jnp.stack([jax.random.key(0)] * 2)
    with pytest.warns(ja.DivergedWarning, match="1 of 2 members"):
        many = ja.train.fit_population(
            lambda hyper: _recipe(own_sam(RATE, hyper["rho"])), {"rho": [RHO, 0.0]}, (X, Y), keys=keys, epochs=2
        )
    assert many.status.tolist() == [ja.train.Status.DIVERGED, ja.train.Status.FINISHED]
    assert many.diverged_step.tolist() == [2, -1]
    assert np.isfinite(many.params["weight"]).all()
