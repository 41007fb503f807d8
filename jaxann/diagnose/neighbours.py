"""The nearest rows of each row: exact, in blocks, by products of matrices."""

from __future__ import annotations

import numpy as np

__all__ = ["nearest"]

_BLOCK = 512


def nearest(points: np.ndarray, count: int, others: np.ndarray | None = None) -> np.ndarray:
    """Numbers of the nearest rows by Euclidean distance, the nearest first, `(rows, count)`.

    Args:
        points: `(rows, columns)`.
        count: how many for each row, fewer than there are to be found.
        others: `(other rows, columns)`, among which they are looked for; None for the points themselves, each without
            itself.
    """
    own = others is None
    table = points if others is None else others
    squares = np.einsum("ij,ij->i", table, table)
    found = np.empty((len(points), count), np.int64)
    for start in range(0, len(points), _BLOCK):
        block = points[start : start + _BLOCK]
        distances = squares[None, :] - 2 * block @ table.T  # less its own square, which changes no order
        if own:
            distances[np.arange(len(block)), start + np.arange(len(block))] = np.inf
        close = np.argpartition(distances, count - 1, axis=1)[:, :count]
        order = np.argsort(np.take_along_axis(distances, close, 1), axis=1, kind="stable")
        found[start : start + _BLOCK] = np.take_along_axis(close, order, 1)
    return found
