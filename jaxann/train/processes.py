"""Several processes (`jax.distributed`) as one: each trains its share of the members and all see every figure."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

__all__ = ["gathered", "share"]


def share(members: int) -> np.ndarray:
    """The members of a group that this process trains.

    Every process gets equally many: where they do not come out even, the last member is trained more than once.
    """
    each = -(-members // jax.process_count())
    return np.minimum(np.arange(each) * jax.process_count() + jax.process_index(), members - 1)


def gathered(tree: Any, members: int) -> Any:
    """Arrays of all members, from arrays of this process' share on the leading axis."""
    if jax.process_count() == 1:
        return tree
    from jax.experimental import multihost_utils

    everyone = multihost_utils.process_allgather(tree)  # (processes, share, ...)
    return jax.tree.map(lambda a: np.swapaxes(np.asarray(a), 0, 1).reshape(-1, *a.shape[2:])[:members], everyone)
