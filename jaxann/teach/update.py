"""The update: every parameter less the learning rate times its gradient, and what the loss is afterwards."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxann.core.products import Optimizer
from jaxann.core.trees import flatten_named
from jaxann.core.typing import Params, Updates
from jaxann.optimizers import sgd
from jaxann.schedules import value_at
from jaxann.teach.convolution import entry, written_out
from jaxann.teach.steps import Section, Step, number, operand, quoted, vector
from jaxann.teach.walk import MOST, Item, Sizes, at, row, weight

__all__ = ["Update", "after", "descent_rate", "update"]


class Update(NamedTuple):
    """What an optimizer does in its first step."""

    optimizer: Any
    rate: float | None  # of plain gradient descent; None for other optimizers
    updates: Updates  # what is added to each parameter


def descent_rate(optimizer: Optimizer) -> float | None:
    """The learning rate of the first step of plain gradient descent; None for any other optimizer."""
    if getattr(getattr(optimizer, "_factory", None), "public", None) is not sgd:
        return None
    if optimizer.arguments["momentum"] is not None:
        return None
    return float(value_at(optimizer.arguments["learning_rate"], jnp.int32(0)))


def update(found: list[Item], params: Params, done: Update, sizes: Sizes) -> Section:
    """w <- w - eta dJ/dw for each parameter, all with the gradients above; w <- w + update for another optimizer."""
    steps: list[Step] = []
    numbers, updates = flatten_named(params), flatten_named(done.updates)
    count = 0
    for item in found:
        own = sorted(flatten_named(item.trace.grads).items(), key=lambda pair: pair[0] == "bias")  # bias last
        for name, leaf in own:
            path = f"{item.name}.{name}" if f"{item.name}.{name}" in numbers else name  # a lone layer has no name
            w, g, u = np.asarray(numbers[path]), np.asarray(leaf), np.asarray(updates[path])
            count += w.size
            steps += _of_leaf(item, name, w, g, u, done.rate, sizes)
    if done.rate is None:
        text = f"The first step of {done.optimizer!r}. All gradients are taken before anything moves."
        return Section(f"Update of {count:,} parameters", (text,), tuple(steps))
    text = f"eta = {number(done.rate, sizes.digits)}, the learning rate. All gradients are taken before anything moves."
    return Section(f"Update: gradient descent on {count:,} parameters", (text,), tuple(steps))


def _of_leaf(
    item: Item, name: str, w: np.ndarray, g: np.ndarray, u: np.ndarray, rate: float | None, sizes: Sizes
) -> list[Step]:
    digits, title, new = sizes.digits, f"{item.name}: {name}", w + u

    def moved(symbol: str) -> str:
        return f"{symbol} <- {symbol} " + (f"- eta dJ/d{symbol}" if rate is not None else "+ update")

    if item.formula.weighted_sum:
        places = list(np.ndindex(*w.shape))
        units = w.shape[-1]

        def called(place: Any) -> str:
            if name == "weight":
                return weight(item.number, place[0], place[1], units)
            return at(f"b{item.number}", place[0], units, sizes)

        few = all(size <= MOST for size in w.shape)
        steps = []
        for place in places if few else places[:1]:
            steps.append(_moved(title, moved(called(place)), w[place], g[place], u[place], rate, digits))
        if few:
            return steps
        whole = f"{'W' if name == 'weight' else 'b'}{item.number}"
        return [*steps, Step(f"All {w.size:,} numbers", f"new {whole}", "", vector(new, digits), new)]
    if item.formula.convolution and written_out(item):
        each = [(entry(item, name, place), place) for place in np.ndindex(*w.shape)]
        return [_moved(title, moved(symbol), w[p], g[p], u[p], rate, digits) for symbol, p in each]
    return [Step(title, moved(quoted(f"{item.name}.{name}")), "", vector(new, digits), new)]


def _moved(title: str, formula: str, w: Any, g: Any, u: Any, rate: float | None, digits: int) -> Step:
    """One number and what is added to it."""
    by = f"+ {operand(u, digits)}" if rate is None else f"- {number(rate, digits)} * {operand(g, digits)}"
    return Step(title, formula, f"{number(w, digits)} {by}", number(w + u, digits), w + u)


def after(found: list[Item], before: Any, loss: Any, climbed: Any, done: Update, sizes: Sizes) -> list[Section]:
    """The forward pass with the new parameters, in short; the loss; and what the opposite step would have done."""
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
    around = "w <- w + eta dJ/dw" if done.rate is not None else "w <- w - update"
    text.append(f"With the sign turned around, {around}, it would have become {number(climbed, digits)}.")
    return [
        Section("Forward again, with the new parameters", (), tuple(steps)),
        Section("What the step did", tuple(text), ()),
    ]
