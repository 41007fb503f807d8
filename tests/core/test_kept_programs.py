"""How many programs are kept: no more than `KEPT` settings of a function, and none that is still in use goes."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxann as ja
from jaxann.core import programs
from jaxann.core.programs import KEPT, jit, reserve
from tests.train.problems import FIT, compiles

X = np.random.default_rng(0).normal(size=(8, 2)).astype(np.float32)
Y = X[:, :1]
ONE = np.float32(1)


class Owner:
    """Somebody who keeps programs."""


def _scale(function: Any, x: Any) -> Any:
    return function(x)


def _made(traced: list[int]) -> Any:
    program = jit(lambda function, x: (traced.append(1), _scale(function, x))[1], static_argnums=0)
    return program


def test_the_settings_used_last_are_kept_and_the_others_are_let_go():
    traced: list[int] = []
    program = _made(traced)
    functions = [lambda x, k=k: x * k for k in range(KEPT + 3)]
    alive = []
    for k, function in enumerate(functions):
        assert float(program(function, ONE)) == k
        assert float(program(functions[0], ONE)) == 0  # used between the others: it stays
        alive.append(weakref.ref(next(reversed(program._kept.values())).__wrapped__))
    assert len(traced) == KEPT + 3
    program(functions[-1], ONE)
    assert len(traced) == KEPT + 3
    program(functions[1], ONE)
    assert len(traced) == KEPT + 4  # that one was given up
    gc.collect()
    assert len({id(ref()) for ref in alive} - {id(None)}) <= KEPT


def test_shapes_of_a_setting_are_bounded_too():
    traced: list[int] = []
    program = _made(traced)
    double = jnp.negative
    for n in range(1, 2 * KEPT):
        program(double, np.zeros(n, np.float32))
    assert program.of(programs._setting(((double, ONE), {})))._cache_size() <= KEPT + 1


def test_who_reserves_settings_keeps_them_while_alive():
    traced: list[int] = []
    program, owner = _made(traced), Owner()
    functions = [lambda x, k=k: x * k for k in range(KEPT + 3)]
    reserve(owner, 3)
    for _ in range(2):
        for function in functions:
            program(function, ONE)
    assert len(traced) == KEPT + 3
    del owner
    gc.collect()
    program(lambda x: x, ONE)
    assert len(program._kept) == KEPT


def _fit(loss: Any) -> Any:
    recipe = ja.recipe(ja.layers.dense(1), loss, ja.optimizers.sgd(0.1), batch_size=8)
    return ja.fit(recipe, (X, Y), key=jax.random.key(0), epochs=1)


def test_a_new_loss_at_each_fit_keeps_few_of_them_and_a_recipe_fitted_again_compiles_nothing(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(programs, "KEPT", 2)
    alive, fits = [], 5
    for k in range(fits):
        _fit(loss := lambda p, t, k=k: (p - t) ** 2 * k)
        alive += [weakref.ref(program._kept[key]) for program in (FIT._start, FIT._advance)
                  for key in [next(reversed(program._kept))]]  # fmt: skip
    before = compiles()
    _fit(loss)
    assert compiles() == before
    gc.collect()
    assert sum(ref() is not None for ref in alive) == 2 * 2
