"""Columns of a table as numbers of one size, for whoever measures distances or correlations on the host."""

from __future__ import annotations

import numpy as np

__all__ = ["standardized", "varies"]

_ROUNDING = 1e-9


def standardized(columns: np.ndarray) -> np.ndarray:
    """Columns of mean 0 and deviation 1, missing numbers as means; those that are constant, or empty, left out.

    Args:
        columns: `(rows, columns)`, float64.
    """
    columns = columns[:, ~np.isnan(columns).all(0)]
    mean, deviation = np.nanmean(columns, axis=0), np.nanstd(columns, axis=0)
    known = varies(mean, deviation)
    z = (columns[:, known] - mean[known]) / deviation[known]
    return np.where(np.isnan(z), 0, z)


def varies(mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """Which columns of this mean and deviation are not constant but for rounding."""
    return deviation > _ROUNDING * np.maximum(1, np.abs(mean))
