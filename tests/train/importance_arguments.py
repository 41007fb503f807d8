"""Arrays that the functions of `diagnose` take, as in `array_arguments`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

import jaxann as ja

__all__ = ["CASES"]

RANDOM = np.random.default_rng(1)
X = RANDOM.normal(size=(8, 3)).astype(np.float32)
Y = RANDOM.normal(size=(8, 2)).astype(np.float32)
NAMES = ("a", "b", "c")
KEY = jax.random.key(0)
MODEL = ja.layers.dense(2)
PARAMS, STATE = {"weight": np.ones((3, 2), np.float32), "bias": np.zeros(2, np.float32)}, {}

ATTRIBUTIONS: dict[Callable[..., Any], dict[str, Any]] = {
    ja.diagnose.saliency: {},
    ja.diagnose.input_times_gradient: {},
    ja.diagnose.integrated_gradients: {},
    ja.diagnose.deep_lift: {},
    ja.diagnose.expected_gradients: {"background": X, "key": KEY},
    ja.diagnose.exact_shap: {"background": X},
    ja.diagnose.kernel_shap: {"background": X},
}


def attributed(function: Callable[..., Any], name: str, value: Any) -> Any:
    """What an attribution makes of an array in the place of one of its own."""
    given = {"params": PARAMS["weight"], "x": X} | ATTRIBUTIONS[function] | {name: value}
    return function(MODEL, PARAMS | {"weight": given.pop("params")}, STATE, **given)


def permuted(name: str, value: Any) -> Any:
    """What `permutation_importance` makes of it."""
    given = {"params": PARAMS["weight"], "x": X, "y": Y, "weights": np.ones(8, np.float32)} | {name: value}
    params, data = PARAMS | {"weight": given["params"]}, (given["x"], given["y"], given["weights"])
    return ja.diagnose.permutation_importance(MODEL, params, STATE, data, ja.metrics.mse, key=KEY)


def ranged(name: str, value: Any) -> Any:
    """What `diagnose.learning_rate_range` makes of it."""
    given = {"x": X, "y": Y, "weights": np.ones(8, np.float32)} | {name: value}
    recipe = ja.recipe(MODEL, ja.losses.squared_error, ja.optimizers.sgd(0.1), batch_size=8)
    return ja.diagnose.learning_rate_range(recipe, (given["x"], given["y"], given["weights"]), KEY, steps=10)


def mapped(name: str, value: Any) -> Any:
    """What `diagnose.live_map` makes of it."""
    given = {"params": PARAMS["weight"], "x": X, "y": Y, "weights": np.ones(8, np.float32)} | {name: value}
    recipe = ja.recipe(MODEL, ja.losses.squared_error, ja.optimizers.sgd(0.1), batch_size=8)
    data = given["x"], given["y"], given["weights"]
    return ja.diagnose.live_map(recipe, PARAMS | {"weight": given["params"]}, data)


CASES: dict[str, tuple[Any, Callable[[Any], Any]]] = {
    **{
        f"diagnose.permutation_importance: {label}": (array, functools.partial(permuted, label.split()[-1]))
        for label, array in {"params": PARAMS["weight"], "data x": X, "data y": Y, "data weights": np.ones(8)}.items()
    },
    **{
        f"diagnose.live_map: {label}": (array, functools.partial(mapped, label.split()[-1]))
        for label, array in {"params": PARAMS["weight"], "data x": X, "data y": Y, "data weights": np.ones(8)}.items()
    },
    **{
        f"diagnose.learning_rate_range: {label}": (array, functools.partial(ranged, label.split()[-1]))
        for label, array in {"data x": X, "data y": Y, "data weights": np.ones(8)}.items()
    },
    **{
        f"diagnose.{function.__name__}: {name}": (array, functools.partial(attributed, function, name))
        for function, beside in ATTRIBUTIONS.items()
        for name, array in ({"params": PARAMS["weight"], "x": X} | beside).items()
        if name != "key"
    },
    "plot.beeswarm: values": (X, lambda v: ja.plot.beeswarm(NAMES, v, X)),
    "plot.beeswarm: x": (X, lambda v: ja.plot.beeswarm(NAMES, X, v)),
    "plot.importance_bars: mean": (X[0], lambda v: ja.plot.importance_bars(NAMES, v)),
}
