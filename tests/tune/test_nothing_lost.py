"""What a search was given or has done is not lost: stored stages, known settings, folds that are read once."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import optuna
import pytest
from sklearn.model_selection import KFold

import jaxann as ja
from jaxann.tune import budget
from jaxann.tune.trials import Trials
from tests.tune.problems import SETTING, build, digits

KEY = jax.random.key(4)
DATA = digits(64)
RATES = {"learning_rate": [1e-3, 1e-2, 3e-2]}
SPACE = {"learning_rate": ja.tune.log_uniform(1e-5, 1e-1)}
COMMON = {"key": KEY, **SETTING}
SCORED = {"validation": digits(32), **COMMON}
KNOWN = [{"learning_rate": rate} for rate in (1e-3, 2e-3, 3e-3, 4e-3)]

SEARCHES: dict[str, Callable[..., Any]] = {
    "cross_validate": lambda **given: ja.tune.cross_validate(build, RATES, DATA, folds=2, **COMMON, **given),
    "halving": lambda **given: ja.tune.halving(build, RATES, DATA, **SCORED, **given),
    "hyperband": lambda **given: ja.tune.hyperband(build, SPACE, DATA, **SCORED, **given),
    "population_based": lambda **given: ja.tune.population_based(
        build, SPACE, DATA, members=3, exploration=ja.tune.Exploration(interval=1), **SCORED, **given
    ),
}


def figures(found: Any) -> list[np.ndarray]:
    if isinstance(found, ja.tune.Evolution):
        return [found.scores, found.parents, found.population.epochs_run, *jax.tree.leaves(found.population.params)]
    rounds = np.zeros(len(found)) if found.rounds is None else found.rounds
    return [*found.scores.values(), found.epochs, rounds]


@pytest.mark.parametrize("name", SEARCHES)
def test_what_is_stored_whole_needs_no_time(name: str, tmp_path: Any):
    whole = SEARCHES[name](epochs=3, storage=tmp_path)
    again = SEARCHES[name](epochs=budget(3, seconds=1e-9), storage=tmp_path)  # a warning would be an error
    jax.tree.map(np.testing.assert_array_equal, figures(again), figures(whole))


@pytest.mark.parametrize("name", ["halving", "hyperband", "population_based"])
def test_a_search_that_is_not_whole_ends_where_it_would_train(
    name: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
):
    whole = SEARCHES[name](epochs=3)
    train, calls = Trials.train, []

    def fails_late(self: Trials, *given: Any) -> None:
        train(self, *given)
        calls.append(given)
        if len(calls) == 2:
            raise OSError("lost")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="lost"):
        patch.setattr(Trials, "train", fails_late)
        SEARCHES[name](epochs=3, storage=tmp_path)
    for _ in range(2):  # however often
        with pytest.warns(UserWarning, match="the time budget was over"):
            SEARCHES[name](epochs=budget(3, seconds=1e-9), storage=tmp_path)
    finished = SEARCHES[name](epochs=3, storage=tmp_path)
    jax.tree.map(np.testing.assert_array_equal, figures(finished), figures(whole))


def test_bayes_tries_a_known_setting_again_that_failed(monkeypatch: pytest.MonkeyPatch):
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler())
    space = ja.tune.enqueue(SPACE, KNOWN[:1])
    search = functools.partial(ja.tune.bayes, build, space, DATA, study=study, epochs=1, generation=2, **SCORED)

    def fails(self: Trials, *given: Any) -> None:
        raise OSError("lost")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="lost"):
        patch.setattr(Trials, "figures", fails)
        search(trials=2)
    assert [trial.state.name for trial in study.trials] == ["FAIL", "FAIL"]
    table = search(trials=2)
    assert table.setting(0) == KNOWN[0] and len(table) == 2
    table = search(trials=3)
    assert sum(table.setting(i) == KNOWN[0] for i in range(3)) == 1


@pytest.mark.parametrize("generation", [1, 2, 3])
@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize("sampler", ["grid", "brute force"])
def test_a_known_setting_ends_no_list(sampler: str, generation: int):
    options = [1e-3, 1e-2, 1e-1]
    listed = optuna.samplers.GridSampler({"learning_rate": [0, 1, 2]})
    study = optuna.create_study(
        direction="maximize", sampler=listed if sampler == "grid" else optuna.samplers.BruteForceSampler()
    )
    space = ja.tune.enqueue({"learning_rate": ja.tune.choice(options)}, [{"learning_rate": 1e-2}])
    search = functools.partial(ja.tune.bayes, build, space, DATA, study=study, epochs=1, **SCORED)
    table = search(trials=3, generation=generation)
    assert table.setting(0) == {"learning_rate": 1e-2}
    assert sorted(table.hyperparameters["learning_rate"]) == options
    with pytest.warns(UserWarning, match="3 of 5 settings were tried before the sampler of the study had no more"):
        assert len(search(trials=5, generation=generation)) == 3


def test_folds_of_a_generator_are_those_of_its_list(tmp_path: Any):
    def made() -> Any:
        return KFold(2).split(DATA[0])

    def scores(number: int, folds: Any) -> np.ndarray:
        again: Any = {"epochs": budget(1, retries=1)}
        given: Any = [
            lambda: ja.tune.cross_validate(build, RATES, DATA, folds=folds, epochs=1, **COMMON),
            lambda: ja.tune.cross_validate(
                build, RATES, DATA, folds=folds, epochs=1, storage=tmp_path / str(id(folds)), **COMMON
            ),
            lambda: ja.tune.halving(
                build, RATES, DATA, validation=ja.tune.resampling(folds), storage=tmp_path / f"h{id(folds)}", epochs=1,
                **COMMON,
            ),
            lambda: ja.tune.bayes(
                build, SPACE, DATA, validation=ja.tune.resampling(folds=folds), epochs=1, trials=2, generation=1,
                **COMMON,
            ),
            lambda: ja.tune.cross_validate(fails_once(), RATES, DATA, folds=folds, **again, **COMMON),
        ]  # fmt: skip
        return given[number]().scores["loss"]

    def fails_once() -> Any:
        calls: list[int] = []

        def check(recipe: Any) -> Any:
            calls.append(1)
            if len(calls) == 2:
                raise OSError("lost")
            return recipe

        return lambda hyper: check(build(hyper))

    for number in range(4):
        np.testing.assert_array_equal(scores(number, made()), scores(number, list(made())))
    with pytest.warns(UserWarning, match="begins again"):
        np.testing.assert_array_equal(scores(4, made()), scores(0, list(made())))


@pytest.mark.parametrize("name", ["random", "sobol", "hyperband", "population_based", "bayes"])
def test_no_known_setting_is_dropped(name: str):
    space, searches = ja.tune.enqueue(SPACE, KNOWN), {
        "random": lambda: ja.tune.random(space, 2, key=KEY),
        "sobol": lambda: ja.tune.sobol(space, 2, key=KEY),
        "hyperband": lambda: ja.tune.hyperband(build, space, DATA, epochs=2, **SCORED),
        "population_based": lambda: ja.tune.population_based(build, space, DATA, epochs=2, members=2, **SCORED),
        "bayes": lambda: ja.tune.bayes(build, space, DATA, epochs=2, trials=2, **SCORED),
    }  # fmt: skip
    places = 1 if name == "hyperband" else 2
    plural = "" if places == 1 else "s"
    message = f"{name}: enqueued settings must be at most {places} known setting{plural}, got 4"
    with pytest.raises(ja.InputError, match=message):
        searches[name]()
