"""What searches say of themselves: figures that are no numbers, and arguments that are no flags."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxann as ja
from tests.contract import assert_input_error
from tests.tune.problems import RANKED, SETTING, build, digits

X, Y = digits(100)
RATES = {"learning_rate": [1e-3, 1e-2]}
SPACE = {"learning_rate": ja.tune.log_uniform(1e-4, 1e-1)}
COMMON: dict[str, Any] = {"key": jax.random.key(0), "epochs": 1} | SETTING
HELD: dict[str, Any] = COMMON | {"validation": (X, Y)}
SEARCHES: dict[str, Callable[..., Any]] = {
    "cross_validate": lambda build, **how: ja.tune.cross_validate(build, RATES, (X, Y), folds=2, **COMMON, **how),
    "nested_cross_validate": lambda build, **how: ja.tune.nested_cross_validate(
        build, RATES, (X, Y), outer=2, inner=2, **COMMON, **how
    ),
    "halving": lambda build, **how: ja.tune.halving(build, RATES, (X, Y), **HELD, **how),
    "hyperband": lambda build, **how: ja.tune.hyperband(build, SPACE, (X, Y), **HELD, **how),
    "bayes": lambda build, **how: ja.tune.bayes(build, SPACE, (X, Y), trials=2, **HELD, **how),
    "population_based": lambda build, **how: ja.tune.population_based(
        build, SPACE, (X, Y), members=2, exploration=ja.tune.Exploration(interval=1), **HELD, **how
    ),
}


@ja.metrics.higher_is_better
def nothing(predictions: Any, targets: Any, rows: int = 0) -> Any:
    """A figure that is no number, of so many finite predictions."""
    return 0 * predictions.mean() + (jnp.nan if len(targets) > rows else 0)


NAN = functools.partial(build, metrics={"accuracy": nothing})


@pytest.mark.parametrize("search", SEARCHES)
def test_a_monitor_that_is_no_number_is_told_once(search: str):
    expected = f"{search}: validation_accuracy of . of . members is no number, the first of them member 0:"
    made = NAN  # nested searches choose by folds of 25 rows, and score on 50
    if search == "nested_cross_validate":
        made = functools.partial(build, metrics={"accuracy": functools.partial(nothing, rows=30)})
    with pytest.warns(UserWarning, match=expected) as told:
        SEARCHES[search](made)
    assert len(told) == 1, [str(one.message) for one in told]


def test_members_that_stop_early_for_want_of_a_number_did_not_diverge():
    patient = functools.partial(NAN, stopping=ja.train.early_stopping(1, **RANKED))
    with pytest.warns(UserWarning, match="halving: validation_accuracy of 2 of 2 members is no number") as told:
        how: dict[str, Any] = HELD | {"epochs": 3}
        table = ja.tune.halving(patient, RATES, (X, Y), **how)
    assert len(told) == 1 and (table.epochs < 3).all() and np.isfinite(table.scores["loss"]).all()


@pytest.mark.parametrize("search", SEARCHES)
def test_progress_is_a_flag(search: str):
    for bad in ("tqdm", 2):
        assert_input_error(lambda bad=bad: SEARCHES[search](build, progress=bad), "progress", expected="True or False")
