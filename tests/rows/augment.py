"""Augmentations of training examples."""

from __future__ import annotations

from jaxann import data
from tests.rows.kinds import AugmentRow

__all__ = ["AUGMENTS", "HELPERS"]

HELPERS = {
    "data.cifar10": "reads a set of data",
    "data.digits": "reads a set of data",
    "data.mnist": "reads a set of data",
}

AUGMENTS = [
    AugmentRow(
        "data.mixup",
        lambda: data.mixup(0.4),
        bad=({"alpha": 0.0}, {"alpha": -1.0}),
        mixes=True,
        shape=(6, 3),
        wide=True,
    ),
    AugmentRow("data.cutmix", lambda: data.cutmix(per_example=True), bad=({"alpha": 0.0},), mixes=True),
    AugmentRow(
        "data.cutout",
        lambda: data.cutout(3, fill=0.5),
        bad=({"size": -1}, {"size": 2.5}, {"fill": "white"}, {"fill": None}),
        nothing={"size": 0},
    ),
    AugmentRow(
        "data.random_erasing",
        lambda: data.random_erasing(1.0, fill="noise"),
        bad=({"probability": 1.5}, {"scale": 0.5}, {"scale": (0.5, 0.2)}, {"ratio": (0.0, 1.0)}, {"fill": "white"}),
        nothing={"probability": 0.0},
        wide=True,
    ),
]
