"""An embedding, number by number: which row was looked up, and its gradient as a sum over the places that did."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from jaxann.teach.cells import met
from jaxann.teach.steps import Step, quoted, vector
from jaxann.teach.terms import along, spot
from jaxann.teach.walk import MOST, Item, Sizes, at, gradient, row, shown

__all__ = ["looked_up", "of_rows", "told"]

_MOST_PLACES = 9  # that looked up the same row and are all shown


def told(item: Item) -> tuple[str, ...]:
    """How ids and rows are counted."""
    vocabulary, features = np.shape(item.params["weight"])
    ids = np.asarray(item.trace.x)[0].reshape(-1)
    rest = ids.size - _MOST_PLACES
    listed = ", ".join(map(str, ids[:_MOST_PLACES])) + (f", ... {rest:,} more" if rest > 0 else "")
    text = f"{item.source} = {listed}. Ids count from 0, the {vocabulary:,} rows of the table from 1: id 0 names row 1."
    padding, scale = item.layer.arguments["padding_id"], item.layer.arguments["scale"]
    text += f" Rows are multiplied by sqrt({features})." if scale else ""
    text += f" Id {padding} stands for padding: it gives 0 and learns nothing." if padding is not None else ""
    return (text,)


def _places(item: Item) -> tuple[np.ndarray, int]:
    """Ids, a row an example; the number of features."""
    ids = np.asarray(item.trace.x)
    return ids.reshape(len(ids), -1), np.shape(item.output)[-1]


def _position(item: Item, sizes: Sizes) -> int:
    return sizes.place(item.output) if np.ndim(item.output) == 3 else 0


def looked_up(item: Item, sizes: Sizes) -> Iterator[Step]:
    """Each place's row."""
    ids, features = _places(item)
    weight, digits, y = np.asarray(item.params["weight"]), sizes.digits, row(item.output)
    scale, padding = item.layer.arguments["scale"], item.layer.arguments["padding_id"]
    factor = math.sqrt(features) if scale else 1.0
    wanted = np.where((ids == padding)[..., None], 0, weight[ids] * factor)
    met(item, "the rows", wanted.reshape(np.shape(item.output)), item.output)
    table, count = quoted(f"{item.name}.weight"), ids.shape[1]
    for p in shown(count) if count <= MOST else (_position(item, sizes),):
        own = f"[{p + 1},:]" if count > 1 else "[:]"
        right = "0" if ids[0, p] == padding else f"sqrt({features}) " * scale + f"{table}[{ids[0, p] + 1},:]"
        title = (f"Position {p + 1}" if count > 1 else "The input") + f" has the id {ids[0, p]}"
        values = wanted[0, p]
        yield Step(title, f"{item.symbol}{own} = {right}", "", vector(values, digits), values)
    yield Step(f"All {y.size:,} numbers", item.symbol, "", vector(y, digits), y)


def _often(ids: np.ndarray, real: np.ndarray, position: int) -> int:
    """The id that stands most often in the example; of several that at the position, if it is one of them."""
    found, counts = np.unique(ids[real] if real.any() else ids, return_counts=True)
    most = found[counts == counts.max()]
    return int(ids[position] if ids[position] in most else most[0])


def of_rows(item: Item, sizes: Sizes) -> Iterator[Step]:
    """dJ/dE of the row that was looked up: the sum of the slopes of all places that hold its id."""
    ids, features = _places(item)
    g = np.asarray(item.slope).reshape(*ids.shape, features)
    grads, digits = np.asarray(item.trace.grads["weight"]), sizes.digits
    scale, padding = item.layer.arguments["scale"], item.layer.arguments["padding_id"]
    mask = item.trace.sequence_mask
    real = np.ones(ids.shape, bool) if mask is None else np.asarray(mask).astype(bool)
    chosen = _often(ids[0], real[0], _position(item, sizes))
    table, over = quoted(f"{item.name}.weight"), " and examples" if len(ids) > 1 else ""
    if chosen != padding:
        there = (ids == chosen) & (real | g.any(-1))  # what stands in padding is no id, unless something hangs on it
        own = [int(p) for p in np.flatnonzero(there[0])]
        summed = g[there].sum(0) * (math.sqrt(features) if scale else 1)
        met(item, "the gradient of a row", summed, grads[chosen])
        above = gradient(item.symbol)
        factor = [(f"sqrt({features})", math.sqrt(features))] if scale else []

        def term(n: int, p: int):
            return (*factor, (at(above, p * features, ids.shape[1] * features, sizes), float(g[n, p, 0])))

        title = f"Gradient of a row: the slopes of all positions{over} with the id {chosen}, added"
        left = "dJ/d" + spot(table, (chosen, 0))
        yield along(title, left, float(grads[chosen, 0]), own, there, term, digits, _MOST_PLACES)
        yield Step(title, f"dJ/d{table}[{chosen + 1},:]", "", vector(grads[chosen], digits), grads[chosen])
    used = np.unique(ids[ids != padding] if padding is not None else ids).size
    title = f"All {len(grads):,} rows: {len(grads) - used:,} of them were not looked up, and get 0"
    yield Step(title, f"dJ/d{table}", "", vector(grads, digits), grads)
