"""Initializers."""

from __future__ import annotations

import numpy as np

from jaxann import initializers
from tests.rows.kinds import InitializerRow

__all__ = ["HELPERS", "INITIALIZERS"]

HELPERS = {
    "initializers.fans": "counts the fans of a shape",
    "initializers.gain": "a number from a table",
    "initializers.init_for": "chooses among the initializers",
    "initializers.log_prior": "a bias from targets",
    "initializers.lsuv": "takes parameters and data, and gives parameters",
    "initializers.output_init": "chooses among the initializers",
}

INITIALIZERS = [
    InitializerRow("initializers.zeros", initializers.zeros, "NumPy", random=False),
    InitializerRow("initializers.ones", initializers.ones, "NumPy", random=False),
    InitializerRow(
        "initializers.constant", lambda: initializers.constant(0.5), "NumPy", ({"value": float("nan")}, {"value": "1"}),
        random=False,
    ),
    InitializerRow(
        "initializers.normal", lambda: initializers.normal(0.5), "moments; torch",
        ({"stddev": -1.0}, {"stddev": "0.1"}),
    ),
    InitializerRow(
        "initializers.truncated_normal", lambda: initializers.truncated_normal(0.5, lower=-1.5, corrected=True),
        "moments; torch; scipy", ({"stddev": -0.1}, {"upper": -1.5}, {"lower": None}), exact=False,
    ),
    InitializerRow(
        "initializers.uniform", lambda: initializers.uniform(-0.3, 0.1), "moments", ({"low": "0"}, {"high": -0.5}),
    ),
    InitializerRow(
        "initializers.variance_scaling",
        lambda: initializers.variance_scaling(2.0, mode="fan_average", distribution="uniform"), "moments",
        ({"scale": 0.0}, {"mode": "fan_inn"}, {"distribution": "cauchy"}),
    ),
    InitializerRow("initializers.glorot_uniform", initializers.glorot_uniform, "moments; torch", ({"gain": 0.0},)),
    InitializerRow("initializers.glorot_normal", initializers.glorot_normal, "moments; torch", ({"gain": -1.0},)),
    InitializerRow(
        "initializers.he_uniform", initializers.he_uniform, "moments; torch", ({"negative_slope": float("nan")},),
    ),
    InitializerRow(
        "initializers.he_normal", lambda: initializers.he_normal(negative_slope=0.1), "moments; torch",
        ({"negative_slope": None},),
    ),
    InitializerRow("initializers.lecun_normal", initializers.lecun_normal, "moments"),
    InitializerRow("initializers.lecun_uniform", initializers.lecun_uniform, "moments"),
    InitializerRow(
        "initializers.torch_linear", initializers.torch_linear, "moments; torch",
        ({"fan_in": 0}, {"fan_in": 2.5}, {"fan_in": True}),
    ),
    InitializerRow(
        "initializers.orthogonal", lambda: initializers.orthogonal(2.0), "W'W = I; torch", ({"scale": float("inf")},),
    ),
    InitializerRow("initializers.identity", initializers.identity, "NumPy", ({"scale": "1"},), random=False),
    InitializerRow(
        "initializers.dirac", lambda: initializers.dirac(2), "torch", ({"groups": 0}, {"groups": 1.0}),
        shape=(3, 5, 4, 6), random=False,
    ),
    InitializerRow(
        "initializers.delta_orthogonal", initializers.delta_orthogonal, "WW' = I", ({"scale": None},),
        shape=(3, 3, 4, 6),
    ),
    InitializerRow(
        "initializers.sparse", lambda: initializers.sparse(0.4, stddev=0.3), "counts",
        ({"sparsity": 1.5}, {"sparsity": -0.1}, {"stddev": -1.0}, {"stddev": np.array([0.1, -0.1])}), exact=False,
    ),
]  # fmt: skip
