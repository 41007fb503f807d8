"""`explain`: one training step of a net with every number written out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxann.backprop import backward as backward_pass
from jaxann.core.checks import check_integer, fail
from jaxann.core.modes import TrainMode, check_train
from jaxann.core.padding import unpadded
from jaxann.core.products import Layer, Optimizer
from jaxann.core.programs import jit
from jaxann.core.results import apart
from jaxann.core.typing import Array, Inputs, Key, Loss, Params, State, Targets
from jaxann.layers import as_layer
from jaxann.losses.domains import check_domain
from jaxann.teach.backward import backward
from jaxann.teach.cost import loss_section
from jaxann.teach.diagram import diagram_of
from jaxann.teach.drawing import drawing
from jaxann.teach.formulas import name_of
from jaxann.teach.forward import forward
from jaxann.teach.page import page
from jaxann.teach.reading import check_labels, read
from jaxann.teach.steps import Block, Net, Section, quoted
from jaxann.teach.text import lines
from jaxann.teach.update import Update, descent_rate, update
from jaxann.teach.update import after as after_it
from jaxann.teach.walk import Item, Sizes, by_block, in_sequences, items, places_of, position_of
from jaxann.train.recipe import Recipe

__all__ = ["Account", "explain"]


class Account(NamedTuple):
    """One forward pass, one backward pass and one update, as data; printed, it is text 80 columns wide.

    Attributes:
        title: what it is the account of.
        text: sentences about the net and the notation.
        sections: the steps, `Section(title, text, steps)` with `Step(title, formula, substituted, result, value)`.
        net: the picture as data; None for a net with branches.
        diagram: where there is no such picture, the layers and what goes into each, as data; else ().
        loss, loss_after: J before and after the update.
        loss_climbed: J after the opposite step, with the gradient added in place of subtracted.
        grads: dJ/d(each parameter), numpy float64, with the structure of the parameters.
        params_after: the parameters after the update.
    """

    title: str
    text: tuple[str, ...]
    sections: tuple[Section, ...]
    net: Net | None
    loss: float
    loss_after: float
    loss_climbed: float
    grads: Params
    params_after: Params
    diagram: tuple[Block, ...] = ()

    def __str__(self) -> str:
        """The account as plain text."""
        return "\n".join(line.text + line.result for line in lines(self.title, self.text, self.sections))

    def html(self) -> str:
        """The account as a page that stands alone, with a drawing of the net."""
        return page(self.title, self.text, self.sections, self.net, self.diagram)


class _Pass(NamedTuple):
    trace: Any
    values: Array  # of the loss, before any mean


@apart
def explain(
    recipe: Recipe,
    params: Params,
    x: Inputs,
    y: Targets,
    *,
    state: State | None = None,
    train: bool | TrainMode = True,
    key: Key | None = None,
    names: Sequence[str] | None = None,
    digits: int = 6,
) -> Account:
    """w <- w - eta dJ/dw, with every number on the way: z = x W + b, a = f(z), J = mean loss(a, y), delta = dJ/dz.

    The forward pass, the backward pass by the chain rule (no automatic differentiation), the first step of the recipe's
    optimizer on the same batch, and the loss after it. Computed in float64 whatever the arrays are. Of a layer wider
    than four units, and of a batch, a part is written out; of a convolution the window of each place, of more than four
    the first one's; of a recurrent layer the gates of one unit at one position, and how a weight's gradient is a sum
    over all positions; of an attention what one query of one head takes of each key; of an embedding the rows that were
    looked up; of a layer norm the mean and the variance of one place. Of other layers that are no activation, what goes
    in, what comes out and what comes back.

    Args:
        recipe: what is trained: its `model`, any that `backprop.backward` takes, its `loss` and its `optimizer` are
            read. It has no penalty, for an account is of the loss alone; x is taken as it is, without `augment`.
        params: the model's parameters.
        x: `(features,)` for one example, or `(batch, ...)`, or `Padded` sequences.
        y: the target: a number or `(outputs,)` for one example, else what the loss takes.
        state: of the layers; may be left out where they have none.
        train: training mode; False for that of evaluation: running statistics, nothing dropped.
        key: randomness, needed by dropout and its like in training. Every pass takes the same draw.
        names: of the inputs, one for each, in place of x[1], x[2], ...
        digits: significant digits that are shown, from 2 to 17.

    Returns:
        An `Account`: `print` it, or write `account.html()` to a file.

    Raises:
        InputError: the recipe is none or has a penalty, a layer or the loss has no backward rule, parameters are
            missing, x or y holds no numbers or no example, the shapes do not fit, a label is outside, J is not finite,
            or a setting is out of range.
        ArithmeticError: what would be written out is not what the net computed.
    """
    model, loss, optimizer = _read_recipe(recipe)
    train = check_train("explain", train)
    check_integer("explain", "digits", digits, 2)
    if digits > 17:
        fail("explain", "digits", "at most 17, all that a double has", digits)
    with jax.enable_x64(True):
        params, state, x, y, mask, labels = read(model, params, state, x, y, names)
        check_domain("explain", "y", loss, y)

        real = None if mask is None else jnp.asarray(mask)

        @jit
        def run(params: Params) -> _Pass:
            trace = backward_pass(model, params, state, x, y, loss, key=key, train=train, sequence_mask=real)
            return _Pass(trace, loss(*unpadded(trace.predictions, y)[:2]))

        first = run(params)
        predictions, targets, counted = jax.tree.map(np.asarray, unpadded(first.trace.predictions, y))
        check_labels(loss, targets, predictions)
        if not np.isfinite(first.trace.loss):
            fail("explain", "J", "finite", f" {float(first.trace.loss)}", hint="Look at x, y and the parameters.")
        done = _updated(optimizer, params, first.trace, lambda params: run(params).trace.loss, key)
        moved, climbed = (
            jax.tree.map(lambda w, u, sign=sign: w + sign * np.asarray(u), params, done.updates) for sign in (1, -1)
        )
        second, third = run(moved), run(climbed)
    found = items(model, params, first.trace.layers)
    sizes = Sizes(digits, labels, places_of(found), position_of(found))
    again = items(model, moved, second.trace.layers)
    before, after, climbing = (float(p.trace.loss) for p in (first, second, third))
    sections = (
        *forward(found, sizes, train),
        loss_section(found[-1], predictions, targets, first.values, counted, first.trace.loss, loss, sizes),
        *backward(found, predictions, targets, counted, loss, sizes, train),
        update(found, by_block(model, params), done._replace(updates=by_block(model, done.updates)), sizes),
        *after_it(again, first.trace.loss, second.trace.loss, third.trace.loss, done, sizes),
    )
    grads, new = (jax.tree.map(np.asarray, tree) for tree in (first.trace.grads, moved))
    text = _about(found, loss, np.shape(x)[0], sizes, train)
    net = drawing(found, sizes)
    diagram = diagram_of(found, sizes) if net is None else ()
    title = "One training step, number by number"
    return Account(title, text, sections, net, before, after, climbing, grads, new, diagram)


def _read_recipe(recipe: Any) -> tuple[Layer, Loss, Optimizer]:
    """The model, the loss and the optimizer of a recipe."""
    if not all(hasattr(recipe, name) for name in ("model", "loss", "optimizer")):
        fail("explain", "recipe", "a recipe, with a model, a loss and an optimizer", recipe)
    if getattr(recipe, "penalty", None) is not None:
        hint = "An account is of the loss alone: recipe.replace(penalty=None)."
        fail("explain", "recipe.penalty", "None", recipe.penalty, hint=hint)
    return as_layer(recipe.model, "explain"), recipe.loss, recipe.optimizer


def _updated(optimizer: Optimizer, params: Params, trace: Any, cost: Callable, key: Key | None) -> Update:
    """The optimizer's first step from these gradients."""
    rate = descent_rate(optimizer)
    if rate is not None:  # on the host: nothing is compiled for it
        return Update(optimizer, rate, jax.tree.map(lambda g: -rate * np.asarray(g), trace.grads))

    @jit
    def step(params: Params, grads: Params, value: Array) -> Params:
        more = {"value": value, "value_fn": cost, "key": jax.random.key(0) if key is None else key}
        return optimizer.update(grads, optimizer.init(params), params, **more)[0]

    return Update(optimizer, None, step(params, trace.grads, trace.loss))


