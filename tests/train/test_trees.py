"""Several inputs and several heads: trees of arrays through every verb, as a plain loop of JAX treats them."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxann as ja
from jaxann.train.batches import Batch, batch_of
from tests.contract import assert_input_error
from tests.train.problems import equal_bits

RANDOM = np.random.default_rng(0)
ROWS, EPOCHS, BATCH = 50, 3, 16  # 50 rows: three full batches and a rest of 2
X = {
    "real": RANDOM.normal(size=(ROWS, 3)).astype(np.float32),
    "colour": RANDOM.integers(0, 5, ROWS).astype(np.int32),
    "count": RANDOM.integers(0, 9, (ROWS, 2)).astype(np.int32),
}
Y = {
    "kind": RANDOM.integers(0, 3, ROWS).astype(np.int32),
    "size": (X["real"][:, :1] + 0.1 * RANDOM.normal(size=(ROWS, 1))).astype(np.float32),
}
KEY = jax.random.key(0)
HIDDEN, KIND, SIZE = ja.layers.dense(6), ja.layers.dense(3), ja.layers.dense(1)


def _init(key, spec):
    keys = jax.random.split(key, 4)
    width = spec["real"].shape[-1] + spec["count"].shape[-1] + 2
    made = {"hidden": (HIDDEN, width), "kind": (KIND, 6), "size": (SIZE, 6)}
    params = {
        name: layer.init(k, jax.ShapeDtypeStruct((1, w), jnp.float32))[0]
        for (name, (layer, w)), k in zip(made.items(), keys, strict=False)
    }
    return params | {"colours": jax.random.normal(keys[3], (5, 2))}, {}


def _apply(params, state, x, *, key=None, train=False):
    if x["count"].dtype != jnp.float32:  # what rejects whole numbers, whatever JAX's promotion of dtypes is
        raise TypeError("counts are to be floats")
    z = jnp.concatenate([x["real"], x["count"] / 9, params["colours"][x["colour"]]], -1)  # a table takes no floats
    h = jnp.tanh(HIDDEN.apply(params["hidden"], {}, z)[0])
    heads = {"kind": KIND.apply(params["kind"], {}, h)[0], "size": SIZE.apply(params["size"], {}, h)[0]}
    return heads, state


MODEL = ja.layers.custom(_init, _apply)


def loss(predictions, targets):
    """The sum of both heads' losses."""
    kinds = ja.losses.softmax_cross_entropy(predictions["kind"], targets["kind"])
    return kinds + ja.losses.squared_error(predictions["size"], targets["size"])[:, 0]


def hits(predictions, targets):
    """The share of kinds that are right: a figure of one head."""
    return jnp.mean((jnp.argmax(predictions["kind"], -1) == targets["kind"]).astype(jnp.float32))


def build(hyper: dict[str, Any]) -> Any:
    return ja.recipe(MODEL, loss, ja.optimizers.sgd(hyper["rate"], momentum=0.9), metrics={"hits": hits})


RECIPE = build({"rate": 0.1})
FITTED: dict[str, ja.train.Result] = {}


def fitted() -> ja.train.Result:
    if not FITTED:
        FITTED["it"] = fit()
    return FITTED["it"]


def fit(x=X, y=Y, *rest, recipe=RECIPE, **how) -> ja.train.Result:
    setting = {"key": KEY, "epochs": EPOCHS, "batch_size": BATCH, "validation": (X, Y)} | how
    return ja.fit(recipe, (x, y, *rest), **setting)


def close(a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-6) -> None:
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for p, q in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(p, q, rtol=rtol, atol=atol)


def test_fit_is_a_plain_loop_over_the_same_batches():
    data = Batch({n: jnp.asarray(v, jnp.float32 if n == "count" else None) for n, v in X.items()},
                 jax.tree.map(jnp.asarray, Y))  # fmt: skip
    params = fit(epochs=0).params
    speed = jax.tree.map(lambda p: np.zeros(p.shape, p.dtype), params)

    @jax.jit
    def step(params, speed, x, y):
        def cost(p):
            predictions = _apply(p, {}, x)[0]
            return jnp.mean(loss(predictions, y)), predictions

        (value, predictions), grads = jax.value_and_grad(cost, has_aux=True)(params)
        speed = jax.tree.map(lambda s, g: 0.9 * s + g, speed, grads)
        return jax.tree.map(lambda p, s: p - 0.1 * s, params, speed), speed, value, hits(predictions, y)

    @functools.partial(jax.jit, static_argnums=2)
    def drawn(epoch, number, last):
        return batch_of(KEY, epoch, number, data, batch_size=BATCH, shuffle=True, last=last)

    losses, rates = [], []
    for epoch in range(EPOCHS):
        total, right = 0.0, 0.0
        for number in range(4):
            batch, mask, _ = drawn(np.int32(epoch), np.int32(number), number == 3)
            assert mask is None and batch.x["colour"].dtype == jnp.int32
            rows = len(batch.y["kind"])
            params, speed, value, share = step(params, speed, batch.x, batch.y)
            total, right = total + float(value) * rows / ROWS, right + float(share) * rows / ROWS
        losses.append(total)
        rates.append(right)
    result = fitted()
    close(result.params, params, rtol=1e-4)
    np.testing.assert_allclose(result.history["loss"], losses, rtol=1e-5)
    np.testing.assert_allclose(result.history["hits"], rates, rtol=1e-5)
    _, _, value, figure = step(params, speed, data.x, data.y)
    np.testing.assert_allclose(result.history["validation_loss"][-1], value, rtol=1e-4)
    np.testing.assert_allclose(result.history["validation_hits"][-1], figure, rtol=1e-5)


