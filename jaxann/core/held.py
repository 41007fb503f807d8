"""Numbers as programs hold them: a check of what was written alone would let through what becomes another number."""

from __future__ import annotations

import jax
import numpy as np

__all__ = ["between", "held_as", "is_held_between"]

_LARGEST, _TINY = float(np.finfo(np.float32).max), float(np.finfo(np.float32).tiny)


def is_held_between(value: float, low: float | None, high: float | None, open_low: bool, open_high: bool) -> bool:
    """Whether a plain number is within the ends, as written and in float32; quick, and False where in doubt."""
    if not -_LARGEST <= value <= _LARGEST:  # NaN too
        return False
    for number in (value, float(np.float32(value)) if abs(value) >= _TINY else 0.0):
        if low is not None and (number <= low if open_low else number < low):
            return False
        if high is not None and (number >= high if open_high else number > high):
            return False
    return True


def between(array: np.ndarray, low: float | None, high: float | None, open_low: bool, open_high: bool) -> np.ndarray:
    """Which numbers are finite and within the ends; None for no end."""
    good = np.isfinite(array)
    if low is not None:
        good &= (array > low) if open_low else (array >= low)
    if high is not None:
        good &= (array < high) if open_high else (array <= high)
    return good


def held_as(array: np.ndarray) -> np.ndarray:
    """Numbers as programs have them: in the default float, what is below its normal numbers being 0."""
    x64: bool = jax.config.jax_enable_x64  # pyright: ignore[reportAttributeAccessIssue]
    with np.errstate(over="ignore", under="ignore"):
        held = array.astype(np.float64 if x64 else np.float32)
    return np.where(np.abs(held) < np.finfo(held.dtype).tiny, 0, held).astype(held.dtype)
