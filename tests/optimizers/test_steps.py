"""Optimizers against steps worked by hand."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann import optimizers
from jaxann.optimizers import adam, adamw, chain, clip_by_global_norm, matrices, sgd
from tests.contract import assert_input_error

pytestmark = pytest.mark.usefixtures("x64")


START = {"weight": np.array([[1.5, -0.5], [0.25, 2.0]]), "bias": np.array([0.5, -1.0])}


def _first(optimizer: Any, params: Any, *grads: Any) -> Any:
    state = optimizer.init(params)
    for g in grads:
        updates, state = optimizer.update(g, state, params)
    return updates


def test_first_steps_by_hand():
    w, g = jnp.array([2.0, -4.0]), jnp.array([0.5, -0.25])
    np.testing.assert_allclose(_first(sgd(0.1), w, g), [-0.05, 0.025], rtol=1e-14)
    # v = g, then v = 0.9 g + g = 1.9 g
    np.testing.assert_allclose(_first(sgd(0.1, momentum=0.9), w, g), [-0.05, 0.025], rtol=1e-14)
    np.testing.assert_allclose(_first(sgd(0.1, momentum=0.9), w, g, g), [-0.095, 0.0475], rtol=1e-14)
    # Nesterov: g + 0.9 v, so 1.9 g and then g + 0.9 * 1.9 g = 2.71 g
    nesterov = sgd(0.1, momentum=0.9, nesterov=True)
    np.testing.assert_allclose(_first(nesterov, w, g), [-0.095, 0.0475], rtol=1e-14)
    np.testing.assert_allclose(_first(nesterov, w, g, g), [-0.1355, 0.06775], rtol=1e-14)
    # Adam: m_hat = g and v_hat = g^2 in the first step, which is -rate g / (|g| + eps), whatever the scale
    np.testing.assert_allclose(_first(adam(0.1, eps=0.0), w, g), [-0.1, 0.1], rtol=1e-13)
    np.testing.assert_allclose(_first(adam(0.1, eps=0.5), w, g), [-0.05, 0.1 / 3], rtol=1e-13)
    decayed = _first(adamw(0.1, eps=0.0, weight_decay=0.01), w, g)
    np.testing.assert_allclose(decayed, [-0.1 - 0.1 * 0.01 * 2, 0.1 + 0.1 * 0.01 * 4], rtol=1e-13)


def test_adam_corrects_its_bias_at_the_first_and_the_millionth_step():
    w = jnp.array([1.0])
    for step in (0, 9, 10**6 - 1):
        state = adam(0.1).init(w)._replace(step=jnp.int32(step))
        updates, after = adam(0.1).update(jnp.array([2.0]), state, w)
        t = step + 1
        m_hat, v_hat = 0.1 * 2 / (1 - 0.9**t), 0.001 * 4 / (1 - 0.999**t)
        np.testing.assert_allclose(updates, [-0.1 * m_hat / (np.sqrt(v_hat) + 1e-8)], rtol=1e-11)
        assert int(after.step) == t


def test_clip_keeps_the_direction_and_cuts_the_length():
    grads = {"a": jnp.array([3.0, 0.0]), "b": jnp.array(4.0)}
    clip = clip_by_global_norm(2.5)
    updates, _ = clip.update(grads, clip.init(grads), grads)
    np.testing.assert_allclose(updates["a"], [1.5, 0.0], rtol=1e-14)
    np.testing.assert_allclose(updates["b"], 2.0, rtol=1e-14)
    small = jax.tree.map(lambda g: g / 4, grads)
    for a, b in zip(jax.tree.leaves(clip.update(small, (), grads)[0]), jax.tree.leaves(small), strict=True):
        np.testing.assert_array_equal(a, b)
    nothing = jax.tree.map(jnp.zeros_like, grads)
    assert not any(np.asarray(leaf).any() for leaf in jax.tree.leaves(clip.update(nothing, (), grads)[0]))


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_clip_shows_what_is_not_finite_to_the_guard(bad: float):
    grads = {"a": jnp.array([1.0, bad]), "b": jnp.array(1.0)}
    clip = clip_by_global_norm(1.0)
    for leaf in jax.tree.leaves(clip.update(grads, clip.init(grads), grads)[0]):
        assert np.isnan(leaf).all()


def test_clip_measures_half_precision_in_single():
    grads = jnp.full((70_000,), 1.0, jnp.float16)  # the sum of squares passes float16's 65,504
    updates, _ = clip_by_global_norm(1.0).update(grads, (), grads)
    assert updates.dtype == jnp.float16
    np.testing.assert_allclose(updates[:3].astype(jnp.float64), 1 / np.sqrt(70_000), rtol=1e-3)


def test_chain_hands_gradients_on_and_keeps_each_memory():
    w, g = jnp.array([1.0, 1.0]), jnp.array([3.0, 4.0])
    both = chain(clip_by_global_norm(1.0), sgd(0.1, momentum=0.5))
    state = both.init(w)
    assert len(state) == 2
    updates, after = both.update(g, state, w)
    np.testing.assert_allclose(updates, [-0.06, -0.08], rtol=1e-14)
    np.testing.assert_allclose(after[1].velocity, [0.6, 0.8], rtol=1e-14)
    assert_input_error(lambda: chain(sgd(0.1), 3), "transform", given="3")
    with pytest.raises(ValueError):
        both.update(g, state[:1], w)


def test_learning_rate_is_found_in_a_chain():
    step = jnp.int32(0)
    rate = optimizers.learning_rate_at(chain(sgd(0.5), clip_by_global_norm(1.0)), step)
    assert float(rate) == 0.5
    assert float(optimizers.learning_rate_at(chain(chain(sgd(0.5), adam(0.25))), step)) == 0.25
    assert np.isnan(optimizers.learning_rate_at(clip_by_global_norm(1.0), step))


def test_matrices_are_told_by_rank_and_name():
    leaves = {"a.weight": (2, 2), "a.bias": (2,), "n.scale": (2, 2), "p.alpha": (1, 1), "k.kernel": (3, 3, 2, 2)}
    assert {n for n, s in leaves.items() if matrices(n, jnp.zeros(s))} == {"a.weight", "k.kernel"}


def test_memory_is_as_small_as_documented():
    assert sgd(0.1).init(START).velocity is None
    assert sgd(0.1, momentum=0.5).init(jnp.zeros(2, jnp.bfloat16)).velocity.dtype == jnp.float32
    assert adam(0.1).init(jnp.zeros(2)).step.dtype == jnp.int32


def test_updates_need_parameters():
    for optimizer in (sgd(0.1), adam(0.1), adamw(0.1)):
        state = optimizer.init(jnp.zeros(2))
        assert_input_error(lambda o=optimizer, s=state: o.update(np.ones(2, np.float32), s), "params", given="None")


def test_half_precision_parameters_learn_small_steps():
    w = jnp.array([1.0], jnp.bfloat16)
    optimizer = adam(1e-3)
    state = optimizer.init(w)
    for _ in range(3):
        updates, state = optimizer.update(jnp.array([1e-3], jnp.bfloat16), state, w)
    assert updates.dtype == jnp.bfloat16 and state.mu.dtype == jnp.float32
    np.testing.assert_allclose(updates.astype(jnp.float32), [-1e-3], rtol=1e-2)