def test_every_verb_takes_the_same_trees():
    result = fitted()
    weights = (result.params, result.state)
    found = ja.train.evaluate(RECIPE, *weights, (X, Y), batch_size=BATCH)
    np.testing.assert_allclose(found["loss"], result.history["validation_loss"][-1], rtol=1e-5)
    np.testing.assert_allclose(found["hits"], result.history["validation_hits"][-1], rtol=1e-6)
    heads = ja.predict(RECIPE, *weights, X, batch_size=BATCH)
    assert jax.tree.map(jnp.shape, heads) == {"kind": (ROWS, 3), "size": (ROWS, 1)}
    np.testing.assert_allclose(hits(heads, Y), found["hits"], rtol=1e-6)
    nothing = ja.predict(RECIPE, *weights, jax.tree.map(lambda a: a[:0], X))
    assert jax.tree.map(jnp.shape, nothing) == {"kind": (0, 3), "size": (0, 1)}
    draws = ja.train.monte_carlo_predict(RECIPE, *weights, X, key=KEY, samples=2)
    close(jax.tree.map(lambda a: a[1], draws), heads)

    run = ja.train.make_run(RECIPE, epochs=EPOCHS, batch_size=BATCH)
    alone = jax.jit(run)(KEY, (X, Y), (X, Y))
    close(alone.params, result.params)
    exported = ja.train.export_run(None, build, {"rate": 0.1}, (X, Y), validation=(X, Y), epochs=EPOCHS,
                                   batch_size=BATCH)  # fmt: skip
    again = exported.call(np.uint32(0), {"rate": np.float32(0.1)}, (X, Y), (X, Y))
    close(again["params"], result.params)
    np.testing.assert_allclose(again["history"]["hits"], result.history["hits"], rtol=1e-6)


