"""Settings drawn from a space: complete grids, independent draws, Sobol sequences, all from a key."""

from __future__ import annotations

import itertools
import warnings

import jax
import numpy as np
import pytest
from scipy import stats
from sklearn.model_selection import ParameterGrid

from jaxann import tune
from jaxann.tune.generators import generator
from tests.contract import assert_input_error

SPACE = {
    "learning_rate": tune.log_uniform(1e-4, 1e-1),
    "layers": tune.integer(1, 3),
    "activation": ["relu", "tanh"],
}
CONDITIONAL = {
    "momentum": tune.conditional(tune.uniform(0.5, 0.9), when={"optimizer": "sgd"}, otherwise=0.0),
    "optimizer": ["sgd", "adam"],
    "b2": tune.conditional([0.99, 0.999], when={"optimizer": "adam"}, otherwise=None),
}


def _settings(columns):
    lists = [c.tolist() if isinstance(c, np.ndarray) else c for c in columns.values()]
    return [dict(zip(columns, values, strict=True)) for values in zip(*lists, strict=True)]


def _hashable(columns):
    return [tuple(setting.values()) for setting in _settings(columns)]


def test_grid_is_the_product_in_order():
    values = [[1e-4, 1e-3, 1e-2, 1e-1], [1, 2, 3], ["relu", "tanh"]]
    assert _hashable(tune.grid(SPACE, points=4)) == list(itertools.product(*values))


def test_grid_matches_sklearn():
    lists = {"a": [1, 2, 3], "b": ["x", "y"], "c": [True, False]}
    assert _settings(tune.grid(lists)) == list(ParameterGrid(lists))


def test_grid_points_are_round_and_end_exactly():
    assert tune.grid({"a": tune.uniform(-1, 2)}, points=4)["a"].tolist() == [-1.0, 0.0, 1.0, 2.0]
    assert tune.grid({"a": tune.uniform(0, 1)}, points=11)["a"].tolist() == [i / 10 for i in range(11)]
    assert tune.grid({"a": tune.log_uniform(1e-300, 1e300)}, points=3)["a"].tolist() == [1e-300, 1.0, 1e300]
    ends = (0.1 + 0.2, np.nextafter(0.3, 1) * 7)
    column = tune.grid({"a": tune.log_uniform(*ends)}, points=3)["a"]
    assert (column[0], column[-1]) == ends and len(column) == 3
    np.testing.assert_allclose(column[1], np.sqrt(ends[0] * ends[1]), rtol=1e-11)  # rounded to 12 digits


def test_grid_takes_points_by_name_and_thins_integers():
    space = SPACE | {"width": tune.integer(1, 1000, log=True)}
    columns = tune.grid(space, points={"learning_rate": 2, "width": 4})
    assert sorted(set(columns["width"].tolist())) == [1, 10, 100, 1000]
    assert len(columns["width"]) == 2 * 3 * 2 * 4
    assert tune.grid({"a": tune.integer(1, 3)}, points={"a": 10})["a"].tolist() == [1, 2, 3]
    assert tune.grid({"a": tune.integer(1, 9)}, points={"a": 3})["a"].tolist() == [1, 5, 9]
    assert tune.grid({"a": tune.integer(1, 9)}, points=3)["a"].tolist() == list(range(1, 10))


def test_grid_lists_no_setting_twice_under_conditions():
    found = _hashable(tune.grid(CONDITIONAL, points=3))
    assert found == [
        (0.5, "sgd", None), (0.7, "sgd", None), (0.9, "sgd", None), (0.0, "adam", 0.99), (0.0, "adam", 0.999)
    ]  # fmt: skip


def test_grid_refuses_what_it_cannot_list():
    message = assert_input_error(lambda: tune.grid(SPACE), "points", expected="learning_rate", given="None")
    assert "points={'learning_rate': 5}" in message
    assert_input_error(lambda: tune.grid(SPACE, points=1), "points", given="1")
    assert_input_error(lambda: tune.grid(SPACE, points=2.5), "points", given="2.5")
    assert_input_error(lambda: tune.grid(SPACE, points={"layers": 2}), "points", expected="'learning_rate'")
    assert_input_error(lambda: tune.grid(SPACE, points={"rate": 2}), "points", given="'rate'")
    assert_input_error(lambda: tune.grid(SPACE, points={"activation": 2}), "points", given="'activation'")
    assert_input_error(lambda: tune.grid(SPACE, points={"learning_rate": 0}), "points['learning_rate']", given="0")
    huge = {f"name{i}": tune.uniform(0, 1) for i in range(8)}
    assert_input_error(lambda: tune.grid(huge, points=10), "space", expected="1,000,000", given="10,000,000")
    assert_input_error(lambda: tune.grid({"a": tune.integer(1, 2**30)}), "space", expected="1,000,000")


