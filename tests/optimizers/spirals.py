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
    "sgd": Setting(o.sgd(cosine(0.2, 12_000), momentum=0.9), 12_000),
    "adagrad": Setting(o.adagrad(0.5), 16_000),
    "adadelta": Setting(o.adadelta(cosine(10.0, 12_000)), 12_000),
    "rmsprop": Setting(o.rmsprop(cosine(0.01, 8000)), 8000),
    "adam": Setting(o.adam(cosine(0.02, 4000)), 4000),
    "adamw": Setting(o.adamw(cosine(0.02, 4000)), 4000),
    "amsgrad": Setting(o.amsgrad(0.01), 5000),
    "adamax": Setting(o.adamax(0.02), 5000),
    "adamaxw": Setting(o.adamaxw(0.02), 5000),
    "nadam": Setting(o.nadam(cosine(0.02, 5000)), 5000),
    "nadamw": Setting(o.nadamw(cosine(0.02, 5000)), 5000),
    "radam": Setting(o.radam(0.01), 5000),
    "adabelief": Setting(o.adabelief(0.01), 5000),
    "yogi": Setting(o.yogi(0.02), 8000),
    "lion": Setting(o.lion(cosine(0.004, 12_000), weight_decay=0.0), 12_000),
    "rprop": Setting(o.rprop(0.003), 8000),
    "novograd": Setting(o.novograd(0.02), 8000),
    "adan": Setting(o.adan(0.01), 8000),
    "sm3": Setting(o.sm3(0.3), 5000),
    "adopt": Setting(o.adopt(0.01), 5000),
    "ademamix": Setting(o.ademamix(0.005), 5000),
    "polyak_sgd": Setting(o.polyak_sgd(3.0, scaling=0.4), 20_000),
    "lars": Setting(o.lars(cosine(5.0, 8000), mask=None), 8000),
    "lamb": Setting(o.lamb(cosine(0.005, 6000)), 6000),
    "adafactor": Setting(o.adafactor(cosine(0.01, 8000), decay_rate=0.9, multiply_by_parameter_scale=False), 8000),
    "muon": Setting(o.muon(0.02, adam_learning_rate=0.01), 3000),
    "shampoo": Setting(o.shampoo(0.01), 1500),
    "soap": Setting(o.soap(0.01), 2000),
    "sophia": Setting(o.sophia(cosine(0.005, 20_000), gamma=0.03), 20_000),
    "schedule_free": Setting(o.schedule_free(o.adam(0.01, b1=0.0), b1=0.95), 12_000),
    "prodigy": Setting(o.prodigy(0.02), 4000),
    "lbfgs": Setting(o.lbfgs(memory_size=3), 2000),
    "sam": Setting(o.sam(o.adam(0.01), rho=0.01), 5000),
}
