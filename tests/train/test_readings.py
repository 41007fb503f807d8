"""What is handed in as data: whatever holds numbers is read, and what holds none is told so in one line."""

from __future__ import annotations

import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import torch

import jaxann as ja
from jaxann.train.inputs import as_array
from tests.contract import assert_input_error

X = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
WHOLE = np.arange(18, dtype=np.int32).reshape(6, 3)
NAN = float("nan")


def read(value: Any) -> Any:
    return as_array("fit", "train x", value, features=True)


def rows_of_arrays() -> np.ndarray:
    found = np.empty(6, object)
    found[:] = list(X)
    return found


ROUND = np.round(X * 4) / 4
READ = {
    "list": (X.tolist(), X),
    "tensor": (torch.tensor(X), X),
    "tensor with a gradient": (torch.tensor(X, requires_grad=True), X),
    "bfloat16 tensor": (torch.tensor(ROUND).bfloat16(), ROUND),
    "bfloat16 tensor with a gradient": (torch.tensor(ROUND).bfloat16().requires_grad_(), ROUND),
    "float8 tensor": (torch.tensor(ROUND).to(torch.float8_e4m3fn), np.asarray(ROUND, ml_dtypes.float8_e4m3fn)),
    "list of tensors": ([torch.tensor(row, requires_grad=True) for row in X], X),
    "whole tensor": (torch.tensor(WHOLE), WHOLE),
    "objects that are integers": (WHOLE.astype(object), WHOLE),
    "objects that are flags": ((WHOLE > 3).astype(object), WHOLE > 3),
    "objects that are numbers": (np.array([[1, 2.5, True]] * 6, object), np.array([[1, 2.5, 1]] * 6)),
    "an array of arrays": (rows_of_arrays(), X),
    "longdouble": (X.astype(np.longdouble), X),
    "another byte order": (X.astype(">f4"), X),
} | {
    f"{where} {name}": (make(ROUND, name), np.asarray(ROUND, getattr(ml_dtypes, name)))
    for where, make in {
        "numpy": lambda a, name: a.astype(getattr(ml_dtypes, name)),
        "jax": lambda a, name: jnp.asarray(a, getattr(jnp, name)),
    }.items()
    for name in ("float8_e4m3fn", "float8_e5m2", "float8_e4m3b11fnuz", "float4_e2m1fn", "int4", "bfloat16")
}


@pytest.mark.parametrize("name", READ)
def test_numbers_are_read_whoever_holds_them(name: str):
    value, wanted = READ[name]
    found = read(value)
    assert found.dtype in (np.float32, np.int32, np.bool_, jnp.bfloat16)
    assert (np.dtype(found.dtype).kind in "iub") == (
        np.issubdtype(wanted.dtype, np.bool_) or "int" in wanted.dtype.name
    )
    np.testing.assert_array_equal(np.asarray(found, np.float64), np.asarray(wanted, np.float64))


def deleted() -> jax.Array:
    array = jnp.asarray(X)
    array.delete()
    return array


