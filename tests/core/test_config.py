"""Products as plain data: everything comes back, and nothing in a file can be more than data."""

from __future__ import annotations

import json
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxann import activations, initializers, layers, losses, models, optimizers, schedules
from jaxann.core import InputError, from_config, is_product, to_config
from jaxann.core.config import FORMER
from jaxann.core.tables import known_factories, known_functions
from tests.contract import assert_input_error


def _through_json(product: Any) -> Any:
    return from_config(json.loads(json.dumps(to_config(product), allow_nan=False)))


@pytest.mark.parametrize(
    "product",
    [
        models.mlp((5, 4, 3), activation=jnp.tanh and "tanh", dropout=0.25, batch_norm=True),
        layers.sequential({"z": layers.dense(2, kernel_init=initializers.normal(0.1)), "a": layers.dropout(0.5)}),
        layers.residual(layers.sequential({"d": layers.dense(3)}), layers.dense(3)),
        optimizers.chain(optimizers.clip_by_global_norm(1.0), optimizers.adamw(schedules.cosine(1e-3, 10))),
        optimizers.adamw(1e-3, mask=optimizers.matrices),
        optimizers.adam(jnp.array([1e-3, 1e-2])),
        optimizers.adam(jnp.asarray(0.1, jnp.bfloat16)),
        optimizers.adam(np.float64(0.1)),
        layers.elementwise("relu"),
        schedules.scaled(3e38, 1e-300),
        schedules.scaled(-0.0, 1.0),
        schedules.cosine(1.0, 10**12),
    ],
    ids=str,
)
def test_config_comes_back_through_json(product: Any):
    again = _through_json(product)
    assert again == product and repr(again) == repr(product)


def test_config_keeps_the_order_of_layers_and_the_functions():
    model = layers.sequential({"z": layers.elementwise("relu"), "a": layers.flatten(), "m": layers.flatten()})
    assert list(_through_json(model).arguments["layers"]) == ["z", "a", "m"]
    config = to_config(optimizers.adamw(1e-3, mask=optimizers.matrices))
    assert config["factory"] == "optimizers.adamw" and config["arguments"]["mask"] == {"function": "core.matrices"}


def test_config_checks_arguments_like_a_call():
    config = to_config(layers.dense(3))
    config["arguments"]["units"] = -3
    assert_input_error(lambda: from_config(config), "units", given="-3")
    config = to_config(optimizers.adam(1e-3))
    config["arguments"]["beta"] = 0.5
    assert_input_error(lambda: from_config(config), "keyword", given="beta")
    config = to_config(optimizers.adam(1e-3))
    del config["arguments"]["learning_rate"]
    assert_input_error(lambda: from_config(config), "optimizers.adam", expected="learning_rate")


@pytest.mark.parametrize("name", ["os.system", "builtins.eval", "layers.Dense", "layers.dense.__call__", "", "jaxann"])
def test_config_names_nothing_but_the_table(name: str):
    assert_input_error(lambda: from_config({"factory": name, "arguments": {}}), "factory", given=repr(name))
    call = {"factory": "layers.elementwise", "arguments": {"activation": {"function": name}}}
    assert_input_error(lambda: from_config(call), "function", given=repr(name))


def test_config_says_what_cannot_be_saved():
    message = assert_input_error(lambda: to_config(layers.elementwise(jnp.cos)), "elementwise.activation")
    assert "jaxann.core.factory" in message
    assert_input_error(lambda: to_config(optimizers.adam(np.zeros(10_001))), "learning_rate", given="(10001,)")
    assert_input_error(lambda: to_config(losses.squared_error), "product", expected="made by a factory")


