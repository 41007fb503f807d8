"""Successive halving and Hyperband: who goes on, what it costs, and that survivors are ordinary runs."""

from __future__ import annotations

import jax
import numpy as np
import pytest

import jaxann as ja
from tests.contract import assert_input_error
from tests.train.problems import press_ctrl_c
from tests.tune.problems import SETTING, build, digits

KEY = jax.random.key(3)
RATES = {"learning_rate": np.logspace(-5, -1, 9)}


def test_survivors_have_the_scores_of_full_runs():
    folds = ja.tune.k_fold(203, 3)
    halved = ja.tune.halving(build, RATES, digits(), key=KEY, epochs=9, validation=ja.tune.resampling(folds),
                             factor=3, **SETTING)  # fmt: skip
    full = ja.tune.cross_validate(build, RATES, digits(), key=KEY, epochs=9, folds=folds, **SETTING)
    assert sorted(halved.epochs[:, 0].tolist()) == [1] * 6 + [3] * 2 + [9]
    (left,) = np.flatnonzero(halved.epochs[:, 0] == 9)
    np.testing.assert_allclose(halved.scores["loss"][left], full.scores["loss"][left], rtol=1e-5)
    assert halved.best_index == left, "a score after fewer epochs is no rival"


def test_the_better_part_goes_on():
    halved = ja.tune.halving(
        build, RATES, digits(), key=KEY, epochs=4, factor=2, min_epochs=1, validation=digits(100), **SETTING
    )
    first = ja.tune.halving(build, RATES, digits(), key=KEY, epochs=1, validation=digits(100), **SETTING)
    kept = np.flatnonzero(halved.epochs[:, 0] > 1)
    assert len(kept) == 5 and set(kept) == set(first.order[:5].tolist())


def test_a_diverged_setting_does_not_go_on():
    with pytest.warns(ja.DivergedWarning, match="1 of 4"):
        table = ja.tune.halving(
            build, {"learning_rate": [1e-2, 3e38, 1e-3, 1e-4]}, digits(), key=KEY, epochs=4, factor=2,
            validation=digits(100), **SETTING,
        )  # fmt: skip
    assert table.epochs[1, 0] <= 1 and np.isnan(table.scores["loss"][1]).all()


def test_brackets_are_those_of_the_paper():
    assert ja.tune.brackets(81) == [(81, 1), (34, 3), (15, 9), (8, 27), (5, 81)]
    for power in range(1, 12):  # where a floating-point logarithm falls short
        assert len(ja.tune.brackets(3**power)) == power + 1
    assert ja.tune.brackets(243)[0] == (243, 1) and ja.tune.brackets(1) == [(1, 1)]


def test_hyperband_runs_every_bracket():
    space = {"learning_rate": ja.tune.log_uniform(1e-5, 1e-1)}
    table = ja.tune.hyperband(build, space, digits(), key=KEY, epochs=9, validation=digits(100), **SETTING)
    sizes = [n for n, _ in ja.tune.brackets(9)]
    assert len(table) == sum(sizes) and table.epochs.max() == 9
    assert np.bincount(np.asarray(table.hyperparameters["bracket"])).tolist() == sizes
    assert [int((table.epochs[:, 0] == e).sum()) for e in (1, 3, 9)] == [6, 2 + 3, 1 + 2 + 3]
    assert table.epochs[table.best_index, 0] == 9


@pytest.mark.parametrize("call", [2, 4])
def test_ctrl_c_ranks_what_was_compared(monkeypatch, call):
    """Interrupted in the first bracket: nothing untrained stands in front."""
    press_ctrl_c(monkeypatch, call)
    space = {"learning_rate": ja.tune.log_uniform(1e-5, 1e-1)}
    setting = {"key": KEY, "epochs": 729, "validation": digits(100), **SETTING}
    with pytest.warns(UserWarning, match="interrupted"):
        table = ja.tune.hyperband(build, space, digits(), factor=27, **setting)
    assert table.epochs[table.best_index, 0] > 0 and (table.epochs == 0).any()
    assert not np.isfinite(table.mean["loss"][table.epochs[:, 0] == 0]).any()


@pytest.mark.parametrize(
    ("argument", "change"),
    [
        ("validation", {"validation": None}),
        ("validation", {"validation": 3}),
        ("factor", {"factor": 1}),
        ("min_epochs", {"min_epochs": 5}),
        ("min_epochs", {"min_epochs": 0}),
        ("placement", {"placement": 2}),
    ],
)
def test_refusals(argument: str, change: dict):
    setting = {"key": KEY, "epochs": 4, "validation": digits(100)} | SETTING | change
    assert_input_error(lambda: ja.tune.halving(build, RATES, digits(), **setting), argument)
