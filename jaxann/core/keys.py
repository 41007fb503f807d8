"""Random keys by name, so that inserting a layer moves no other layer's numbers."""

from __future__ import annotations

import zlib

import jax

from jaxann.core.typing import Key

__all__ = ["fold_name"]


def fold_name(key: Key, name: str) -> Key:
    """A new key from a key and a name: fold_in(key, crc32(name)).

    The same key and name give the same key in every process and on every device; Python's own `hash` would not.
    """
    return jax.random.fold_in(key, zlib.crc32(name.encode()))
