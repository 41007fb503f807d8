"""`explain`: one training step of a net with every number written out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxann.backprop import backward as backward_pass
from jaxann.core.checks import check_integer, check_range, fail
from jaxann.core.products import Layer
from jaxann.core.typing import Array, Key, Params, State
from jaxann.layers import as_layer
from jaxann.teach.backward import backward
from jaxann.teach.cost import loss_part
from jaxann.teach.drawing import drawing
from jaxann.teach.formulas import name_of
from jaxann.teach.forward import forward
from jaxann.teach.page import page
from jaxann.teach.reading import check_labels, read
from jaxann.teach.steps import Net, Part, quoted
from jaxann.teach.text import lines
from jaxann.teach.update import after as after_it
from jaxann.teach.update import update
from jaxann.teach.walk import Item, Sizes, items

__all__ = ["Account", "explain"]


class Account(NamedTuple):
    """One forward pass, one backward pass and one update, as data; printed, it is text 80 columns wide.

    Attributes:
        title: what it is the account of.
        text: sentences about the net and the notation.
        parts: the steps, `Part(title, text, steps)` with `Step(title, formula, substituted, result, value)`.
        net: the picture as data; None for a net with branches.
        loss, loss_after: J before and after the update.
        loss_climbed: J with the gradient added in place of subtracted.
        grads: dJ/d(each parameter), numpy float64, with the structure of the parameters.
        params_after: the parameters after the update.
    """

    title: str
    text: tuple[str, ...]
    parts: tuple[Part, ...]
    net: Net | None
    loss: float
    loss_after: float
    loss_climbed: float
    grads: Params
    params_after: Params

    def __str__(self) -> str:
        """The account as plain text."""
        return "\n".join(line.text + line.result for line in lines(self.title, self.text, self.parts))

    def html(self) -> str:
        """The account as a page that stands alone, with a drawing of the net."""
        return page(self.title, self.text, self.parts, self.net)


class _Pass(NamedTuple):
    trace: Any
    values: Array  # of the loss, before any mean


def explain(
    model: Layer,
    params: Params,
    x: Any,
    y: Any,
    loss: Callable,
    *,
    state: State | None = None,
    learning_rate: float = 0.5,
    train: bool = True,
    key: Key | None = None,
    names: Sequence[str] | None = None,
    digits: int = 6,
) -> Account:
    """w <- w - eta dJ/dw, with every number on the way: z = x W + b, a = f(z), J = mean loss(a, y), delta = dJ/dz.

    The forward pass, the backward pass by the chain rule (no automatic differentiation), one step of gradient descent
    on the same batch, and the loss after it. Computed in float64 whatever the arrays are. Of a layer wider than four
    units, and of a batch, a part is written out; of layers that are neither dense nor an activation, what goes in, what
    comes out and what comes back.

    Args:
        model: any model that `backprop.backward` takes.
        params: its parameters.
        x: `(features,)` for one example, or `(batch, ...)`.
        y: the target: a number or `(outputs,)` for one example, else what the loss takes.
        loss: a loss of `losses`.
        state: of the layers; may be left out where they have none.
        learning_rate: eta >= 0.
        train: training mode; False for that of evaluation: running statistics, nothing dropped.
        key: randomness, needed by dropout and its like in training. Every pass takes the same draw.
        names: of the inputs, one for each, in place of x[1], x[2], ...
        digits: significant digits that are shown, from 2 to 17.

    Returns:
        An `Account`: `print` it, or write `account.html()` to a file.

    Raises:
        InputError: a layer or the loss has no backward rule, parameters are missing, x or y holds no numbers or no
            example, the shapes do not fit, a label is outside, J is not finite, or a setting is out of range.
    """
    model = as_layer(model, "explain")
    check_range("explain", "learning_rate", learning_rate, 0)
    check_integer("explain", "digits", digits, 2)
    if digits > 17:
        fail("explain", "digits", "at most 17, all that a double has", digits)
    with jax.enable_x64(True):
        params, state, x, y, labels = read(model, params, state, x, y, names)

        @jax.jit
        def run(params: Params) -> _Pass:
            trace = backward_pass(model, params, state, x, y, loss, key=key, train=train)
            return _Pass(trace, loss(trace.predictions, y))

        first = run(params)
        check_labels(loss, y, first.trace.predictions)
        if not np.isfinite(first.trace.loss):
            fail("explain", "J", "finite", f" {float(first.trace.loss)}", hint="Look at x, y and the parameters.")
        rate = float(learning_rate)
        moved, climbed = (
            jax.tree.map(lambda w, g, sign=sign: w + sign * rate * np.asarray(g), params, first.trace.grads)
            for sign in (-1, 1)
        )
        second, third = run(moved), run(climbed)
    sizes = Sizes(digits, labels)
    found = items(model, params, first.trace.layers)
    again = items(model, moved, second.trace.layers)
    parts = _parts(found, again, first, (second.trace.loss, third.trace.loss), y, loss, rate, sizes, train)
    grads, new = (jax.tree.map(np.asarray, tree) for tree in (first.trace.grads, moved))
    before, after, climbing = (float(p.trace.loss) for p in (first, second, third))
    text = _about(found, loss, np.shape(x)[0], digits, train)
    net = drawing(found, sizes)
    return Account("One training step, number by number", text, parts, net, before, after, climbing, grads, new)


def _parts(found, again, first: _Pass, losses, y, loss, rate: float, sizes: Sizes, train: bool) -> tuple[Part, ...]:
    trace = first.trace
    return (
        *forward(found, sizes, train),
        loss_part(found[-1], trace.predictions, y, first.values, trace.loss, loss, sizes),
        *backward(found, trace.predictions, y, loss, sizes, train),
        update(found, rate, sizes),
        *after_it(again, trace.loss, losses[0], losses[1], sizes),
    )


def _about(found: list[Item], loss: Any, batch: int, digits: int, train: bool) -> tuple[str, ...]:
    """The net in one line, and what the letters mean."""
    chain = " -> ".join(f"{quoted(item.name)} ({_short(item)})" for item in found)
    example = "one example" if batch == 1 else f"a batch of {batch:,}; single numbers are those of its first example"
    mode = "" if train else " In evaluation mode: running statistics, and nothing is dropped."
    return (
        f"The net: x -> {chain}. Loss: {name_of(loss)[0]}, {example}.{mode}",
        f"Computed in double precision, shown to {digits} digits: a sum of shown numbers may differ in the last.",
        *(_warning(item) for item in found if train and _alone(item)),
    )


def _alone(item: Item) -> bool:
    """Whether a batch norm has a single row to take the mean and the variance of."""
    frozen = item.layer.arguments.get("frozen", False)
    return item.kind == "batch_norm" and not frozen and np.size(item.trace.x) == np.shape(item.trace.x)[-1]


def _warning(item: Item) -> str:
    return (
        f"Warning: {item.name} normalizes a batch of one row, whose mean is the row itself: it gives its bias whatever "
        "comes in, and every gradient below it is 0. Give more rows, or train=False."
    )


def _short(item: Item) -> str:
    if item.kind == "dense":
        inputs, units = np.shape(item.params["weight"])
        return f"{inputs:,} to {units:,}"
    return name_of(item.activation)[0] if item.kind == "elementwise" else item.kind
