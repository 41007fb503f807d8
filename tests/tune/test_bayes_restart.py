"""A stored study that is started again: what it proposes, what it refuses, and that a refusal leaves no trace."""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optuna
import pytest

import jaxann as ja
from jaxann.tune.asking import open_study
from jaxann.tune.search import Search
from jaxann.tune.space import read_space
from jaxann.tune.study import define_study, describe_space
from tests.contract import assert_input_error
from tests.tune.problems import SETTING, build, digits

KEY = jax.random.key(3)
RATES = {"learning_rate": ja.tune.log_uniform(1e-5, 1e-1)}
LOSS = ja.train.early_stopping(None, restore_best=False)
BY_LOSS = functools.partial(build, stopping=LOSS)


def stored(path: Path, **changes: Any) -> optuna.Study:
    """The study of a file; made where there is none."""
    setting = {"storage": f"sqlite:///{path / 'search.db'}", "study_name": "digits", "direction": "minimize"} | changes
    return optuna.create_study(load_if_exists=True, **setting)


def search(**changes: Any) -> ja.tune.Table:
    setting = {"key": KEY, "epochs": 1, "trials": 3, "validation": digits(100)} | SETTING | changes
    made, space, data = (setting.pop(n, d) for n, d in (("build", BY_LOSS), ("space", RATES), ("data", digits())))
    return ja.tune.bayes(made, space, data, **setting)


def rates(table: ja.tune.Table) -> list[float]:
    return np.asarray(table.hyperparameters["learning_rate"]).tolist()


def states(study: optuna.Study) -> list[Any]:
    """All that a study holds."""
    return [study.user_attrs, [(t.number, t.state, t.params, t.user_attrs) for t in study.get_trials()]]


SAMPLERS = {
    "tpe": lambda: optuna.samplers.TPESampler(seed=0, n_startup_trials=2),
    "random": lambda: optuna.samplers.RandomSampler(seed=0),
    "nsga2": lambda: optuna.samplers.NSGAIISampler(seed=0),
}


def proposed(study: optuna.Study, sampler: optuna.samplers.BaseSampler, count: int, key: Any = KEY) -> list[float]:
    """What a start with a new sampler is proposed, each told."""
    study.sampler = sampler
    asking = open_study(optuna, study, key, "minimize", "loss")

    def propose(trial: Any) -> tuple[dict, dict]:
        setting = {"x": trial.suggest_float("x", 0.0, 1.0), "y": trial.suggest_float("y", 0.0, 1.0)}
        return setting, setting

    with asking.generation(count, propose) as asked:
        found = [one.setting["x"] for one in asked]
        asking.tell(asked, lambda _, one: (one.setting["x"], {"scores": {}, "setting": one.setting}))
    return found


@pytest.mark.parametrize("name", SAMPLERS)
def test_each_start_of_a_sampler_with_one_seed_proposes_something_else(name: str):
    """A sampler made anew with the same seed, as a program that is started again makes it."""
    make = SAMPLERS[name]
    studies = [optuna.create_study() for _ in range(3)]
    first, second = ([proposed(study, make(), n) for n in (3, 4, 2)] for study in studies[:2])
    assert len({x for several in first for x in several}) == 9
    assert first == second, "the same key on the same study"
    assert not set(first[0]) & set(proposed(studies[2], make(), 3, jax.random.key(4)))


def test_a_sampler_of_ones_own_is_told_to_seed_itself_anew():
    class Own(optuna.samplers.RandomSampler):
        told = 0

        def __init__(self):
            super().__init__(seed=0)
            self.__dict__.clear()

        def reseed_rng(self):
            Own.told += 1

        def sample_independent(self, study, trial, param_name, param_distribution):
            return 0.25 + 0.5 * Own.told

    study = optuna.create_study()
    assert proposed(study, Own(), 1) + proposed(study, Own(), 1) == [0.25, 0.75]


