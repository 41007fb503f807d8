"""Random keys by name, so that inserting a layer moves no other layer's numbers."""

from __future__ import annotations

import zlib
from typing import Any

import jax
import numpy as np

from jaxann.core.checks import check_untraced
from jaxann.core.programs import jit
from jaxann.core.typing import Array, Key

__all__ = ["fold_name", "pick_keys", "split_name"]


def fold_name(key: Key, name: str) -> Key:
    """A new key from a key and a name: fold_in(key, crc32(name)).

    The same key and name give the same key in every process and on every device; Python's own `hash` would not.
    """
    return jax.random.fold_in(key, zlib.crc32(name.encode()))


@jit(nested=True, static_argnames=("name", "count"))
def split_name(key: Key, name: str, count: int) -> Key:
    """`(count,)` keys from a key and a name."""
    return jax.random.split(fold_name(key, name), count)


def pick_keys(keys: Key, index: Array | np.ndarray) -> Key:
    """Some of many keys, by number; picked on the host, so that no program is compiled for it."""
    data: Any = jax.random.key_data(keys)
    check_untraced("a population", "keys", data)
    data = np.asarray(data)[np.asarray(index)]
    return jax.random.wrap_key_data(data, impl=jax.random.key_impl(keys))
