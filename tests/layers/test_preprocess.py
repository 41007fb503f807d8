"""Preprocessing inside a model: learned from the training rows of each run, saved with the weights."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

import jaxann as ja
from jaxann import layers, preprocessing
from jaxann.core import Padded
from jaxann.layers import fit_preprocessing
from tests.contract import assert_input_error
from tests.tolerances import close

RANDOM = np.random.default_rng(3)
X = (RANDOM.normal(size=(60, 4)) * [1, 20, 0.1, 3] + [0, 100, -2, 5]).astype(np.float32)
Y = (X[:, :1] + X[:, 1:2] / 20).astype(np.float32)
KEY = jax.random.key(0)


def model(preprocessor=None) -> layers.Layer:
    prepared = layers.preprocess(preprocessing.standard() if preprocessor is None else preprocessor)
    return layers.sequential({"prepare": prepared, "net": ja.models.mlp((8, 1))})


def recipe(rate=1e-2, **options):
    return ja.recipe(model(), ja.losses.squared_error, ja.optimizers.adam(rate), **options)


def assert_learned_from(state, rows) -> None:
    scaler = StandardScaler().fit(np.asarray(rows, np.float64))
    np.testing.assert_allclose(state["prepare"]["mean"], scaler.mean_, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(state["prepare"]["scale"], scaler.scale_, rtol=1e-5)


def test_a_run_learns_from_its_training_rows_and_predicts_from_raw_ones(tmp_path):
    result = ja.fit(recipe(), (X[:40], Y[:40]), validation=(X[40:], Y[40:]), key=KEY, epochs=2, batch_size=8)
    assert_learned_from(result.state, X[:40])
    predicted = ja.predict(model(), result.params, result.state, X[40:])
    ja.save(tmp_path / "net.safetensors", model(), result.params, result.state)
    again = ja.load(tmp_path / "net.safetensors")
    np.testing.assert_array_equal(ja.predict(*again, X[40:]), predicted)
    mean, scale = (np.asarray(result.state["prepare"][name]) for name in ("mean", "scale"))
    scaled = (X[40:] - mean) / scale
    alone = ja.predict(ja.models.mlp((8, 1)), result.params["net"], result.state["net"], scaled)
    np.testing.assert_allclose(predicted, alone, rtol=close("float32", "program"), atol=1e-6)


def test_the_pure_run_and_the_population_learn_the_same():
    settings = {"epochs": 2, "batch_size": 8}
    expected = ja.fit(recipe(), (X, Y), key=KEY, **settings)
    run = ja.train.make_run(recipe(), **settings)
    found = run(KEY, (jnp.asarray(X), jnp.asarray(Y)))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), expected.state, found.state)
    keys = jax.random.split(KEY, 2)
    both = ja.train.fit_population(
        lambda h: recipe(h["rate"]), {"rate": np.array([1e-2, 1e-3])}, (X, Y), keys=keys, **settings
    )
    for member in range(2):
        assert_learned_from(both.member(member).state, X)


def test_rows_of_weight_zero_and_rows_of_other_folds_count_for_nothing():
    for shape in ((60,), (60, 1)):
        weights = np.ones(shape, np.float32)
        weights[25:] = 0
        result = ja.fit(recipe(), (X, Y, weights), key=KEY, epochs=1, batch_size=8)
        assert_learned_from(result.state, X[:25])
    wild = X.copy()
    wild[30:] = 1e6  # the rows of the other fold: what is learned from them as well would show
    pairs = [(np.arange(30), np.arange(30, 60)), (np.arange(32, 58), np.arange(30))]
    folds = ja.tune.cross_validate(
        lambda h: recipe(h["rate"]), {"rate": [1e-2]}, (wild, Y), folds=pairs, key=KEY, epochs=1, batch_size=8,
        out_of_fold=True,
    )  # fmt: skip
    total = np.zeros((60, 1))
    keys = jax.random.split(ja.core.fold_name(KEY, "members"), 2)
    for key, (train, tested) in zip(keys, pairs, strict=True):
        one = ja.fit(recipe(), (wild[train], Y[train]), key=key, epochs=1, batch_size=8)
        assert_learned_from(one.state, wild[train])
        total[tested] = ja.predict(model(), one.params, one.state, wild[tested])
    np.testing.assert_allclose(folds.out_of_fold[0], total, rtol=1e-3, atol=1e-5)


def test_weights_that_are_given_keep_what_they_learned():
    first = ja.fit(recipe(), (X[:20], Y[:20]), key=KEY, epochs=1, batch_size=8)
    second = ja.fit(recipe(), (X[20:], Y[20:]), key=KEY, epochs=1, batch_size=8, initial=(first.params, first.state))
    assert_learned_from(second.state, X[:20])


def test_a_loop_of_ones_own_asks_for_it():
    net = model(preprocessing.chain(preprocessing.robust(), preprocessing.standard()))
    params, state = net.init(KEY, X)
    assert np.isnan(net.apply(params, state, X)[0]).all()
    mask = np.arange(60) < 30
    learned = fit_preprocessing(net, params, state, X, example_mask=mask)
    other = fit_preprocessing(net, params, state, X[:30])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), learned, other)
    assert np.isfinite(net.apply(params, learned, X)[0]).all()


def test_what_cannot_be_learned_is_refused():
    assert_input_error(lambda: layers.preprocess(layers.dense(3)), "preprocessor", given="dense")
    masking = preprocessing.chain(preprocessing.impute(), preprocessing.outliers())
    assert_input_error(lambda: layers.preprocess(masking), "preprocessor", given="outliers")
    assert layers.preprocess(preprocessing.chain(preprocessing.outliers(), preprocessing.impute()))
    fresh = model().init(KEY, X)
    refused = lambda: ja.fit(recipe(), (X, Y), key=KEY, epochs=1, initial=fresh)  # noqa: E731
    assert "fit_preprocessing" in assert_input_error(refused, "initial state.prepare.mean")
    few = ja.recipe(model(preprocessing.pca(4)), ja.losses.squared_error, ja.optimizers.adam(1e-2))
    assert_input_error(lambda: ja.fit(few, (X[:3], Y[:3]), key=KEY, epochs=1), "x", given="3")
    branch = layers.branch({"a": layers.preprocess(preprocessing.standard()), "b": layers.dense(4)})
    params, state = branch.init(KEY, X)
    assert_input_error(lambda: fit_preprocessing(branch, params, state, X), "model", given="branch")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_inputs_by_name_and_the_dtype_of_the_data(dtype: str):
    net = layers.preprocess(preprocessing.by_name({"a": preprocessing.min_max(), "b": None}))
    x = {"a": jnp.asarray(X, dtype), "b": np.arange(60, dtype=np.int32)}
    params, state = net.init(KEY, x)
    state = fit_preprocessing(net, params, state, x)
    y, _ = net.apply(params, state, x)
    assert y["a"].dtype == dtype and y["b"].dtype == np.int32
    assert float(y["a"].min()) == 0 and float(y["a"].max()) == 1


def test_missing_numbers_are_let_in_where_something_takes_their_place():
    holes = X.copy()
    holes[::5, 2] = np.nan
    fills = preprocessing.chain(preprocessing.impute(), preprocessing.standard())
    filling = ja.recipe(model(fills), ja.losses.squared_error, ja.optimizers.adam(1e-2))
    settings = {"key": KEY, "epochs": 1, "batch_size": 8}
    result = ja.fit(filling, (holes, Y), validation=(holes[:9], Y[:9]), **settings)
    assert np.isfinite(ja.predict(filling, result.params, result.state, holes)).all()
    assert np.isfinite(ja.train.evaluate(filling, result.params, result.state, (holes, Y))["loss"])
    table = ja.tune.cross_validate(lambda h: filling, {"a": [1.0]}, (holes, Y), folds=2, **settings)
    assert np.isfinite(table.scores["loss"]).all()
    inside = ja.tune.resampling(2, prepare=fills)
    plain = ja.recipe(ja.models.mlp((8, 1)), ja.losses.squared_error, ja.optimizers.adam(1e-2))
    table = ja.tune.cross_validate(lambda h: plain, {"a": [1.0]}, (holes, Y), folds=inside, **settings)
    assert np.isfinite(table.scores["loss"]).all()
    place = "row 0, column 2"
    for refused in (
        lambda: ja.fit(recipe(), (holes, Y), **settings),
        lambda: ja.fit(recipe(), (X, Y), validation=(holes, Y), **settings),
        lambda: ja.tune.cross_validate(lambda h: plain, {"a": [1.0]}, (holes, Y), folds=2, **settings),
        lambda: ja.predict(plain.model, result.params["net"], result.state["net"], holes),
        lambda: ja.train.evaluate(recipe(), result.params, result.state, (holes, Y)),
    ):
        assert_input_error(refused, "x", given=place)
    with pytest.raises(ja.InputError, match="finite, got 1 of 240"):
        ja.fit(filling, (np.where(np.arange(240).reshape(60, 4) == 7, np.inf, holes), Y), **settings)


def test_missing_numbers_are_refused_where_nothing_takes_their_place():
    holes = X.copy()
    holes[4, 1] = np.nan

    def fitted(filling: tuple[int, ...], rest: tuple[int, ...]):
        table = {"filled": preprocessing.impute(), "rest": None}
        own = model(preprocessing.by_columns(table, columns={"filled": filling, "rest": rest}))
        own = ja.recipe(own, ja.losses.squared_error, ja.optimizers.adam(1e-2))
        return ja.fit(own, (holes, Y), key=KEY, epochs=1)

    assert fitted((1,), (0, 2, 3)).status == ja.train.Status.FINISHED
    assert_input_error(lambda: fitted((0, 2, 3), (1,)), "train x, columns 'rest'", given="row 4, column 0")
    table = {"filled": preprocessing.impute(), "rest": None}
    some = preprocessing.by_columns(table, columns={"filled": (1,), "rest": (0, 2, 3)})
    others = preprocessing.by_columns(table, columns={"filled": (0, 2, 3), "rest": (1,)})

    def after_a_step(step):
        own = model(preprocessing.chain(preprocessing.standard(), step))
        own = ja.recipe(own, ja.losses.squared_error, ja.optimizers.adam(1e-2))
        return ja.fit(own, (holes, Y), key=KEY, epochs=1)

    assert after_a_step(some).status == ja.train.Status.FINISHED
    assert_input_error(lambda: after_a_step(others), "train x, columns 'rest'", given="row 4, column 0")
    fewer = preprocessing.chain(
        preprocessing.select_columns((1, 2)), preprocessing.by_columns(table, columns={"filled": (0,), "rest": (1,)})
    )
    assert_input_error(lambda: ja.predict(layers.preprocess(fewer), {}, {}, holes), "x", given="row 4, column 1")
    prepared = preprocessing.by_name({"a": preprocessing.impute(), "b": preprocessing.chain(preprocessing.standard())})
    net = layers.remat(layers.preprocess(prepared))
    _, state = net.init(KEY, {"a": X, "b": X})
    state = fit_preprocessing(net, {}, state, {"a": holes, "b": X})
    assert np.isfinite(ja.predict(net, {}, state, {"a": holes, "b": X})["a"]).all()
    assert_input_error(lambda: ja.predict(net, {}, state, {"a": X, "b": holes}), "x['b']", given="row 4, column 1")


def test_it_is_learned_where_a_layer_computes_it_again():
    again = layers.remat(layers.preprocess(preprocessing.standard()))
    net = layers.sequential({"prepare": again, "net": ja.models.mlp((8, 1))})
    state = fit_preprocessing(net, *net.init(KEY, X), X)
    assert_learned_from(state, X)


def test_positions_of_padding_count_for_nothing_in_any_step_and_any_input():
    mask = np.arange(5) < np.arange(1, 5)[:, None]
    values = RANDOM.normal(size=(4, 5, 2)).astype(np.float32)
    values[~mask] = 1e6
    steps = preprocessing.chain(preprocessing.impute(indicators=True), preprocessing.standard())
    net = layers.preprocess(preprocessing.by_name({"a": steps, "b": preprocessing.standard()}))
    x = {"a": Padded(values, mask), "b": X[:4]}
    params, state = net.init(KEY, x)
    state = fit_preprocessing(net, params, state, x, example_mask=np.arange(4) < 3)
    real = values[:3][mask[:3]]
    np.testing.assert_allclose(state["a"]["step1"]["mean"], [*real.mean(0), 0, 0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(state["b"]["mean"], X[:3].mean(0), rtol=1e-5)
    y, _ = net.apply(params, state, x)
    np.testing.assert_array_equal(y["a"].mask, mask)
    np.testing.assert_allclose(y["a"].values[:3][mask[:3]][:, :2].mean(0), 0, atol=1e-5)


def test_the_backward_pass_by_hand_ends_there():
    loss, y = ja.losses.squared_error, np.zeros((60, 1), np.float32)
    noise = layers.sequential({"noise": layers.gaussian_noise(0.1), **model().children})
    for net in (model(), noise):
        params, state = net.init(KEY, X)
        state = fit_preprocessing(net, params, state, X)
        _, found = ja.backprop.value_and_grad(net, loss, train=False)(params, state, X, y)
        expected = jax.grad(lambda p, net=net, state=state: loss(net.apply(p, state, X)[0], y).mean())(params)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), found, expected)
    net = layers.sequential({"first": layers.dense(3), "prepare": layers.preprocess(preprocessing.standard())})
    params, state = net.init(KEY, X)
    state = fit_preprocessing(net, params, state, X)
    y = np.zeros((60, 3), np.float32)
    with pytest.raises(ja.InputError, match="layer 'first' must be without parameters before 'prepare'"):
        ja.backprop.value_and_grad(net, loss, train=False)(params, state, X, y)


def test_a_population_takes_missing_numbers_where_every_member_does():
    holes = X.copy()
    holes[4, 1] = np.nan
    steps = preprocessing.chain(preprocessing.impute(), preprocessing.standard())

    def trained(kinds: list[bool]):
        def build(hyper):
            own = model(steps) if hyper["fills"] else ja.models.mlp((8, 1))
            return ja.recipe(own, ja.losses.squared_error, ja.optimizers.sgd(1e-4))

        keys = jax.random.split(KEY, len(kinds))
        return ja.train.fit_population(build, {"fills": kinds}, (X, Y), keys=keys, epochs=1, batch_size=60)

    assert np.isfinite(trained([True]).predict(holes)).all()
    both = trained([True, False])
    both.predict(X)
    assert_input_error(lambda: both.predict(holes), "x", given="row 4, column 1")
