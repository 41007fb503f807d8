"""Nets for tables, against formulas in NumPy and the same structure in PyTorch."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxann as ja
from jaxann import layers, models, preprocessing
from tests.contract import assert_input_error
from tests.tolerances import close

RANDOM = np.random.default_rng(2)
X = (RANDOM.normal(size=(64, 3)) * [1, 50, 0.1] + [0, 300, 1]).astype(np.float32)
CODES = RANDOM.integers(-1, 4, (64, 2)).astype(np.int32)
Y = (X[:, :1] + (CODES[:, :1] == 2)).astype(np.float32)
KEY = jax.random.key(0)


def test_bins_are_those_of_the_paper():
    x = np.array([0.0, 1.0, 2.0, 4.0, 8.0])
    bins = preprocessing.piecewise_linear(2)
    state = bins.fit(x)
    np.testing.assert_array_equal(state["edges"], [0, 2, 8])
    new = np.array([-1.0, 1.0, 2.0, 5.0, 11.0, np.nan])
    expected = [[-0.5, 0], [0.5, 0], [1, 0], [1, 0.5], [1, 1.5], [np.nan, np.nan]]
    np.testing.assert_allclose(bins.transform(state, new), expected)
    np.testing.assert_allclose(jax.jit(bins.transform)(state, jnp.asarray(new, jnp.float32)), expected)
    equal = preprocessing.piecewise_linear(4)
    z = equal.transform(equal.fit(np.array([3.0, 3, 3, 3, 7])), np.array([2.0, 3.0, 7.0]))
    np.testing.assert_allclose(z, [[0, 0, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]])


def test_each_column_has_a_map_of_its_own():
    layer = layers.column_dense(4)
    x = RANDOM.normal(size=(5, 3, 2)).astype(np.float32)
    params, _ = layer.init(KEY, x)
    z, _ = layer.apply(params, {}, x)
    for j in range(3):
        weight, bias = np.asarray(params["weight"][j], np.float64), np.asarray(params["bias"][j], np.float64)
        np.testing.assert_allclose(z[:, j], x[:, j] @ weight + bias, rtol=1e-5, atol=1e-6)
    assert not np.array_equal(params["weight"][0], params["weight"][1])
    alone = layer.init(KEY, x[..., 0])[0]
    z, _ = layer.apply(alone, {}, x[..., 0])
    np.testing.assert_allclose(z[:, 1], x[:, 1, :1] * np.asarray(alone["weight"][1]), rtol=1e-5)
    assert_input_error(lambda: layer.apply(params, {}, x[:, :2]), "x", given="(5, 2, 2)")


def test_waves_are_those_of_the_paper():
    layer = layers.periodic_embedding(3, deviation=2.0)
    params, _ = layer.init(KEY, X)
    y, _ = layer.apply(params, {}, X / 100)
    angles = 2 * np.pi * (X / 100)[..., None] * np.asarray(params["weight"])
    np.testing.assert_allclose(y, np.concatenate([np.cos(angles), np.sin(angles)], -1), atol=2e-5)


def test_codes_that_are_none_are_zeros():
    layer = layers.category_embedding((4, 3), 5)
    params, _ = layer.init(KEY, CODES)
    y, _ = layer.apply(params, {}, CODES)
    table = np.asarray(params["weight"])
    for i, j in np.ndindex(CODES.shape):
        code, first, size = CODES[i, j], (0, 4)[j], (4, 3)[j]
        expected = table[first + code] if 0 <= code < size else np.zeros(5)
        np.testing.assert_array_equal(y[i, j], expected)
    assert_input_error(lambda: layer.apply(params, {}, X), "x", given="float32")


def torch_resnet(torch: Any, params: Any, blocks: int, x: Any) -> Any:
    """In evaluation mode, fresh statistics."""

    def given(p: Any) -> tuple[Any, Any]:
        return torch.tensor(np.asarray(p["weight"]).T.copy()), torch.tensor(np.asarray(p["bias"]))

    def norm(p: Any, h: Any) -> Any:
        zeros, ones = torch.zeros(h.shape[1]).double(), torch.ones(h.shape[1]).double()
        scale, bias = (torch.tensor(np.asarray(p[name])) for name in ("scale", "bias"))
        return torch.nn.functional.batch_norm(h, zeros, ones, scale, bias)

    linear, relu = torch.nn.functional.linear, torch.relu
    h = linear(x, *given(params["first"]))
    for i in range(blocks):
        own = params[f"block{i}"]["body"]
        h = h + linear(relu(linear(norm(own["norm"], h), *given(own["dense0"]))), *given(own["dense1"]))
    return linear(relu(norm(params["norm"], h)), *given(params["out"]))


def test_the_residual_net_is_torchs():
    torch = pytest.importorskip("torch")
    with jax.enable_x64(True):
        model = models.tabular_resnet(2, units=6, blocks=2, hidden=7)
        x = jnp.asarray(X, jnp.float64)
        params, state = model.init(KEY, x)
        y, _ = model.apply(params, state, x)
        np.testing.assert_allclose(y, torch_resnet(torch, params, 2, torch.tensor(np.asarray(x))), rtol=1e-9)


@pytest.mark.parametrize("embedding", [None, "piecewise_linear", "periodic"])
def test_a_table_with_holes_and_categories_trains_from_raw_rows(embedding: str | None, tmp_path):
    holes = X.copy()
    holes[::9, 1] = np.nan
    table = {"numbers": holes, "categories": CODES}
    options = {"embedding": embedding, "bins": 4, "features": 3, "frequencies": 4, "scale": "quantile"}
    model = models.tabular(models.mlp((16, 1)), categories=(4, 4), **options)
    recipe = ja.recipe(model, ja.losses.squared_error, ja.optimizers.adam(1e-2))
    result = ja.fit(recipe, (table, Y), key=KEY, epochs=40, batch_size=16)
    assert result.history["loss"][-1] < 0.3 * result.history["loss"][0]
    found = ja.predict(recipe, result.params, result.state, table)
    ja.save(tmp_path / "table.safetensors", model, result.params, result.state)
    np.testing.assert_array_equal(ja.predict(*ja.load(tmp_path / "table.safetensors"), table), found)
    fills = preprocessing.impute("median").fit(holes)["fill"]
    step = result.state["prepare"]["numbers"]["step0"]["fill"]
    np.testing.assert_allclose(step, fills, rtol=close("float32", "program"))


def _by_hand(layer: Any, x: Any, tail: dict[str, Any]) -> None:
    """Gradients by hand are autodiff's, in float64."""
    with jax.enable_x64(True):
        net = layers.sequential({"own": layer, "flat": layers.flatten(), **tail})
        params, state = net.init(KEY, x)
        y = np.ones((len(x), 2))
        loss = ja.losses.squared_error
        trace = ja.backprop.backward(net, params, state, x, y, loss)
        expected = jax.grad(lambda p: loss(net.apply(p, state, x)[0], y).mean())(params)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14), trace.grads, expected)
        if np.asarray(x).dtype.kind == "f":
            through = jax.grad(lambda x: loss(net.apply(params, state, x)[0], y).mean())(x)
            np.testing.assert_allclose(trace.input_grad, through, rtol=1e-12, atol=1e-14)


def test_gradients_by_hand_are_autodiffs():
    with jax.enable_x64(True):
        x = jnp.asarray(RANDOM.normal(size=(7, 3)))
        deep = jnp.asarray(RANDOM.normal(size=(7, 3, 4)))
        tail = {"out": layers.dense(2)}
    _by_hand(layers.column_dense(3), x, tail)
    _by_hand(layers.column_dense(3), deep, tail)
    _by_hand(layers.periodic_embedding(2, deviation=0.5), x, tail)
    _by_hand(layers.category_embedding((4, 4), 3), CODES[:7], tail)


def test_what_is_no_table_is_refused():
    model = models.tabular(models.mlp((1,)), categories=(4, 4))
    recipe = ja.recipe(model, ja.losses.squared_error, ja.optimizers.adam(1e-2))
    assert_input_error(lambda: ja.fit(recipe, (X, Y), key=KEY, epochs=1), "x", expected="numbers, categories")
    floats = {"numbers": X, "categories": CODES.astype(np.float32)}
    assert_input_error(lambda: ja.fit(recipe, (floats, Y), key=KEY, epochs=1), "spec", given="float32")
