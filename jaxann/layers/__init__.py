"""Layers: `init(key, spec) -> (params, state)` and `apply(params, state, x, *, key, train) -> (y, state)`."""

from jaxann.layers.activation import gated_dense, maxout, prelu, rrelu, swish
from jaxann.layers.base import as_layer, custom, elementwise, residual, sequential
from jaxann.layers.branches import branch, concatenate, parallel
from jaxann.layers.conv import conv, conv_transpose, depthwise_conv
from jaxann.layers.dense import dense, flatten
from jaxann.layers.drop_connect import drop_connect_dense
from jaxann.layers.dropout import alpha_dropout, drop_block, dropout, spatial_dropout
from jaxann.layers.ensemble import batch_ensemble_dense, packed_dense, repeat_members
from jaxann.layers.layer_outputs import layer_outputs
from jaxann.layers.noise import gaussian_dropout, gaussian_noise
from jaxann.layers.norm import batch_norm
from jaxann.layers.pool import adaptive_pool, avg_pool, global_pool, lp_pool, max_pool
from jaxann.layers.stochastic_depth import stochastic_depth

__all__ = [
    "adaptive_pool",
    "alpha_dropout",
    "as_layer",
    "avg_pool",
    "batch_ensemble_dense",
    "batch_norm",
    "branch",
    "concatenate",
    "conv",
    "conv_transpose",
    "custom",
    "dense",
    "depthwise_conv",
    "drop_block",
    "drop_connect_dense",
    "dropout",
    "elementwise",
    "flatten",
    "gated_dense",
    "gaussian_dropout",
    "gaussian_noise",
    "global_pool",
    "layer_outputs",
    "lp_pool",
    "max_pool",
    "maxout",
    "packed_dense",
    "parallel",
    "prelu",
    "repeat_members",
    "residual",
    "rrelu",
    "sequential",
    "spatial_dropout",
    "stochastic_depth",
    "swish",
]
