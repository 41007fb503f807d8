"""Sums as text: their terms with names and with numbers, those of the examples of a batch too."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from jaxann.teach.steps import Step, bare, joined, number, operand
from jaxann.teach.walk import MOST

__all__ = ["Sum", "along", "few", "spot", "summed"]

Factor = tuple[str, float]  # a name and its number


class Sum(NamedTuple):
    """A sum with names, and with numbers."""

    names: str
    numbers: str


def spot(symbol: str, place: Sequence[int], width: int | None = None) -> str:
    """`h1[3,2]`, counted from 1; without the last index where its axis has the length 1."""
    kept = [str(i + 1) for i in (place[:-1] if width == 1 else place)]
    return f"{symbol}[{','.join(kept)}]" if kept else symbol


def few(count: int, most: int = MOST) -> range:
    """The terms of a sum that are written out: all of a few, the first two of many."""
    return range(count if count <= most else 2)


def summed(terms: Iterable[Sequence[Factor]], total: int, digits: int) -> Sum:
    """Products, added up: those given out of so many."""
    products = [tuple(term) for term in terms]
    names = [" ".join(name for name, _ in product if name) for product in products]
    numbers = [" * ".join(operand(value, digits) for _, value in product) for product in products]
    return Sum(joined(names, total), joined(numbers, total))


def along(
    title: str,
    left: str,
    value: float,
    places: Sequence[int],
    examples: np.ndarray,
    term: Callable[[int, int], Sequence[Factor]],
    digits: int,
    most: int,
) -> Step:
    """A gradient as a sum over positions, and over the examples.

    Args:
        title, left, value: of the step.
        places: the positions of the first example that have a part in it.
        examples: `(batch, time)`, which positions of all examples have one.
        term: the factors at an example and a position, the names those of the first example.
    """
    count = int(examples.sum())
    if not count:
        return Step(title, f"{left} = 0", "", number(value, digits), value)
    pairs = [(int(n), int(t)) for n, t in np.argwhere(examples)]
    shown = pairs if count <= most else pairs[:2]
    named = places if count <= most else places[:2]
    names = summed((term(0, t) for t in named), len(places), digits).names
    numbers = summed((term(n, t) for n, t in shown), count, digits).numbers
    right = names or "the same of the other examples"
    right = f"sum of {right}" if len(examples) > 1 and names else right
    put_in = "" if count == 1 and len(shown) == len(named) == 1 and "*" not in numbers else bare(numbers)
    return Step(title, f"{left} = {right}", put_in, number(value, digits), value)
