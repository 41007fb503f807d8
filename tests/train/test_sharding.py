"""Data and initial weights that lie on several devices, and what is refused of initial weights."""

from __future__ import annotations

import contextlib
from typing import Any

import jax
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as Split

import jaxann as ja
from tests.contract import assert_input_error

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(40, 6)).astype(np.float32)
Y = RANDOM.integers(0, 3, 40).astype(np.int32)
KEY = jax.random.key(0)
RECIPE = ja.recipe(
    ja.models.mlp((8, 3)), ja.losses.softmax_cross_entropy, ja.optimizers.adam(0.01),
    metrics={"accuracy": ja.metrics.accuracy},
)  # fmt: skip


def _fit(train, **how: Any) -> ja.train.Result:
    return ja.fit(RECIPE, train, key=KEY, epochs=3, batch_size=16, **how)


def test_a_run_on_data_that_lie_on_two_devices_is_the_run_on_one():
    assert len(jax.devices()) >= 2
    mesh = jax.make_mesh((2,), ("rows",), (AxisType.Auto,), devices=jax.devices()[:2])
    rows, everywhere = NamedSharding(mesh, Split("rows")), NamedSharding(mesh, Split())
    columns = NamedSharding(mesh, Split(None, "rows"))
    plain = _fit((X, Y), validation=(X, Y))
    start = ja.fit(RECIPE, (X, Y), key=KEY, epochs=0)
    initial = (start.params, start.state)
    sharded = jax.device_put((X, Y), rows)
    weights = jax.device_put(initial, everywhere)
    weights[0]["dense0"]["weight"] = jax.device_put(initial[0]["dense0"]["weight"], columns)
    weights[0]["dense1"]["weight"] = jax.device_put(initial[0]["dense1"]["weight"], rows)
    for begun in (jax.device_put(initial, everywhere), weights):
        found = _fit(sharded, validation=sharded, initial=begun)
        assert len(found.params["dense0"]["weight"].devices()) == 2
        for name in plain.history:
            np.testing.assert_allclose(found.history[name], plain.history[name], rtol=1e-6, atol=1e-6, err_msg=name)
        for ours, wanted in zip(jax.tree.leaves(found.params), jax.tree.leaves(plain.params), strict=True):
            np.testing.assert_allclose(ours, wanted, rtol=1e-5, atol=1e-6)
    figures = ja.train.evaluate(RECIPE, plain.params, plain.state, sharded)
    np.testing.assert_allclose(figures["loss"], plain.history["validation_loss"][-1], rtol=1e-6)


@pytest.mark.parametrize("is_set", [False, True], ids=["given", "set"])
def test_explicit_meshes_are_taken_as_they_come(is_set: bool):
    mesh = jax.make_mesh((2,), ("rows",), (AxisType.Explicit,), devices=jax.devices()[:2])
    plain = _fit((X, Y), validation=(X, Y))
    start = ja.fit(RECIPE, (X, Y), key=KEY, epochs=0)
    sharded = jax.device_put((X, Y), NamedSharding(mesh, Split("rows")))
    initial = jax.device_put((start.params, start.state), NamedSharding(mesh, Split()))
    with jax.set_mesh(mesh) if is_set else contextlib.nullcontext():
        found = _fit(sharded, validation=sharded, initial=initial)
    for name in plain.history:
        np.testing.assert_allclose(found.history[name], plain.history[name], rtol=1e-6, atol=1e-6, err_msg=name)
    for ours, wanted in zip(jax.tree.leaves(found.params), jax.tree.leaves(plain.params), strict=True):
        np.testing.assert_allclose(ours, wanted, rtol=1e-5, atol=1e-6)


def _initial(**changes: Any) -> tuple[dict, dict]:
    params = {
        "dense0": {"weight": np.ones((6, 8), np.float32), "bias": np.zeros(8, np.float32)},
        "dense1": {"weight": np.ones((8, 3), np.float32), "bias": np.zeros(3, np.float32)},
    }
    return params | {name: params[name] | change for name, change in changes.items()}, {}


NAN, INFINITE = np.ones((8, 3), np.float32), np.zeros(8, np.float32)
NAN[2, 1], INFINITE[3] = np.nan, np.inf
BAD = {
    "NaN": ({"dense1": {"weight": NAN}}, "initial params.dense1.weight", "not"),
    "infinity": ({"dense0": {"bias": INFINITE}}, "initial params.dense0.bias", "not"),
    "shape": ({"dense1": {"bias": np.zeros(4, np.float32)}}, "initial params.dense1.bias", "(4,)"),
    "float64": ({"dense1": {"bias": np.zeros(3)}}, "initial params.dense1.bias", "float64"),
    "int32": ({"dense0": {"weight": np.ones((6, 8), np.int32)}}, "initial params.dense0.weight", "int32"),
    "one more": ({"dense0": {"scale": np.ones(8, np.float32)}}, "initial params.dense0.scale", "float32"),
}


@pytest.mark.parametrize("case", BAD)
def test_initial_weights_are_refused_by_the_name_of_the_leaf(case: str):
    change, argument, given = BAD[case]
    assert_input_error(lambda: _fit((X, Y), initial=_initial(**change)), argument, given=given)


def test_initial_weights_without_a_leaf_or_a_state_are_refused():
    params, state = _initial()
    del params["dense1"]["bias"]
    assert_input_error(lambda: _fit((X, Y), initial=(params, state)), "initial params.dense1.bias", given="none")
    extra = {"norm": {"mean": np.zeros(3, np.float32)}}
    assert_input_error(lambda: _fit((X, Y), initial=(_initial()[0], extra)), "initial state.norm.mean", given="float32")
    assert_input_error(lambda: _fit((X, Y), initial=params), "initial", given="dict")
