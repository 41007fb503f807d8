"""The backward rule of the loss of an ensemble inside one network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxann import losses
from jaxann.backprop.registry import loss_rule, loss_vjp
from jaxann.core.typing import Array

__all__ = []


@loss_rule(losses.each_member(losses.half_squared_error))  # of each_member, whatever loss is inside
def _each_member(g: Array, loss: Callable, predictions: Array, targets: Any) -> Array:
    """values[:, k] = the mean of loss(predictions[:, k], targets) over what an example has: each member its own."""
    inner, args, settings = loss_vjp(loss)

    def own(g: Array, predictions: Array) -> Array:
        values = jax.eval_shape(loss, predictions, targets)
        each = values.size // max(values.shape[0], 1)
        upper = lax.expand_dims(g / each, range(1, len(values.shape)))
        return inner(jnp.broadcast_to(upper, values.shape), *args, predictions, targets, **settings)

    return jax.vmap(own, in_axes=1, out_axes=1)(g, predictions)