def _about(found: list[Item], loss: Any, batch: int, sizes: Sizes, train: bool | TrainMode) -> tuple[str, ...]:
    """The net in one line, and what the letters mean."""
    chain = " -> ".join(f"{quoted(item.name)} ({_short(item)})" for item in found)
    example = "one example" if batch == 1 else f"a batch of {batch:,}; single numbers are those of its first example"
    if any(in_sequences(item) and np.ndim(item.output) == 3 for item in found):
        at = f"position {sizes.position + 1}"
        example += f" at {at}" if batch > 1 else f"; single numbers are those of {at}"
    mode = "" if train else " In evaluation mode: running statistics, and nothing is dropped."
    return (
        f"The net: x -> {chain}. Loss: {name_of(loss)[0]}, {example}.{mode}",
        f"Computed in double precision, shown to {sizes.digits} digits: a sum of shown numbers may differ in the last.",
        *(_warning(item) for item in found if train and train is not TrainMode.NOISE and _alone(item)),
    )


def _alone(item: Item) -> bool:
    """Whether a layer has a single row to take the mean and the variance of."""
    of_batch = item.formula.of_batch
    return of_batch is not None and of_batch(item.layer) and np.size(item.trace.x) == np.shape(item.trace.x)[-1]


def _warning(item: Item) -> str:
    return (
        f"Warning: {item.name} normalizes a batch of one row, whose mean is the row itself: it gives its bias whatever "
        "comes in, and every gradient below it is 0. Give more rows, or train=False."
    )


def _short(item: Item) -> str:
    if item.formula.weighted_sum:
        inputs, units = np.shape(item.params["weight"])
        return f"{inputs:,} to {units:,}"
    return item.kind if item.activation is None else name_of(item.activation)[0]
