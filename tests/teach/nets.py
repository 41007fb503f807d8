"""Nets made without drawing anything from a key, which would have to be compiled."""

from __future__ import annotations

import numpy as np

import jaxann as ja

__all__ = ["wide_net"]


def wide_net(inputs: int, units: int, outputs: int) -> tuple[ja.core.Layer, dict]:
    """A perceptron with one hidden layer of relu, and parameters for it."""
    draw = np.random.default_rng(0)
    sizes = {"dense0": (inputs, units), "dense1": (units, outputs)}
    params: dict = {name: {"weight": 0.1 * draw.normal(size=s), "bias": np.zeros(s[1])} for name, s in sizes.items()}
    return ja.models.mlp((units, outputs)), {**params, "act0": {}}
