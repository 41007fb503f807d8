"""A warning points at the line that called jaxann, however deep it is found out, and nothing counts frames by hand."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import jaxann as ja
from jaxann.core import programs
from jaxann.core.notices import notify

PACKAGE = Path(ja.__file__).parent
X = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
Y = X[:, :1]
KEY = jax.random.key(0)
DENSE = ja.layers.dense(1)
PARAMS = {"weight": np.zeros((3, 1), np.float32), "bias": np.zeros(1, np.float32)}


def recipe(loss: Any = ja.losses.squared_error, rate: float = 0.1, **more: Any) -> Any:
    return ja.recipe(DENSE, loss, ja.optimizers.sgd(rate), batch_size=8, **more)


def no_weights(predictions: Any, targets: Any) -> Any:
    return predictions.mean()


def ignoring(predictions: Any, targets: Any) -> Any:
    return (predictions - targets) ** 2 * np.float32(np.nan)


WEIGHTS = np.array([0, *[1] * 7], np.float32)
WARNS: dict[str, Callable[[], Any]] = {
    "fit_population, a metric without weights": lambda: ja.train.fit_population(
        lambda hyper: recipe(metrics={"own": no_weights}), {}, (X, Y, WEIGHTS), keys=KEY[None], epochs=1
    ),
    "fit, steps skipped": lambda: ja.fit(recipe(ignoring, on_nonfinite="skip"), (X, Y), key=KEY, epochs=1),
    "fit_population, diverged": lambda: ja.train.fit_population(
        lambda hyper: recipe(ignoring), {}, (X, Y), keys=KEY[None], epochs=1
    ),
}


@pytest.mark.parametrize("verb", WARNS)
def test_a_warning_points_at_the_line_that_called(verb: str):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        WARNS[verb]()
    assert told and {one.filename for one in told} == {__file__}, [(str(one.message), one.filename) for one in told]
    first = WARNS[verb].__code__.co_firstlineno
    assert all(first <= one.lineno <= first + 3 for one in told)


def test_jax_between_is_passed_over():
    with pytest.warns(UserWarning) as told:
        jax.jit(lambda: (notify("from a program", UserWarning), 0)[1])()
    assert told[0].filename == __file__


def test_no_warning_counts_frames_by_hand():
    wrong = [str(path) for path in PACKAGE.rglob("*.py") if "warnings.warn(" in path.read_text(encoding="utf-8")]
    assert [Path(path).name for path in wrong] == ["notices.py"], "core.notices.notify finds the line that called"


def test_a_warning_turned_into_an_error_comes_each_time(monkeypatch: pytest.MonkeyPatch):
    for settled in ("in_time", "by_flag", "is_told"):
        monkeypatch.setattr(programs._Settled, settled, False)
    monkeypatch.setattr(programs, "_goes_wrong", lambda: True)
    monkeypatch.setattr(programs, "_RIGHT", (99,))
    monkeypatch.setattr(jax, "default_backend", lambda: "cpu")
    for _ in range(2):
        with pytest.raises(RuntimeWarning, match="import jaxann first"):
            DENSE.apply(PARAMS, {}, X)
    with pytest.warns(RuntimeWarning, match="import jaxann first") as told:
        DENSE.apply(PARAMS, {}, X)
        DENSE.apply(PARAMS, {}, X)
    assert [one.filename for one in told] == [__file__]
