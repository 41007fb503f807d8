"""An account as lines of plain text, 80 columns wide."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from jaxann.teach.steps import Part, Step

__all__ = ["Line", "lines"]

_INDENT = "  "
_NOTATION = (
    "z is a weighted sum, a = f(z) what the activation makes of it, J the loss, delta = dJ/dz. W1[2,1] is the "
    "weight of layer 1 from its input 2 to its unit 1, counted from 1; a layer with a single unit has one index."
)


class Line(NamedTuple):
    """A line and what it is: "title", "part", "text", "step" or "" for an empty one; `result` ends a step's line."""

    kind: str
    text: str
    result: str = ""


def lines(title: str, text: Iterable[str], parts: Iterable[Part], width: int = 80) -> Iterator[Line]:
    """The account line by line, each at most `width` wide unless a single term is wider."""
    yield Line("title", title)
    for sentence in (*text, _NOTATION):
        yield from (Line("text", line) for line in textwrap.wrap(sentence, width))
    for part in parts:
        yield Line("", "")
        yield Line("part", part.title)
        for sentence in part.text:
            yield from (Line("text", _INDENT + line) for line in textwrap.wrap(sentence, width - len(_INDENT)))
        for step in part.steps:
            yield from _equation(step, width)


def _equation(step: Step, width: int) -> Iterator[Line]:
    """`formula = numbers = result` on one line where it fits, else each side on its own, below the first `=`."""
    left, sign, right = _split(step.formula)
    sides = [side for side in (right, step.substituted) if side]
    once = _INDENT + " ".join([left, sign, f" {'='} ".join(sides)]) + " = "
    if sides and len(once) + len(step.result) <= width:
        yield Line("step", once, step.result)
        return
    if not sides:
        yield Line("step", f"{_INDENT}{left} {sign} ", step.result)
        return
    inset = min(len(left) + 1, 16)
    pad = _INDENT + " " * inset
    for position, side in enumerate(sides):
        head = f"{_INDENT}{left} {sign} " if position == 0 else f"{pad}= "
        rest = pad + " " * (len(sign) + 1 if position == 0 else 2)
        yield from (Line("step", line) for line in _wrapped(head, side, rest, width))
    yield Line("step", f"{pad}= ", step.result)


def _split(formula: str) -> tuple[str, str, str]:
    """What stands left of the first `=` or `<-`, the sign, and what stands right of it."""
    found = re.search(r" (=|<-) ", formula)
    if found is None:
        return formula, "=", ""
    return formula[: found.start()], found.group(1), formula[found.end() :]


def _wrapped(head: str, side: str, rest: str, width: int) -> Iterator[str]:
    """`head + side`, broken where it is too long: between terms, and between factors where a term is too long."""
    if len(head) + len(side) <= width:
        yield head + side
        return
    line = head
    pieces = _terms(side, (" + ", " - "))
    if max(map(len, pieces)) > width - len(rest):
        pieces = _terms(side, (" + ", " - ", " * ", " / "))
    for piece in pieces:
        if line.strip() and len(line) + len(piece) > width and line != head:
            yield line.rstrip()
            line = rest
        line += piece
    yield line.rstrip()


def _terms(side: str, signs: tuple[str, ...]) -> list[str]:
    """The pieces between which a line may be broken: before the signs that stand outside of brackets."""
    pieces, depth, start = [], 0, 0
    for at, letter in enumerate(side):
        depth += (letter in "([") - (letter in ")]")
        if side[at : at + 3] in signs and depth == 0 and at > start:
            pieces.append(side[start : at + 1])
            start = at + 1
    return [*pieces, side[start:]]
