"""Cross-validation: every score is that of a single run on the fold's own rows."""

from __future__ import annotations

import functools
from typing import Any

import jax
import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

import jaxann as ja
from tests.contract import assert_input_error
from tests.train.problems import compiles
from tests.tune.problems import SETTING, build, digits

RATES = {"learning_rate": [1e-3, 1e-2, 3e-2]}
KEY = jax.random.key(3)
PAIRS = ja.tune.k_fold(203, 5)


def validate(**changes: Any) -> ja.tune.Table:
    setting = {"key": KEY, "epochs": 5, "folds": 5} | SETTING | changes
    hyperparameters = setting.pop("hyperparameters", RATES)
    return ja.tune.cross_validate(
        setting.pop("build", build), hyperparameters, setting.pop("data", digits()), **setting
    )


def stopping_after(patience: int, **changes: Any) -> Any:
    """`build` with early stopping."""
    return functools.partial(build, stopping=ja.train.early_stopping(patience, **changes))


def member_key(repeat: int, repeats: int) -> jax.Array:
    return jax.random.split(ja.core.fold_name(KEY, "members"), repeats)[repeat]


def assert_scores_are_single_runs(
    table: ja.tune.Table, pairs, change=None, build=build, epochs: int | None = 5, batch_size: int | None = 32
) -> None:
    x, y = digits()
    for number, (train, tested) in enumerate(pairs):
        apply = (lambda rows: rows) if change is None else change(x[train], y[train])
        own, outside = ((apply(x[rows]).astype(np.float32), y[rows]) for rows in (train, tested))
        for index in (0, len(table) - 1):
            recipe = build(table.setting(index))
            one = ja.fit(recipe, own, key=member_key(number, len(pairs)), validation=outside, epochs=epochs,
                         batch_size=batch_size)  # fmt: skip
            figures = ja.train.evaluate(recipe, one.params, one.state, outside)
            assert table.scores["loss"][index, number] == pytest.approx(figures["loss"], rel=1e-4)
            assert table.scores["accuracy"][index, number] == pytest.approx(figures["accuracy"], abs=1e-6)


def test_scores_are_those_of_single_runs_on_folds_of_two_sizes():
    pairs = ja.tune.k_fold(203, 5)
    assert len({len(train) for train, _ in pairs}) == 2
    assert_scores_are_single_runs(validate(folds=pairs), pairs)


def test_scores_with_early_stopping_are_those_of_the_best_epoch():
    pairs = ja.tune.k_fold(203, 3)
    patient = stopping_after(1)
    table = validate(build=patient, folds=pairs, epochs=20)
    assert len(np.unique(table.epochs)) > 1
    assert_scores_are_single_runs(table, pairs, build=patient, epochs=20)


def test_folds_with_other_numbers_of_steps():
    pairs = ja.tune.time_series_split(203, 3)
    assert_scores_are_single_runs(validate(folds=pairs), pairs)


def test_a_metric_of_whole_arrays_sees_no_padding():
    def share_of_first(predictions, targets):
        return (predictions.argmax(-1) == targets).astype(np.float32).mean() + targets.shape[0]

    pairs = ja.tune.k_fold(203, 5)
    table = validate(build=functools.partial(build, metrics={"accuracy": share_of_first}), folds=pairs)
    sizes = np.array([len(tested) for _, tested in pairs])
    plain = validate(folds=pairs)
    np.testing.assert_allclose(table.scores["accuracy"] - sizes, plain.scores["accuracy"], atol=1e-5)


def test_prepare_learns_from_training_rows_alone():
    def prepare(x, y):
        return StandardScaler().fit(x).transform

    pairs = ja.tune.k_fold(203, 5)
    assert_scores_are_single_runs(validate(folds=ja.tune.resampling(pairs, prepare=prepare)), pairs, prepare)


def test_a_number_of_folds_is_stratified_for_labels():
    table = validate(folds=ja.tune.resampling(4, repeats=2))
    assert table.scores["accuracy"].shape == (3, 8) and (table.epochs == 5).all()
    pairs = ja.tune.stratified_k_fold(digits()[1], 4, key=ja.core.fold_name(KEY, "folds"))
    first = validate(folds=ja.tune.resampling(pairs, repeats=2))
    np.testing.assert_array_equal(table.scores["loss"], first.scores["loss"])


def test_another_search_of_the_same_structure_compiles_nothing():
    validate()
    before = compiles()
    validate(hyperparameters={"learning_rate": np.array([2e-3, 5e-3, 1e-4])}, epochs=3)
    assert compiles() == before