def test_a_restart_proposes_nothing_again(tmp_path: Path):
    def run(*totals: int) -> list[float]:
        return [rates(search(study=stored(tmp_path, study_name=str(totals)), trials=n)) for n in totals][-1]

    first = run(2, 4)
    assert len(set(first)) == 4 and first[:2] == run(2)


def test_processes_on_one_storage_propose_different_settings(tmp_path: Path, monkeypatch):
    """Another process that opens the study with the same key while our generation trains."""
    module = sys.modules[ja.tune.bayes.__module__]

    found = []

    class Meanwhile(module.Trials):
        def train(self, settings, until=None):
            if not found:
                found.append(None)
                found[0] = search(study=stored(tmp_path, sampler=optuna.samplers.TPESampler(seed=0)), trials=2)
            super().train(settings, until)

    monkeypatch.setattr(module, "Trials", Meanwhile)
    table = search(study=stored(tmp_path, sampler=optuna.samplers.TPESampler(seed=0)), trials=2)
    assert len(table) == 4 and len(set(rates(table))) == 4 and len(found[0]) == 2


def wrong(predictions, targets):
    """A metric that declares no direction."""
    return (predictions.argmax(-1) != targets).mean()


CONDITIONAL = ja.tune.conditional(ja.tune.integer(1, 2), when={"activation": "relu"}, otherwise=1)
ACCURACY_MIN = ja.train.early_stopping(None, monitor="validation_accuracy", mode="min", restore_best=False)
DOUBLED = ja.tune.resampling(validation=digits(100), prepare=lambda x, y: lambda x: 2 * x)
CHOICES = {"activation": ["relu", "tanh"], "layers": ja.tune.integer(1, 2), **RATES}
X, Y = digits()
CHANGES = {
    "monitor": ("study", {"build": build}),  # the direction
    "space['learning_rate']": ("space", {"space": CHOICES | {"learning_rate": ja.tune.log_uniform(1e-5, 1.0)}}),
    "space of another name": ("space", {"space": RATES}),
    "space['layers']": ("space", {"space": CHOICES | {"layers": ja.tune.integer(1, 3)}}),
    "space['layers'] kind": ("space", {"space": CHOICES | {"layers": [1, 2]}}),
    "space['activation']": ("space", {"space": CHOICES | {"activation": ["relu", "gelu"]}}),
    "space['activation'] more": ("space", {"space": CHOICES | {"activation": ["relu", "tanh", "gelu"]}}),
    "condition": ("space", {"space": CHOICES | {"layers": CONDITIONAL}}),
    "metrics": ("metrics", {"build": functools.partial(BY_LOSS, metrics={})}),
    "monitored": ("monitor", {"build": functools.partial(build, metrics={"accuracy": wrong}, stopping=ACCURACY_MIN)}),
    "repeats": ("repeats", {"validation": ja.tune.resampling(validation=digits(100), repeats=2)}),
    "folds": ("validation", {"validation": ja.tune.resampling(ja.tune.k_fold(203, 3))}),
    "validation": ("validation", {"validation": digits(99)}),
    "x": ("data", {"data": (X + np.float32(1e-3), Y)}),
    "y": ("data", {"data": (X, Y[::-1].copy())}),
    "weights": ("data", {"data": (X, Y, np.ones(len(Y), np.float32))}),
    "prepare": ("data", {"validation": DOUBLED}),
    "key": ("key", {"key": jax.random.key(4)}),
    "epochs": ("epochs", {"epochs": 2}),
    "batch_size": ("batch_size", {"batch_size": 16}),
    "model": ("recipe", {"build": functools.partial(BY_LOSS, model=ja.models.mlp((3, 10)))}),
    "loss": ("recipe", {"build": functools.partial(BY_LOSS, loss=ja.losses.poly1)}),
}


def scaled(factor: float) -> Any:
    """A loss with a number in it."""
    return lambda predictions, targets: factor * ja.losses.softmax_cross_entropy(predictions, targets)


