"""A small real problem that the searches' tests share."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.datasets import load_digits

import jaxann as ja

__all__ = ["SETTING", "build", "digits"]

SETTING: dict[str, Any] = {
    "batch_size": 32,
    "metrics": {"accuracy": ja.metrics.accuracy},
    "monitor": "validation_accuracy",
    "mode": "max",
}


def digits(rows: int = 203) -> tuple[np.ndarray, np.ndarray]:
    """Handwritten digits; 203 rows make folds of two sizes."""
    x, y = load_digits(return_X_y=True)
    return (x[:rows] / 16).astype(np.float32), y[:rows].astype(np.int32)


def build(hyper: dict[str, Any]) -> tuple:
    """A small network with one hyper-parameter."""
    return ja.models.mlp((16, 10)), ja.losses.softmax_cross_entropy, ja.optimizers.adam(hyper["learning_rate"])
