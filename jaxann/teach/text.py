"""An account as lines of plain text, 80 columns wide."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from jaxann.teach.steps import Section, Step

__all__ = ["Line", "lines"]

_INDENT = "  "
_NOTATION = (
    "z is a weighted sum, a = f(z) what the activation makes of it, J the loss, delta = dJ/dz. W1[2,1] is the "
    "weight of layer 1 from its input 2 to its unit 1, counted from 1; a layer with a single unit has one index."
)


class Line(NamedTuple):
    """A line and what it is: "title", "section", "text", "step" or "" for an empty one; `result` ends a step's line."""

    kind: str
    text: str
    result: str = ""


def lines(title: str, text: Iterable[str], sections: Iterable[Section], width: int = 80) -> Iterator[Line]:
    """The account line by line, each at most `width` wide unless a single term is wider."""
    yield from (Line("title", line) for line in textwrap.wrap(title, width))
    for sentence in (*text, _NOTATION):
        yield from (Line("text", line) for line in textwrap.wrap(sentence, width))
    for section in sections:
        yield Line("", "")
        yield from (Line("section", line) for line in textwrap.wrap(section.title, width))
        for sentence in section.text:
            yield from (Line("text", _INDENT + line) for line in textwrap.wrap(sentence, width - len(_INDENT)))
        for step in section.steps:
            yield from _equation(step, width)


def _equation(step: Step, width: int) -> Iterator[Line]:
    """`formula = numbers = result` on one line where it fits, else each side on its own, below the first `=`."""
    left, sign, right = _split(step.formula)
    sides = [side for side in (right, step.substituted) if side]
    once = _INDENT + " ".join([left, sign, f" {'='} ".join(sides)]) + " = "
    if sides and len(once) + len(step.result) <= width:
        yield Line("step", once, step.result)
        return
    inset = min(len(left) + 1, width // 5)
    pad = _INDENT + " " * inset
    for position, side in enumerate(sides):
        head = f"{_INDENT}{left} {sign} " if position == 0 else f"{pad}= "
        rest = pad + " " * (len(sign) + 1 if position == 0 else 2)
        yield from (Line("step", line) for line in _wrapped(head, side, rest, width))
    yield from _results(f"{pad}= " if sides else f"{_INDENT}{left} {sign} ", step.result, width)


def _results(head: str, result: str, width: int) -> Iterator[Line]:
    """The result behind `head`; where it is too long for one line, the numbers of an array below each other."""
    if len(head) + len(result) <= width:
        yield Line("step", head, result)
        return
    room = max(width - len(head), min(width - len(_INDENT), max(map(len, result.split()))))
    if len(head) + room > width:  # not one number goes behind it
        yield from (Line("step", line) for line in _wrapped("", head.rstrip(), _INDENT, width))
        head = " " * (width - room)
    for line in textwrap.wrap(result, room):
        yield Line("step", head, line)
        head = " " * len(head)


def _split(formula: str) -> tuple[str, str, str]:
    """What stands left of the first `=` or `<-` outside of quotes, the sign, and what stands right of it."""
    found = re.match(r'((?:[^"]|"(?:[^"\\]|\\.)*")*?) (=|<-) (.*)', formula, re.S)
    return (formula, "=", "") if found is None else (found.group(1), found.group(2), found.group(3))


def _wrapped(head: str, side: str, rest: str, width: int) -> Iterator[str]:
    """`head + side`, broken where it is too long: between terms, and between factors where a term is too long."""
    if len(head) + len(side) <= width:
        yield head + side
        return
    room = width - len(rest)
    pieces = _terms(side, (" + ", " - "))
    if max(map(len, pieces)) > room:
        pieces = _terms(side, (" + ", " - ", " * ", " / "))
    for deep in (1, 2):  # a term too long for a line is broken within its brackets
        cut = (_terms(piece, (" + ", " - "), deep) if len(piece) > room else [piece] for piece in pieces)
        pieces = [short for some in cut for short in some]
    pieces = [short for piece in pieces for short in _cut(piece, room)]
    line = head
    if len(head) > width:
        *before, line = _cut(head, width)
        yield from (piece.rstrip() for piece in before)
        line = line if line.startswith(" ") else rest + line
    for piece in pieces:
        full = len(line) + len(piece.rstrip()) > width
        if full and line.strip() and (line != head or len(rest) < len(head)):
            yield line.rstrip()
            line = rest
        line += piece
    yield line.rstrip()


def _cut(piece: str, room: int) -> Iterator[str]:
    """A piece that is longer than the room for it, cut at spaces, and where there is none, anywhere."""
    while len(piece.rstrip()) > room:
        at = piece.rfind(" ", 1, room) + 1
        at = at if piece[:at].strip() else room
        yield piece[:at]
        piece = piece[at:]
    yield piece


def _terms(side: str, signs: tuple[str, ...], deepest: int = 0) -> list[str]:
    """The pieces between which a line may be broken: before the signs that stand outside of quotes and brackets.

    Those inside so many brackets count as outside. A piece that begins within brackets closes them first.
    """
    pieces, depth, start = [], 0, 0
    plain = re.sub(r'"(?:[^"\\]|\\.)*"', lambda found: "_" * len(found.group()), side)
    for at, letter in enumerate(plain):
        depth += (letter in "([") - (letter in ")]")
        if plain[at : at + 3] in signs and depth <= deepest and at > start:
            pieces.append(side[start : at + 1])
            start = at + 1
    return [*pieces, side[start:]]
