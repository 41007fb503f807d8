"""Layers: `init(key, spec) -> (params, state)` and `apply(params, state, x, *, key, train) -> (y, state)`."""

from jaxann.layers.base import as_layer, custom, elementwise, residual, sequential
from jaxann.layers.dense import dense, flatten
from jaxann.layers.dropout import dropout
from jaxann.layers.ensemble import batch_ensemble_dense, packed_dense, spread
from jaxann.layers.norm import batch_norm

__all__ = [
    "as_layer",
    "batch_ensemble_dense",
    "batch_norm",
    "custom",
    "dense",
    "dropout",
    "elementwise",
    "flatten",
    "packed_dense",
    "residual",
    "sequential",
    "spread",
]
