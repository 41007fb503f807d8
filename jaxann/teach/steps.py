"""What an account is made of: steps in sections, numbers as text, and the picture of a net as plain data."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

__all__ = [
    "Block",
    "Column",
    "Edge",
    "Net",
    "Section",
    "Step",
    "Unit",
    "bare",
    "joined",
    "number",
    "operand",
    "quoted",
    "unquoted",
    "vector",
]

# A word that a formula uses itself, or that reads as one of its symbols or as a number.
_OURS = re.compile(
    r"[^\W\d_]\d*|(?:delta|eta|beta|softmax)\d*|z[fghinoru]\d+|d?J.*|ln|max|tanh|cosh|sign|sqrt|sum|mean|new|of|more|slope|nan|inf"
)
_WORD = re.compile(r"[^\W\d]\w*(?:\.\w+)*")


class Step(NamedTuple):
    """One equation: the formula, the same with the numbers put in, and what it comes to.

    Attributes:
        title: what is computed, in words.
        formula: `delta2 = dJ/da2 a2 (1 - a2)`.
        substituted: `-0.260885 * 0.739115 * (1 - 0.739115)`; "" where there is nothing to put in.
        result: `-0.0503049`; of an array its first numbers.
        value: the number or array itself, unrounded.
    """

    title: str
    formula: str
    substituted: str
    result: str
    value: Any


class Section(NamedTuple):
    """Steps that belong together.

    Attributes:
        title: such as "Backward pass: layer 2 (dense1, act1)".
        text: sentences before the steps.
        steps: the steps.
    """

    title: str
    text: tuple[str, ...]
    steps: tuple[Step, ...]


class Unit(NamedTuple):
    """A circle of the picture: its name and the lines written into it."""

    name: str
    lines: tuple[tuple[str, str], ...]  # (symbol, number)


class Edge(NamedTuple):
    """A line of the picture, from a unit of the column before to a unit of this one."""

    source: int
    target: int
    weight: str
    gradient: str
    strength: float  # weight over the greatest weight of the layer, in [-1, 1]


class Column(NamedTuple):
    """The units of one layer, as many as are drawn, and the edges that lead to them."""

    title: str
    units: tuple[Unit, ...]
    more: int  # units that are not drawn
    edges: tuple[Edge, ...]


class Block(NamedTuple):
    """A box of the diagram of a net with branches: a layer, or several blocks that are alike.

    Attributes:
        name: the layer's dotted name.
        lines: what it is, and the first numbers of what it gives.
        sources: the positions of the boxes whose numbers go into it.
    """

    name: str
    lines: tuple[str, ...]
    sources: tuple[int, ...]


class Net(NamedTuple):
    """The picture of a net: the input's column, then one for each dense layer; and the line below it."""

    columns: tuple[Column, ...]
    caption: str


def number(value: Any, digits: int) -> str:
    """A number with so many significant digits, without zeros at the end."""
    text = f"{float(value):.{digits}g}"
    return "0" if text == "-0" else text


def quoted(name: str) -> str:
    """A name that was given, as it stands in a formula: in double quotes where it could be read as part of it.

    `income` stays as it is; `"x^2"`, `"area [m2]"` and `"a"` are names, and no power, index or symbol.
    """
    plain = _WORD.fullmatch(name) and not _OURS.fullmatch(name)
    return name if plain else json.dumps(name, ensure_ascii=False)


def unquoted(text: str) -> str:
    """The name within double quotes."""
    return str(json.loads(text))


def operand(value: Any, digits: int) -> str:
    """A number that stands in a formula: a negative one in brackets."""
    text = number(value, digits)
    return f"({text})" if text.startswith("-") else text


def bare(text: str) -> str:
    """A line of numbers without the brackets of a negative one that comes first, in the line or within brackets."""
    return re.sub(r"(^|\()\((-[\d.e+-]+)\)(?= |$)", r"\1\2", text)


def vector(values: Any, digits: int, most: int = 4) -> str:
    """`(0.52, 0.91, ... 510 more)`; a single number without brackets."""
    flat = np.asarray(values).reshape(-1)
    if flat.size == 1:
        return number(flat[0], digits)
    shown: Sequence[str] = [number(v, digits) for v in (flat if flat.size <= most else flat[:2])]
    rest = flat.size - len(shown)
    return "(" + ", ".join(shown) + (f", ... {rest:,} more)" if rest else ")")


def joined(terms: list[str], total: int) -> str:
    """`a + b + ... 62 more`: the terms that are written out, and how many are not."""
    rest = total - len(terms)
    return " + ".join([*terms, f"... {rest:,} more"] if rest else terms)
