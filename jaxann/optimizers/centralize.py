"""Gradients without their mean."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxann.core.factories import factory
from jaxann.core.products import Optimizer
from jaxann.core.trees import wide_dtype

__all__ = ["CentralizeState", "centralize"]


class CentralizeState(NamedTuple):
    """Centralizing remembers nothing."""


@factory(Optimizer, traits=("finite_updates",))
def centralize():
    """g - mean(g), the mean over all axes but the last, so for each output unit; vectors stay as they are.

    Peers: optax and the paper keep the first axis, the output axis of PyTorch's layout; jaxann's outputs are last.
    PyTorch and Keras have none.

    Source: Yong et al. 2020.
    """

    def init(params):
        return CentralizeState()

    def update(grads, state, params):
        def one(g):
            if g.ndim < 2:
                return g
            wide = g.astype(wide_dtype(g.dtype))
            return (wide - jnp.mean(wide, tuple(range(g.ndim - 1)), keepdims=True)).astype(g.dtype)

        return jax.tree.map(one, grads), state

    return init, update
