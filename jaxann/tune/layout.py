"""Columns of text side by side, within the width of a page."""

from __future__ import annotations

from typing import Any

__all__ = ["WIDTH", "layout", "short", "shorten"]

WIDTH = 100  # characters of a line
_WIDEST = 30  # characters of a cell


def short(value: Any) -> str:
    """A value for people, in one line: floats to four digits."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if callable(value) and hasattr(value, "__name__"):
        return value.__name__
    return " ".join((value if isinstance(value, str) else repr(value)).split())


def shorten(text: str, width: int = WIDTH) -> str:
    """The text, its end replaced by dots where it is longer."""
    return text if len(text) <= width else text[: width - 3] + "..."


def layout(columns: list[list[str]]) -> list[str]:
    """Lines of the columns side by side; those that find no room follow in another block below, after a blank line.

    Args:
        columns: the cells of each column, its heading first. The first column begins every block.
    """
    # A mean beside its deviation is never shortened: a number without its end is another number.
    front, *rest = [[c if "±" in c else shorten(c, _WIDEST) for c in column] for column in columns]
    lines: list[str] = []
    while rest or not lines:
        block, width = [front], max(map(len, front))
        while rest and (len(block) == 1 or width + 2 + max(map(len, rest[0])) <= WIDTH):
            width += 2 + max(map(len, rest[0]))
            block.append(rest.pop(0))
        padded = [[c.ljust(max(map(len, column))) for c in column] for column in block]
        lines += ([""] if lines else []) + ["  ".join(row).rstrip() for row in zip(*padded, strict=True)]
    return lines
