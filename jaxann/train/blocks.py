"""Rows in blocks of a few sizes, so that any number of rows runs through a handful of compiled programs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jaxann.core.errors import InputError
from jaxann.core.products import Layer
from jaxann.core.typing import Inputs
from jaxann.train.prepare import as_floats, floats_for

__all__ = ["as_model_takes", "blocks_of", "told_of_all_rows"]

_SMALLEST = 8  # rows; blocks are padded to the next power of two, so at most log2 programs are compiled


def blocks_of(tree: Any, rows: int, batch_size: int) -> Iterator[tuple[Any, int]]:
    """`(block, rows in it)` one after the other, the last padded with zeros to a power of two; numpy's, or traced."""
    for first in range(0, rows, batch_size):
        count = min(batch_size, rows - first)
        size = min(batch_size, max(_SMALLEST, 1 << (count - 1).bit_length()))
        yield jax.tree.map(lambda a, f=first, c=count, s=size: _padded(a[f : f + c], s), tree), count


@contextlib.contextmanager
def told_of_all_rows(again: Callable[[], Any]) -> Iterator[None]:
    """A refusal of a padded block within is that of all rows at once: its message has the shapes that were given.

    Args:
        again: the same of all rows, abstractly; only called after a refusal.
    """
    try:
        yield
    except InputError as padded:
        try:
            again()
        except InputError as given:
            raise given from None
        raise padded


def _padded(array: Any, size: int) -> Any:
    if isinstance(array, Tracer):
        return jnp.pad(array, [(0, size - array.shape[0])] + [(0, 0)] * (array.ndim - 1))
    array = np.asarray(array)
    block = np.zeros((size, *array.shape[1:]), array.dtype)
    block[: array.shape[0]] = array
    return block


def as_model_takes(model: Layer, x: Inputs) -> Inputs:
    """Whole numbers as they are where the model takes them (tokens, categories), else as float32: as in training."""
    names = floats_for(model, x)
    return as_floats(x, names) if names else x
