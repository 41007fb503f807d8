"""Backward rules of the activations, one file beside each file of the room; importing a file enters its rules."""

from jaxann.backprop.activations import (
    gated,
    names,
    rectifiers,
    sigmoid,
    smooth,
    steps,
    vector,
)

__all__ = [
    "gated",
    "names",
    "rectifiers",
    "sigmoid",
    "smooth",
    "steps",
    "vector",
]
