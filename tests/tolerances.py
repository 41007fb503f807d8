"""Relative tolerances by dtype and kind of computation. A test that needs another value says why on that line.

The absolute tolerance is the relative one times the scale of the numbers compared.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

__all__ = ["assert_close", "close"]

_RELATIVE = {
    ("float64", "elementwise"): 1e-14,
    ("float64", "reduction"): 1e-12,
    ("float64", "oracle"): 1e-10,  # another library's formula over many operations or steps
    ("float64", "torch"): 1e-8,  # the same, where the other library sums in another order
    ("float64", "gradient"): 1e-6,  # central differences
    ("float64", "second"): 1e-4,  # central differences of a derivative
    ("float32", "elementwise"): 1e-6,
    ("float32", "reduction"): 1e-5,
    ("float32", "program"): 1e-5,  # the same program compiled in another way
    ("float32", "training"): 1e-4,
    ("bfloat16", "program"): 2e-2,
    ("float16", "program"): 2e-3,
}


def close(dtype: Any, kind: str) -> float:
    """The relative tolerance for one kind of computation in one dtype."""
    return _RELATIVE[jnp.dtype(dtype).name, kind]


def assert_close(actual: Any, expected: Any, kind: str, dtype: Any = None) -> None:
    """Equal within the table's tolerance for the dtype of `actual` (or the one given); NaN equals NaN."""
    tolerance = close(actual.dtype if dtype is None else dtype, kind)
    a, b = np.asarray(actual).astype(np.float64), np.asarray(expected).astype(np.float64)
    finite = np.abs(b[np.isfinite(b)])
    scale = float(finite.max()) if finite.size else 0.0
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * scale)
