"""Pure runs and their derivatives refuse the data that `fit` refuses, where their values are known, before they run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest

import jaxann as ja
from tests.contract import assert_input_error

KEY = jax.random.key(0)
X = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
Y = np.arange(6) % 2
HUGE = 2**40

BAD: dict[str, tuple[tuple, str, str]] = {
    "no weight": ((X, Y, np.zeros(6)), " weights", "only zeros"),
    "no weight of a value": ((X, X, np.zeros((6, 3))), " weights", "only zeros"),
    "negative weight": ((X, Y, -np.ones(6)), " weights", "-1 at row 0"),
    "weight that is no number": ((X, Y, np.full(6, np.nan)), " weights", "not finite"),
    "wide integers": ((X.astype(np.int64) + HUGE, Y), " x", "int64 up to 109951162777"),
    "unsigned integers": ((np.full((6, 3), 3_000_000_000, np.uint32), Y), " x", "3000000000"),
    "wide labels": ((X, Y + HUGE), " y", "int64 up to 109951162777"),
    "masked": ((np.ma.masked_array(X, mask=X > 1), Y), " x", "masked"),
    "no number": ((np.where(X > 0, np.nan, X), Y), " x", "not finite"),
}


def _recipe(rate: Any = 0.1) -> Any:
    return ja.recipe(ja.layers.dense(2), ja.losses.softmax_cross_entropy, ja.optimizers.sgd(rate))


def _hypergradient(train: tuple, validation: tuple) -> Any:
    build = lambda hyper: _recipe(hyper["rate"])  # noqa: E731
    return ja.tune.hypergradient(build, {"rate": 0.1}, train, validation, key=KEY, epochs=1, batch_size=6)


def _run(train: tuple, validation: tuple) -> Any:
    return ja.train.make_run(_recipe(), epochs=1, batch_size=6)(KEY, train, validation)


def _fit(train: tuple, validation: tuple) -> Any:
    return ja.fit(_recipe(), train, validation=validation, key=KEY, epochs=1, batch_size=6)


def _keys_alone_traced(train: tuple, validation: tuple) -> Any:
    run = ja.train.make_run(_recipe(), epochs=1, batch_size=6)
    return jax.eval_shape(lambda key: run(key, train, validation).params, KEY)


def _features_traced(train: tuple, validation: tuple) -> Any:
    """What is known beside them is looked at."""
    run = ja.train.make_run(_recipe(), epochs=1, batch_size=6)
    return jax.eval_shape(lambda x: run(KEY, (x, *train[1:]), (x, *validation[1:])).params, X)


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("verb", [_hypergradient, _run, _fit, _keys_alone_traced, _features_traced])
def test_known_data_are_checked_before_anything_runs(verb: Callable, name: str):
    data, argument, given = BAD[name]
    if verb is _features_traced and argument == " x":
        return
    good = (X, data[1] if data[1] is X else Y)
    assert_input_error(lambda: verb(data, good), f"train{argument}", given=given)
    assert_input_error(lambda: verb(good, data), f"validation{argument}", given=given)


def test_whole_numbers_and_lists_are_read_as_fit_reads_them():
    whole = np.round(3 * X)
    program = jax.jit(lambda x: _run((x, Y), (x, Y)).params["weight"])
    found = [_run((x, Y), (x, Y)).params["weight"] for x in (whole.astype(np.int64), whole.tolist())]
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_allclose(found[0], program(whole), rtol=1e-6)
    losses = [_hypergradient((x, Y), (x, Y))[0] for x in (whole, whole.astype(np.uint8).view(np.int8))]
    np.testing.assert_array_equal(*losses)
