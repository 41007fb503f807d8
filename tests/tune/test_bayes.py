"""Bayesian search by Optuna's ask and tell: proposals inside the space, restarts, and that it beats chance."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import optuna
import pytest
import torch
from optuna._gp.acqf import logei  # there is no public way to ask for it
from scipy.stats import norm

import jaxann as ja
from tests.contract import assert_input_error
from tests.tune.problems import SETTING, build, digits

KEY = jax.random.key(3)
SPACE = {
    "learning_rate": ja.tune.log_uniform(1e-5, 1e-1),
    "optimizer": ["adam", "sgd"],
    "momentum": ja.tune.conditional(ja.tune.uniform(0.5, 0.99), when={"optimizer": "sgd"}, otherwise=0.0),
    "tuple": ja.tune.choice([(1, 2), (3,)]),
}


def made(hyper):
    if hyper["optimizer"] == "sgd":
        optimizer = ja.optimizers.sgd(hyper["learning_rate"], momentum=hyper["momentum"])
    else:
        optimizer = ja.optimizers.adam(hyper["learning_rate"])
    return build(hyper, model=ja.models.mlp((4, 10)), optimizer=optimizer)


def search(**changes):
    setting = {"key": KEY, "epochs": 2, "trials": 4, "generation": 2, "validation": digits(100)} | SETTING | changes
    return ja.tune.bayes(setting.pop("build", made), setting.pop("space", SPACE), digits(), **setting)


def test_every_proposal_is_of_the_space():
    table = search()
    assert len(table) == 4 and table.scores["accuracy"].shape == (4, 1)
    for index in range(4):
        setting = table.setting(index)
        assert ja.tune.encode(SPACE, setting).shape == (4,)
        assert setting["optimizer"] == "sgd" or setting["momentum"] == 0.0


def test_the_key_decides_and_any_sampler_works():
    a, b, c = search(), search(), search(key=jax.random.key(4))
    assert a.rows() == b.rows() != c.rows()
    for sampler in (optuna.samplers.RandomSampler(seed=1), optuna.samplers.GPSampler(seed=1, n_startup_trials=2)):
        assert len(search(study=optuna.create_study(sampler=sampler, direction="maximize"))) == 4


def test_a_stored_search_goes_on_where_it_stopped(tmp_path: Path):
    def study():
        storage = f"sqlite:///{tmp_path / 'search.db'}"
        return optuna.create_study(storage=storage, study_name="digits", load_if_exists=True, direction="maximize")

    first = search(trials=2, study=study())
    whole = search(trials=4, study=study())
    assert len(whole) == 4
    np.testing.assert_array_equal(whole.scores["loss"][:2], first.scores["loss"])
    assert [whole.setting(i) for i in range(2)] == [first.setting(i) for i in range(2)]
    again = search(trials=4, study=study())
    assert again.rows() == whole.rows(), "nothing was left to do"
    other, stored = {"learning_rate": ja.tune.uniform(0.0, 1.0)}, study()
    assert_input_error(lambda: search(build=build, space=other, study=stored, trials=3), "space")


def test_a_diverged_proposal_is_told_as_pruned():
    space = {"learning_rate": ja.tune.choice([3e38, 1e-2])}
    with pytest.warns(ja.DivergedWarning):
        table = search(build=build, space=space, trials=8, generation=8)
    assert table.best == {"learning_rate": 1e-2} and np.isnan(table.mean["loss"]).any()


def test_optuna_missing_says_what_to_install():
    code = """
import sys
sys.modules["optuna"] = None
import jax, jaxann as ja
try:
    ja.tune.bayes(None, {}, None, key=jax.random.key(0), epochs=1, trials=1, validation=None)
except ja.MissingDependencyError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "jaxann[tune]" in done.stdout


@pytest.mark.parametrize(
    ("argument", "change"),
    [
        ("trials", {"trials": 0}),
        ("generation", {"generation": 0}),
        ("space", {"space": {}}),
        ("validation", {"validation": None}),
        ("build", {"build": None}),
        ("build", {"build": lambda hyper: None}),
        ("study", {"study": optuna.create_study()}),
        ("study", {"study": "digits"}),
    ],
)
def test_refusals(argument, change):
    assert_input_error(lambda: search(**change), argument)


@pytest.mark.parametrize(("mean", "deviation", "best"), [(0.3, 0.2, 0.25), (1.0, 0.5, 0.2), (-0.4, 0.05, -0.3)])
def test_expected_improvement_is_the_mean_over_draws(mean: float, deviation: float, best: float):
    """What a Gaussian process proposes by, E max(best - y, 0) for y ~ N(mean, deviation^2), which is

    (best - mean) Phi(z) + deviation phi(z), z = (best - mean) / deviation. Optuna's sampler looks for a maximum: a
    minimum with its sign turned around.
    """
    numbers = torch.tensor([-mean], dtype=torch.float64), torch.tensor([deviation**2], dtype=torch.float64)
    found = logei(*numbers, -best).exp().item()
    z = (best - mean) / deviation
    np.testing.assert_allclose(found, (best - mean) * norm.cdf(z) + deviation * norm.pdf(z), rtol=1e-12)
    draws = np.random.default_rng(0).normal(mean, deviation, 4_000_000)
    np.testing.assert_allclose(found, np.maximum(best - draws, 0).mean(), atol=1e-3 * deviation)
