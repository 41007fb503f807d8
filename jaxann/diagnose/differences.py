"""Derivatives by differences, and what they can and cannot tell.

Along a direction v a function is looked at in theta + s v for a few lengths s. From each pair comes the central
difference D = (f(theta + s v) - f(theta - s v)) / (2 s). Its error is s^2 f''' / 6 of what was cut off and about
eps |f| / s of rounding, least near s = eps^(1/3). Longer steps, extrapolated, are taken where rounding hides the slope
and the shorter ones do not speak against it, a shorter one where something happens in between.

A kink is seen from the slopes to either side, r = (f(theta + s v) - f(theta)) / s and l = (f(theta) - f(theta - s v))
/ s. Where f is smooth their gap r - l = s f'' halves with s. Over a kink at theta it stays; over one nearby it falls in
another way. What is asked of a gradient there is only to lie between l and r.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxann.core import programs
from jaxann.core.checks import fail
from jaxann.core.typing import Array

__all__ = ["FLOOR", "KINK", "Derivatives", "compare", "complex_derivatives", "evaluate", "steps_for"]

FLOOR = 1e-8  # what a slope is measured against where it and the difference are smaller still
LENGTHS = np.array([64.0, 32.0, 1.0, 0.5, 0.25])  # the first two where rounding hides a slope, the others see kinks
COMPLEX = 1e-30  # no difference is taken, so nothing is lost however short the step
ROUND = 1e-7  # from what disagrees by more is taken what the difference leaves open
SMALL = 1e-3  # of the greatest slope: what is less need not be seen through rounding
KINK = 1e-5  # only what disagrees by more is asked whether it stands at a kink


class Derivatives(NamedTuple):
    """What was found for each direction; arrays `(directions,)`."""

    numeric: np.ndarray  # of the length that leaves the least open
    error: np.ndarray
    kink: np.ndarray
    disagreement: np.ndarray  # how far the two shortest lengths are apart, relative, beyond what rounding explains
    hidden: np.ndarray  # rounding leaves nothing to be seen of a slope that matters


def steps_for(size: np.ndarray, precision: np.dtype, step: float | None) -> np.ndarray:
    """h = eps^(1/3) max(1, |theta|), rounded to a power of two so that theta + h is exact."""
    relative = float(jnp.finfo(precision).eps) ** (1 / 3) if step is None else step
    return 2.0 ** np.round(np.log2(relative * np.maximum(1.0, np.abs(size))))


def evaluate(total: Callable, move: Callable, rows: np.ndarray, lengths: np.ndarray, *, jit: bool) -> np.ndarray:
    """f, and the size of its terms, at move(row, length) for each pair: `(pairs, 2)`.

    Args:
        total: f.
        move: the vector, moved along the direction number `row` by `length`.
        rows: `(pairs,)` integers.
        lengths: `(pairs,)`; complex for a complex step.
        jit: one compiled loop over the pairs, or one call after the other.
    """

    def at(pair: tuple[Array, Array]) -> Array:
        return jnp.stack([value.astype(pair[1].dtype) for value in total(move(*pair))])

    pairs = jnp.asarray(rows), jnp.asarray(lengths)
    if jit:
        return np.asarray(programs.jit(lambda pairs: lax.map(at, pairs))(pairs))
    return np.stack([np.asarray(at(pair)) for pair in zip(*pairs, strict=True)])


def compare(
    total: Callable, move: Callable, rows: np.ndarray, steps: np.ndarray, analytic: np.ndarray, *,
    precision: np.dtype, jit: bool,
) -> Derivatives:  # fmt: skip
    """Central differences along each direction, against the slopes that were claimed.

    Args:
        total, move, rows, jit: as in `evaluate`.
        steps: `(directions,)`, the length h for each.
        analytic: `(directions,)`, what is to be checked.
        precision: the float that f is computed in, for the size of its rounding.
    """
    factors = np.concatenate([LENGTHS, -LENGTHS, [0.0]])
    pairs = np.repeat(rows, len(factors)), np.outer(steps, factors).ravel()
    found = evaluate(total, move, *pairs, jit=jit).reshape(len(rows), len(factors), 2)
    above, below, here = np.split(found[..., 0], [len(LENGTHS), 2 * len(LENGTHS)], 1)
    if not np.isfinite(here).all():
        fail("check_gradients", "fn", "finite at args", here[~np.isfinite(here)][0])
    lengths = np.outer(steps, LENGTHS)
    with np.errstate(invalid="ignore", over="ignore"):
        central = (above - below) / (2 * lengths)
        right, left = (above - here) / lengths, (here - below) / lengths
        terms = np.where(np.isfinite(found[..., 1]), found[..., 1], 0).max(1, keepdims=True)
        rounding = 4 * float(jnp.finfo(precision).eps) * terms / lengths
        # The two longest as one: (4 D(s/2) - D(s)) / 3 is free of s^2 f''' / 6, and of the least rounding.
        central, rounding = (
            np.concatenate([(4 * a[:, 1:2] + sign * a[:, :1]) / 3, a[:, 2:]], 1)
            for a, sign in ((central, -1), (rounding, 1))
        )
        # How much each length leaves open: its rounding, and what a shorter one says otherwise beyond its own.
        uncertainty = rounding.copy()
        for i, j in itertools.combinations(range(central.shape[1]), 2):
            beyond = np.maximum(np.abs(central[:, i] - central[:, j]) - rounding[:, j], 0)
            uncertainty[:, i] = np.maximum(uncertainty[:, i], rounding[:, i] + beyond)
        best = np.where(np.isnan(uncertainty), np.inf, uncertainty).argmin(1)[:, None]
        numeric, uncertainty = (np.take_along_axis(a, best, 1)[:, 0] for a in (central, uncertainty))
        off = np.abs(analytic - numeric)
        size = np.maximum(np.maximum(np.abs(analytic), np.abs(numeric)), FLOOR)
        hidden = (uncertainty >= size) & (off > ROUND * size) & (size >= SMALL * size.max(initial=0.0))
        told = (off / size < ROUND) | hidden
        error = np.where(told, off / size, np.maximum(off - uncertainty, 0) / size)
        error = np.where(np.isfinite(error), error, np.inf)
        gap = (right - left)[:, 2:]
        bent = np.abs(gap[:, :-1] - 2 * gap[:, 1:]).max(1)
        low, high = np.minimum(left, right)[:, -1], np.maximum(left, right)[:, -1]
        slack = 0.01 * (high - low) + rounding[:, -1]
        between = (analytic >= low - slack) & (analytic <= high + slack)
        kink = (error > KINK) & (bent > np.maximum(0.1 * off, 2 * rounding[:, -1])) & between
        apart = np.maximum(np.abs(central[:, -2] - central[:, -1]) - rounding[:, -1], 0) / size
        still = (central[:, -1] == 0) & (np.abs(analytic) > FLOOR)  # a step too short to be seen at all
    return Derivatives(numeric, error, kink, np.where(still, 1.0, apart), hidden & ~kink)


def complex_derivatives(
    total: Callable, move: Callable, rows: np.ndarray, analytic: np.ndarray, *, jit: bool
) -> Derivatives:
    """Im f(theta + i h v) / h with h = 1e-30, for a function that is holomorphic: right to the last digits."""
    found = evaluate(total, move, rows, np.full(len(rows), 1j * COMPLEX), jit=jit)
    value, slope = np.real(found[:, 0]), np.imag(found[:, 0])
    if not np.isfinite(value).all():
        fail("check_gradients", "fn", "finite at args", value[~np.isfinite(value)][0])
    numeric = slope / COMPLEX
    with np.errstate(invalid="ignore"):
        error = np.abs(analytic - numeric) / np.maximum(np.maximum(np.abs(analytic), np.abs(numeric)), FLOOR)
    none = np.zeros(len(rows), bool)
    return Derivatives(numeric, np.where(np.isfinite(error), error, np.inf), none, np.zeros(len(rows)), none)
