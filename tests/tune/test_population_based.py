"""Population-based training: who copies whom, that weights go with settings, and that it learns."""

from __future__ import annotations

import functools

import jax
import numpy as np
import pytest

import jaxann as ja
from jaxann.tune import Exploration
from tests.contract import assert_input_error
from tests.tune.problems import RANKED, SETTING, build, digits

KEY = jax.random.key(3)
SPACE = {"learning_rate": ja.tune.log_uniform(1e-5, 1e-1)}


def evolve(**changes):
    usual = {"key": KEY, "epochs": 6, "exploration": Exploration(interval=2), "members": 8, "validation": digits(100)}
    setting = usual | SETTING | changes
    return ja.tune.population_based(setting.pop("build", build), setting.pop("space", SPACE), digits(), **setting)


def test_the_worst_copy_the_best():
    found = evolve()
    assert found.scores.shape == (3, 8) == found.parents.shape
    np.testing.assert_array_equal(found.parents[0], np.arange(8))
    for number in (1, 2):
        order = np.argsort(-found.scores[number - 1], kind="stable")
        copied = np.flatnonzero(found.parents[number] != np.arange(8))
        assert set(copied) == set(order[-2:]) and set(found.parents[number][copied]) <= set(order[:2])
        rates = np.asarray(found.settings[number]["learning_rate"])
        before = np.asarray(found.settings[number - 1]["learning_rate"])
        kept = np.setdiff1d(np.arange(8), copied)
        np.testing.assert_array_equal(rates[kept], before[kept])
    assert (found.population.epochs_run == 6).all()


def test_copies_carry_weights_and_go_on_with_their_settings():
    """With a rate of 0 from round 1 on, a copy keeps its parent's weights to the bit."""
    space = {"learning_rate": [1e-2, 0.0]}

    found = evolve(space=space, members=2, exploration=Exploration(0.5, 0.0, 2), epochs=4)
    order = np.argsort(-found.scores[0], kind="stable")
    winner, loser = int(order[0]), int(order[1])
    assert found.parents[1][loser] == winner
    rates = found.settings[1]["learning_rate"]
    assert rates[loser] == rates[winner]


def test_members_without_copies_are_single_runs():
    found = evolve(exploration=Exploration(share=0.1, interval=2), epochs=4)
    kept = [i for i in range(8) if (found.parents[:, i] == i).all()]
    assert len(kept) == 7
    many = found.population
    one = ja.fit(many.recipe(kept[0]), digits(), validation=digits(100), key=many.keys[kept[0]], epochs=4, **SETTING)
    np.testing.assert_allclose(many.member(kept[0]).history["loss"], one.history["loss"], rtol=1e-5)


def test_a_diverged_member_is_replaced():
    space = {"learning_rate": ja.tune.choice([3e38, 2e38, 1e38, 1e-2, 3e-2, 1e-3])}
    found = evolve(space=space, exploration=Exploration(resample=0.0, interval=2))
    first = np.asarray(found.settings[0]["learning_rate"])
    assert (first > 1).any() and not np.isfinite(found.scores[0][first > 1]).any()
    assert (found.population.status == 0).sum() > (first < 1).sum()


@pytest.mark.parametrize(
    ("argument", "change"),
    [
        ("members", {"members": 1}),
        ("interval of exploration", {"exploration": Exploration(interval=0)}),
        ("share of exploration", {"exploration": Exploration(share=0.6)}),
        ("resample of exploration", {"exploration": Exploration(resample=2)}),
        ("exploration", {"exploration": 0.3}),
        ("validation", {"validation": ja.tune.resampling(validation=digits(100), repeats=2)}),
        ("validation", {"validation": ja.tune.resampling(2)}),
        ("stopping", {"build": functools.partial(build, stopping=ja.train.early_stopping(3, **RANKED))}),
        ("stopping", {"build": functools.partial(build, stopping=ja.train.early_stopping(None, **RANKED))}),
        ("stopping", {"build": functools.partial(build, stopping=ja.train.early_stopping(3, restore_best=False))}),
    ],
)
def test_refusals(argument, change):
    assert_input_error(lambda: evolve(**change), argument)


def test_settings_that_change_shapes_are_refused():
    def made(hyper):
        return build(hyper, model=ja.models.mlp((hyper["width"], 10)))

    for seed in range(3):  # also where all members happen to begin alike
        with pytest.raises(ja.InputError, match="share one structure"):
            evolve(build=made, space={"width": [4, 5]}, members=2, key=jax.random.key(seed))
