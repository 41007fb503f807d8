"""Backward rules of the layers, one file beside each file of the room; importing a file enters its rules."""

from jaxann.backprop.layers import (
    activation,
    base,
    branches,
    conv,
    dense,
    drop_connect,
    dropout,
    ensemble,
    noise,
    norm,
    pool,
    stochastic_depth,
)

__all__ = [
    "activation",
    "base",
    "branches",
    "conv",
    "dense",
    "drop_connect",
    "dropout",
    "ensemble",
    "noise",
    "norm",
    "pool",
    "stochastic_depth",
]
