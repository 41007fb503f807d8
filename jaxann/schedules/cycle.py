"""Rates that rise and fall: one cycle, slanted triangles, and cycles without end."""

from __future__ import annotations

import jax.numpy as jnp

from jaxann.core.checks import check_choice, check_count, check_range
from jaxann.core.factories import factory
from jaxann.core.products import Schedule
from jaxann.core.typing import Scalar
from jaxann.schedules.base import (
    blend,
    counted,
    cycles,
    half_cosine,
    part_of,
    place_in_cycle,
    reached,
    real,
    share,
    since,
    together,
)

__all__ = ["cyclic", "linear_one_cycle", "one_cycle", "slanted_triangular"]


@factory(Schedule)
def one_cycle(
    peak: Scalar,
    steps: Scalar,
    *,
    pct_start: Scalar = 0.3,
    div: Scalar = 25.0,
    final_div: Scalar = 1e4,
    anneal: str = "cosine",
):
    """f(c): a rise peak / div -> peak over floor(pct_start steps) steps, then a fall to peak / (div final_div)
    at step `steps`; each along half a cosine ("cosine") or a line ("linear").

    Args:
        peak: greatest value.
        steps: length of the whole cycle; from there on the last value.
        pct_start: share of the steps in which the value rises, in [0, 1]; with 1 it ends at the peak.
        div: peak / first value, positive.
        final_div: first value / last value, positive.
        anneal: "cosine" or "linear".

    Peers: as optax's cosine_onecycle_schedule; PyTorch's OneCycleLR peaks at pct_start steps - 1, ends at steps - 1,
    calls the curve "cos", and moves the momentum too.

    Source: Smith and Topin 2018.

    Raises:
        InputError: a number is out of range, or the curve is unknown.
    """
    check_range("one_cycle", "peak", peak)
    check_count("one_cycle", "steps", steps, 1)
    check_range("one_cycle", "pct_start", pct_start, 0, 1)
    check_range("one_cycle", "div", div, 0, open_low=True)
    check_range("one_cycle", "final_div", final_div, 0, open_low=True)
    check_choice("one_cycle", "anneal", anneal, ("cosine", "linear"))

    def left(p):
        return 1.0 - p if anneal == "linear" else half_cosine(p)

    def value(step):
        now, high = since(step), real(peak)
        first = high / real(div)
        last = first / real(final_div)
        rise = part_of(real(pct_start), steps)
        climbing = blend(high, first, left(share(now, rise)))
        falling = blend(last, high, left(share(since(now, rise), since(counted(steps), rise))))
        # a rise that takes all the steps ends at the peak, and there is no fall
        end = jnp.where(reached(rise, steps), high, last)
        return jnp.where(reached(now, rise), jnp.where(reached(now, steps), end, falling), climbing)

    return value


@factory(Schedule)
def linear_one_cycle(
    peak: Scalar,
    steps: Scalar,
    *,
    pct_start: Scalar = 0.3,
    pct_final: Scalar = 0.85,
    div: Scalar = 25.0,
    final_div: Scalar = 1e4,
):
    """f(c): three lines, peak / div -> peak at floor(pct_start steps), back to peak / div at floor(pct_final steps),
    and down to peak / (div final_div) at `steps`.

    Args:
        peak: greatest value.
        steps: length of the whole cycle; from there on the last value.
        pct_start, pct_final: shares of the steps at which the first and second line end; pct_final not the smaller.
        div: peak / first value, positive.
        final_div: first value / last value, positive.

    Peers: as optax's linear_onecycle_schedule; PyTorch's OneCycleLR with three_phase=True puts the second turn at
    2 pct_start, and each turn one or two steps earlier.

    Source: Smith and Topin 2018.

    Raises:
        InputError: a number is out of range.
    """
    check_range("linear_one_cycle", "peak", peak)
    check_count("linear_one_cycle", "steps", steps, 1)
    check_range("linear_one_cycle", "pct_start", pct_start, 0, 1)
    low = pct_start if isinstance(pct_start, int | float) else 0
    check_range("linear_one_cycle", "pct_final", pct_final, low, 1)
    check_range("linear_one_cycle", "div", div, 0, open_low=True)
    check_range("linear_one_cycle", "final_div", final_div, 0, open_low=True)

    def value(step):
        now, high = since(step), real(peak)
        first = high / real(div)
        last = first / real(final_div)
        top, turn = part_of(real(pct_start), steps), part_of(real(pct_final), steps)
        rising = blend(first, high, share(now, top))
        falling = blend(high, first, share(since(now, top), since(turn, top)))
        ending = blend(first, last, share(since(now, turn), since(counted(steps), turn)))
        early = jnp.where(reached(now, top), falling, rising)
        end = jnp.where(reached(top, steps), high, last)
        return jnp.where(reached(now, steps), end, jnp.where(reached(now, turn), ending, early))

    return value