def test_a_diverging_setting_ranks_last():
    with pytest.warns(ja.DivergedWarning, match="5 of 15 members"):
        table = validate(hyperparameters={"learning_rate": [3e38, 1e-2, 1e-3]})
    assert np.isnan(table.mean["accuracy"][0]) and table.order[-1] == 0 and table.best["learning_rate"] == 1e-2


def test_plateau_schedules_see_the_validation_loss():
    def made(hyper):
        rate = ja.schedules.reduce_on_plateau(hyper["learning_rate"], patience=1, rtol=0.5)
        return build(hyper, optimizer=ja.optimizers.adam(rate))

    x, y = digits()
    (train, tested), *_ = pairs = ja.tune.k_fold(203, 3)
    table = validate(build=made, folds=pairs)
    one = ja.fit(made({"learning_rate": 1e-2}), (x[train], y[train]), validation=(x[tested], y[tested]),
                 key=member_key(0, 3), epochs=5, batch_size=32)  # fmt: skip
    assert table.scores["loss"][1, 0] == pytest.approx(one.history["validation_loss"][-1], rel=1e-4)


def test_nested_without_settings():
    def made(hyper):
        return build({"learning_rate": 1e-2})

    found = ja.tune.nested_cross_validate(
        made, {}, digits(), key=KEY, epochs=1, outer=np.int64(2), inner=2, batch_size=32
    )
    assert found.chosen == [{}, {}] and np.isfinite(found.scores["loss"]).all()


def test_nested_scores_are_of_rows_that_chose_nothing():
    x, y = digits()
    outer = ja.tune.k_fold(203, 3)
    twice = ja.tune.resampling(outer, repeats=2)
    found = ja.tune.nested_cross_validate(build, RATES, (x, y), key=KEY, epochs=5, outer=twice, inner=2, **SETTING)
    assert found.scores["accuracy"].shape == (3,) and len(found.tables) == 3 == len(found.chosen)
    for table, setting in zip(found.tables, found.chosen, strict=True):
        assert table.scores["accuracy"].shape == (3, 4) and setting == table.best
    keys = jax.random.split(ja.core.fold_name(ja.core.fold_name(KEY, "final"), "members"), 6)
    for number, (train, tested) in enumerate(outer):
        expected = []
        for repeat in (number, number + 3):
            recipe = build(found.chosen[number])
            one = ja.fit(recipe, (x[train], y[train]), key=keys[repeat], epochs=5, batch_size=32)
            figures = ja.train.evaluate(recipe, one.params, one.state, (x[tested], y[tested]))
            expected.append(figures["accuracy"])
        assert found.scores["accuracy"][number] == pytest.approx(np.mean(expected), abs=1e-6)


def test_a_name_that_build_misses_is_told_with_those_there_are():
    for columns, names in (({}, "none"), ({"rate": [1e-3]}, "rate")):
        with pytest.raises(KeyError, match="learning_rate") as caught:
            validate(build=lambda hyper: build({"learning_rate": hyper["learning_rate"]}), hyperparameters=columns)
        assert caught.value.__notes__ == [f"cross_validate called build with the names: {names}."]


@pytest.mark.parametrize(
    ("argument", "change"),
    [
        ("key", {"key": 0}),
        ("epochs", {"epochs": 0}),
        ("epochs", {"epochs": None}),
        ("epochs", {"epochs": None, "build": functools.partial(build, epochs=0)}),
        ("folds", {"folds": 1}),
        ("folds", {"data": (digits()[0], np.arange(203) // 2), "folds": 5}),
        ("folds", {"folds": None}),
        ("monitor of stopping", {"build": stopping_after(3, monitor="validation_auc")}),
        ("monitor of the recipe's stopping", {"build": stopping_after(3, monitor="accuracy", mode="max")}),
        ("hyperparameters", {"hyperparameters": {"learning_rate": []}}),
        ("prepare", {"folds": ja.tune.resampling(PAIRS, prepare=lambda x, y: 3)}),
        ("build", {"build": lambda hyper: ja.models.mlp((10,))}),
        ("build", {"build": "adam"}),
        ("build", {"build": lambda: build({})}),
        ("folds", {"folds": [([0, 1], [1, 2])]}),
        ("train x", {"data": (np.full_like(digits()[0], np.nan), digits()[1])}),
    ],
)
def test_refusals(argument: str, change: dict[str, Any]):
    assert_input_error(lambda: validate(**({"folds": PAIRS} | change)), argument)
