"""Whatever is handed to a verb: what holds numbers is read, and all else is told so in one line, by one InputError.

One row stands for a kind of thing and is tried in every place where it could be handed in; nothing is compiled.
"""

from __future__ import annotations

import collections
import datetime
import decimal
import fractions
import pathlib
import types
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse
import torch

import jaxann as ja
from jaxann.train.inputs import as_array
from tests.contract import assert_input_error

KEY = jax.random.key(0)
MLP: Any = ja.models.mlp
X: Any = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
Y = X[:, :1].copy()
MODEL: Any = ja.layers.sequential(
    {"first": ja.layers.dense(2), "normed": ja.layers.batch_norm(), "act": ja.layers.elementwise("relu"),
     "last": ja.layers.dense(1)}
)  # fmt: skip
RECIPE: Any = ja.recipe(MODEL, ja.losses.squared_error, ja.optimizers.sgd(0.1), batch_size=6)
PARAMS, STATE = jax.tree.map(lambda a: np.asarray(a.astype(jnp.float16).astype(a.dtype)), MODEL.init(KEY, X))


def fit(*train: Any, **more: Any) -> Any:
    return ja.fit(RECIPE, train, key=KEY, epochs=1, **more)


PLACES: dict[str, Callable[[Any], Any]] = {
    "train x": lambda v: fit(v, Y),
    "train y": lambda v: fit(X, v),
    "train weights": lambda v: fit(X, Y, v),
    "validation x": lambda v: fit(X, Y, validation=(v, Y)),
    "validation y": lambda v: fit(X, Y, validation=(X, v)),
    "validation weights": lambda v: fit(X, Y, validation=(X, Y, v)),
    "data x": lambda v: ja.train.evaluate(RECIPE, PARAMS, STATE, (v, Y)),
    "data y": lambda v: ja.train.evaluate(RECIPE, PARAMS, STATE, (X, v)),
    "data weights": lambda v: ja.train.evaluate(RECIPE, PARAMS, STATE, (X, Y, v)),
    "x": lambda v: ja.predict(MODEL, PARAMS, STATE, v),
    " x": lambda v: ja.train.monte_carlo_predict(MODEL, PARAMS, STATE, v, key=KEY, samples=2),
}


