"""Which leaves a rule holds where they are, for what stands around it: it may not move them either.

`freeze`, `partition` and the like declare it (`OptimizerFunctions.frozen_leaves`), wrappers and chains hand it on.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jaxann.core.products import Optimizer
from jaxann.core.typing import Array, Params

__all__ = ["freezes", "frozen_leaves", "held"]


def freezes(optimizer: Optimizer) -> bool:
    """Whether a rule holds leaves where they are."""
    return getattr(optimizer.declared, "frozen_leaves", None) is not None


def frozen_leaves(optimizer: Optimizer, state: Any, params: Params) -> Params:
    """A flag for each leaf, True where the rule or one inside it holds it: what stands around may not move it either.

    Args:
        optimizer: any rule, rules around rules too.
        state: its state.
        params: for the names.
    """
    if not freezes(optimizer):
        return jax.tree.map(lambda p: False, params)
    return optimizer.functions.frozen_leaves(state, params)


def held(frozen: Any, leaf: Array) -> Array:
    """0 in the place of what would move a frozen leaf; the flag may be traced."""
    if isinstance(frozen, bool):
        return jnp.zeros_like(leaf) if frozen else leaf
    return jnp.where(frozen, jnp.zeros_like(leaf), leaf)
