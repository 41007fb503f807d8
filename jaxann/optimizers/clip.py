"""Clipping of gradients."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxann.core.checks import check_range
from jaxann.core.factories import factory
from jaxann.core.products import Optimizer
from jaxann.core.trees import global_norm
from jaxann.core.typing import Scalar

__all__ = ["ClipState", "clip_by_global_norm"]


class ClipState(NamedTuple):
    """Clipping remembers nothing."""


@factory(Optimizer)
def clip_by_global_norm(max_norm: Scalar):
    """g min(1, max_norm / |g|), |g| over all leaves together: the length is cut, the direction stays.

    The norm is taken in float32 or better. A norm that is not finite makes every gradient NaN, for the trainer's
    finite guard to see. Source: Pascanu et al. 2013.

    Raises:
        InputError: max_norm is not positive.
    """
    check_range("clip_by_global_norm", "max_norm", max_norm, 0, open_low=True)

    def init(params):
        return ClipState()

    def update(grads, state, params):
        norm = global_norm(grads)
        limit = jnp.asarray(max_norm, norm.dtype)
        factor = jnp.where(norm > limit, limit / jnp.where(norm > limit, norm, 1), 1)
        factor = jnp.where(jnp.isfinite(norm), factor, jnp.nan)
        return jax.tree.map(lambda g: g * factor.astype(g.dtype), grads), state

    return init, update
