"""The drawing of a net: boxes for units, lines for weights, each with its numbers."""

from __future__ import annotations

import html
from typing import NamedTuple

from jaxann.teach.steps import Column, Edge, Net, Unit, unquoted

__all__ = ["MOST_LABELS", "draw"]

MOST_LABELS = 6  # edges between two columns that can carry numbers and still be read
_GAP = 172.0  # between two rows of an upright drawing
_GREEK = {"delta": "\u03b4"}


class _Box(NamedTuple):
    x: float  # of the middle
    y: float
    width: float
    height: float


def draw(net: Net, *, upright: bool) -> str:
    """The net as an SVG: from left to right, or `upright` from top to bottom for a narrow screen."""
    layout = [_boxes(net, position, upright) for position in range(len(net.columns))]
    width, height = _size(net, layout, upright)
    body = []
    for position, column in enumerate(net.columns[1:], 1):
        body += _edges(column, layout[position - 1], layout[position], upright)
    for column, boxes in zip(net.columns, layout, strict=True):
        body += [_unit(unit, box) for unit, box in zip(column.units, boxes, strict=True)]
        body += _headings(column, boxes, upright)
    kind = "upright" if upright else "wide"
    label = "The net with its numbers: " + ", then ".join(column.title for column in net.columns)
    return (
        f'<svg class="net {kind}" viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="{html.escape(label)}" '
        f'style="max-width:{width:.0f}px">{"".join(body)}</svg>'
    )


def _lines(column: Column) -> int:
    return max(len(unit.lines) for unit in column.units)


def _boxes(net: Net, position: int, upright: bool) -> list[_Box]:
    """Where the units of a column stand, the column centred across the drawing."""
    column = net.columns[position]
    count = len(column.units)
    height = 26.0 + 17 * _lines(column)
    if upright:
        width = min(120.0, 344 / count - 8)
        pitch = 344 / count
        top = 30.0 + sum(26 + 17 * _lines(c) + _GAP for c in net.columns[:position])
        return [_Box(190 + pitch * (i - (count - 1) / 2), top + height / 2, width, height) for i in range(count)]
    most = max(len(c.units) for c in net.columns)
    tallest = max(26.0 + 17 * _lines(c) for c in net.columns)
    pitch = tallest + (64 if most > 2 else 84)
    middle = 40 + (most * pitch) / 2
    return [_Box(80 + 290 * position, middle + pitch * (i - (count - 1) / 2), 116, height) for i in range(count)]


def _size(net: Net, layout: list[list[_Box]], upright: bool) -> tuple[float, float]:
    bottom = max(box.y + box.height / 2 for boxes in layout for box in boxes)
    if upright:
        return 380, bottom + 8
    return 160 + 290 * (len(net.columns) - 1), bottom + 40


def _edges(column: Column, before: list[_Box], boxes: list[_Box], upright: bool) -> list[str]:
    lines, labels = [], []
    for turn, edge in enumerate(column.edges):
        start, end = before[edge.source], boxes[edge.target]
        if upright:
            x1, y1, x2, y2 = start.x, start.y + start.height / 2, end.x, end.y - end.height / 2
        else:
            x1, y1, x2, y2 = start.x + start.width / 2, start.y, end.x - end.width / 2, end.y
        sign = "minus" if edge.strength < 0 else "plus"
        thick = 0.8 + 2.4 * abs(edge.strength)
        place = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
        lines.append(f'<line class="{sign}" {place} stroke-width="{thick:.1f}"/>')
        if len(column.edges) <= MOST_LABELS:
            share = _share(turn, len(column.edges)) if upright else 0.3
            labels.append(_label(edge, x1 + share * (x2 - x1), y1 + share * (y2 - y1)))
    return lines + labels


def _share(turn: int, count: int) -> float:
    """How far along its edge a label stands: no two at one height, none in the middle, where edges cross."""
    even = (turn + 0.6) / (count + 0.2)
    return 0.8 * even if even < 0.5 else 1 - 0.8 * (1 - even)


def _label(edge: Edge, x: float, y: float) -> str:
    """Weight above, gradient below, on a patch of the page's colour."""
    width = 8 + 6.4 * max(len(edge.weight), len(edge.gradient))
    return (
        f'<rect class="patch" x="{x - width / 2:.1f}" y="{y - 16:.1f}" width="{width:.1f}" height="31" rx="3"/>'
        f'<text class="weight" x="{x:.1f}" y="{y - 3:.1f}">{_minus(edge.weight)}</text>'
        f'<text class="slope" x="{x:.1f}" y="{y + 11:.1f}">{_minus(edge.gradient)}</text>'
    )


def _unit(unit: Unit, box: _Box) -> str:
    left, top = box.x - box.width / 2, box.y - box.height / 2
    texts = [f'<text class="name" x="{box.x:.1f}" y="{top + 17:.1f}">{_tspans(unit.name)}</text>']
    for row, (symbol, value) in enumerate(unit.lines):
        y = top + 34 + 17 * row
        sign = f'<tspan class="symbol">{_GREEK.get(symbol, symbol)} = </tspan>' if symbol else ""
        kind = "value slope" if symbol == "delta" else "value"
        texts.append(f'<text class="{kind}" x="{box.x:.1f}" y="{y:.1f}">{sign}{_minus(value)}</text>')
    frame = (
        f'<rect class="unit" x="{left:.1f}" y="{top:.1f}" width="{box.width:.1f}" height="{box.height:.1f}" rx="10"/>'
    )
    return frame + "".join(texts)


def _headings(column: Column, boxes: list[_Box], upright: bool) -> list[str]:
    first, last = boxes[0], boxes[-1]
    if upright:
        title = column.title + (f": {len(boxes)} of {len(boxes) + column.more:,}" if column.more else "")
        y = first.y - first.height / 2 - 9
        patch = f'<rect class="patch" x="2" y="{y - 12:.1f}" width="{6.6 * len(title) + 8:.0f}" height="17"/>'
        return [f'{patch}<text class="heading left" x="6" y="{y:.1f}">{html.escape(title)}</text>']
    texts = [f'<text class="heading" x="{first.x:.1f}" y="20">{html.escape(column.title)}</text>']
    if column.more:
        y = last.y + last.height / 2 + 22
        texts.append(f'<text class="heading" x="{last.x:.1f}" y="{y:.1f}">... {column.more:,} more</text>')
    return texts


def _tspans(name: str) -> str:
    """An index in a drawing, SVG has no `sub`; a name that was given as it is, brackets and all."""
    end = name.rfind('"') + 1
    given, rest = name[:end], name[end:]
    text, _, index = rest.partition("[")
    text = unquoted(given) if given else text
    return html.escape(text) + (f'<tspan class="index" dy="4">{index.rstrip("]")}</tspan>' if index else "")


def _minus(text: str) -> str:
    return text.replace("-", "\u2212")
