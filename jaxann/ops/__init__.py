"""Arrays in, arrays out: the mathematics of the layers, without names or state."""

from jaxann.ops.dense import dense
from jaxann.ops.dropout import dropout
from jaxann.ops.norm import moments, normalize
from jaxann.ops.random import keep_mask, shuffled_positions, word_at

__all__ = ["dense", "dropout", "keep_mask", "moments", "normalize", "shuffled_positions", "word_at"]
