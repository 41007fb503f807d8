"""Layers: `init(key, spec) -> (params, state)` and `apply(params, state, x, *, key, train) -> (y, state)`."""

from jaxann.layers.activation import gated_dense, maxout, parametric_activation, prelu, rrelu, swish
from jaxann.layers.attention import multi_head_attention
from jaxann.layers.attentive import attentive_recurrence
from jaxann.layers.autoencoder import contractive_encode_decode, encode_decode, encode_sample_decode
from jaxann.layers.base import as_layer, custom, elementwise, residual, sequential
from jaxann.layers.bidirectional import bidirectional, both_ends
from jaxann.layers.branches import branch, concatenate, parallel
from jaxann.layers.class_token import class_token, first_position
from jaxann.layers.columns import category_embedding, column_dense, periodic_embedding, phase_embedding
from jaxann.layers.conv import conv, conv_transpose, depthwise_conv
from jaxann.layers.cross_attention import cross_attention
from jaxann.layers.dense import dense, flatten
from jaxann.layers.dense_block import dense_block
from jaxann.layers.drop_connect import drop_connect_dense
from jaxann.layers.dropout import alpha_dropout, drop_block, dropout, spatial_dropout
from jaxann.layers.embed import embedding, segment_embedding
from jaxann.layers.encoder_decoder import encoder_decoder
from jaxann.layers.ensemble import batch_ensemble_dense, packed_dense, repeat_members
from jaxann.layers.highway import highway
from jaxann.layers.layer_outputs import layer_outputs
from jaxann.layers.noise import gaussian_dropout, gaussian_noise
from jaxann.layers.norm import batch_norm, group_norm, instance_norm, layer_norm, rms_norm
from jaxann.layers.places import crop, pad, pixel_shuffle, pixel_unshuffle
from jaxann.layers.pool import adaptive_pool, avg_pool, global_pool, lp_pool, max_pool
from jaxann.layers.positions import learned_positions, sinusoidal_positions
from jaxann.layers.preprocess import fit_preprocessing, preprocess
from jaxann.layers.recurrent import gru, last_position, lstm, rnn
from jaxann.layers.remat import remat
from jaxann.layers.repeat import repeat
from jaxann.layers.resize import resize
from jaxann.layers.scale import layer_scale
from jaxann.layers.shape import permute, reshape
from jaxann.layers.squeeze_excitation import squeeze_excitation
from jaxann.layers.standardize import standardize, unstandardize
from jaxann.layers.stochastic_depth import stochastic_depth
from jaxann.layers.tied import tied_embedding
from jaxann.layers.transformer import decoder_block, feed_forward, transformer_block
from jaxann.layers.weight_norm import spectral_norm, weight_norm, weight_standardized

__all__ = [
    "adaptive_pool",
    "alpha_dropout",
    "as_layer",
    "attentive_recurrence",
    "avg_pool",
    "batch_ensemble_dense",
    "batch_norm",
    "bidirectional",
    "both_ends",
    "branch",
    "category_embedding",
    "class_token",
    "column_dense",
    "concatenate",
    "contractive_encode_decode",
    "conv",
    "conv_transpose",
    "crop",
    "cross_attention",
    "custom",
    "decoder_block",
    "dense",
    "dense_block",
    "depthwise_conv",
    "drop_block",
    "drop_connect_dense",
    "dropout",
    "elementwise",
    "embedding",
    "encode_decode",
    "encode_sample_decode",
    "encoder_decoder",
    "feed_forward",
    "first_position",
    "fit_preprocessing",
    "flatten",
    "gated_dense",
    "gaussian_dropout",
    "gaussian_noise",
    "global_pool",
    "group_norm",
    "gru",
    "highway",
    "instance_norm",
    "last_position",
    "layer_norm",
    "layer_outputs",
    "layer_scale",
    "learned_positions",
    "lp_pool",
    "lstm",
    "max_pool",
    "maxout",
    "multi_head_attention",
    "packed_dense",
    "pad",
    "parallel",
    "parametric_activation",
    "periodic_embedding",
    "permute",
    "phase_embedding",
    "pixel_shuffle",
    "pixel_unshuffle",
    "prelu",
    "preprocess",
    "remat",
    "repeat",
    "repeat_members",
    "reshape",
    "residual",
    "resize",
    "rms_norm",
    "rnn",
    "rrelu",
    "segment_embedding",
    "sequential",
    "sinusoidal_positions",
    "spatial_dropout",
    "spectral_norm",
    "squeeze_excitation",
    "standardize",
    "stochastic_depth",
    "swish",
    "tied_embedding",
    "transformer_block",
    "unstandardize",
    "weight_norm",
    "weight_standardized",
]