@factory(Schedule)
def slanted_triangular(peak: Scalar, steps: Scalar, *, cut_frac: Scalar = 0.1, ratio: Scalar = 32.0):
    """f(c) = peak (1 + p (ratio - 1)) / ratio, p = c / cut up to cut = floor(cut_frac steps),
    then p = 1 - (c - cut) / (steps - cut), down to 0 at `steps`.

    Args:
        peak: greatest value, at step cut.
        steps: length of the whole schedule; from there on peak / ratio.
        cut_frac: share of the steps in which the value rises, in [0, 1).
        ratio: greatest value / smallest value, at least 1.

    Peers: the schedule of the ULMFiT paper, whose cut (1 / cut_frac - 1) is steps - cut when cut_frac steps is whole,
    and falls below 0 when it is not; PyTorch, Keras and optax have none by that name.

    Source: Howard and Ruder 2018.

    Raises:
        InputError: a number is out of range.
    """
    check_range("slanted_triangular", "peak", peak)
    check_count("slanted_triangular", "steps", steps, 1)
    check_range("slanted_triangular", "cut_frac", cut_frac, 0, 1, open_high=True)
    check_range("slanted_triangular", "ratio", ratio, 1)

    def value(step):
        now, high = since(step), real(peak)
        low, cut = high / real(ratio), part_of(real(cut_frac), steps)
        rising = blend(low, high, share(now, cut))
        falling = blend(high, low, share(since(now, cut), since(counted(steps), cut)))
        return jnp.where(reached(now, cut), falling, rising)

    return value


@factory(Schedule)
def cyclic(
    base: Scalar,
    peak: Scalar,
    *,
    step_up: Scalar = 2000,
    step_down: Scalar | None = None,
    mode: str = "triangular",
    gamma: Scalar = 1.0,
):
    """f(c) = base + (peak - base) h s, h the triangle 0 -> 1 -> 0 over step_up + step_down steps, again and again;
    s = 1 (triangular), 2^-k in cycle k = 0, 1, ... (triangular2), gamma^c (exp_range).

    It never settles.

    Args:
        base: lowest value.
        peak: greatest value, at step `step_up` of a cycle.
        step_up, step_down: steps of the rise and of the fall, at least 1; the fall is as long as the rise when None.
        mode: "triangular", "triangular2" or "exp_range".
        gamma: factor a step of "exp_range", positive.

    Peers: as PyTorch's CyclicLR (which moves the momentum too, unless cycle_momentum=False); Keras and optax have none
    by that name.

    Source: Smith 2017.

    Raises:
        InputError: a length is below 1, gamma is not positive, or the mode is unknown.
    """
    check_range("cyclic", "base", base)
    check_range("cyclic", "peak", peak)
    check_count("cyclic", "step_up", step_up, 1)
    if step_down is not None:
        check_count("cyclic", "step_down", step_down, 1)
    check_choice("cyclic", "mode", mode, ("triangular", "triangular2", "exp_range"))
    check_range("cyclic", "gamma", gamma, 0, open_low=True)

    def value(step):
        now, up = since(step), real(step_up)
        down = up if step_down is None else real(step_down)
        length = together(step_up, step_up if step_down is None else step_down)
        number, place = cycles(now, length), real(place_in_cycle(now, length))
        height = jnp.where(place <= up, place / up, (up + down - place) / down)
        if mode == "triangular2":
            height = height * jnp.power(real(0.5), number)
        elif mode == "exp_range":
            height = height * jnp.power(real(gamma), real(now))
        return blend(real(base), real(peak), height)

    return value
