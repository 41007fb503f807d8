"""Studies that `bayes` cannot search in are refused in one clear message; samplers may run out of settings."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

import jaxann as ja
from tests.contract import assert_input_error
from tests.tune.test_bayes_restart import RATES, search, states

OPTIONS = {"learning_rate": [1e-4, 1e-3, 1e-2], "width": ja.tune.integer(1, 1)}


def foreign(**changes: Any) -> optuna.Study:
    """A study with a result of another program."""
    study = optuna.create_study(**({"direction": "minimize"} | changes))
    study.optimize(lambda trial: trial.suggest_float("learning_rate", 1e-5, 1e-1, log=True), n_trials=2)
    return study


REFUSED: dict[str, tuple[str, Any]] = {
    "foreign": ("study", foreign),
    "two objectives": ("study", lambda: optuna.create_study(directions=["minimize", "minimize"])),
    "another direction": ("study", lambda: optuna.create_study(direction="maximize")),
    "a sampler's name": ("sampler", lambda: optuna.create_study(sampler="tpe")),  # pyright: ignore
    "a sampler's class": ("sampler", lambda: optuna.create_study(sampler=optuna.samplers.TPESampler)),  # pyright: ignore
    "a URL": ("study", lambda: "sqlite:///search.db"),
    "a bad URL": ("study", lambda: "nonsense"),
    "a path": ("study", lambda: Path("search.db")),
    "a storage": ("study", lambda: optuna.storages.InMemoryStorage()),
    "a sampler": ("study", lambda: optuna.samplers.TPESampler()),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_study_that_cannot_be_searched_in_is_refused_and_left_alone(name: str):
    argument, make = REFUSED[name]
    study = make()
    before = states(study) if isinstance(study, optuna.Study) else None
    assert_input_error(lambda: search(study=study), argument)
    assert before is None or states(study) == before


def test_a_result_of_another_program_that_comes_later_is_refused():
    study = optuna.create_study(direction="minimize")
    search(study=study, trials=2)
    study.optimize(lambda trial: trial.suggest_float("other", 0, 1), n_trials=1)
    before = states(study)
    assert_input_error(lambda: search(study=study, trials=4), "study")
    assert states(study) == before


def test_a_storage_that_is_lost_is_told(tmp_path: Path):
    path = tmp_path / "search.db"
    study = optuna.create_study(storage=f"sqlite:///{path}", direction="minimize")
    path.unlink()
    path.mkdir()
    with pytest.raises(ja.InputError, match="bayes: study must be one whose storage"):
        search(study=study)


def test_a_study_of_the_caller_keeps_its_sampler():
    study = optuna.create_study(direction="minimize")
    sampler, stop = study.sampler, study.stop
    search(study=study, trials=1)
    assert study.sampler is sampler and study.stop == stop


@pytest.mark.parametrize("generation", [1, 2, 8])
@pytest.mark.parametrize("kind", ["grid", "brute force"])
def test_a_sampler_that_has_no_more_ends_the_search(kind: str, generation: int):
    """Every setting once, then what was found with a word; the same call again adds nothing."""
    if kind == "grid":  # Optuna numbers the options
        sampler: Any = optuna.samplers.GridSampler({"learning_rate": [0, 1, 2], "width": [1]}, seed=1)
    else:
        with pytest.warns(optuna.exceptions.ExperimentalWarning):
            sampler = optuna.samplers.BruteForceSampler(seed=1)
    study = optuna.create_study(direction="minimize", sampler=sampler)
    for _ in range(2):
        with pytest.warns(UserWarning, match="3 of 9 settings were tried before the sampler"):
            table = search(study=study, space=OPTIONS, trials=9, generation=generation)
        assert sorted(np.asarray(table.hyperparameters["learning_rate"]).tolist()) == [1e-4, 1e-3, 1e-2]
    assert len(search(study=study, space=OPTIONS, trials=3)) == 3, "no word where all were tried"
    assert not any(trial.state == optuna.trial.TrialState.RUNNING for trial in study.get_trials())


def test_a_sampler_of_another_space_is_told():
    sampler = optuna.samplers.GridSampler({"other": [1, 2]})
    study = optuna.create_study(direction="minimize", sampler=sampler)
    assert_input_error(lambda: search(study=study, space=RATES), "study")
    assert {trial.state.name for trial in study.get_trials()} <= {"FAIL"}


def test_ctrl_c_between_generations_keeps_what_was_told(monkeypatch):
    """The flag is raised while the first generation is told: nothing of it is lost, and no other one begins."""
    study = optuna.create_study(direction="minimize")
    set_attribute = optuna.trial.Trial.set_user_attr

    def pressed(self, name, value):
        if self.number == 0 and name == "scores":
            os.kill(os.getpid(), signal.SIGINT)
        set_attribute(self, name, value)

    monkeypatch.setattr(optuna.trial.Trial, "set_user_attr", pressed)
    with pytest.warns(UserWarning, match="2 of 6 settings were tried before it was interrupted"):
        table = search(study=study, trials=6, generation=2)
    assert len(table) == 2 and {trial.state.name for trial in study.get_trials()} == {"COMPLETE"}


WIDTHS = RATES | {
    "width": [1, 4, 8],
    "activation": ["relu", "tanh"],
    "slope": ja.tune.conditional(ja.tune.uniform(0, 1), when={"activation": "relu"}, otherwise=0.0),
}
OURS = {"learning_rate": 1e-4, "width": 4, "activation": "relu", "slope": 0.25}


def enqueued(*settings: dict[str, Any], **changes: Any) -> optuna.Study:
    """A study with settings that were enqueued with Optuna's own function."""
    study = optuna.create_study(**({"direction": "minimize"} | changes))
    for setting in settings:
        study.enqueue_trial(setting)
    return study


