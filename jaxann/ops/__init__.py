"""Arrays in, arrays out: the mathematics of the layers, without names or state."""

from jaxann.ops.conv import conv, conv_transpose
from jaxann.ops.dense import dense
from jaxann.ops.dropout import alpha_dropout, drop_block, dropout, spatial_dropout, stochastic_depth
from jaxann.ops.ewma import EwmaState, ewma, ewma_init, ewma_read, ewma_update
from jaxann.ops.noise import gaussian_dropout, gaussian_noise
from jaxann.ops.norm import moments, normalize
from jaxann.ops.pool import adaptive_pool, avg_pool, lp_pool, max_pool
from jaxann.ops.random import keep_mask, shuffled_positions, word_at

__all__ = [
    "EwmaState",
    "adaptive_pool",
    "alpha_dropout",
    "avg_pool",
    "conv",
    "conv_transpose",
    "dense",
    "drop_block",
    "dropout",
    "ewma",
    "ewma_init",
    "ewma_read",
    "ewma_update",
    "gaussian_dropout",
    "gaussian_noise",
    "keep_mask",
    "lp_pool",
    "max_pool",
    "moments",
    "normalize",
    "shuffled_positions",
    "spatial_dropout",
    "stochastic_depth",
    "word_at",
]
