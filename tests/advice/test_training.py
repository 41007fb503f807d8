"""Every task trains by the recipe that is recommended for it, as it is but for the number of epochs."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest

import jaxann as ja

RANDOM = np.random.default_rng(0)
N = 64
X = RANDOM.normal(size=(N, 4)).astype(np.float32)
S = X @ np.array([1.0, -2.0, 0.5, 0.0])
SEQUENCES = RANDOM.normal(size=(N, 5, 2)).astype(np.float32)
PICTURES = RANDOM.random((N, 8, 8, 1)).astype(np.float32)
CLASS = np.arange(N)
IDS = (np.arange(6)[None] + np.arange(N)[:, None]) % 7
LENGTHS = RANDOM.integers(1, 6, size=N)
HOLES = np.where(RANDOM.random(X.shape) < 0.1, np.nan, X)
CODES = RANDOM.integers(-1, 3, size=(N, 2))

CASES: dict[str, tuple[Any, dict]] = {
    "binary": ((X, S > 0), {}),
    "binary, imbalanced": ((X, (np.arange(N) % 16 == 0).astype(int)), {}),
    "multiclass": ((X, np.digitize(S, (-1, 1))), {}),
    "multilabel": ((X, (X[:, :3] > [0, 0, 1.8]).astype(int)), {}),
    "regression, outliers": ((X, np.where(np.arange(N) % 20 == 0, 300, S)), {}),
    "numbers of two sizes": ((X, np.stack([S, 100 * S + 1000], 1)), {}),
    "positive": ((X, np.exp(S)), {"bounds": (0, None)}),
    "bounded": ((X, 1 / (1 + np.exp(-S))), {"bounds": (0, 1)}),
    "counts": ((X, RANDOM.poisson(np.exp(S / 3 + 2))), {"task": "counts"}),
    "quantiles": ((X, np.stack([S, S], 1)), {"levels": (0.1, 0.5, 0.9)}),
    "missing and categories": (({"numbers": HOLES, "categories": CODES}, S), {}),
    "categories alone": (({"categories": CODES}, S), {}),
    "pictures": (((PICTURES * 100 + 50 * (CLASS % 3)[:, None, None, None]).astype(np.uint8), CLASS % 3), {}),
    "a number at each place": ((PICTURES, PICTURES * 2), {}),
    "sequences": ((ja.core.padded(SEQUENCES, LENGTHS), np.arange(N) % 3), {}),
    "a class at each position": (
        (ja.core.padded(SEQUENCES, LENGTHS), ja.core.padded((SEQUENCES[..., 0] > 0).astype(int), LENGTHS)),
        {},
    ),
    "numbers at each position": ((SEQUENCES, np.cumsum(SEQUENCES, 1)), {}),
    "ids": ((IDS, np.arange(N) % 2), {"inputs": "ids"}),
    "language": ((IDS[:, :-1], IDS[:, 1:]), {}),
    "translation": (({"source": IDS, "target": IDS[:, ::-1]}, IDS), {}),
    "reconstruction": (X * [1, 10, 100, 1], {}),
    "pictures alone": (PICTURES, {}),
}


# One of each task. The others, which differ in their inputs or in a setting, are traced as whole runs.
TRAINED = ("binary, imbalanced", "multiclass", "multilabel", "numbers of two sizes", "counts", "quantiles", "pictures",
           "language", "translation", "reconstruction")  # fmt: skip


def pairs(name: str) -> tuple[Any, Any]:
    """What is recommended for a case, and what is trained on."""
    data, options = CASES[name]
    found = ja.recommend(data, **options)
    return found, (data, data) if found.facts.task == "reconstruction" else data


@pytest.mark.parametrize("name", TRAINED)
def test_the_recipe_trains(name: str, key: jax.Array):
    found, data = pairs(name)
    result = ja.fit(found.recipe.replace(epochs=3), data, validation=data, key=key)
    assert result.epochs_run == 3
    history = {name: values for name, values in result.history.items() if name.startswith("validation_")}
    assert set(history) == {"validation_loss", *(f"validation_{name}" for name in found.recipe.metrics)}
    assert all(np.isfinite(values).all() for values in history.values())
    assert history["validation_loss"].min() < history["validation_loss"][0]


@pytest.mark.parametrize("name", [name for name in CASES if name not in TRAINED])
def test_the_recipe_is_a_run_of_such_data(name: str, key: jax.Array):
    found, data = pairs(name)
    run = ja.train.make_run(found.recipe.replace(epochs=3))
    result = jax.eval_shape(run, key, data, data)
    assert {f"validation_{name}" for name in ("loss", *found.recipe.metrics)} < set(result.history)


def test_a_run_needs_no_validation_set_where_there_is_none(key: jax.Array):
    found = ja.recommend((X, S), validated=False)
    jax.eval_shape(ja.train.make_run(found.recipe.replace(epochs=2)), key, (X, S))
    with pytest.raises(ja.InputError, match="validation"):
        ja.fit(ja.recommend((X, S)).recipe, (X, S), key=key)
