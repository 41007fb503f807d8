"""Optimizers and gradient transformations, each written out: `init(params)`, `update(grads, state, params)`."""

from jaxann.core.patterns import matrices
from jaxann.optimizers.adam import AdamState, adam, adamw
from jaxann.optimizers.base import apply_updates, as_optimizer, chain, custom, learning_rate_at
from jaxann.optimizers.clip import ClipState, clip_by_global_norm
from jaxann.optimizers.sgd import SGDState, sgd

__all__ = [
    "AdamState",
    "ClipState",
    "SGDState",
    "adam",
    "adamw",
    "apply_updates",
    "as_optimizer",
    "chain",
    "clip_by_global_norm",
    "custom",
    "learning_rate_at",
    "matrices",
    "sgd",
]
