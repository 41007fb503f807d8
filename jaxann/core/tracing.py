"""Whether a call is part of a program that is being traced.

JAX traces a function once, with arrays that have shapes and no values yet. Values may be looked at outside of it alone.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer

__all__ = ["ASKED_FOR_A_VALUE", "is_inside", "is_traced"]

# What JAX raises where Python code asks a traced array for its value.
ASKED_FOR_A_VALUE = (
    jax.errors.ConcretizationTypeError,
    jax.errors.NonConcreteBooleanIndexError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
)


def is_inside() -> bool:
    """Whether the call stands inside jit, vmap, grad, scan or the like, whatever it was given."""
    try:
        jax.sharding.get_mesh()
    except ValueError:  # it can only be asked for where nothing is traced
        return True
    return False


def is_traced(tree: Any) -> bool:
    """Whether the call is part of a program being traced: something in the tree is, or what is computed now will be.

    Inside grad and vmap what does not depend on their argument is computed at once, so that it has a value.
    """
    if not is_inside():
        return False
    return any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(tree)) or isinstance(jnp.zeros(()), Tracer)
