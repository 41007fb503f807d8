"""The backward pass where a net parts into branches and where they meet: what each hands down is added."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from jaxann.teach.steps import Step, bare, number, operand, quoted, vector
from jaxann.teach.walk import MOST, Item, Sizes, at, gradient, row, spots

__all__ = ["apart", "together"]


def apart(block: Item, ends: Mapping[str, str], found: list[Item], sizes: Sizes, *, drawn: bool) -> Iterator[Step]:
    """Through the sum at the end of branches: each gets its slope; s times it where s was drawn for that one."""
    above, ending = gradient(block.symbol), {item.symbol: item for item in found}
    for side, symbol in ends.items():
        if symbol not in ending or symbol == block.source:
            continue
        g = row(ending[symbol].slope)
        factor = "s " if drawn and side == block.formula.scaled else ""
        title = f"Back through the sum: the {side} gets its slope" + (", times the s of the example" if factor else "")
        yield Step(title, f"{gradient(symbol)} = {factor}{above}", "", vector(g, sizes.digits), g)


def together(block: Item, ends: Mapping[str, str], found: list[Item], sizes: Sizes) -> Iterator[Step]:
    """dJ/d(input of branches): the sum of what came by each, one of which may be the input itself."""
    left, digits, total = gradient(block.source), sizes.digits, row(block.trace.input_grad)
    ways = {item.way: item for item in found if item.way}
    terms: list[tuple[str, str, np.ndarray]] = []
    for side in ends:
        item = ways.get(f" (by {quoted(f'{block.name}.{side}')})")
        if item is not None:
            terms.append((left, item.way, row(item.trace.input_grad)))
    straight = (gradient(block.symbol), "", row(block.slope))  # of the input itself
    terms += [straight] * (max(len(ends), 2) - len(terms))
    n = total.size
    title = "Both branches read the same numbers: what each hands down is added"
    for j in spots(block.trace.input_grad, sizes):
        right = " + ".join(f"{at(symbol, j, n, sizes)}{way}" for symbol, way, _ in terms)
        put_in = bare(" + ".join(operand(values[j], digits) for *_, values in terms))
        below = at(left, j, n, sizes) + block.way
        yield Step(title, f"{below} = {right}", put_in, number(total[j], digits), total[j])
    if n > MOST:
        yield Step(f"All {n:,} units below", left + block.way, "", vector(total, digits), total)