def test_settings_enqueued_with_optuna_are_values_of_the_space(tmp_path: Path):
    given = [{"width": 8, "activation": "tanh"}, {"width": 1, "learning_rate": 1e-2, "slope": 0.5}]
    stored: dict[str, Any] = {"storage": f"sqlite:///{tmp_path / 's.db'}", "study_name": "a", "load_if_exists": True}
    study = enqueued(*given, **stored)
    search(study=study, space=ja.tune.enqueue(WIDTHS, [OURS]), trials=1)
    again = optuna.create_study(direction="minimize", **stored)
    again.enqueue_trial({"width": 8})
    table = search(study=again, space=ja.tune.enqueue(WIDTHS, [OURS]), trials=4)
    settings = [table.setting(i) for i in range(4)]
    assert settings[0]["width"] == 8 and settings[0]["activation"] == "tanh" and settings[0]["slope"] == 0.0
    assert settings[1]["width"] == 1 and settings[1]["learning_rate"] == 1e-2
    assert settings[2] == OURS and settings[3]["width"] == 8


def test_settings_enqueued_while_a_generation_trains_are_values_too(monkeypatch):
    study, module = optuna.create_study(direction="minimize"), sys.modules[ja.tune.bayes.__module__]

    class Meanwhile(module.Trials):
        def train(self, settings, until=None):
            study.enqueue_trial({"width": 1})
            super().train(settings, until)

    monkeypatch.setattr(module, "Trials", Meanwhile)
    table = search(study=study, space=WIDTHS, trials=2, generation=1)
    assert table.setting(1)["width"] == 1


@pytest.mark.parametrize(
    ("bad", "given"),
    [
        ({"width": 2}, "2"),
        ({"learning_rate": 5.0}, "5.0"),
        ({"other": 5.0}, "other"),
        ({"activation": "tanh", "slope": 0.5}, "0.5"),
    ],
)
def test_settings_enqueued_outside_of_the_space_are_refused_and_left_alone(bad: dict[str, Any], given: str):
    study = enqueued({"width": 8}, bad)
    before = [(trial.system_attrs, *states(study)) for trial in study.get_trials()]
    space = ja.tune.enqueue(WIDTHS, [OURS])
    told = assert_input_error(lambda: search(study=study, space=space), "waiting trial 1 of the study", given=given)
    assert "ja.tune.enqueue(space" in told
    assert [(trial.system_attrs, *states(study)) for trial in study.get_trials()] == before
