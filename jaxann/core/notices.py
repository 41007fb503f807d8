"""Warnings that point at the line that called jaxann, however deep inside of it they are found out."""

from __future__ import annotations

import contextlib
import functools
import sys
import warnings
from pathlib import Path

import jax

__all__ = ["notify"]

# What may stand between the line that called and the line that warns: jaxann, what its functions are decorated with,
# and JAX, which calls a function that it traces.
_PASSED_OVER = (
    str(Path(__file__).parents[1]) + "/",
    str(Path(jax.__file__).parent) + "/",
    contextlib.__file__,
    functools.__file__,
)


def notify(message: str, category: type[Warning]) -> None:
    """Warn at the first line outside of jaxann, counted from here outwards."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PASSED_OVER):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)
