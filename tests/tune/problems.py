"""A small real problem that the searches' tests share."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.datasets import load_digits

import jaxann as ja
from jaxann.train.recipe import Recipe

__all__ = ["RANKED", "SETTING", "build", "digits"]

SETTING: dict[str, Any] = {"batch_size": 32}
RANKED = {"monitor": "validation_accuracy", "mode": "max"}
_ONLY_RANKED = ja.train.early_stopping(None, restore_best=False, **RANKED)


def digits(rows: int = 203) -> tuple[np.ndarray, np.ndarray]:
    """Handwritten digits; 203 rows make folds of two sizes."""
    x, y = load_digits(return_X_y=True)
    return (x[:rows] / 16).astype(np.float32), y[:rows].astype(np.int32)


def build(hyper: dict[str, Any], **changes: Any) -> Recipe:
    """A linear model, ranked by accuracy; `functools.partial(build, ...)` changes the recipe."""
    usual = {
        "model": ja.models.mlp((10,)),
        "loss": ja.losses.softmax_cross_entropy,
        "optimizer": ja.optimizers.adam(hyper.get("learning_rate", 1e-2)),
        "metrics": {"accuracy": ja.metrics.accuracy},
        "stopping": _ONLY_RANKED,
    }
    return ja.recipe(**(usual | changes))
