"""Known settings: every search and sampler begins with them, and goes on as it does without them."""

from __future__ import annotations

import jax
import numpy as np
import optuna
import pytest

import jaxann as ja
from tests.contract import assert_input_error
from tests.tune.problems import SETTING, build, digits

KEY = jax.random.key(3)
SPACE = {
    "learning_rate": ja.tune.log_uniform(1e-5, 1e-1),
    "optimizer": ["adam", "sgd"],
    "momentum": ja.tune.conditional(ja.tune.uniform(0.5, 0.99), when={"optimizer": "sgd"}, otherwise=0.0),
}
KNOWN = [{"learning_rate": np.float32(0.5) / 10, "optimizer": "adam"},
         {"learning_rate": 1e-3, "optimizer": "sgd", "momentum": 0.75}]  # fmt: skip
RATES = {"learning_rate": ja.tune.log_uniform(1e-5, 1e-1)}
KNOWN_RATES = [{"learning_rate": 2e-2}, {"learning_rate": 3e-3}]


def settings_of(columns) -> list[dict]:
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


@pytest.mark.parametrize("sampler", [ja.tune.random, ja.tune.sobol])
def test_samplers_begin_with_the_known_settings(sampler):
    found = settings_of(sampler(ja.tune.enqueue(SPACE, KNOWN), 6, key=KEY))
    plain = settings_of(sampler(SPACE, 4, key=KEY))
    assert found[0] == {"learning_rate": pytest.approx(0.05), "optimizer": "adam", "momentum": 0.0}
    assert found[1] == KNOWN[1] and found[2:] == plain
    assert settings_of(sampler(ja.tune.enqueue(SPACE, KNOWN), 2, key=KEY)) == found[:2]
    assert_input_error(lambda: sampler(ja.tune.enqueue(SPACE, KNOWN), 1, key=KEY), "enqueued settings")


def test_a_grid_lists_no_setting_twice():
    space = {"width": [8, 16], "activation": ["relu", "tanh"]}
    known = [{"width": 16, "activation": "tanh"}]
    found = settings_of(ja.tune.grid(ja.tune.enqueue(space, known)))
    assert found[0] == known[0] and len(found) == 4
    assert found[1:] == settings_of(ja.tune.grid(space))[:3]


def test_columns_begin_with_the_known_settings_and_have_none_twice():
    columns = {"learning_rate": [1e-3, 3e-3, 1e-2]}
    known = ja.tune.enqueue(columns, KNOWN_RATES)
    folds = ja.tune.k_fold(203, 2)
    table = ja.tune.cross_validate(build, known, digits(), key=KEY, epochs=1, folds=folds, **SETTING)
    order = {"learning_rate": [2e-2, 3e-3, 1e-3, 1e-2]}
    np.testing.assert_array_equal(table.hyperparameters["learning_rate"], order["learning_rate"])
    plain = ja.tune.cross_validate(build, order, digits(), key=KEY, epochs=1, folds=folds, **SETTING)
    np.testing.assert_array_equal(table.scores["loss"], plain.scores["loss"])


def test_searches_over_a_space_begin_with_the_known_settings():
    space, data = ja.tune.enqueue(RATES, KNOWN_RATES), {"key": KEY, "validation": digits(60), **SETTING}
    table = ja.tune.hyperband(build, space, digits(), epochs=3, **data)
    assert table.hyperparameters["learning_rate"][:2].tolist() == [2e-2, 3e-3]
    assert list(table.hyperparameters["bracket"][:2]) == [0, 0]
    found = ja.tune.population_based(
        build, space, digits(), members=4, exploration=ja.tune.Exploration(interval=1), epochs=2, **data
    )
    assert [float(rate) for rate in found.settings[0]["learning_rate"][:2]] == [2e-2, 3e-3]


def test_bayes_proposes_the_known_settings_once_in_a_study():
    data = {"key": KEY, "validation": digits(60), "epochs": 1, "generation": 2, **SETTING}
    space = RATES | {"activation": ja.tune.choice(["relu", "tanh"])}
    known = [one | {"activation": "tanh"} for one in KNOWN_RATES]
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
    table = ja.tune.bayes(build, ja.tune.enqueue(space, known), digits(), trials=3, study=study, **data)
    assert [table.setting(i) for i in range(2)] == known and table.setting(2) not in known
    table = ja.tune.bayes(build, ja.tune.enqueue(space, known), digits(), trials=5, study=study, **data)
    assert len(table) == 5 and sum(table.setting(i) in known for i in range(5)) == 2


@pytest.mark.parametrize(
    ("setting", "argument"),
    [
        ({"optimizer": "adam"}, "enqueued settings[0]"),
        ({"learning_rate": 1e-3, "optimizer": "lion"}, "enqueued settings[0]['optimizer']"),
        ({"learning_rate": 1.0, "optimizer": "adam"}, "enqueued settings[0]['learning_rate']"),
        ({"learning_rate": 1e-3, "optimizer": "adam", "momentum": 0.9}, "enqueued settings[0]['momentum']"),
        ({"learning_rate": 1e-3, "optimizer": "sgd"}, "enqueued settings[0]"),
        ({"learning_rate": 1e-3, "optimizer": "adam", "decay": 0.9}, "enqueued settings[0]"),
    ],
)
def test_a_setting_outside_of_the_space_is_refused(setting, argument):
    assert_input_error(lambda: ja.tune.random(ja.tune.enqueue(SPACE, [setting]), 3, key=KEY), argument)


def test_enqueue_refuses_what_is_no_list_of_settings():
    assert_input_error(lambda: ja.tune.enqueue(SPACE, {"optimizer": "adam"}), "settings")
    assert_input_error(lambda: ja.tune.enqueue(SPACE, [1e-3]), "settings[0]")
    assert_input_error(lambda: ja.tune.enqueue({}, []), "space")
    columns = ja.tune.enqueue({"learning_rate": [1e-3]}, [{"rate": 1e-3}])
    assert_input_error(
        lambda: ja.tune.cross_validate(build, columns, digits(), key=KEY, epochs=1), "enqueued settings[0]"
    )


def test_nothing_leaves_known_settings_out_silently():
    columns = ja.tune.enqueue({"learning_rate": [1e-3, 1e-2]}, KNOWN_RATES)
    keys = jax.random.split(KEY, 2)
    assert_input_error(
        lambda: ja.train.fit_population(build, columns, digits(), keys=keys, epochs=1), "hyperparameters"
    )
