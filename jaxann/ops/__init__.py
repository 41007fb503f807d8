"""Arrays in, arrays out: the mathematics of the layers, without names or state."""

from jaxann.ops.dense import dense
from jaxann.ops.dropout import alpha_dropout, drop_block, dropout, spatial_dropout, stochastic_depth
from jaxann.ops.ewma import EwmaState, ewma, ewma_init, ewma_read, ewma_update
from jaxann.ops.noise import gaussian_dropout, gaussian_noise
from jaxann.ops.norm import moments, normalize
from jaxann.ops.random import keep_mask, shuffled_positions, word_at

__all__ = [
    "EwmaState",
    "alpha_dropout",
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
    "moments",
    "normalize",
    "shuffled_positions",
    "spatial_dropout",
    "stochastic_depth",
    "word_at",
]
