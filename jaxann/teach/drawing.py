"""What the picture of a net shows: columns of units, and edges with their weights and gradients."""

from __future__ import annotations

import numpy as np

from jaxann.teach.steps import Column, Edge, Net, Unit, number, operand
from jaxann.teach.walk import MOST, Item, Sizes, at, row

__all__ = ["drawing"]

_DRAWN = 3  # units of a layer that has more than can all be drawn


def drawing(found: list[Item], sizes: Sizes) -> Net | None:
    """The columns of a plain chain of layers; None for a net with branches, or without a dense layer."""
    chain = all(item.source == before.symbol for before, item in zip(found, found[1:], strict=False))
    if not chain or not any(item.formula.weighted_sum for item in found):
        return None
    digits = min(sizes.digits, 4)
    columns: list[Column] = []
    for position, item in enumerate(found):
        if not item.formula.weighted_sum:
            continue
        if not columns or len(columns[-1].units) + columns[-1].more != np.shape(item.params["weight"])[0]:
            columns.append(_given(item, sizes, digits))
        behind = found[position + 1] if position + 1 < len(found) else None
        columns.append(_layer(item, behind, sizes, last=not any(i.formula.weighted_sum for i in found[position + 1 :])))
    others = [
        f"{item.name} ({item.kind})" for item in found if not item.formula.weighted_sum and item.activation is None
    ]
    caption = "Not drawn: " + ", ".join(others) + "." if others else ""
    return Net(tuple(columns), caption)


def _given(item: Item, sizes: Sizes, digits: int) -> Column:
    """What goes into a layer, where it is not what the column before gives."""
    inputs, t = np.shape(item.params["weight"])[0], sizes.place(item.output)
    x, every = np.asarray(item.trace.x).reshape(-1, inputs)[t], row(item.trace.x).size
    units = tuple(
        Unit(at(item.source, t * inputs + i, every, sizes), (("", number(x[i], digits)),)) for i in _drawn(inputs)
    )
    return Column("input" if item.source == "x" else f"input of {item.name}", units, inputs - len(units), ())


def _drawn(count: int) -> range:
    return range(count if count <= MOST else _DRAWN)


def _layer(item: Item, behind: Item | None, sizes: Sizes, *, last: bool) -> Column:
    digits, t = min(sizes.digits, 4), sizes.place(item.output)
    matrix, grads = np.asarray(item.params["weight"]), np.asarray(item.trace.grads["weight"])
    inputs, count = matrix.shape
    z, delta = (np.asarray(v).reshape(-1, count)[t] for v in (item.output, item.slope))
    active = behind is not None and behind.symbol == f"a{item.number}" and behind.source == item.symbol
    a = None
    if active and behind is not None and np.shape(behind.output)[-1] == count:
        a = np.asarray(behind.output).reshape(-1, count)[t]
    units = []
    for j in _drawn(count):
        lines = [("z", number(z[j], digits))]
        if a is not None:
            lines.append(("a", number(a[j], digits)))
        lines.append(("delta", number(delta[j], digits)))
        if "bias" in item.params:
            lines.append(("b", number(np.asarray(item.params["bias"])[j], digits)))
        units.append(Unit(f"unit {j + 1}" if count > 1 else "output" if last else "unit", tuple(lines)))
    greatest = float(np.abs(matrix).max()) or 1.0
    edges = tuple(
        Edge(
            i, j, number(matrix[i, j], digits), operand(grads[i, j], digits).strip("()"), float(matrix[i, j]) / greatest
        )
        for i in _drawn(inputs)
        for j in _drawn(count)
    )
    title = item.name + (f", {behind.name}" if active and behind is not None else "")
    return Column(title, tuple(units), count - len(units), edges)
