"""The backward rule of the loss of several heads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp

from jaxann import losses
from jaxann.backprop.registry import loss_rule, loss_vjp
from jaxann.core.padding import Padded, zero_padding
from jaxann.losses.heads import of_head

__all__ = []


@loss_rule(losses.by_head({"head": losses.half_squared_error}))  # of by_head, whatever losses are inside
def _by_head(g: Any, table: Mapping[str, Any], weights: Mapping[str, Any], predictions: Any, targets: Any) -> Any:
    """l_i = sum_h w_h sum_j s_ij l_hij:  dC/dl_hij = w_h s_ij g_i, and each head by the rule of its own loss."""
    below = {}
    for name, loss in table.items():
        rule, args, settings = loss_vjp(loss)
        head = of_head(name, loss, predictions[name], targets[name])
        upper = jnp.asarray(weights[name], g.dtype) * g
        upper = jnp.broadcast_to(upper.reshape(-1, *(1,) * (head.values.ndim - 1)), head.values.shape) * head.shares
        found = rule(upper, *args, head.predictions, head.targets, **settings)
        padded = next((v for v in (targets[name], predictions[name]) if isinstance(v, Padded)), None)
        found = found if padded is None else zero_padding(found, padded.mask)
        inside = predictions[name]
        below[name] = inside._replace(values=found) if isinstance(inside, Padded) else found
    return below
