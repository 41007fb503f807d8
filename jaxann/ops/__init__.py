"""Arrays in, arrays out: the mathematics of the layers, without names or state."""

from jaxann.ops.attention import alibi, attention, attention_mask, attention_weights, relative_buckets, rotary
from jaxann.ops.batch_norm import batch_normalize
from jaxann.ops.conv import conv, conv_transpose
from jaxann.ops.ctc import ctc_beam_search, ctc_greedy
from jaxann.ops.dense import dense
from jaxann.ops.dropout import alpha_dropout, drop_block, dropout, spatial_dropout, stochastic_depth
from jaxann.ops.embed import embed
from jaxann.ops.ewma import EwmaState, ewma, ewma_init, ewma_read, ewma_update
from jaxann.ops.noise import gaussian_dropout, gaussian_noise
from jaxann.ops.norm import group_norm, instance_norm, layer_norm, moments, normalize, rms_norm
from jaxann.ops.places import crop, pad, pixel_shuffle, pixel_unshuffle
from jaxann.ops.pool import adaptive_pool, avg_pool, lp_pool, max_pool
from jaxann.ops.random import keep_mask, shuffled_positions, word_at
from jaxann.ops.recurrent import gru, gru_cell, lstm, lstm_cell, rnn, rnn_cell
from jaxann.ops.resize import resize
from jaxann.ops.weight_norm import power_iteration, spectral_norm, weight_norm, weight_standardized

__all__ = [
    "EwmaState",
    "adaptive_pool",
    "alibi",
    "alpha_dropout",
    "attention",
    "attention_mask",
    "attention_weights",
    "avg_pool",
    "batch_normalize",
    "conv",
    "conv_transpose",
    "crop",
    "ctc_beam_search",
    "ctc_greedy",
    "dense",
    "drop_block",
    "dropout",
    "embed",
    "ewma",
    "ewma_init",
    "ewma_read",
    "ewma_update",
    "gaussian_dropout",
    "gaussian_noise",
    "group_norm",
    "gru",
    "gru_cell",
    "instance_norm",
    "keep_mask",
    "layer_norm",
    "lp_pool",
    "lstm",
    "lstm_cell",
    "max_pool",
    "moments",
    "normalize",
    "pad",
    "pixel_shuffle",
    "pixel_unshuffle",
    "power_iteration",
    "relative_buckets",
    "resize",
    "rms_norm",
    "rnn",
    "rnn_cell",
    "rotary",
    "shuffled_positions",
    "spatial_dropout",
    "spectral_norm",
    "stochastic_depth",
    "weight_norm",
    "weight_standardized",
    "word_at",
]
