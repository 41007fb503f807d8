"""The mode a model is run in: evaluation, training, and the two between them."""

from __future__ import annotations

import enum
from typing import Any

import numpy as np

from jaxann.core.checks import fail

__all__ = ["TrainMode", "check_train"]


class TrainMode(enum.Enum):
    """The two special modes of `train=`, beside True and False.

    NOISE: random layers draw as in training, statistics are those of evaluation and stay as they are.
    STATISTICS: as in training, but the state that comes back is that of the batch alone.
    A layer with neither noise nor statistics takes both for True.
    """

    NOISE = "noise"
    STATISTICS = "statistics"


def check_train(function: str, train: Any) -> bool | TrainMode:
    """True, False or a `TrainMode`.

    Raises:
        InputError: anything else, a text or a traced flag too.
    """
    if isinstance(train, TrainMode):
        return train
    if not isinstance(train, bool | np.bool_):
        hint = "TrainMode.NOISE or TrainMode.STATISTICS of jaxann.core." if isinstance(train, str) else None
        fail(function, "train", "True, False or a TrainMode", train, hint=hint)
    return bool(train)