class Failing:
    """An array of another library that cannot be read."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        raise ZeroDivisionError("no numbers today")


def nested(depth: int) -> Any:
    found: Any = 1.0
    for _ in range(depth):
        found = [found]
    return found


def objects(of: Any) -> np.ndarray:
    found = np.empty(6, object)
    found[:] = [of] * 6
    return found


MASKED_ROW = np.ma.array([1.0, 2.0, 3.0], mask=[False, True, False])
NO_NUMBERS: dict[str, Callable[[], Any]] = {
    "generator": lambda: (row for row in X),
    "list of iterators": lambda: [iter(row) for row in X],
    "set": lambda: {1.0, 2.0},
    "frozenset": lambda: frozenset((1, 2)),
    "list of sets": lambda: [{1.0, 2.0}] * 6,
    "keys of a dict": lambda: {"a": 1}.keys(),
    "list of dicts": lambda: [{"a": 1.0}] * 6,
    "keys of several types": lambda: {0: X, "a": X},
    "empty dict": dict,
    "nothing in a dict": lambda: {"a": None},
    "sparse matrix": lambda: scipy.sparse.csr_matrix(X),
    "sparse array": lambda: scipy.sparse.coo_array(X),
    "list of sparse rows": lambda: [scipy.sparse.csr_matrix(X[:1])] * 6,
    "sparse tensor": lambda: torch.tensor(X).to_sparse(),
    "path": lambda: pathlib.Path("a.csv"),
    "list of paths": lambda: [pathlib.Path("a.csv")] * 6,
    "text": lambda: "a.csv",
    "texts": lambda: X.astype(str),
    "list of numbers as text": lambda: [["1", "2", "3"]] * 6,
    "texts of bytes": lambda: X.astype("S"),
    "variable texts": lambda: X.astype(np.dtypes.StringDType()),
    "dates": lambda: X.astype("datetime64[s]"),
    "durations": lambda: X.astype("timedelta64[s]"),
    "list of dates": lambda: [[datetime.date(2020, 1, 1)] * 3] * 6,
    "complex": lambda: X + 1j,
    "list of complex": lambda: (X + 1j).tolist(),
    "complex objects": lambda: (X + 1j).astype(object),
    "nothing among objects": lambda: [[1, 2, None]] * 6,
    "beyond 2^63": lambda: [[2**63, 1, 2]] * 6,
    "beyond 2^64": lambda: [[2**70, 1, 2]] * 6,
    "beyond floating point": lambda: [[10**400, 1, 2]] * 6,
    "fraction beyond floating point": lambda: [[fractions.Fraction(10**400, 3)] * 3] * 6,
    "decimal beyond floating point": lambda: [[decimal.Decimal("1e400")] * 3] * 6,
    "decimal that is no number": lambda: [[decimal.Decimal("NaN")] * 3] * 6,
    "decimal that signals": lambda: [[decimal.Decimal("sNaN")] * 3] * 6,
    "uint64": lambda: np.full((6, 3), 2**63, np.uint64),
    "longdouble": lambda: np.full((6, 3), np.longdouble("1e400")),
    "infinite float16": lambda: np.full((6, 3), np.inf, np.float16),
    "scalar": lambda: np.float32(1),
    "array of no axis": lambda: np.array(1.0),
    "tensor of no axis": lambda: torch.tensor(1.0),
    "number": lambda: 3,
    "flag": lambda: True,
    "object of no axis": lambda: np.array({1: 2}, object),
    "None in the list": lambda: [[None] * 3] * 6,
    "empty list": list,
    "empty tuple": tuple,
    "nested too deep": lambda: nested(70),
    "function": lambda: len,
    "class": lambda: int,
    "slice": lambda: slice(3),
    "records": lambda: np.zeros(6, [("a", "f4")]),
    "bytes without a type": lambda: np.zeros((6, 3), "V4"),
    "masked": lambda: np.ma.array(X, mask=X > 0),
    "list of masked rows": lambda: [MASKED_ROW] * 6,
    "tuple of masked rows": lambda: [(MASKED_ROW,)] * 6,
    "masked rows among lists": lambda: [[1.0, 2.0, 3.0], MASKED_ROW] * 3,
    "masked rows among objects": lambda: objects(MASKED_ROW),
    "keys": lambda: jax.random.split(KEY, 6),
    "shape": lambda: jax.ShapeDtypeStruct((6, 3), np.float32),
    "quantized away": lambda: torch.empty(6, 3, device="meta"),
    "unreadable": Failing,
    "module": lambda: torch.nn.Linear(3, 1),
}


@pytest.mark.parametrize("kind", NO_NUMBERS)
def test_what_holds_no_numbers_is_refused_in_every_place(kind: str):
    for place, call in PLACES.items():
        value = NO_NUMBERS[kind]()
        assert_input_error(lambda value=value, call=call: call(value), place.strip())


TENSORS = [[torch.tensor(float(v), requires_grad=True) for v in row] for row in X]
TENTHS = np.round(X, 1)
READ: dict[str, tuple[Any, Any]] = {
    "numbers of tensors with a gradient": (TENSORS, X),
    "lists and tensors": ([X[0].tolist(), *(torch.tensor(row, requires_grad=True) for row in X[1:])], X),
    "lists of narrow tensors": ([[torch.tensor(v).bfloat16() for v in row] for row in np.round(X)], np.round(X)),
    "rows of tuples of tensors": ([tuple(torch.tensor(float(v)) for v in row) for row in X], X),
    "lists of jax numbers": ([[jnp.float32(v) for v in row] for row in X[:2]], X[:2]),
    "decimals": ([[decimal.Decimal(f"{v:.1f}") for v in row] for row in TENTHS], TENTHS),
    "fractions": ([[fractions.Fraction(int(v * 8), 8) for v in row] for row in X], np.trunc(X * 8) / 8),
    "matrix": (np.matrix(X), X),
    "matrix of whole numbers": (np.matrix(np.arange(18).reshape(6, 3)), np.arange(18).reshape(6, 3)),
    "memory of an array": (memoryview(X), X),
    "deque": (collections.deque(X.tolist()), X),
    "user list": (collections.UserList(X.tolist()), X),
    "ranges": ([range(3)] * 6, np.tile(np.arange(3), (6, 1))),
    "parameter of a module": (torch.nn.Parameter(torch.tensor(X)), X),
    "list of unmasked rows": ([np.ma.array(row, mask=False) for row in X], X),
    "no negative zero lost": (-np.zeros((6, 3)), np.zeros((6, 3))),
}


@pytest.mark.parametrize("kind", READ)
def test_numbers_are_read_as_they_are(kind: str):
    value, wanted = READ[kind]
    found = as_array("fit", "train x", value, features=True)
    assert found.dtype in (np.float32, np.int32)
    np.testing.assert_array_equal(np.asarray(found), np.asarray(wanted).astype(found.dtype))


def test_explain_reads_alike():
    model = ja.layers.dense(1)
    recipe = RECIPE.replace(model=model)
    params = {"weight": np.ones((3, 1), np.float32), "bias": np.zeros(1, np.float32)}
    wanted = ja.teach.explain(recipe, params, X, Y).loss
    assert ja.teach.explain(recipe, params, TENSORS, torch.tensor(Y, requires_grad=True)).loss == wanted
    for value in (Failing(), jax.random.split(KEY, 6), X.astype("timedelta64[s]"), {"a": X}):
        assert_input_error(lambda value=value: ja.teach.explain(recipe, params, value, Y), "x")
        assert_input_error(lambda value=value: ja.teach.explain(recipe, params, X, value), "y")


# Parameters and state.


def changed(make: Callable[[Any], Any]) -> tuple[Any, Any]:
    return jax.tree.map(make, PARAMS), STATE


def deleted(leaf: np.ndarray) -> jax.Array:
    array = jax.device_put(leaf)
    array.delete()
    return array


LOADED: Any = (MODEL, PARAMS)
RESULT: Any = ja.train.Result(PARAMS, STATE, {}, 0, 0, 0, -1)
NO_WEIGHTS: dict[str, Callable[[], tuple[Any, Any]]] = {
    "tensors": lambda: changed(torch.tensor),
    "tensors with a gradient": lambda: changed(lambda a: torch.tensor(a, requires_grad=True)),
    "a module's state_dict": lambda: (torch.nn.Linear(3, 1).state_dict(), STATE),
    "lists": lambda: changed(np.ndarray.tolist),
    "texts": lambda: changed(lambda a: "relu"),
    "arrays of text": lambda: changed(lambda a: a.astype(str)),
    "arrays of objects": lambda: changed(lambda a: a.astype(object)),
    "masked": lambda: changed(lambda a: np.ma.array(a, mask=np.ones(a.shape, bool))),
    "deleted": lambda: changed(deleted),
    "shapes": lambda: changed(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype)),
    "keys": lambda: changed(lambda a: jax.random.split(KEY, a.shape)),
    "None for leaves": lambda: changed(lambda a: None),
    "numbers for arrays": lambda: changed(lambda a: 1.0),
    "None": lambda: (None, STATE),
    "text": lambda: ("params", STATE),
    "path": lambda: (pathlib.Path("a"), STATE),
    "one array": lambda: (X, STATE),
    "leaves": lambda: (jax.tree.leaves(PARAMS), STATE),
    "a list of numbers": lambda: ([1.0, 2.0], STATE),
    "model": lambda: (MODEL, STATE),
    "recipe": lambda: (RECIPE, STATE),
    "module": lambda: (torch.nn.Linear(3, 1), STATE),
    "function": lambda: (lambda: PARAMS, STATE),
    "result": lambda: (RESULT, STATE),
    "both in one": lambda: ((PARAMS, STATE), STATE),
    "state of the optimizer": lambda: (ja.optimizers.sgd(0.1).init(PARAMS), STATE),
    "keys of several types": lambda: (PARAMS | {0: X}, STATE),
    "a mapping that is no dict": lambda: (types.MappingProxyType(PARAMS), STATE),
    "a leaf for a branch": lambda: (PARAMS | {"first": X}, STATE),
    "a branch for a leaf": lambda: (PARAMS | {"last": {"weight": {"x": X}, "bias": X[0, :1]}}, STATE),
    "None for a branch": lambda: (PARAMS | {"first": None}, STATE),
    "a branch missing": lambda: ({k: v for k, v in PARAMS.items() if k != "first"}, STATE),
    "a branch too many": lambda: (PARAMS | {"more": {"weight": X}}, STATE),
    "dotted names": lambda: ({"first.weight": X}, STATE),
    "a population's": lambda: changed(lambda a: np.stack([a, a])),
    "the state for both": lambda: (STATE, STATE),
    "swapped": lambda: (STATE, PARAMS),
}
OF_STATE_TOO = {
    "tensors": lambda: jax.tree.map(torch.tensor, STATE),
    "None": lambda: None,
    "parameters": lambda: PARAMS,
    "None for a leaf": lambda: STATE | {"normed": {"mean": None, "var": STATE["normed"]["var"]}},
}
DATA = (X, Y)
VERBS: dict[str, Callable[[Any, Any], Any]] = {
    "predict": lambda p, s: ja.predict(MODEL, p, s, X),
    "evaluate": lambda p, s: ja.train.evaluate(RECIPE, p, s, DATA),
    "monte_carlo_predict": lambda p, s: ja.train.monte_carlo_predict(MODEL, p, s, X, key=KEY, samples=2),
    "save": lambda p, s: ja.save("never-written", MODEL, p, s),
    "fit": lambda p, s: ja.fit(RECIPE, DATA, key=KEY, epochs=1, initial=(p, s)),
    "explain": lambda p, s: ja.teach.explain(RECIPE, p, X, Y, state=s),
}


@pytest.mark.parametrize("kind", NO_WEIGHTS)
def test_what_is_no_parameters_is_refused_by_every_verb(kind: str):
    for call in VERBS.values():
        given = NO_WEIGHTS[kind]()
        assert_input_error(lambda given=given, call=call: call(*given), "", expected="")
    if kind in ("the state for both", "swapped", "a population's", "numbers for arrays"):
        return  # which are trees of numbers
    for swap in (False, True):
        given = NO_WEIGHTS[kind]()[0]
        pair = (PARAMS, given) if swap else (given, PARAMS)
        assert_input_error(lambda pair=pair: ja.optimizers.apply_updates(*pair), "")


@pytest.mark.parametrize("kind", OF_STATE_TOO)
def test_what_is_no_state_is_refused_by_every_verb(kind: str):
    for verb, call in VERBS.items():
        if (verb, kind) != ("explain", "None"):  # which asks for it
            assert_input_error(lambda call=call: call(PARAMS, OF_STATE_TOO[kind]()), "")


def test_whole_numbers_for_floats_are_named():
    whole = jax.tree.map(lambda a: a.astype(np.int32), PARAMS)
    assert_input_error(lambda: ja.predict(MODEL, whole, STATE, X), "params first.bias", given="int32")
    assert_input_error(lambda: ja.optimizers.adam(0.1).init({"a": [1.0, 2.0]}), "params", given="1.0")
    assert_input_error(lambda: ja.optimizers.adam(0.1).init({"a": torch.ones(2)}), "params", given="tensor")


FULL = {name: dict(PARAMS.get(name, {})) for name in MODEL.children}
TAKEN: dict[str, tuple[Any, Any]] = {
    "jax": jax.device_put((PARAMS, STATE)),
    "another order": (collections.OrderedDict(reversed(FULL.items())), STATE),
    "without empty entries": ({k: v for k, v in PARAMS.items() if v}, {k: v for k, v in STATE.items() if v}),
    "with more empty entries": (PARAMS | {"more": {}}, STATE | {"more": {"inside": {}}}),
    "unmasked": changed(lambda a: np.ma.array(a, mask=False)),
    "wide": changed(lambda a: a.astype(np.float64)),
    "narrow": changed(lambda a: a.astype(np.float16)),
}


@pytest.mark.parametrize("kind", TAKEN)
def test_parameters_however_held_give_the_same(kind: str):
    for name in ("predict", "evaluate", "monte_carlo_predict", "fit"):
        if name == "fit" and kind in ("wide", "narrow"):
            continue  # which begins with the dtypes of the model
        wanted, found = VERBS[name](PARAMS, STATE), VERBS[name](*TAKEN[kind])
        if name == "fit":
            assert jax.tree.structure(found.params) == jax.tree.structure(PARAMS)
            wanted, found = wanted.history, found.history
        for a, b in zip(jax.tree.leaves(wanted), jax.tree.leaves(found), strict=True):
            np.testing.assert_array_equal(a, b)


# One thing in the place of another.

SWAPS: dict[str, tuple[Callable[[], Any], str, str]] = {
    "save a result": (lambda: ja.save("never-written", MODEL, RESULT), "params", "a Result"),  # type: ignore[call-arg]
    "save a recipe": (lambda: ja.save("never-written", RECIPE, PARAMS, STATE), "model", "recipe("),
    "save, the path later": (lambda: ja.save(MODEL, "a", PARAMS, STATE), "model", "'a'"),  # type: ignore[arg-type]
    "predict from a result": (lambda: ja.predict(MODEL, RESULT, X), "params", "a Result"),  # type: ignore[call-arg]
    "predict from a result alone": (lambda: ja.predict(RESULT, X), "model", "a Result"),  # type: ignore[call-arg]
    "predict from what load gave": (lambda: ja.predict(LOADED, STATE, X, X), "model", "(tuple)"),
    "predict from a factory": (lambda: ja.predict(MLP, PARAMS, STATE, X), "model", "function"),
    "evaluate a result": (lambda: ja.train.evaluate(RECIPE, RESULT, DATA), "params", "a Result"),  # type: ignore
    "evaluate a model": (lambda: ja.train.evaluate(MODEL, PARAMS, STATE, DATA), "recipe", "sequential"),
    "evaluate on x": (lambda: ja.train.evaluate(RECIPE, PARAMS, STATE, X), "data", "(6, 3)"),
    "fit a model": (lambda: ja.fit(MODEL, DATA, key=KEY, epochs=1), "recipe", "sequential"),
    "fit from a result": (lambda: fit(X, Y, initial=RESULT), "initial", "a Result"),
    "fit from parameters": (lambda: fit(X, Y, initial=PARAMS), "initial", "a dict"),
    "fit from what load gave": (lambda: fit(X, Y, initial=(MODEL, PARAMS, STATE)), "initial", "3 values"),
    "go on from a pair": (lambda: fit(X, Y, resume=(PARAMS, STATE)), "resume", "(tuple)"),
    "run a model": (lambda: ja.train.make_run(MODEL, epochs=1), "recipe", "sequential"),
    "explain a model": (lambda: ja.teach.explain(MODEL, PARAMS, X, Y), "recipe", "sequential"),
    "explain a result": (lambda: ja.teach.explain(RECIPE, RESULT, X, Y), "params", "a Result"),
    "draw from a result": (
        lambda: ja.train.monte_carlo_predict(MODEL, RESULT, X, key=KEY, samples=1), "params", "a Result"),  # type: ignore
    "the optimizer first": (
        lambda: ja.recipe(ja.optimizers.sgd(0.1), ja.losses.squared_error, MODEL), "model", "sgd"),  # type: ignore
    "add a state": (
        lambda: ja.optimizers.apply_updates(PARAMS, ja.optimizers.sgd(0.1).init(PARAMS)), "updates", "none"),
}  # fmt: skip


@pytest.mark.parametrize("swap", SWAPS)
def test_one_thing_in_the_place_of_another_is_named(swap: str):
    call, argument, given = SWAPS[swap]
    assert_input_error(call, argument, given=given)


@pytest.mark.parametrize("order", ["predict", "evaluate", "monte_carlo_predict", "fit", "save"])
def test_parameters_and_state_swapped_are_told_their_order(order: str):
    assert "(params, state)" in (told := assert_input_error(lambda: VERBS[order](STATE, PARAMS), "params")) or (
        "params, state" in told
    )


# Several inputs where the model takes one.

FLAT = ja.layers.sequential({"flat": ja.layers.flatten(), "last": ja.layers.dense(1)})
FLAT_WEIGHTS = ({"flat": {}, "last": {"weight": X[:3, :1], "bias": X[0, :1]}}, {"flat": {}, "last": {}})


@pytest.mark.parametrize("kind", ["a dict", "a tuple"])
@pytest.mark.parametrize("of", ["dense", "flatten"])
def test_several_inputs_for_a_model_of_one_are_one_message(kind: str, of: str):
    x = {"a": X, "b": X} if kind == "a dict" else (X, X)
    model, weights = (MODEL, (PARAMS, STATE)) if of == "dense" else (FLAT, FLAT_WEIGHTS)
    recipe = RECIPE.replace(model=model)
    argument = "spec" if of == "dense" else "x"
    for call in (
        lambda: ja.predict(model, *weights, x),
        lambda: ja.train.monte_carlo_predict(model, *weights, x, key=KEY, samples=1),
        lambda: ja.train.evaluate(recipe, *weights, (x, Y)),
        lambda: ja.fit(recipe, (x, Y), key=KEY, epochs=1),
    ):
        told = assert_input_error(call, argument)
        assert "Tracer" not in told and "ShapeDtypeStruct" not in told
    assert_input_error(lambda: ja.fit(recipe, (X, x), key=KEY, epochs=1), "targets", expected="one array")


def test_messages_have_the_shapes_that_were_given():
    ja.train.evaluate(RECIPE, PARAMS, STATE, DATA)  # the empty sums are programs of their own
    for rows in (1, 5, 6):
        given = f"({rows}, 2)"
        assert_input_error(lambda n=rows: ja.predict(MODEL, PARAMS, STATE, X[:n, :2]), "x", given=given)
        assert_input_error(lambda n=rows: ja.predict(MODEL, PARAMS, STATE, X[:n, :2], batch_size=2), "x", given=given)
        narrow = (X[:rows, :2], Y[:rows])
        assert_input_error(lambda d=narrow: ja.train.evaluate(RECIPE, PARAMS, STATE, d), "x", given=given)
        flat = (X[:rows], Y[:rows, 0])
        call = lambda d=flat: ja.train.evaluate(RECIPE, PARAMS, STATE, d)  # noqa: E731
        assert_input_error(call, "targets", given=f"({rows},)", expected=f"({rows}, 1)")
    short = RECIPE.replace(loss=lambda p, t: (p - t)[:2])
    call = lambda: ja.train.evaluate(short, PARAMS, STATE, (X[:5], Y[:5]))  # noqa: E731
    assert_input_error(call, "values", expected="(5,)", given="(2, 1)")