SHAPES = [
    {"factory": "layers.dense"},
    {"factory": "layers.dense", "arguments": {"units": 3}, "more": 1},
    {"factory": "layers.dense", "arguments": []},
    {"factory": "layers.dense", "arguments": {"units": {"array": [3], "shape": [2], "dtype": "int32"}}},
    {"factory": "layers.dense", "arguments": {"units": {"array": [3], "shape": [], "dtype": "object"}}},
    {"factory": "layers.dense", "arguments": {"units": {"array": [1e40], "shape": [1], "dtype": "int8"}}},
    {"factory": "layers.dense", "arguments": {"units": {"array": [10**30], "shape": [1], "dtype": "uint8"}}},
    {"factory": "layers.dense", "arguments": {"units": {"number": "7"}}},
    {"factory": "layers.dense", "arguments": {"units": [3]}},
    {"factory": "layers.sequential", "arguments": {"layers": {"table": [["a.b", {"tuple": []}]]}}},
    {"factory": "layers.sequential", "arguments": {"layers": {"table": {"a": 1}}}},
    {"factory": "optimizers.chain", "arguments": {"transforms": 3}},
    {"factory": "optimizers.chain", "arguments": {"transforms": None}},
    {"factory": "optimizers.chain", "arguments": {"transforms": {"tuple": [1]}}},
    {"factory": "optimizers.chain", "arguments": {}},
    {"factory": ["layers.dense"], "arguments": {}},
    "layers.dense",
    None,
    [],
]


@pytest.mark.parametrize("config", SHAPES, ids=lambda c: json.dumps(c)[:70])
def test_config_that_is_malformed_is_refused(config: Any):
    with pytest.raises(InputError):
        from_config(config)


def test_config_nested_without_end_is_refused():
    config: Any = {"factory": "layers.flatten", "arguments": {}}
    for _ in range(5000):
        config = {"factory": "layers.residual", "arguments": {"body": config, "skip": None}}
    assert_input_error(lambda: from_config(config), "config", expected="deep")


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 10**12) | st.floats() | st.text(max_size=5) | st.just("relu"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["factory", "arguments", "tuple", "table", "function", "array"]), inner, max_size=3
        )
        | st.builds(lambda v: {"tuple": v}, st.lists(inner, max_size=3))
    ),
    max_leaves=6,
)
_NAMES = [
    "layers.dense",
    "layers.sequential",
    "layers.elementwise",
    "optimizers.adam",
    "optimizers.chain",
    "models.mlp",
]
_ARGUMENTS = ["units", "layers", "activation", "learning_rate", "transforms", "widths", "b1", "dropout", "kernel_init"]


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(st.sampled_from(_NAMES), st.dictionaries(st.sampled_from(_ARGUMENTS), _VALUES, max_size=3))
def test_config_from_anywhere_gives_a_product_or_an_input_error(name: str, arguments: dict[str, Any]):
    try:
        product = from_config({"factory": name, "arguments": arguments})
    except InputError:
        return
    assert is_product(product)


def test_former_names_are_read_and_written_as_the_new_ones(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(FORMER, "layers.once_dense", "layers.dense")
    monkeypatch.setitem(FORMER, "activations.once_relu", "activations.relu")
    old = {"factory": "layers.once_dense", "arguments": {"units": 3}}
    assert from_config(old) == layers.dense(3)
    assert to_config(from_config(old))["factory"] == "layers.dense"
    named = {"factory": "layers.elementwise", "arguments": {"activation": {"function": "activations.once_relu"}}}
    assert from_config(named) == layers.elementwise(activations.relu)
    inside = to_config(layers.residual(layers.dense(3)))
    inside["arguments"]["body"]["factory"] = "layers.once_dense"
    assert from_config(inside) == layers.residual(layers.dense(3))
    unknown = {"factory": "layers.never_dense", "arguments": {"units": 3}}
    assert_input_error(lambda: from_config(unknown), "factory")


def test_former_names_are_free_and_lead_to_names_of_now():
    known = {*known_factories(), *known_functions()}
    assert not FORMER.keys() & known
    assert set(FORMER.values()) <= known
