"""The update: every parameter less the learning rate times its gradient, and what the loss is afterwards."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxann.core.trees import flatten_named
from jaxann.teach.steps import Part, Step, number, operand, quoted, vector
from jaxann.teach.walk import MOST, Item, Sizes, at, row, weight

__all__ = ["after", "update"]


def update(found: list[Item], learning_rate: float, sizes: Sizes) -> Part:
    """w <- w - eta dJ/dw for each parameter, all with the gradients above."""
    steps: list[Step] = []
    count = 0
    for item in found:
        own = flatten_named(item.params)
        for name, leaf in sorted(flatten_named(item.trace.grads).items(), key=lambda p: p[0] == "bias"):  # bias last
            w, g = np.asarray(own[name]), np.asarray(leaf)
            count += w.size
            steps += _of_leaf(item, name, w, g, learning_rate, sizes)
    rate = number(learning_rate, sizes.digits)
    text = f"eta = {rate}, the learning rate. All gradients are taken before anything moves."
    return Part(f"Update: gradient descent on {count:,} parameters", (text,), tuple(steps))


def _of_leaf(item: Item, name: str, w: np.ndarray, g: np.ndarray, rate: float, sizes: Sizes) -> list[Step]:
    digits, title = sizes.digits, f"{item.name}: {name}"
    new = w - rate * g
    if item.kind == "dense":
        places = list(np.ndindex(*w.shape))
        units = w.shape[-1]

        def called(place: Any) -> str:
            if name == "weight":
                return weight(item.number, place[0], place[1], units)
            return at(f"b{item.number}", place[0], units, sizes)

        few = all(size <= MOST for size in w.shape)
        steps = []
        for place in places if few else places[:1]:
            symbol = called(place)
            put_in = f"{number(w[place], digits)} - {number(rate, digits)} * {operand(g[place], digits)}"
            right = f"{symbol} <- {symbol} - eta dJ/d{symbol}"
            steps.append(Step(title, right, put_in, number(new[place], digits), new[place]))
        if few:
            return steps
        whole = f"{'W' if name == 'weight' else 'b'}{item.number}"
        return [*steps, Step(f"All {w.size:,} numbers", f"new {whole}", "", vector(new, digits), new)]
    symbol = quoted(f"{item.name}.{name}")
    return [Step(title, f"{symbol} <- {symbol} - eta dJ/d{symbol}", "", vector(new, digits), new)]


def after(found: list[Item], before: Any, loss: Any, climbed: Any, sizes: Sizes) -> list[Part]:
    """The forward pass with the new parameters, in short; the loss; and what adding the gradient would have done."""
    digits = sizes.digits
    steps = [
        Step("Forward again", item.symbol, "", vector(row(item.output), digits), row(item.output)) for item in found
    ]
    steps.append(Step("The loss after the update", "J", "", number(loss, digits), float(loss)))
    moved = float(loss) - float(before)
    share = f", {100 * abs(moved / float(before)):.3g} %" if abs(moved) < abs(float(before)) else ""
    verb = "fell" if moved < 0 else "rose" if moved > 0 else "did not move"
    by = f", by {number(abs(moved), digits)}{share}" if moved else ""
    text = [f"J {verb} from {number(before, digits)} to {number(loss, digits)}{by}."]
    if moved > 0:
        text.append("A step that is too long passes the valley: try a smaller learning rate.")
    text.append(f"With the sign turned around, w <- w + eta dJ/dw, it would have become {number(climbed, digits)}.")
    return [
        Part("Forward again, with the new parameters", (), tuple(steps)),
        Part("What the step did", tuple(text), ()),
    ]
