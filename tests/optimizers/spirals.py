"""For each optimizer one setting with which it learns the two spirals; shown in CATALOGUE.md."""

from __future__ import annotations

from typing import Any, NamedTuple

from jaxann import optimizers as o
from jaxann.schedules import cosine

__all__ = ["SETTINGS", "Setting"]


class Setting(NamedTuple):
    """What a 2-20-20-1 network with tanh is trained with, all 194 points in every step."""

    optimizer: Any
    epochs: int


SETTINGS = {
    "sgd": Setting(o.sgd(0.5, momentum=0.9), 4000),
    "adagrad": Setting(o.adagrad(0.5), 20_000),
    "adadelta": Setting(o.adadelta(10.0), 8000),
    "rmsprop": Setting(o.rmsprop(cosine(0.01, 8000)), 8000),
    "adam": Setting(o.adam(0.01), 4000),
    "adamw": Setting(o.adamw(0.01), 4000),
    "amsgrad": Setting(o.amsgrad(0.01), 5000),
    "adamax": Setting(o.adamax(0.02), 5000),
    "adamaxw": Setting(o.adamaxw(0.02), 5000),
    "nadam": Setting(o.nadam(0.01), 5000),
    "nadamw": Setting(o.nadamw(0.01), 5000),
    "radam": Setting(o.radam(0.01), 5000),
    "adabelief": Setting(o.adabelief(0.01), 5000),
    "yogi": Setting(o.yogi(0.02), 10_000),
    "lion": Setting(o.lion(cosine(0.003, 8000), weight_decay=0.0), 8000),
    "rprop": Setting(o.rprop(0.01), 8000),
    "novograd": Setting(o.novograd(0.02), 8000),
    "adan": Setting(o.adan(0.01), 8000),
    "sm3": Setting(o.sm3(0.3), 5000),
    "adopt": Setting(o.adopt(0.01), 5000),
    "ademamix": Setting(o.ademamix(0.005), 5000),
    "polyak_sgd": Setting(o.polyak_sgd(2.0, scaling=0.5), 15_000),
}
