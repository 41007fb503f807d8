"""The backward pass where a net parts into branches and where they meet: what each hands down is added."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from jaxann.teach.steps import Step, bare, number, operand, quoted, vector
from jaxann.teach.walk import MOST, Item, Sizes, at, gradient, row, shown

__all__ = ["apart", "together"]


def apart(block: Item, found: list[Item], sizes: Sizes, *, drawn: bool) -> Iterator[Step]:
    """Through the sum at the end of a residual: both sides get its slope; the body s times it where s was drawn."""
    sides = block.branches
    above, outputs = gradient(block.symbol), {item.symbol: item for item in found}
    for side, symbol in (("body", sides.body), ("skip", sides.skip)) if sides is not None else ():
        if symbol is None or symbol not in outputs or symbol == block.source:
            continue
        g = row(outputs[symbol].slope)
        factor = "s " if drawn and side == "body" else ""
        title = f"Back through the sum: the {side} gets its slope" + (", times the s of the example" if factor else "")
        yield Step(title, f"{gradient(symbol)} = {factor}{above}", "", vector(g, sizes.digits), g)


def together(block: Item, found: list[Item], sizes: Sizes) -> Iterator[Step]:
    """dJ/d(input of a residual): what came by the body plus what came by the skip, which may be the input itself."""
    left, digits, total = gradient(block.source), sizes.digits, row(block.trace.input_grad)
    ways = {item.way: item for item in found if item.way}
    terms: list[tuple[str, str, np.ndarray]] = []
    for side in ("body", "skip"):
        item = ways.get(f" (by {quoted(f'{block.name}.{side}')})")
        if item is not None:
            terms.append((left, item.way, row(item.trace.input_grad)))
    if len(terms) < 2:
        terms.append((gradient(block.symbol), "", row(block.slope)))
    n = total.size
    title = "Both branches read the same numbers: what each hands down is added"
    for j in shown(n):
        right = " + ".join(f"{at(symbol, j, n, sizes)}{way}" for symbol, way, _ in terms)
        put_in = bare(" + ".join(operand(values[j], digits) for *_, values in terms))
        below = at(left, j, n, sizes) + block.way
        yield Step(title, f"{below} = {right}", put_in, number(total[j], digits), total[j])
    if n > MOST:
        yield Step(f"All {n:,} units below", left + block.way, "", vector(total, digits), total)
