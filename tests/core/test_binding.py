"""Whether a function can be called as it will be, read off its signature."""

from __future__ import annotations

import functools
from typing import Any

import jax
import pytest

from jaxann.core.binding import misfit


def scaled(p: Any, t: Any, scale: Any) -> Any:
    """Of three."""
    return p * scale


@functools.wraps(scaled)
def of_two(*given: Any) -> Any:
    """A decorator's, which hands the third over itself."""
    return scaled(*given, 2)


class Own:
    """Callable, and with a method."""

    def __call__(self, p: Any, t: Any, scale: Any) -> Any:
        return scaled(p, t, scale)

    def method(self, p: Any, t: Any) -> Any:
        return p


FITS = [of_two, jax.jit(of_two), functools.partial(scaled, scale=1), Own().method, max, print, lambda *given: 0]
MISFITS = [scaled, jax.jit(scaled), Own(), Own, len, lambda p: 0, lambda: 0, lambda p, t, *, scale: 0]


@pytest.mark.parametrize("function", FITS)
def test_what_can_be_called_with_two_fits(function: Any):
    assert misfit(function, 2) is None


@pytest.mark.parametrize("function", MISFITS)
def test_what_cannot_is_told_with_its_signature(function: Any):
    assert "(" in str(misfit(function, 2))


def test_keywords_are_looked_at():
    assert misfit(lambda p, t, weights=None: 0, 2, "weights") is None
    assert misfit(lambda p, t: 0, 2, "weights") is not None
