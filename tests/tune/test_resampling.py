"""What a search scores on, and whatever a recipe may have: in every search, or refused by name."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest
from sklearn.model_selection import KFold
from sklearn.preprocessing import StandardScaler

import jaxann as ja
from jaxann.tune import resampling
from jaxann.tune.resampling import as_resampling
from tests.contract import assert_input_error
from tests.tune.problems import RANKED, SETTING, build, digits

KEY = jax.random.key(3)
RATES = {"learning_rate": [1e-3, 1e-2, 3e-2]}
SPACE = {"learning_rate": ja.tune.log_uniform(1e-3, 1e-1)}
COMMON: dict[str, Any] = {"key": KEY, **SETTING}


def standardized(x, y):
    return StandardScaler().fit(x).transform


def cross_validate(build, **changes):
    setting = {"folds": 2, "epochs": 3} | COMMON | changes
    return ja.tune.cross_validate(build, setting.pop("hyperparameters", RATES), digits(), **setting)


def halving(build, **changes):
    setting = {"validation": digits(100), "epochs": 3, "factor": 3} | COMMON | changes
    return ja.tune.halving(build, setting.pop("hyperparameters", RATES), digits(), **setting)


def hyperband(build, **changes):
    setting = {"validation": digits(100), "epochs": 3} | COMMON | changes
    return ja.tune.hyperband(build, setting.pop("space", SPACE), digits(), **setting)


def bayes(build, **changes):
    setting = {"validation": digits(100), "epochs": 3, "trials": 2, "generation": 2} | COMMON | changes
    return ja.tune.bayes(build, setting.pop("space", SPACE), digits(), **setting)


def population_based(build, **changes):
    usual = {"validation": digits(100), "epochs": 3, "members": 2, "exploration": ja.tune.Exploration(interval=1)}
    setting = usual | COMMON | changes
    return ja.tune.population_based(build, setting.pop("space", SPACE), digits(), **setting)


def nested(build, **changes):
    setting = {"epochs": 3, "outer": 2, "inner": 2} | COMMON | changes
    return ja.tune.nested_cross_validate(build, setting.pop("hyperparameters", RATES), digits(), **setting)


SEARCHES = (cross_validate, halving, hyperband, bayes, population_based, nested)


def assert_refused(call: Callable, argument: str, **told: str) -> str:
    """Refused before anything is compiled but what the keys are folded with, by a call before."""
    with pytest.raises(ja.InputError):
        call()
    return assert_input_error(call, argument, **told)


def key_of(repeat: int, repeats: int) -> jax.Array:
    return jax.random.split(ja.core.fold_name(KEY, "members"), repeats)[repeat]


def test_a_validation_set_is_what_settings_are_scored_on():
    x, y = digits()
    table = cross_validate(build, folds=resampling(validation=digits(100), repeats=2))
    assert table.scores["loss"].shape == (3, 2)
    for repeat in (0, 1):
        recipe = build({"learning_rate": 1e-2})
        one = ja.fit(recipe, (x, y), key=key_of(repeat, 2), epochs=3, batch_size=32)
        figures = ja.train.evaluate(recipe, one.params, one.state, digits(100))
        assert table.scores["loss"][1, repeat] == pytest.approx(figures["loss"], rel=1e-4)
    plain = halving(build, min_epochs=3)
    same = halving(build, min_epochs=3, validation=resampling(validation=digits(100)))
    np.testing.assert_array_equal(plain.scores["loss"], same.scores["loss"])


def test_a_preparation_for_a_validation_set_is_learnt_from_the_training_rows():
    (x, y), (x_val, y_val) = digits(), digits(100)
    table = halving(build, validation=resampling(validation=(x_val, y_val), prepare=standardized), min_epochs=3)
    change = standardized(x, y)
    recipe, train = build({"learning_rate": 1e-2}), (change(x).astype(np.float32), y)
    one = ja.fit(recipe, train, key=key_of(0, 1), epochs=3, batch_size=32)
    figures = ja.train.evaluate(recipe, one.params, one.state, (change(x_val).astype(np.float32), y_val))
    assert table.scores["loss"][1, 0] == pytest.approx(figures["loss"], rel=1e-4)


@pytest.mark.parametrize("folds", [lambda: ja.tune.k_fold(203, 3), lambda: KFold(3).split(np.zeros(203))])
def test_folds_given_in_any_way_are_the_same(folds: Callable):
    bare, wrapped = (cross_validate(build, folds=given) for given in (folds(), resampling(folds())))
    np.testing.assert_array_equal(bare.scores["loss"], wrapped.scores["loss"])
    halved = halving(build, validation=resampling(folds()), min_epochs=3)
    np.testing.assert_allclose(halved.scores["loss"], bare.scores["loss"], rtol=1e-5)


def test_folds_repeats_and_preparation_inside_every_ranking_search():
    twice = resampling(2, prepare=standardized, repeats=2)
    for search in (halving, hyperband, bayes):
        table = search(build, validation=twice)
        assert table.scores["loss"].shape[1] == 4 and np.isfinite(table.mean["loss"][table.best_index])
    found = nested(build, outer=twice)
    assert found.scores["loss"].shape == (2,) and found.tables[0].scores["loss"].shape == (3, 4)


def test_resampling_refusals():
    assert_input_error(resampling, "folds or validation", given="neither")
    assert_input_error(lambda: resampling(3, validation=digits()), "folds or validation", given="both")
    assert_input_error(lambda: resampling(3, prepare=1), "prepare", given="1")
    assert_input_error(lambda: resampling(3, prepare=lambda x: x), "prepare", given="<lambda>(x)")
    assert_input_error(lambda: resampling(3, repeats=0), "repeats", given="0")
    assert_input_error(lambda: as_resampling("bayes", "validation", None), "validation", expected="resampling(folds=5)")
    assert_input_error(lambda: as_resampling("cross_validate", "folds", None), "folds", given="None")
    given = resampling(3)
    assert as_resampling("f", "folds", given) is given and as_resampling("f", "folds", 3) == given


def test_a_setting_that_moved_is_no_argument_any_more():
    for search, name in [(cross_validate, "patience"), (cross_validate, "metrics"), (halving, "folds"),
                         (halving, "least"), (hyperband, "monitor"), (bayes, "seeds"), (nested, "prepare"),
                         (population_based, "share"), (cross_validate, "lanes"), (bayes, "storage")]:  # fmt: skip
        with pytest.raises(TypeError, match=f"unexpected keyword argument '{name}'"):
            search(build, **{name: 1})


CHANGED = functools.partial(
    build,
    penalty=ja.regularizers.l2_penalty(0.05),
    augment=ja.data.mixup(0.4),
    shuffle=False,
    epochs=2,
    batch_size=101,
)


def assert_scores_are_a_single_run(scores: dict[str, float], recipe: Any, train: tuple, validation: tuple, key: Any):
    one = ja.fit(recipe, train, key=key)
    figures = ja.train.evaluate(recipe, one.params, one.state, validation)
    assert scores["loss"] == pytest.approx(figures["loss"], rel=1e-4)
    assert scores["accuracy"] == pytest.approx(figures["accuracy"], abs=1e-6)


@pytest.mark.parametrize("search", (cross_validate, halving, hyperband, bayes), ids=lambda search: search.__name__)
def test_whatever_a_recipe_has_is_heeded_by_every_search(search: Callable):
    scored = {"folds": resampling(validation=digits(100))} if search is cross_validate else {}
    table = search(CHANGED, batch_size=None, **scored)
    best = table.best_index
    assert table.epochs[best, 0] == 2
    scores = {name: values[best, 0] for name, values in table.scores.items()}
    assert_scores_are_a_single_run(scores, CHANGED(table.setting(best)), digits(), digits(100), key_of(0, 1))


def test_whatever_a_recipe_has_is_heeded_by_a_population_that_copies():
    found = population_based(
        CHANGED, batch_size=None, exploration=ja.tune.Exploration(interval=3)
    )  # so late that nothing is copied
    many = found.population
    assert (many.epochs_run == 2).all()
    for member in (0, 1):
        scores = {name: many.history[f"validation_{name}"][member, -1] for name in ("loss", "accuracy")}
        assert_scores_are_a_single_run(scores, many.recipe(member), digits(), digits(100), many.keys[member])


def test_whatever_a_recipe_has_is_heeded_inside_and_outside():
    (x, y), outer = digits(), ja.tune.k_fold(203, 2)
    found = nested(CHANGED, batch_size=None, outer=outer)
    assert all((table.epochs == 2).all() for table in found.tables)
    keys = jax.random.split(ja.core.fold_name(ja.core.fold_name(KEY, "final"), "members"), 2)
    for number, (train, tested) in enumerate(outer):
        scores = {name: values[number] for name, values in found.scores.items()}
        data = (x[train], y[train]), (x[tested], y[tested])
        assert_scores_are_a_single_run(scores, CHANGED(found.chosen[number]), *data, keys[number])


def test_each_setting_may_have_epochs_and_a_batch_size_of_its_own():
    def own(hyper):
        return build(hyper, epochs=hyper["epochs"], batch_size=hyper["size"])

    columns = {"epochs": [1, 4, 2], "size": [16, 32, 101], "learning_rate": [1e-2] * 3}
    table = cross_validate(own, hyperparameters=columns, epochs=None, batch_size=None)
    assert (table.epochs == [[1, 1], [4, 4], [2, 2]]).all()
    x, y = digits()
    pairs = ja.tune.stratified_k_fold(y, 2, key=ja.core.fold_name(KEY, "folds"))
    data = tuple((x[rows], y[rows]) for rows in pairs[1])
    for index in range(3):
        scores = {name: values[index, 1] for name, values in table.scores.items()}
        assert_scores_are_a_single_run(scores, own(table.setting(index)), *data, key_of(1, 2))


def test_a_member_that_stopped_early_counts_as_having_come_as_far():
    """Halving compares it at every later round by its best weights, and it trains no further."""
    patient = functools.partial(build, stopping=ja.train.early_stopping(1, min_delta=0.5))  # hardly ever better
    table = halving(patient, hyperparameters={"learning_rate": [1e-2, 2e-2, 1e-5, 2e-5]}, epochs=8, factor=2,
                    min_epochs=2)  # fmt: skip
    assert table.rounds is not None and sorted(table.rounds.tolist()) == [0, 0, 1, 2]
    last = int(table.rounds.argmax())
    assert table.epochs[last, 0] < 8, "stopped before the last round and was ranked in it"
    assert table.best_index == last
    recipe = patient(table.setting(last))
    one = ja.fit(recipe, digits(), validation=digits(100), key=key_of(0, 1), epochs=8, batch_size=32)
    assert one.epochs_run == table.epochs[last, 0]
    figures = ja.train.evaluate(recipe, one.params, one.state, digits(100))
    assert table.scores["loss"][last, 0] == pytest.approx(figures["loss"], rel=1e-4)


@pytest.mark.parametrize("search", (population_based, nested), ids=lambda search: search.__name__)
@pytest.mark.parametrize(
    "stopping",
    [
        ja.train.early_stopping(3, restore_best=False),
        ja.train.early_stopping(3),
        ja.train.early_stopping(None),
    ],
    ids=["stops", "stops and restores", "restores"],
)
def test_early_stopping_is_refused_by_name_where_it_would_mislead(search: Callable, stopping: Any):
    stops = functools.partial(build, stopping=stopping)
    message = assert_refused(lambda: search(stops), "stopping of the recipe", given="early_stopping(")
    assert "restore_best=False) only ranks" in message


@pytest.mark.parametrize("search", SEARCHES, ids=lambda search: search.__name__)
def test_recipes_that_monitor_different_things_are_refused(search: Callable):
    by = {
        "accuracy": ja.train.early_stopping(None, restore_best=False, **RANKED),
        "loss": ja.train.early_stopping(None, restore_best=False),
    }
    columns = {"by": ["accuracy", "loss"], "learning_rate": [1e-2, 1e-2]}
    given = search in (cross_validate, halving, nested)
    more: dict[str, Any] = {"hyperparameters": columns} if given else {"space": SPACE | {"by": columns["by"]}}
    more |= {"members": 8} if search is population_based else {"trials": 8, "generation": 8} if search is bayes else {}

    def ranked(hyper):
        return build(hyper, stopping=by[hyper["by"]])

    def measured(hyper):
        names = ("accuracy", "second") if hyper["by"] == "accuracy" else ("accuracy",)
        return build(hyper, metrics=dict.fromkeys(names, ja.metrics.accuracy))

    assert_refused(lambda: search(ranked, **more), "build", given="beside")
    assert_refused(lambda: search(measured, **more), "build", given="metrics accuracy")


def test_padded_sequences_with_a_weight_for_each_position_go_through_the_folds():
    x, y = digits()
    lengths, weights = y % 8 + 1, np.random.default_rng(0).uniform(0, 2, (203, 8)).astype(np.float32)
    sequences, labels = x.reshape(-1, 8, 8), np.repeat(y[:, None], 8, 1)
    pairs = ja.tune.k_fold(203, 2)

    def rows(chosen) -> tuple:
        of = [ja.core.padded(values[chosen], lengths[chosen]) for values in (sequences, labels)]
        return (*of, weights[chosen])

    def tagger(hyper):
        return ja.recipe(ja.layers.dense(10), ja.losses.softmax_cross_entropy, ja.optimizers.adam(1e-2))

    table = ja.tune.cross_validate(tagger, {}, rows(slice(None)), folds=pairs, epochs=2, **COMMON)
    assert len(table) == 1 and table.best == {}
    for number, (train, tested) in enumerate(pairs):
        one = ja.fit(tagger({}), rows(train), key=key_of(number, 2), epochs=2, **SETTING)
        figures = ja.train.evaluate(tagger({}), one.params, one.state, rows(tested))
        assert table.scores["loss"][0, number] == pytest.approx(figures["loss"], rel=1e-4)


def test_two_inputs_and_two_heads_are_prepared_and_scored():
    x, y = digits()
    whole = ja.layers.dense(11)

    def init(key, spec):
        return whole.init(key, jax.ShapeDtypeStruct((1, 64), np.float32))

    def apply(params, state, x, *, key=None, train=False):
        values, state = whole.apply(params, state, jax.numpy.concatenate([x["top"], x["bottom"]], -1))
        return {"digit": values[:, :10], "ink": values[:, 10]}, state

    def loss(predictions, targets):
        ink = ja.losses.squared_error(predictions["ink"], targets["ink"])
        return ja.losses.softmax_cross_entropy(predictions["digit"], targets["digit"]) + ink

    def heads(hyper):
        return ja.recipe(ja.layers.custom(init, apply), loss, ja.optimizers.adam(hyper["learning_rate"]))

    def centered(x, y):
        assert set(x) == {"top", "bottom"} and set(y) == {"digit", "ink"}
        mean = x["top"].mean(0)
        return lambda rows: {"top": rows["top"] - mean, "bottom": rows["bottom"]}

    def rows(chosen) -> tuple:
        return {"top": x[chosen, :32], "bottom": x[chosen, 32:]}, {"digit": y[chosen], "ink": x[chosen].mean(1)}

    pairs = ja.tune.k_fold(203, 2)
    folds = resampling(pairs, prepare=centered)
    table = ja.tune.cross_validate(heads, RATES, rows(slice(None)), folds=folds, epochs=2, **COMMON)
    for number, (train, tested) in enumerate(pairs):
        change = centered(*rows(train))
        own, outside = ((change(rows(side)[0]), rows(side)[1]) for side in (train, tested))
        recipe = heads(table.setting(1))
        one = ja.fit(recipe, own, key=key_of(number, 2), epochs=2, **SETTING)
        figures = ja.train.evaluate(recipe, one.params, one.state, outside)
        assert table.scores["loss"][1, number] == pytest.approx(figures["loss"], rel=1e-4)