@pytest.mark.parametrize(
    "loss",
    [
        lambda predictions, targets: 3 * ja.losses.softmax_cross_entropy(predictions, targets),
        lambda predictions, targets: 2 * ja.losses.poly1(predictions, targets),
        scaled(2.0),
        jax.jit(lambda predictions, targets: -2 * ja.losses.softmax_cross_entropy(predictions, targets)),
        functools.partial(ja.losses.softmax_cross_entropy, class_weights=np.ones(10, np.float32)),
    ],
)
def test_another_loss_of_the_same_name_is_another_recipe(loss):
    def defined(loss: Any) -> str:
        known = read_space("bayes", RATES)
        recipe = BY_LOSS({"learning_rate": 0.1}, loss=loss)
        scored_on = ja.tune.resampling(validation=digits(100))
        search = Search("bayes", BY_LOSS, digits(), scored_on, KEY, 1)
        return define_study(search, describe_space(known), [recipe])["recipe"]

    def same() -> Any:
        return lambda predictions, targets: 2 * ja.losses.softmax_cross_entropy(predictions, targets)

    assert defined(same()) == defined(same()) != defined(loss)
    assert defined(loss) == defined(loss)
    assert defined(scaled(2.0)) == defined(scaled(2.0)) != defined(scaled(3.0))


@pytest.fixture(scope="module")
def begun(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("study")
    search(study=stored(path), space=CHOICES, trials=2)
    return path


@pytest.mark.parametrize("change", CHANGES)
def test_another_definition_is_refused_by_name_and_leaves_the_study(begun: Path, change: str):
    argument, changes = CHANGES[change]
    before = states(stored(begun))
    assert_input_error(lambda: search(study=stored(begun), **({"space": CHOICES, "trials": 4} | changes)), argument)
    assert states(stored(begun)) == before
    assert len(search(study=stored(begun), space=CHOICES, trials=2)) == 2, "the original call goes on"


def test_options_and_names_in_another_order_are_the_same_by_value(tmp_path: Path):
    space = {"activation": ["relu", "tanh", None], **RATES}
    first = search(study=stored(tmp_path), space=space, trials=4)
    other = {**RATES, "activation": [None, "tanh", "relu"]}
    whole = search(study=stored(tmp_path), space=other, trials=6)
    assert [whole.setting(i) for i in range(4)] == [first.setting(i) for i in range(4)]
    assert {whole.setting(i)["activation"] for i in range(6)} == {"relu", "tanh", None}
    for trial in stored(tmp_path).get_trials():
        assert ["relu", "tanh", None][trial.params["activation"]] == whole.setting(trial.number)["activation"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, ja.InputError])
def test_nothing_stays_running_after_an_exception(tmp_path: Path, monkeypatch, error):
    module = sys.modules[ja.tune.bayes.__module__]

    class Failing(module.Trials):
        def train(self, settings, until=None):
            raise error("while training")

    with monkeypatch.context() as patched:
        patched.setattr(module, "Trials", Failing)
        with pytest.raises(error):
            search(study=stored(tmp_path))
    kinds = [t.state.name for t in stored(tmp_path).get_trials()]
    assert kinds == ["FAIL"] * 3
    assert len(search(study=stored(tmp_path))) == 3, "and the search goes on"


def test_an_error_in_build_for_a_proposal_leaves_nothing_running(tmp_path: Path):
    def picky(hyper):
        if hyper["learning_rate"] > 1.1e-3:  # the middle of the space is 1e-3
            raise ZeroDivisionError
        return BY_LOSS(hyper)

    study = stored(tmp_path)
    with pytest.raises(ZeroDivisionError):
        search(study=study, build=picky, trials=8)
    assert {t.state.name for t in study.get_trials()} <= {"FAIL"} and "jaxann" not in study.user_attrs
    assert len(search(study=study)) == 3, "a start that trained nothing defines nothing"
