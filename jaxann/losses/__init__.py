"""Losses `(predictions, targets) -> values`: one value an example or element; the trainer takes the weighted mean."""

from jaxann.losses.classification import (
    sigmoid_cross_entropy,
    softmax_cross_entropy,
    softmax_cross_entropy_dense,
)
from jaxann.losses.members import each_member
from jaxann.losses.regression import squared_error

__all__ = [
    "each_member",
    "sigmoid_cross_entropy",
    "softmax_cross_entropy",
    "softmax_cross_entropy_dense",
    "squared_error",
]
