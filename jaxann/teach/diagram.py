"""The diagram of a net with branches: a box for each layer from top to bottom, lines for what goes where."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

import numpy as np

from jaxann.teach.formulas import name_of
from jaxann.teach.steps import Block, vector
from jaxann.teach.walk import Item, Sizes, row

__all__ = ["diagram_of", "draw_diagram"]

_WIDTH, _LEFT, _HEIGHT, _PITCH = 380, 70, 58, 78  # of the drawing, of its boxes
_MOST_LETTERS = 42  # of a line in a box


def diagram_of(found: Sequence[Item], sizes: Sizes) -> tuple[Block, ...]:
    """The input and every layer; of many blocks that are alike, the first one, and the others as one box."""
    digits = min(sizes.digits, 3)
    blocks = [Block("x", _lines("input", found[0].trace.x, digits), ())]
    place: dict[str, int] = {"x": 0}  # by the symbol of what comes out
    inside: dict[str, list[Item]] = {}
    for item in found:
        if item.repeats:
            inside.setdefault(item.repeats, []).append(item)
            group = inside[item.repeats]
            if len(group) == 1:
                blocks.append(Block(item.repeats, (), _sources(item, place)))
            place[item.symbol] = len(blocks) - 1  # whatever comes out last
            last = blocks[-1]
            count = len({one.name.removeprefix(item.repeats).split(".")[1] for one in group})
            what = f"{count} more block{'s' * (count > 1)} like that above"
            blocks[-1] = last._replace(lines=_lines(what, item.output, digits))
            continue
        kind = item.kind if item.activation is None else name_of(item.activation)[0]
        blocks.append(Block(item.name, _lines(kind, item.output, digits), _sources(item, place)))
        place[item.symbol] = len(blocks) - 1
    return tuple(blocks)


def _lines(kind: str, values: np.ndarray, digits: int) -> tuple[str, ...]:
    shape = " x ".join(map(str, np.shape(values)[1:])) or "1"
    return f"{kind}, {shape}", vector(row(values), digits, 2)


def _sources(item: Item, place: Mapping[str, int]) -> tuple[int, ...]:
    """The boxes before: the source, or the ends of branches."""
    symbols = [item.source]
    if item.branches is not None:
        ends = list(item.branches.ends.values())
        symbols = ends if len(ends) > 1 else [*ends, item.source]
    known = [place[symbol] for symbol in symbols if symbol in place]
    return tuple(dict.fromkeys(known)) or (max(place.values()),)  # a layer's own input: what ran before


def draw_diagram(diagram: Sequence[Block]) -> str:
    """The diagram as an SVG, narrow enough for any screen."""
    height = _PITCH * len(diagram) - _PITCH + _HEIGHT + 16
    body, skips = [], []
    for position, block in enumerate(diagram):
        top = 8 + _PITCH * position
        for source in block.sources:
            if source == position - 1:
                middle = (_LEFT + _WIDTH) / 2
                body.append(
                    f'<line class="flow" x1="{middle:.1f}" y1="{top - _PITCH + _HEIGHT:.1f}" x2="{middle:.1f}" '
                    f'y2="{top:.1f}"/>'
                )
            else:
                skips.append((source, position))
        body.append(_box(block, top))
    for source, position in skips:
        deep = sum(a <= source and position <= b for a, b in skips)  # those around it, itself among them
        x = _LEFT - 6 - 54 / deep
        start, end = (8 + _PITCH * at + _HEIGHT / 2 for at in (source, position))
        body.append(
            f'<path class="skip" d="M {_LEFT} {start + 10:.1f} C {x:.1f} {start + 10:.1f} {x:.1f} {start + 10:.1f} '
            f"{x:.1f} {start + 40:.1f} L {x:.1f} {end - 40:.1f} C {x:.1f} {end - 10:.1f} {x:.1f} {end - 10:.1f} "
            f'{_LEFT} {end - 10:.1f}"/>'
        )
    label = "The layers of the net: " + ", then ".join(block.name for block in diagram)
    return (
        f'<svg class="net diagram" viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{html.escape(label)}" '
        f'style="max-width:{_WIDTH}px">{"".join(body)}</svg>'
    )


def _box(block: Block, top: float) -> str:
    middle = (_LEFT + _WIDTH - 4) / 2
    texts = [f'<text class="name small" x="{middle:.1f}" y="{top + 17:.1f}">{_short(block.name)}</text>']
    texts += [
        f'<text class="small quiet" x="{middle:.1f}" y="{top + 33 + 16 * i:.1f}">{_short(line)}</text>'
        for i, line in enumerate(block.lines)
    ]
    return (
        f'<rect class="unit" x="{_LEFT}" y="{top:.1f}" width="{_WIDTH - _LEFT - 4}" height="{_HEIGHT}" rx="8"/>'
        + "".join(texts)
    )


def _short(text: str) -> str:
    """A line that fits into a box, its middle left out where it is too long."""
    half = (_MOST_LETTERS - 3) // 2
    short = text if len(text) <= _MOST_LETTERS else f"{text[:half]}...{text[-half:]}"
    return html.escape(short)
