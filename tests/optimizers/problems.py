"""Problems that optimizers are tried on."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np

__all__ = ["ravine", "rosenbrock", "two_spirals"]


@functools.cache
def two_spirals() -> tuple[np.ndarray, np.ndarray]:
    """The 194 points of Lang and Witbrock 1988, x `(194, 2)` in [-1, 1] and labels `(194, 1)` in {0, 1}."""
    number = np.arange(97)
    angle, radius = number * np.pi / 16, (104 - number) / 104
    one = np.stack([radius * np.sin(angle), radius * np.cos(angle)], 1)
    x = np.concatenate([one, -one]).astype(np.float32)
    return x, np.repeat(np.float32([1, 0]), 97)[:, None]


def rosenbrock(x: jax.Array) -> jax.Array:
    """(1 - a)^2 + 100 (b - a^2)^2; minimum 0 at (1, 1), at the end of a bent valley; to begin at (-1.2, 1)."""
    a, b = x
    return (1 - a) ** 2 + 100 * (b - a * a) ** 2


def ravine(x: jax.Array) -> jax.Array:
    """A quadratic form with curvatures from 1 to 1,000, on axes that are not the coordinates'; minimum 0 at 0."""
    n = x.shape[0]
    turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(n, n)))
    curvature = jnp.asarray(turn @ np.diag(np.geomspace(1, 1000, n)) @ turn.T, x.dtype)
    return x @ curvature @ x / 2
