"""Initializers."""

from __future__ import annotations

from jaxann import initializers
from tests.rows.kinds import Row

__all__ = ["HELPERS", "INITIALIZERS"]

HELPERS = {
    "initializers.fans": "counts the fans of a shape",
    "initializers.for_activation": "chooses among the initializers",
}

INITIALIZERS = [
    Row("initializers.zeros", initializers.zeros),
    Row("initializers.normal", lambda: initializers.normal(0.5), bad=({"stddev": -1.0}, {"stddev": "0.1"})),
    Row(
        "initializers.variance_scaling",
        lambda: initializers.variance_scaling(2.0, mode="fan_average", distribution="uniform"),
        bad=({"scale": 0.0}, {"mode": "fan_inn"}, {"distribution": "cauchy"}),
    ),
    Row("initializers.glorot_uniform", initializers.glorot_uniform, bad=({"gain": 0.0},)),
    Row("initializers.glorot_normal", initializers.glorot_normal, bad=({"gain": -1.0},)),
    Row("initializers.he_uniform", initializers.he_uniform, bad=({"negative_slope": float("nan")},)),
    Row("initializers.he_normal", lambda: initializers.he_normal(negative_slope=0.1), bad=({"negative_slope": None},)),
    Row("initializers.lecun_normal", initializers.lecun_normal),
]
