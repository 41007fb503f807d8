"""Transformations and rules around rules: edges, randomness, refusals, and numbers worked by hand."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann import optimizers, schedules
from jaxann.optimizers import apply_updates, chain, sgd
from jaxann.train.epoch import plateaus
from tests.contract import assert_input_error


@jax.jit
def _once(optimizer, params, grads):
    return optimizer.update(grads, optimizer.init(params), params)[0]


@jax.jit
def _moved(optimizer, params, grads):
    return apply_updates(params, optimizer.update(grads, optimizer.init(params), params)[0])


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_clipping_shows_a_leaf_that_is_not_finite(bad: float):
    grads = {"a": np.array([1.0, bad], np.float32), "b": np.array([3.0, 4.0], np.float32)}
    for clip in (optimizers.clip_by_norm(1.0), optimizers.clip_by_block_rms(1.0), optimizers.adaptive_grad_clip()):
        updates = _once(clip, jax.tree.map(np.zeros_like, grads), grads)
        assert np.isnan(updates["a"]).all() and np.isfinite(updates["b"]).all()
    by_value = _once(optimizers.clip_by_value(2.0), grads, grads)
    np.testing.assert_array_equal(by_value["a"], [1.0, np.clip(bad, -2, 2)])
    np.testing.assert_array_equal(by_value["b"], [2.0, 2.0])


def test_clipping_is_smooth_at_zero_and_wide_in_half_precision():
    clips = (optimizers.clip_by_norm(1.0), optimizers.clip_by_global_norm(1.0), optimizers.clip_by_block_rms(1.0))

    @jax.jit
    def gradients(g):
        return [jax.grad(lambda g, c=clip: jnp.sum(_once(c, g, g)))(g) for clip in clips]

    for slope in gradients(np.zeros(3, np.float32)):
        np.testing.assert_array_equal(slope, 1.0)  # below the limit it is the identity
    long = np.full((70_000,), 1.0, np.float16)  # the sum of squares passes float16's 65,504
    short = _once(optimizers.clip_by_norm(1.0), long, long)
    assert short.dtype == jnp.float16
    np.testing.assert_allclose(np.asarray(short)[:3].astype(np.float32), 1 / np.sqrt(70_000), rtol=1e-3)


def test_adaptive_clipping_goes_by_unit_and_lets_zero_weights_move():
    clip = optimizers.adaptive_grad_clip(0.5, eps=0.1)
    w, g = (np.array(a, np.float32) for a in ([[3.0, 0.0], [4.0, 0.0]], [[6.0, 3.0], [8.0, 4.0]]))
    # columns of length 5 and 0 (taken for 0.1): limits 2.5 and 0.05; gradients of length 10 and 5
    np.testing.assert_allclose(_once(clip, w, g), [[1.5, 0.03], [2.0, 0.04]], rtol=1e-6)
    row, other = (np.array(a, np.float32) for a in ([[3.0, 4.0]], [[0.1, 40.0]]))  # one input: each column is a unit
    np.testing.assert_allclose(_once(clip, row, row), row * 0.5, rtol=1e-6)
    np.testing.assert_allclose(_once(clip, row[0], row[0]), row[0] * 0.5, rtol=1e-6)
    np.testing.assert_allclose(_once(clip, row, other), [[0.1, 2.0]], rtol=1e-6)
    np.testing.assert_allclose(np.asarray(_once(clip, row[0], other[0]))[1], 2.5, rtol=1e-4)


def test_noise_has_the_documented_variance_and_belongs_to_key_step_and_leaf():
    noise = optimizers.add_noise(0.09, gamma=0.5)
    g = {"a": np.full(100_000, 2.0, np.float32), "b": np.zeros(100_000, np.float32)}
    state, key = noise.init(g), jax.random.key(0)
    update = jax.jit(lambda g, state, key: noise.update(g, state, g, key=key))
    for step, deviation in ((0, 0.3), (15, 0.15)):  # 0.09 / sqrt(16) = 0.15^2
        updates, after = update(g, state._replace(step=jnp.int32(step)), key)
        assert int(after.step) == step + 1
        both = np.concatenate([np.asarray(updates["a"]) - 2, updates["b"]])
        assert abs(both.mean()) < 5 * deviation / np.sqrt(both.size)
        np.testing.assert_allclose(both.std(), deviation, rtol=0.01)
        assert abs(np.corrcoef(updates["a"], updates["b"])[0, 1]) < 0.02
    first, _ = update(g, state, key)
    again, after = update(g, state, key)
    np.testing.assert_array_equal(first["a"], again["a"])
    later, _ = update(g, after, key)
    alone, _ = update({"a": g["a"], "b": None}, state, key)
    np.testing.assert_array_equal(first["a"], alone["a"])  # whatever other leaves there are
    members = jax.jit(jax.vmap(lambda k: update(g, state, k)[0]["a"][:5]))(jax.random.split(key, 3))
    different = {float(v) for v in [*np.asarray(members)[:, 0], np.asarray(first["a"])[0], np.asarray(later["a"])[0]]}
    assert len(different) == 5
    assert_input_error(lambda: noise.update(g, state, g), "key", given="None")


def test_accumulated_micro_batches_equal_the_big_batch():
    x = np.random.default_rng(1).normal(size=(12, 3)).astype(np.float32)
    y = x @ np.array([1.0, -2.0, 0.5], np.float32)

    @jax.jit
    def moved(rule, w, state, x, y):
        slope = jax.grad(lambda v: jnp.mean((x @ v - y) ** 2))(w)
        updates, state = rule.update(slope, state, w)
        return apply_updates(w, updates), state

    def step(rule, w, state, rows):
        return moved(rule, w, state, x[rows], y[rows])

    big = sgd(0.05, momentum=0.9)
    small = optimizers.accumulate(big, 3)
    w = v = jnp.asarray(np.zeros(3, np.float32))
    one, other = small.init(w), big.init(v)
    for _ in range(4):
        for part in range(3):
            before = w
            w, one = step(small, w, one, slice(4 * part, 4 * part + 4))
            if part < 2:
                np.testing.assert_array_equal(w, before)
        v, other = step(big, v, other, slice(0, 12))
        np.testing.assert_allclose(w, v, rtol=1e-5)
    assert int(one.inner.step) == int(other.step) == 4 and int(one.calls) == 0 and not np.asarray(one.total).any()


def test_accumulated_schedule_counts_updates():
    rule = optimizers.accumulate(sgd(schedules.multi_step(1.0, (1, 2), gamma=0.5)), 2)
    rates = [float(optimizers.learning_rate_at(rule, jnp.int32(i))) for i in range(6)]
    assert rates == [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]
    w, moved, update = np.zeros(1, np.float32), [], jax.jit(rule.update)
    state = rule.init(w)
    for _ in range(6):
        updates, state = update(np.ones(1, np.float32), state, w)
        moved.append(np.asarray(updates).item())
    assert moved == [0, -1.0, 0, -0.5, 0, -0.25]
    assert float(optimizers.learning_rate_at(optimizers.ema(rule), jnp.int32(3))) == 0.5


def test_bad_gradients_are_left_out_until_there_are_too_many():
    rule = optimizers.apply_if_finite(sgd(1.0, momentum=0.5), 2)
    w, seen, update = np.zeros(1, np.float32), [], jax.jit(rule.update)
    state = rule.init(w)
    for g in (1.0, np.nan, np.inf, 1.0, np.nan, np.nan, np.nan):
        updates, state = update(np.array([g], np.float32), state, w)
        seen.append(np.asarray(updates).item())
    assert seen[:6] == [-1.0, 0, 0, -1.5, 0, 0] and np.isnan(seen[6])
    assert int(state.bad_in_row) == 3 and int(state.skipped) == 5
    found = optimizers.zero_nans().update({"a": jnp.array([1.0, np.nan]), "b": jnp.ones(2)}, (), None)[1].found
    assert bool(found["a"]) and not bool(found["b"])


def test_averages_by_hand_and_before_the_first_step():
    @jax.jit
    def step(rule, state, w):
        updates, state = rule.update(jnp.ones(1), state, w)
        w = apply_updates(w, updates)
        return state, w, rule.evaluation_params(state, w)

    def points(rule, steps):  # the weight goes 0, -1, -2, ...
        w = np.zeros(1, np.float32)
        state = rule.init(w)
        found = [np.asarray(rule.evaluation_params(state, w)).item()]
        for _ in range(steps):
            state, w, point = step(rule, state, w)
            found.append(np.asarray(point).item())
        return found

    ema = optimizers.ema(sgd(1.0), 0.9)
    np.testing.assert_allclose(points(ema, 3), [0, -1, -1.526315789, -2.070110701], rtol=1e-6)
    np.testing.assert_allclose(points(optimizers.ema(sgd(1.0), 0.0), 2), [0, -1, -2])
    np.testing.assert_allclose(points(ema.replace(debias=False), 3), [0, -0.1, -0.29, -0.561], rtol=1e-6)
    np.testing.assert_allclose(points(optimizers.polyak(sgd(1.0)), 4), [0, -1, -1.5, -2, -2.5])
    np.testing.assert_allclose(points(optimizers.polyak(sgd(1.0), start=2), 5), [0, -1, -2, -3, -3.5, -4])
    swa = optimizers.swa(sgd(1.0), start=1, every=2)
    np.testing.assert_allclose(points(swa, 7), [0, -1, -2, -3, -3, -4, -4, -5])


def test_average_is_right_in_single_precision_when_it_forgets_slowly():
    rule, w = optimizers.ema(sgd(0.0), 0.9999), jnp.array([3.0])
    state = rule.init(w)
    for _ in range(5):
        _, state = rule.update(jnp.zeros(1), state, w)
        np.testing.assert_array_equal(rule.evaluation_params(state, w), w)  # all weights were the same
    half = rule.init(w.astype(jnp.bfloat16))
    assert half.average.dtype == jnp.float32
    assert rule.evaluation_params(half, w.astype(jnp.bfloat16)).dtype == jnp.bfloat16


def test_averages_map_over_their_numbers():
    w, g = np.zeros(1, np.float32), np.ones(1, np.float32)

    def second(decay):
        rule = optimizers.ema(sgd(1.0), decay)
        _, state = rule.update(g, rule.init(w), w)
        return rule.evaluation_params(rule.update(g, state, w - 1)[1], w)[0]

    decays = np.array([0.99999, 0.5, 0.0])  # (d w_1 + w_2) / (1 + d) with w = -1, -2
    values = jax.jit(jax.vmap(second))(jnp.asarray(decays, jnp.float32))
    np.testing.assert_allclose(values, -(decays + 2) / (1 + decays), rtol=1e-5)
    np.testing.assert_allclose(jax.jit(jax.grad(second))(0.5), 1 / 1.5**2, rtol=1e-4)


def test_lookahead_by_hand():
    rule = optimizers.lookahead(sgd(1.0), sync_period=3, slow_step_size=0.25)
    w, state, path = jnp.zeros(1), rule.init(jnp.zeros(1)), []
    for _ in range(6):
        updates, state = rule.update(jnp.ones(1), state, w)
        w = apply_updates(w, updates)
        path.append((float(w[0]), float(rule.evaluation_params(state, w)[0])))
    assert path == [(-1, 0), (-2, 0), (-0.75, -0.75), (-1.75, -0.75), (-2.75, -0.75), (-1.5, -1.5)]


def test_lookahead_goes_around_no_average():
    for rule in (optimizers.polyak(sgd(1.0)), optimizers.schedule_free(optimizers.adam(0.1, b1=0.0))):
        message = assert_input_error(lambda rule=rule: optimizers.lookahead(rule), "optimizer", given=str(rule))
        assert "ema(lookahead(...))" in message


def test_averages_take_the_inner_evaluation_point():
    rule = optimizers.polyak(optimizers.lookahead(sgd(1.0), sync_period=2, slow_step_size=0.5))
    w, state, points = jnp.zeros(1), rule.init(jnp.zeros(1)), []
    for _ in range(4):
        updates, state = rule.update(jnp.ones(1), state, w)
        w = apply_updates(w, updates)
        points.append(float(rule.evaluation_params(state, w)[0]))
    np.testing.assert_allclose(points, [0, -0.5, -2 / 3, -1.0], rtol=1e-6)  # slow: 0, -1, -1, -2


def test_proximal_step_finds_exact_zeros_where_the_subgradient_finds_none():
    x = np.random.default_rng(0).normal(size=(100, 20))
    truth = np.zeros(20)
    truth[[2, 7, 11]] = [2.0, -1.5, 1.0]
    hessian = jnp.asarray(x.T @ x / 100, jnp.float32)
    linear = jnp.asarray(x.T @ (x @ truth) / 100, jnp.float32)
    strength, start = 0.3, jnp.full(20, 0.1)

    def run(rule, penalized):
        def body(carry, _):
            w, state = carry
            g = hessian @ w - linear + penalized * strength * jnp.sign(w)
            updates, state = rule.update(g, state, w)
            return (apply_updates(w, updates), state), None

        return jax.lax.scan(body, (start, rule.init(start)), None, length=5000)[0][0]

    proximal = np.asarray(jax.jit(lambda: run(optimizers.proximal_l1(sgd(0.1), strength, mask=None), 0.0))())
    plain = np.asarray(jax.jit(lambda: run(sgd(0.1), 1.0))())
    assert (proximal == 0.0).sum() == 17 and (plain == 0.0).sum() == 0
    slope = np.asarray(hessian @ proximal - linear)
    assert (np.abs(slope[proximal == 0]) <= strength).all()  # the conditions of a minimum of the lasso
    np.testing.assert_allclose(slope[proximal != 0], -strength * np.sign(proximal[proximal != 0]), rtol=1e-4)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16])
def test_proximal_zero_is_exact_in_every_dtype(dtype):
    w = (np.random.default_rng(1).normal(size=500) * 0.1).astype(dtype)
    rule = optimizers.proximal_l1(sgd(1.0), 0.1, mask=None)
    g = (np.random.default_rng(2).normal(size=500) * 0.05).astype(dtype)
    new = np.asarray(_moved(rule, w, g)).astype(np.float64)
    u = np.asarray(w).astype(np.float64) - np.asarray(g).astype(np.float64)
    assert (new[np.abs(u) < 0.099] == 0.0).all() and (new[np.abs(u) > 0.101] != 0.0).all()
    g[0] = np.nan
    assert np.isnan(np.asarray(_moved(rule, w, g)).astype(np.float64)[0])


def test_projections_leave_vectors_alone_and_hold_columns_and_filters():
    params = {"weight": np.array([[3.0, 0.5], [4.0, 0.5]], np.float32), "bias": np.array([9.0], np.float32)}
    zeros = jax.tree.map(np.zeros_like, params)
    new = _moved(optimizers.max_norm(sgd(0.1), 2.0), params, zeros)
    np.testing.assert_allclose(new["weight"], [[1.2, 0.5], [1.6, 0.5]], rtol=1e-6)
    np.testing.assert_array_equal(new["bias"], [9.0])
    rows = _moved(optimizers.max_norm(sgd(0.1), 1.0, axis=1), params, zeros)
    length = np.sqrt([9.25, 16.25])[:, None]
    np.testing.assert_allclose(rows["weight"], np.array([[3.0, 0.5], [4.0, 0.5]]) / length, rtol=1e-6)
    kernel = np.random.default_rng(0).normal(size=(3, 3, 2, 4)).astype(np.float32)
    held = np.asarray(_moved(optimizers.max_norm(sgd(0.1), 1.5), kernel, np.ones_like(kernel)))
    np.testing.assert_allclose(np.sqrt(np.sum(held**2, (0, 1, 2))), 1.5, rtol=1e-5)
    small = kernel / 100  # inside the ball the step is the optimizer's own
    np.testing.assert_array_equal(_once(optimizers.max_norm(sgd(0.1)), small, small), _once(sgd(0.1), small, small))
    bad = small.copy()
    bad[0, 0, 0, 0] = np.nan
    assert np.isnan(np.asarray(_once(optimizers.max_norm(sgd(0.1)), small, bad))[0, 0, 0, 0])
    np_params = {"weight": np.ones((2, 2), np.float32)}
    assert_input_error(lambda: optimizers.max_norm(sgd(0.1), axis=2).init(np_params), "axis", given="2")


def test_what_needs_parameters_says_so():
    w = jnp.ones((2, 2))
    for rule in (
        optimizers.adaptive_grad_clip(),
        optimizers.add_decayed_weights(0.1),
        optimizers.ema(optimizers.scale(-1.0)),
        optimizers.polyak(optimizers.scale(-1.0)),
        optimizers.swa(optimizers.scale(-1.0), start=0, every=1),
        optimizers.lookahead(optimizers.scale(-1.0)),
        optimizers.max_norm(optimizers.scale(-1.0)),
        optimizers.proximal_l1(chain(sgd(0.1)), 0.1),
    ):
        state = rule.init(w)
        assert_input_error(lambda r=rule, s=state: r.update(w, s), "params", given="None")


def test_plateau_schedules_are_found_inside_and_foreign_rules_taken_in():
    optax = pytest.importorskip("optax")
    plateau = schedules.reduce_on_plateau(0.1)
    inner = sgd(plateau)
    for rule in (
        optimizers.ema(inner),
        optimizers.accumulate(chain(optimizers.centralize(), inner), 2),
        optimizers.partition({"a": None, "b": inner}),
        optimizers.per_leaf(inner, learning_rate_scale={"*": 0.5}),
        optimizers.proximal_l1(inner, 0.1),
    ):
        assert plateaus(rule) == [plateau]
        assert float(optimizers.learning_rate_at(rule, jnp.int32(0))) == pytest.approx(0.1)
    w = np.ones(2, np.float32)
    for around in (optimizers.ema, optimizers.lookahead, lambda o: optimizers.accumulate(o, 1)):
        np.testing.assert_allclose(_once(around(optax.sgd(0.1, momentum=0.9)), w, w), -0.1 * w, rtol=1e-6)