REFUSED: dict[str, tuple[Any, str]] = {
    "path": (pathlib.Path("a.csv"), "a.csv"),
    "name of a file": ("a.csv", "a.csv"),
    "generator": ((row for row in X), "generator"),
    "map": (map(list, X), "map"),
    "iterator": (iter(X), "iterator"),
    "set": ({1, 2}, "{1, 2}"),
    "function": (lambda: X, "lambda"),
    "shape": (jax.ShapeDtypeStruct((6, 3), jnp.float32), "a shape (6, 3)"),
    "deleted array": (deleted, "one that was deleted"),
    "keys": (lambda: jax.random.split(jax.random.key(0), (6, 3)), "of shape (6, 3)"),
    "sparse tensor": (torch.tensor(X).to_sparse(), "a sparse one of shape (6, 3)"),
    "tensor without numbers": (torch.empty(6, 3, device="meta"), "Tensor"),
    "complex tensor": (torch.tensor(X + 0j).conj(), "complex"),
    "dates": (X.astype("datetime64[s]"), "datetime64[s]"),
    "records": (np.zeros(6, [("a", "f4")]), "[('a', '<f4')]"),
    "text among objects": (np.array([[1, "b"]] * 6, object), "'b' in column 1, row 0"),
    "too large among objects": (np.full((6, 3), 2**40, object), f"{2**40}"),
    "nothing among objects": (np.array([[1, None]] * 6, object), "not finite"),
    "ragged": ([[1.0, 2.0, 3.0], [1.0, 2.0]], "row 1 of length 2, row 0 of length 3"),
    "ragged, a number": ([[1.0, 2.0], 5.0], "row 1 a number, row 0 of length 2"),
    "ragged inside": ([[[1.0, 2.0], [3.0]]] * 2, "row 0, [1] of length 1, row 0, [0] of length 2"),
    "ragged further on": ([[[1.0], [2.0]], [[1.0], [2.0, 3.0]]], "row 1, [1] of length 2, row 0, [0] of length 1"),
    "ragged arrays": ([np.ones(3), np.ones(4)], "row 1 of length 4, row 0 of length 3"),
    "ragged objects": (np.array([np.ones(3), np.ones(4)], object), "row 1 of length 4, row 0 of length 3"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_holds_no_numbers_is_told_what_it_is(name: str):
    value, told = REFUSED[name]
    made = value() if name in ("deleted array", "keys") else value
    assert_input_error(lambda: read(made), "train x", given=told)


def test_object_labels_are_integers():
    y = as_array("fit", "train y", np.array([0, 1, 1], object), features=False)
    assert y.dtype == np.int32


RECIPE = ja.recipe(ja.layers.dense(1), ja.losses.squared_error, ja.optimizers.sgd(0.1), batch_size=6)
KEY = jax.random.key(0)


@pytest.mark.parametrize("kind", [np.int32, np.uint8, bool])
def test_whole_numbers_to_validate_on_are_floats_where_training_has_floats(kind: Any):
    whole = (WHOLE % 2).astype(kind)
    for run in (ja.fit, lambda recipe, data, *, validation, key, epochs: ja.train.make_run(recipe, epochs=epochs)(
        key, data, validation)):  # fmt: skip
        found, wanted = (
            run(RECIPE, (X, X[:, :1]), validation=(held, X[:, :1]), key=KEY, epochs=1).history["validation_loss"]
            for held in (whole, whole.astype(np.float32))
        )
        np.testing.assert_array_equal(found, wanted)


def test_floats_to_validate_on_are_refused_where_training_has_whole_numbers():
    table = ja.layers.custom(
        lambda key, spec: ({"weight": jnp.ones((20, 1))}, {}),
        lambda params, state, x, *, key=None, train=False: (params["weight"][x].mean(1), state),
    )
    recipe = RECIPE.replace(model=table)
    data, held = (WHOLE, X[:, :1]), (WHOLE.astype(np.float32), X[:, :1])
    call = lambda: ja.fit(recipe, data, validation=held, key=KEY, epochs=1)  # noqa: E731
    assert_input_error(call, "validation x", expected="whole numbers as in training", given="float32")


def test_arrays_on_two_devices_are_named():
    one, two = jax.devices()[:2]
    x, y = jax.device_put(X, one), X[:, :1]
    params, state = RECIPE.model.init(KEY, X)
    told = {"given": str(two)}

    def fit(data: Any = (x, y), key: Any = KEY, recipe: Any = RECIPE, **how: Any) -> Any:
        return ja.fit(recipe, data, key=key, epochs=1, **how)

    rate, moved = jax.device_put(jnp.float32(0.1), two), fit((jax.device_put(X, two), y))
    for argument, call in {
        "train": lambda: fit((x, jax.device_put(y, two))),
        "validation": lambda: fit(validation=(jax.device_put(X, two), y)),
        "train ": lambda: fit(key=jax.device_put(KEY, one), data=(jax.device_put(X, two), y)),
        "initial": lambda: fit(initial=jax.device_put((params, state), two)),
        "resume": lambda: ja.fit(RECIPE, (x, y), key=KEY, epochs=2, resume=moved),
        "recipe": lambda: fit(recipe=RECIPE.replace(optimizer=ja.optimizers.sgd(rate))),
        "params": lambda: ja.predict(
            RECIPE,
            params | {"bias": jax.device_put(params["bias"], two), "weight": jax.device_put(X.T[:, :1], one)},
            state,
            X,
        ),  # fmt: skip
    }.items():
        told = {"given": str(one)} if argument == "params" else {"given": str(two)}
        assert_input_error(call, argument.strip(), **told)
    elsewhere = fit((jax.device_put(X, two), jax.device_put(y, two)))
    np.testing.assert_array_equal(elsewhere.history["loss"], fit().history["loss"])


@pytest.mark.parametrize("given", ["cpu", ["cpu"], 1])
def test_devices_are_devices(given: Any):
    assert_input_error(lambda: ja.train.placement(devices=given), "devices", given=str(given).strip("[]"))
    assert_input_error(lambda: ja.train.placement(devices=jax.devices()[0]), "devices")
    assert_input_error(lambda: ja.train.placement(devices=jax.devices()[:1] * 2), "devices", given="twice")


@pytest.mark.parametrize("number", [2**31, 2**63, 2**70])
def test_whole_numbers_of_any_size_are_counts(number: int):
    stopping = ja.train.early_stopping(number, monitor="loss")
    rate = ja.schedules.cosine(0.1, number)
    recipe = RECIPE.replace(stopping=stopping, optimizer=ja.optimizers.sgd(rate), batch_size=None)
    ended = ja.fit(recipe, (X, X[:, :1]), key=KEY, epochs=number, batch_size=number, observers=lambda moment: True)
    assert ended.epochs_run >= 1 and ended.status == ja.train.Status.STOPPED
    np.testing.assert_allclose(ended.history["learning_rate"], 0.1, rtol=1e-6)
    many = ja.train.fit_population(
        lambda hyper: recipe, {}, (X, X[:, :1]), keys=jax.random.split(KEY, 2), epochs=number,
        placement=ja.train.placement(members_at_once=number), observers=lambda moment: True,
    )  # fmt: skip
    assert (many.epochs_run >= 1).all()
