"""What it costs to learn from rows that are held out: a good score on noise."""

from __future__ import annotations

import jax
import numpy as np

import jaxann as ja
from jaxann import preprocessing

RANDOM = np.random.default_rng(0)
X, Y = RANDOM.normal(size=(80, 1000)).astype(np.float32), RANDOM.integers(0, 2, 80).astype(np.int32)
CHOICE = preprocessing.select_best(20, score="f_classification")


def accuracy(x: np.ndarray, prepare: ja.core.Preprocessor | None) -> float:
    def build(hyper):
        loss, descent = ja.losses.softmax_cross_entropy, ja.optimizers.adam(hyper["rate"])
        return ja.recipe(ja.models.mlp((2,)), loss, descent, metrics={"accuracy": ja.metrics.accuracy})

    folds = ja.tune.resampling(5, prepare=prepare)
    table = ja.tune.cross_validate(
        build, {"rate": [0.03]}, (x, Y), folds=folds, key=jax.random.key(0), epochs=20, batch_size=64
    )
    return float(table.mean["accuracy"][0])


def test_columns_chosen_on_all_rows_promise_what_is_not_there():
    leaking = accuracy(CHOICE.fit_transform(X, None, Y)[1], None)
    honest = accuracy(X, CHOICE)
    assert leaking > 0.8 and honest < 0.65, f"{leaking:.2f} on rows that were looked at, {honest:.2f} on others"
