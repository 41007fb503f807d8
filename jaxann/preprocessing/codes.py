"""Codes of categories, whole numbers from 0 on, as arrays of whatever type."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from jaxann.core.checks import check_integer, fail, is_concrete
from jaxann.core.typing import Array
from jaxann.preprocessing.columns import columns_of, rowwise

__all__ = ["check_sizes", "code_columns", "is_known"]


def check_sizes(function: str, sizes: Any) -> None:
    """Numbers of codes, one a column.

    Raises:
        InputError: they are none.
    """
    if not isinstance(sizes, tuple) or not sizes:
        fail(function, "sizes", "a tuple of whole numbers, one a column", sizes)
    for i, size in enumerate(sizes):
        check_integer(function, f"sizes[{i}]", size, 0)


def code_columns(function: str, x: Array, sizes: tuple[int, ...] | None) -> Array:
    """x as `columns_of` has it, of whole numbers and NaN, with a column for each size.

    Raises:
        InputError: a number is not whole, as far as it can be looked at, or x has other columns.
    """
    codes = columns_of(function, x)
    columns = codes.shape[-1] if codes.ndim > 1 else 1
    if sizes is not None and columns != len(sizes):
        fail(function, "x", f"of {len(sizes)} columns, one a size", f" shape {tuple(codes.shape)}")
    if is_concrete(codes) and jax.dtypes.issubdtype(getattr(x, "dtype", np.float64), np.floating):
        host = np.asarray(codes)
        fractions = host[(host != np.floor(host)) & ~np.isnan(host)]
        if fractions.size:
            hint = "ordinal makes codes of values of any kind."
            fail(function, "x", "of whole numbers, codes of categories", f" {fractions[0]:g}", hint=hint)
    return codes


def is_known(codes: Array, sizes: tuple[int, ...]) -> Array:
    """True where a code is one of its column; codes `(..., columns)`."""
    ends: Any = np.array(sizes, codes.dtype)
    return (codes >= 0) & (codes < rowwise(ends, codes))