@pytest.mark.parametrize("draw", (tune.random, tune.sobol))
def test_samples_depend_on_the_key_alone(draw, key):
    first, again, other = draw(SPACE, 13, key=key), draw(SPACE, 13, key=key), draw(SPACE, 13, key=jax.random.key(21))
    assert _hashable(first) == _hashable(again) != _hashable(other)
    assert list(first) == list(SPACE) and len(set(first["learning_rate"].tolist())) == 13
    assert _hashable(draw(SPACE, 40, key=key))[:13] == _hashable(first)


@pytest.mark.parametrize("draw", (tune.random, tune.sobol))
def test_samples_have_the_distribution_of_the_space(draw, key):
    columns = draw(SPACE, 4096, key=key)
    decades = (np.log10(columns["learning_rate"]) + 4) / 3
    assert stats.kstest(decades, "uniform").pvalue > 0.01
    for column, options in ((columns["layers"].tolist(), (1, 2, 3)), (columns["activation"], ("relu", "tanh"))):
        counts = [column.count(option) for option in options]
        assert sum(counts) == 4096 and stats.chisquare(counts).pvalue > 0.01


def test_random_draws_are_independent(key):
    columns = tune.random({"a": tune.uniform(0, 1), "b": tune.uniform(0, 1)}, 4096, key=key)
    assert stats.pearsonr(columns["a"], columns["b"]).pvalue > 0.01
    assert stats.pearsonr(columns["a"][1:], columns["a"][:-1]).pvalue > 0.01


def test_random_finds_the_top_share_as_often_as_the_formula_says():
    n, q, trials = 20, 0.1, 2000
    draws = tune.random({"a": tune.uniform(0, 1)}, n * trials, key=jax.random.key(0))["a"].reshape(trials, n)
    hits = int((draws.max(1) > 1 - q).sum())
    assert stats.binomtest(hits, trials, 1 - (1 - q) ** n).pvalue > 0.01


@pytest.mark.parametrize("n", (1, 2, 5, 8, 13))
def test_sobol_is_scipys_sequence_without_its_warning(n, key):
    columns = tune.sobol({"a": tune.uniform(0, 1), "b": tune.uniform(0, 1)}, n, key=key)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of numbers that are no powers of two
        expected = stats.qmc.Sobol(2, scramble=True, seed=generator(key)).random(n)
    np.testing.assert_array_equal(np.stack([columns["a"], columns["b"]], 1), expected)
    assert np.unique(np.floor(columns["a"] * 16)).size == n  # each in a share of its own


def test_sobol_fills_the_square_more_evenly_than_chance(key):
    space = {"a": tune.uniform(0, 1), "b": tune.uniform(0, 1)}

    def discrepancy(columns):
        return stats.qmc.discrepancy(np.stack([columns["a"], columns["b"]], 1))

    assert discrepancy(tune.sobol(space, 256, key=key)) < discrepancy(tune.random(space, 256, key=key)) / 10


@pytest.mark.parametrize("draw", (tune.random, tune.sobol))
def test_samplers_refuse_wrong_arguments(draw, key):
    several = jax.random.split(key)
    assert_input_error(lambda: draw({}, 3, key=key), "space", given="{}")
    assert_input_error(lambda: draw(SPACE, 0, key=key), "n", given="0")
    assert_input_error(lambda: draw(SPACE, 2.5, key=key), "n", given="2.5")
    assert_input_error(lambda: draw(SPACE, 3, key=0), "key", given="0")
    assert_input_error(lambda: draw(SPACE, 3, key=several), "key", given="2 keys")


def test_sobol_refuses_more_points_than_it_has(key):
    assert_input_error(lambda: tune.sobol(SPACE, 2**30 + 1, key=key), "n", expected="2^30")
