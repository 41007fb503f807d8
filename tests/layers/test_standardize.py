"""Numbers of a known mean and deviation, and where in a model a fault is found."""

from __future__ import annotations

import jax
import numpy as np
import pytest

import jaxann as ja
from jaxann import backprop, layers, losses
from tests.contract import assert_input_error

X = np.random.default_rng(0).normal(2, 3, size=(50, 4, 3)).astype(np.float32)
MEAN, DEVIATION = X.mean((0, 1)), X.std((0, 1))


def test_standardize_is_scikit_learns_scaler():
    sklearn = pytest.importorskip("sklearn.preprocessing")
    wanted = sklearn.StandardScaler().fit_transform(X.reshape(-1, 3)).reshape(X.shape)
    found, _ = layers.standardize(MEAN, DEVIATION).apply({}, {}, X)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(layers.standardize(2.0, 4.0).apply({}, {}, X)[0], (X - 2) / 4, rtol=1e-6)


def test_unstandardize_is_scikit_learns_inverse():
    sklearn = pytest.importorskip("sklearn.preprocessing")
    z = np.random.default_rng(1).normal(size=X.shape).astype(np.float32)
    wanted = sklearn.StandardScaler().fit(X.reshape(-1, 3)).inverse_transform(z.reshape(-1, 3)).reshape(X.shape)
    found, _ = layers.unstandardize(MEAN, DEVIATION).apply({}, {}, z)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
    back, _ = layers.unstandardize(2.0, 4.0).apply({}, {}, layers.standardize(2.0, 4.0).apply({}, {}, X)[0])
    np.testing.assert_allclose(back, X, rtol=1e-5, atol=1e-6)
    assert_input_error(lambda: layers.unstandardize(MEAN, 1.0).apply({}, {}, X[..., :2]), "x", given="(50, 4, 2)")


def test_a_saved_model_takes_data_as_they_are(tmp_path: object):
    model = layers.sequential({"standardize": layers.standardize(MEAN, DEVIATION), "dense": layers.dense(2)})
    params, state = model.init(jax.random.key(0), X)
    ja.save(f"{tmp_path}/model.safetensors", model, params, state)
    np.testing.assert_array_equal(
        ja.predict(*ja.load(f"{tmp_path}/model.safetensors"), X), ja.predict(model, params, state, X)
    )
    mean = dict(model.children)["standardize"].arguments["mean"]
    assert mean == tuple(map(float, MEAN))


def test_standardize_takes_the_numbers_of_any_array():
    x = jax.numpy.asarray(X)
    layer = layers.standardize(x.mean((0, 1)), x.std((0, 1)))
    assert isinstance(layer.arguments["mean"], tuple) and len(layer.arguments["deviation"]) == 3
    tiny = layers.standardize(0.0, 1e-9).apply({}, {}, np.full((2, 3), 1e-7, np.float16))[0]
    np.testing.assert_allclose(tiny, 100, rtol=0.3)  # whose deviation no 16 bits hold


def test_standardize_refuses_what_does_not_fit():
    assert_input_error(lambda: layers.standardize((0.0, 1.0), (1.0,)), "deviation", given="1")
    assert_input_error(lambda: layers.standardize((0.0, 1.0), (1.0, 0.0)), "deviation", given="0")
    layer = layers.standardize(MEAN, DEVIATION)
    assert_input_error(lambda: layer.apply({}, {}, X[..., :2]), "x", given="(50, 4, 2)")


def test_a_fault_says_in_which_layer_it_was_found():
    inner = layers.sequential({"conv0": layers.conv(4, 3), "conv1": layers.conv(4, 9, padding="valid")})
    model = layers.sequential({"stem": layers.conv(2, 3), "stage": layers.residual(inner)})
    with pytest.raises(ja.InputError) as caught:
        model.init(jax.random.key(0), np.ones((2, 8, 8, 3), np.float32))
    assert "In the layer stage.body.conv1" in caught.value.__notes__
    dense = layers.sequential({"a": layers.dense(3), "b": layers.dense(3)})
    params, state = dense.init(jax.random.key(0), X)
    params["b"]["weight"] = params["b"]["weight"][:2]
    with pytest.raises(ja.InputError) as caught:
        dense.apply(params, state, X)
    assert "In the layer b" in caught.value.__notes__


@pytest.mark.usefixtures("x64")
def test_backward_is_autodiff():
    table = {"standardize": layers.standardize(MEAN, DEVIATION), "dense": layers.dense(2)}
    model = layers.sequential(table | {"scale": layers.unstandardize((1.0, -2.0), (3.0, 0.5))})
    x, y = X.astype(np.float64), np.zeros((50, 4, 2))
    params, state = model.init(jax.random.key(0), x)
    trace = backprop.backward(model, params, state, x, y, losses.squared_error)
    wanted = jax.grad(lambda x: losses.squared_error(model.apply(params, state, x)[0], y).mean())(x)
    np.testing.assert_allclose(trace.input_grad, wanted, rtol=1e-12, atol=1e-15)
