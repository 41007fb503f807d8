"""Parameters and state are the model's own: `save`, `predict` and `evaluate` say so, whatever the model is made of."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest

import jaxann as ja
from jaxann.io.agreement import disagreement
from tests.catalogue import LAYERS
from tests.contract import assert_input_error, compiles

KEY = jax.random.key(0)
X = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
INPUTS = {"a": X, "b": X[:, :2]}
mlp, layers = ja.models.mlp, ja.layers
NORMED = mlp((8, 3), batch_norm=True, dropout=0.1)
JOINED = layers.sequential(
    {
        "inputs": layers.parallel({"a": layers.dense(4), "b": layers.dense(3)}),
        "joined": layers.concatenate(),
        "head": layers.dense(2),
    }
)


def weights(model: Any, x: Any = X) -> tuple[Any, Any]:
    """Zeros of the shapes of the model's own."""
    return jax.tree.map(lambda a: np.zeros(a.shape, a.dtype), jax.eval_shape(lambda: model.init(KEY, x)))


PARAMS, STATE = weights(NORMED)
MEMBERS = jax.tree.map(lambda a: np.zeros((4, *a.shape), a.dtype), (PARAMS, STATE))
WRONG = {
    "swapped": (STATE, PARAMS),
    "only one layer": ({"dense0": PARAMS["dense0"]}, STATE),
    "without a leaf": (PARAMS | {"dense1": {"weight": PARAMS["dense1"]["weight"]}}, STATE),
    "without the state": (PARAMS, {}),
    "nothing": ({}, {}),
    "of another width": weights(mlp((4, 3), batch_norm=True, dropout=0.1)),
    "of other outputs": weights(mlp((8, 4), batch_norm=True, dropout=0.1)),
    "of other layers": weights(mlp((8, 3))),
    "state of another width": (PARAMS, weights(mlp((4, 3), batch_norm=True, dropout=0.1))[1]),
    "of a population": MEMBERS,
    "one leaf too many": (PARAMS | {"more": {"weight": np.zeros(2, np.float32)}}, STATE),
    "a matrix on its side": (PARAMS | {"dense1": {"weight": np.zeros((3, 8), np.float32),
                                                  "bias": np.zeros(3, np.float32)}}, STATE),
}  # fmt: skip
RECIPE = ja.recipe(NORMED, ja.losses.softmax_cross_entropy, ja.optimizers.sgd(0.1))


@pytest.mark.parametrize("case", WRONG)
def test_what_is_not_the_models_own_is_refused(tmp_path: Any, case: str):
    params, state = WRONG[case]
    for call in (
        lambda: ja.save(tmp_path / "a", NORMED, params, state),
        lambda: ja.predict(NORMED, params, state, X),
        lambda: ja.predict(NORMED, params, state, X[:0]),
        lambda: ja.train.evaluate(RECIPE, params, state, (X, np.zeros(5, np.int32))),
        lambda: ja.train.monte_carlo_predict(NORMED, params, state, X, key=KEY, samples=2),
    ):
        with pytest.raises(ja.InputError):
            call()
        assert_input_error(call, "", expected="as the model has it")
    assert not (tmp_path / "a").exists()


def test_the_words_say_which_leaf_and_what_to_do(tmp_path: Any):
    assert_input_error(lambda: ja.predict(NORMED, *WRONG["of another width"], X), "params dense0.weight",
                       expected="of shape (3, 8)", given="(3, 4)")  # fmt: skip
    assert_input_error(lambda: ja.save(tmp_path / "a", NORMED, *WRONG["of other outputs"]), "params dense1.bias",
                       expected="of shape (3,)", given="(4,)")  # fmt: skip
    assert "params, state" in assert_input_error(lambda: ja.predict(NORMED, STATE, PARAMS, X), "params")
    told = assert_input_error(lambda: ja.predict(NORMED, *MEMBERS, X), "params dense0.weight", given="(4, 3, 8)")
    assert "population.member(0)" in told
    told = assert_input_error(lambda: ja.predict(NORMED, PARAMS, STATE, X[:, :2]), "x", expected="(..., 3)")
    assert told.startswith("dense: ")  # of other features the model says it itself


def test_its_own_are_taken_in_any_dtype_and_a_second_call_costs_nothing(tmp_path: Any):
    ja.save(tmp_path / "a", NORMED, jax.tree.map(lambda a: a.astype(np.float16), PARAMS), STATE)
    ja.predict(NORMED, PARAMS, STATE, X)
    asked = []

    class Model:
        """A model of one's own."""

        def init(self, key, spec):
            asked.append(spec)
            return {"w": np.zeros((spec.shape[-1], 2), np.float32)}, {}

        def apply(self, params, state, x, *, key=None, train=False):
            return x @ params["w"], state

    own, w = ja.layers.as_layer(Model()) if hasattr(ja.layers, "as_layer") else Model(), np.zeros((3, 2), np.float32)
    ja.predict(own, {"w": w}, {}, X)
    before, many = compiles(), len(asked)
    ja.predict(own, {"w": w}, {}, X)
    assert (compiles(), len(asked)) == (before, many)
    assert_input_error(lambda: ja.predict(own, {"w": w[:, :1]}, {}, X), "params w", given="(3, 1)")


def test_a_model_of_several_inputs_is_asked_layer_by_layer(tmp_path: Any):
    params, state = weights(JOINED, INPUTS)
    ja.save(tmp_path / "a", JOINED, params, state)
    for wrong, name in (
        ((state, params), "params inputs.a.bias"),
        ((params | {"head": {"weight": np.zeros((7, 3), np.float32), "bias": np.zeros(3, np.float32)}}, state), "head"),
        ((params | {"inputs": {"a": params["inputs"]["a"], "b": {}}}, state), "params inputs.b.bias"),
    ):
        assert_input_error(lambda wrong=wrong: ja.save(tmp_path / "b", JOINED, *wrong), name)
        with pytest.raises(ja.InputError, match="predict: params"):
            ja.predict(JOINED, *wrong, INPUTS)


@pytest.mark.parametrize("row", LAYERS, ids=str)
def test_every_layer_agrees_with_what_it_draws(row: Any):
    layer = row.build()
    shapes = row.shape if isinstance(row.shape, dict) else {"": row.shape}
    x = {name: np.zeros(shape, np.float32 if row.ids is None else np.int32) for name, shape in shapes.items()}
    params, state = weights(layer, x if isinstance(row.shape, dict) else x[""])
    assert disagreement(layer, params, state) is None
    if isinstance(row.shape, dict):
        return  # asked layer by layer, as above
    if jax.tree.leaves(params):
        longer = jax.tree.map(lambda a: np.zeros((*a.shape, 2), a.dtype), params)
        assert disagreement(layer, longer, state) is not None
        assert len(row.shape) > 2 or disagreement(layer, {}, {}) is not None  # members' inputs are not guessed
    assert disagreement(layer, params | {"strange": np.zeros(3)}, state) is not None
