"""Gaussian noise, dropped weights and dropped branches."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from jaxann import layers, ops
from jaxann.core import TrainMode
from jaxann.models import mlp
from tests.contract import assert_input_error

train = jax.jit(lambda layer, params, x, key: layer.apply(params, {}, x, key=key, train=True)[0])


def test_gaussian_noise_and_dropout_have_their_mean_and_variance():
    x = jnp.full((400_000,), 2.0)
    for stddev in (0.0, 0.5):
        y = np.asarray(train(layers.gaussian_noise(stddev), {}, x, jax.random.key(1)), np.float64)
        assert abs(y.mean() - 2) < 5 * stddev / 600 + 1e-12 and abs(y.std() - stddev) < 0.005 * stddev + 1e-12
    for rate in (0.0, 0.2, 0.5):
        y = np.asarray(train(layers.gaussian_dropout(rate), {}, x, jax.random.key(1)), np.float64)
        stddev = 2 * np.sqrt(rate / (1 - rate))
        assert abs(y.mean() - 2) < 5 * stddev / 600 + 1e-12 and abs(y.std() - stddev) < 0.005 * stddev + 1e-12
    slope = jax.grad(lambda layer: jnp.sum(layer.apply({}, {}, x[:9], key=jax.random.key(1), train=True)[0]))
    assert np.isfinite(jax.tree.leaves(slope(layers.gaussian_dropout(0.0)))).all()
    assert not np.asarray(ops.gaussian_dropout(x[:9], jax.random.key(1), 1.0)).any()


def test_drop_connect_drops_weights():
    x = jax.random.normal(jax.random.key(0), (3, 6))
    plain = layers.dense(5)
    params, _ = plain.init(jax.random.key(2), x)
    params["bias"] = jnp.arange(5.0)
    for per_example in (False, True):
        layer = layers.drop_connect_dense(5, 0.25, per_example=per_example)
        assert jax.tree.map(jnp.shape, layer.init(jax.random.key(2), x)[0]) == jax.tree.map(jnp.shape, params)
        np.testing.assert_array_equal(layer.apply(params, {}, x)[0], plain.apply(params, {}, x)[0])
        # An example per feature shows the weights themselves: what is 0 was dropped, the rest is divided by 0.75.
        seen = np.asarray(train(layer, params, jnp.eye(6), jax.random.key(1))) - np.arange(5.0)
        weight = np.asarray(params["weight"])
        kept = np.abs(seen) > 1e-6
        np.testing.assert_allclose(seen[kept], (weight / 0.75)[kept], rtol=1e-4, atol=1e-6)
        assert 0 < (~kept).sum() < 20
        same = np.asarray(train(layer, params, jnp.tile(x[:1], (8, 1)), jax.random.key(1)))
        assert np.allclose(same, same[:1], rtol=1e-5, atol=1e-6) != per_example
        draws = jax.vmap(lambda k, layer=layer: train(layer, params, x, k))(jax.random.split(jax.random.key(4), 20_000))
        np.testing.assert_allclose(np.mean(draws, 0), plain.apply(params, {}, x)[0], atol=0.04)
    one = train(layers.drop_connect_dense(5, 0.25, per_example=True), params, x[0], jax.random.key(1))
    assert one.shape == (5,)


def test_stochastic_depth_leaves_the_branch_out_for_some_examples():
    x = jax.random.normal(jax.random.key(0), (400, 3))
    body, skip = layers.dense(4), layers.dense(4, use_bias=False)
    layer = layers.stochastic_depth(body, 0.3, skip=skip)
    params, _ = layer.init(jax.random.key(2), x)
    straight = np.asarray(skip.apply(params["skip"], {}, x)[0])
    branch = np.asarray(body.apply(params["body"], {}, x)[0])
    run = lambda train: layer.apply(params, {"body": {}, "skip": {}}, x, key=jax.random.key(1), train=train)  # noqa: E731
    np.testing.assert_allclose(run(False)[0], straight + branch, rtol=1e-6)
    y, state = run(True)
    part = np.asarray(y) - straight
    gone = (np.abs(part) < 1e-6).all(1)
    assert abs(gone.mean() - 0.3) < 0.08 and state == {"body": {}, "skip": {}}
    np.testing.assert_allclose(part[~gone], branch[~gone] / 0.7, rtol=1e-4, atol=1e-5)
    twin = layers.residual(body, skip)
    assert jax.tree.structure(twin.init(jax.random.key(2), x)) == jax.tree.structure(layer.init(jax.random.key(2), x))
    narrow = layers.stochastic_depth(layers.dense(2), 0.5)
    made = narrow.init(jax.random.key(2), x)
    assert_input_error(
        lambda: jax.eval_shape(lambda p, v: narrow.apply(*p, v, key=jax.random.key(1), train=True), made, x),
        "body", given="(400, 2)",
    )  # fmt: skip


def test_frozen_statistics_stay_and_are_used():
    x = jax.random.normal(jax.random.key(0), (8, 3))
    state = {"mean": jnp.array([1.0, 2.0, 3.0]), "var": jnp.array([4.0, 5.0, 6.0])}
    free, frozen = layers.batch_norm(), layers.batch_norm(frozen=True)
    params, _ = free.init(jax.random.key(0), x)
    expected = np.asarray(free.apply(params, state, x)[0])
    for layer, mode in ((frozen, True), (frozen, False), (free, TrainMode.NOISE)):
        y, after = layer.apply(params, state, x, train=mode)
        np.testing.assert_array_equal(y, expected)
        assert after is state
    assert (np.asarray(free.apply(params, state, x, train=True)[0]) != expected).any()
    padded = x.at[6:].set(jnp.nan)
    mask = jnp.arange(8) < 6

    def total(params):
        return jnp.sum(frozen.apply(params, state, padded, train=True, example_mask=mask)[0][:6] ** 2)

    assert all(np.isfinite(s).all() for s in jax.tree.leaves(jax.grad(total)(params)))


def test_noise_alone_reaches_the_layers_a_model_is_made_of():
    model = mlp((6, 3), dropout=0.5, batch_norm=True)
    x = jax.random.normal(jax.random.key(0), (8, 3))
    params, state = model.init(jax.random.key(1), x)
    y, after = model.apply(params, state, x, key=jax.random.key(2), train=TrainMode.NOISE)
    other, _ = model.apply(params, state, x, key=jax.random.key(3), train=TrainMode.NOISE)
    assert (np.asarray(y) != np.asarray(other)).any()
    np.testing.assert_array_equal(after["norm0"]["mean"], state["norm0"]["mean"])
