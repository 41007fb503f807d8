"""Arrays that the doctor's functions take, as in `array_arguments`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

import jaxann as ja
from tests.train.importance_arguments import KEY, MODEL, PARAMS, STATE, X, Y

__all__ = ["CASES"]

WEIGHTS = np.ones(8, np.float32)
REMEDY = ja.diagnose.Remedy("Less.", lambda recipe: recipe.replace(optimizer=ja.optimizers.sgd(0.01)))


def recipe() -> Any:
    """A linear model of three numbers."""
    return ja.recipe(MODEL, ja.losses.squared_error, ja.optimizers.sgd(0.1), batch_size=8, epochs=2, probes=True)


@functools.cache
def fitted() -> Any:
    """A run of it."""
    return ja.fit(recipe(), (X, Y), key=KEY)


FUNCTIONS: dict[str, Callable[[tuple, tuple], Any]] = {
    "examine": lambda data, held: ja.diagnose.examine(recipe(), fitted(), data, key=KEY, validation=held),
    "first_nonfinite": lambda data, held: ja.diagnose.first_nonfinite(recipe(), data, fitted().history),
    "preflight": lambda data, held: ja.diagnose.preflight(recipe(), data, KEY, validation=held),
    "probe": lambda data, held: ja.diagnose.probe(recipe(), data, key=KEY),
    "probed_layers": lambda data, held: ja.diagnose.probed_layers(recipe(), data),
    "treat": lambda data, held: ja.diagnose.treat(
        recipe(), (ja.diagnose.Verdict("stuck", "", (), 1.0, (REMEDY,)),), data, KEY, validation=held
    ),
}


def called(function: str, which: str, name: str, value: Any) -> Any:
    """What a function makes of an array in the place of one of its own."""
    sets = {kind: {"x": X, "y": Y, "weights": WEIGHTS} for kind in ("data", "validation")}
    sets[which][name] = value
    return FUNCTIONS[function](*(tuple(one.values()) for one in sets.values()))


def begun(value: Any) -> Any:
    """What `probe` makes of weights."""
    return ja.diagnose.probe(recipe(), (X, Y), key=KEY, initial=(PARAMS | {"weight": value}, STATE))


LOSSES = np.array([3.0, 2.0, 1.5, 1.2])

CASES: dict[str, tuple[Any, Callable[[Any], Any]]] = {
    **{
        f"diagnose.{function}: {which} {name}": (array, functools.partial(called, function, which, name))
        for function in FUNCTIONS
        for which in (("data", "validation") if function in ("examine", "preflight", "treat") else ("data",))
        for name, array in {"x": X, "y": Y, "weights": WEIGHTS}.items()
    },
    "diagnose.probe: initial": (PARAMS["weight"], begun),
    "diagnose.fit_verdict: training": (LOSSES, ja.diagnose.fit_verdict),
    "diagnose.fit_verdict: validation": (LOSSES, lambda v: ja.diagnose.fit_verdict(LOSSES, v)),
}
