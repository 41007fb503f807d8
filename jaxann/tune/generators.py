"""Random numbers on the host from a jax key."""

from __future__ import annotations

import jax
import numpy as np

from jaxann.core.programs import jit
from jaxann.core.typing import Key

__all__ = ["generator"]


def generator(key: Key) -> np.random.Generator:
    """numpy's generator seeded by 128 bits of the key: equal keys, equal numbers, on every device."""
    return np.random.default_rng(np.asarray(_words(key)).tolist())


@jit
def _words(key: Key) -> jax.Array:
    return jax.random.bits(key, (4,), "uint32")