def test_members_of_a_population_are_their_single_runs():
    keys = jax.random.split(jax.random.key(4), 3)
    many = ja.train.fit_population(build, {"rate": [0.1, 0.05, 0.2]}, (X, Y), keys=keys, epochs=EPOCHS,
                                   batch_size=BATCH, validation=(X, Y))  # fmt: skip
    heads = many.predict(X)
    assert jax.tree.map(jnp.shape, heads) == {"kind": (3, ROWS, 3), "size": (3, ROWS, 1)}
    for member in range(3):
        one = fit(recipe=many.recipe(member), key=keys[member])
        close(many.member(member).params, one.params, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(many.history["validation_hits"][member], one.history["validation_hits"], atol=1e-6)
        predicted = ja.predict(many.recipe(member), one.params, one.state, X)
        close(jax.tree.map(lambda a, m=member: a[m], heads), predicted, rtol=1e-3, atol=1e-4)
    cut = [jax.tree.map(lambda a, s=s: a[s], (X, Y)) for s in (slice(0, 25), slice(25, 50))]
    own = ja.train.fit_population(build, {"rate": [0.1] * 3}, cut, dataset=[0, 1, 1], keys=keys, epochs=EPOCHS,
                                  batch_size=BATCH)  # fmt: skip
    for member, which in enumerate([0, 1, 1]):
        one = fit(*cut[which], recipe=own.recipe(member), key=keys[member], validation=None)
        close(own.member(member).params, one.params, rtol=1e-3, atol=1e-4)


def test_weights_of_examples_and_of_one_whole_tree_of_targets():
    weights = RANDOM.uniform(0, 2, ROWS).astype(np.float32)
    result = fit(X, Y, weights, recipe=build({"rate": 0.0}), epochs=1, validation=(X, Y, weights))
    heads = ja.predict(RECIPE, result.params, result.state, X)
    expected = (weights * np.asarray(loss(heads, Y))).sum() / weights.sum()
    np.testing.assert_allclose(result.history["loss"], [expected], rtol=1e-5)
    np.testing.assert_allclose(result.history["validation_loss"], [expected], rtol=1e-5)


@pytest.mark.parametrize("dtype", [np.int8, np.uint16, np.int64, bool])
def test_whole_numbers_of_any_dtype_train_as_int32_and_floats(dtype):
    as_dtype = X | {"count": (X["count"] > 3).astype(dtype), "colour": X["colour"].astype(np.int64)}
    as_float = X | {"count": (X["count"] > 3).astype(np.float32)}
    assert equal_bits(fit(as_dtype, validation=None).params, fit(as_float, validation=None).params)


def _put(name: str, value: Any) -> dict[str, Any]:
    return X | {name: value}


def _without(tree: dict[str, Any], name: str) -> dict[str, Any]:
    return {other: value for other, value in tree.items() if other != name}


NAN = X["real"].copy()
NAN[2, 1] = np.nan
REFUSED = {
    "lengths of x": (lambda: fit(_put("count", X["count"][:49])), "train x['count']", "49 rows"),
    "lengths of y": (lambda: fit(X, Y | {"size": Y["size"][:49]}), "train y['size']", "49 rows"),
    "x and y": (lambda: fit(X, jax.tree.map(lambda a: a[:49], Y)), "train y['kind']", "49 rows"),
    "strings": (lambda: fit(_put("colour", np.array(["red"] * ROWS))), "train x['colour']", "<U3"),
    "NaN": (lambda: fit(_put("real", NAN)), "train x['real']", "row 2, column 1"),
    "NaN in y": (lambda: fit(X, Y | {"size": NAN[:, 1:2]}), "train y['size']", "row 2"),
    "None": (lambda: fit(_put("real", None)), "train x['real']", "None"),
    "a number": (lambda: fit(_put("real", np.float32(3))), "train x['real']", "shape ()"),
    "no x": (lambda: fit({}), "train x", "{}"),
    "no y": (lambda: fit(X, {}), "train y", "{}"),
    "an empty dict inside": (lambda: fit(_put("real", {})), "train x['real']", "{}"),
    "no features": (lambda: fit(_put("real", X["real"][:, :0])), "train x['real']", "shape (50, 0)"),
    "weights": (lambda: fit(X, Y, np.ones(49)), "train weights", "(49,)"),
    "a head missing": (lambda: fit(validation=(X, _without(Y, "size"))), "validation y", "validation y['kind']"),
    "an input missing": (lambda: fit(validation=(_without(X, "count"), Y)), "validation x", "validation x['real']"),
    "an input more": (lambda: fit(validation=(_put("more", X["real"]), Y)), "validation x", "x['more']"),
    "other lengths": (lambda: fit(validation=(_put("real", NAN[3:]), Y)), "validation x['real']", "47 rows"),
    "fewer features": (lambda: fit(validation=(_put("real", X["real"][:, :2]), Y)), "validation x['real']", "2)"),
    "predict": (lambda: ja.predict(RECIPE, {}, {}, _put("real", NAN)), "x['real']", "row 2, column 1"),
    "predict lengths": (lambda: ja.predict(RECIPE, {}, {}, _put("real", NAN[3:])), "x['real']", "47 rows"),
    "evaluate": (lambda: ja.train.evaluate(RECIPE, {}, {}, (_put("real", NAN), Y)), "data x['real']", "row 2"),
    "population": (
        lambda: ja.train.fit_population(build, {"rate": [0.1]}, (_put("real", NAN), Y), keys=KEYS, epochs=1),
        "train x['real']",
        "row 2, column 1",
    ),
    "export": (
        lambda: ja.train.export_run(None, build, {"rate": 0.1}, (X, Y | {"size": np.array(["a"] * 50)}), epochs=1),
        "train y['size']",
        "<U1",
    ),
    "run": (
        lambda: jax.eval_shape(ja.train.make_run(RECIPE, epochs=1), KEY, (_put("count", X["count"][:9]), Y)),
        "train x['count']",
        "9 rows",
    ),
}
KEYS = jax.random.split(KEY, 1)


@pytest.mark.parametrize("case", REFUSED)
def test_refused_by_the_name_of_the_leaf(case: str):
    call, argument, given = REFUSED[case]
    assert_input_error(call, argument, given=given)


class _Named(NamedTuple):
    values: Any
    mask: Any  # numbers, and no mask of a sequence


def test_missing_numbers_are_found_by_what_they_are_and_not_by_a_name():
    def apply(params, state, x, *, key=None, train=False):
        return HIDDEN.apply(params, {}, x.values + x.mask)[0], state

    def init(key, spec):
        return HIDDEN.init(key, spec.values)

    holes = X["real"].copy()
    holes[3, 1] = np.nan
    recipe = ja.recipe(ja.layers.custom(init, apply), ja.losses.squared_error, ja.optimizers.sgd(0.1))
    data = _Named(X["real"], holes), np.zeros((ROWS, 6), np.float32)
    assert_input_error(lambda: ja.fit(recipe, data, key=KEY, epochs=1), "train x.mask", given="row 3, column 1")
