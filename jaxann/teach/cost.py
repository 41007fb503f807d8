"""The loss of the first example, the mean over the batch, and the slope of that mean at the outputs."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxann.losses import binary_cross_entropy_probs, softmax_cross_entropy, target_weights
from jaxann.teach.formulas import call, is_plain, loss_formula, name_of, written
from jaxann.teach.forward import joined
from jaxann.teach.steps import Section, Step, number, operand, vector
from jaxann.teach.walk import MOST, Item, Sizes, at, gradient, row, shown

__all__ = ["loss_section", "slope_section"]


def loss_section(last: Item, predictions: Any, y: Any, values: Any, cost: Any, loss: Any, sizes: Sizes) -> Section:
    """The loss of the first example's outputs, and J, the mean over all entries of the batch."""
    a, targets, each = row(predictions), np.asarray(y), np.asarray(values)
    symbol, digits = last.symbol, sizes.digits
    weights = _weights(loss, y, each)
    title = f"Loss: {name_of(loss)[0]}"
    alone = each.size == 1 and weights is None
    letter = "J" if alone else "l"
    formula = _formula(loss, predictions, targets)
    steps: list[Step] = []
    if formula is not None:
        t = row(targets)
        for j in shown(a.size):
            symbols = {"a": at(symbol, j, a.size, sizes), "y": at("y", j, a.size, sizes)}
            text = written(formula[0], symbols, {"a": a[j], "y": t[j]}, digits)
            left, value = letter if alone else at(letter, j, a.size, sizes), row(each)[j]
            steps.append(Step(title, f"{left} = {text.formula}", text.substituted, number(value, digits), value))
    elif _plain_entropy(loss, predictions, targets) and a.size <= MOST:
        k = int(targets[0])
        symbols = [f"e^{at(symbol, i, a.size, sizes)}" for i in range(a.size)]
        numbers = [f"e^{number(v, digits)}" for v in a]
        right = f"ln({' + '.join(symbols)}) - {at(symbol, k, a.size, sizes)}"
        put_in = f"ln({' + '.join(numbers)}) - {operand(a[k], digits)}"
        value = each.reshape(-1)[0]
        steps.append(Step(f"{title}, class {k}", f"{letter} = {right}", put_in, number(value, digits), value))
    else:
        value = each[0] if each.ndim else each
        right = call(loss, f"{symbol}, y", digits)
        steps.append(Step(title, f"{letter} = {right}", "", vector(value, digits), value))
    if not alone:
        steps.append(_mean(each, weights, cost, digits))
    return Section("Forward: the loss", (), tuple(steps))


def _mean(each: np.ndarray, weights: np.ndarray | None, cost: Any, digits: int) -> Step:
    """J: the plain mean, or the sum over the sum of what the targets count for."""

    def total(numbers: np.ndarray) -> str:
        some = [operand(v, digits) for v in (numbers if numbers.size <= MOST else numbers[:2])]
        return f"({joined(some, numbers.size)})"

    flat = each.reshape(-1)
    if weights is None:
        put_in, title = f"{total(flat)}/{flat.size:,}".replace(",", ""), "Mean over all entries of the batch"
        return Step(title, "J = mean of l", put_in, number(cost, digits), cost)
    title = "Weighted mean: every target counts with its weight, which is in its l already"
    if not weights.any():
        return Step(f"{title}; here none counts", "J", "", number(cost, digits), cost)
    right = "sum of l / sum of weights"
    return Step(title, f"J = {right}", f"{total(flat)}/{total(weights)}", number(cost, digits), cost)


def slope_section(last: Item, predictions: Any, y: Any, loss: Any, sizes: Sizes) -> Section:
    """dJ/da of the output, the last layer's."""
    return Section("Backward: the loss", (), tuple(_at_outputs(last, predictions, np.asarray(y), loss, sizes)))


def _at_outputs(last: Item, predictions: Any, targets: np.ndarray, loss: Any, sizes: Sizes):
    a, slope, digits = row(predictions), row(last.slope), sizes.digits
    left, name = gradient(last.symbol), name_of(loss)[0]
    title = f"Slope of the loss ({name}) at the output"
    formula = _formula(loss, predictions, targets)
    if formula is not None and formula[1]:
        t, entries = row(targets), np.size(predictions)
        over = "" if entries == 1 else f"/{entries}"
        for j in shown(a.size):
            symbols = {"a": at(last.symbol, j, a.size, sizes), "y": at("y", j, a.size, sizes)}
            text = written(formula[1], symbols, {"a": a[j], "y": t[j]}, digits)
            right, put_in = (f"({text.formula}){over}", f"({text.substituted}){over}") if over else text
            yield Step(title, f"{at(left, j, a.size, sizes)} = {right}", put_in, number(slope[j], digits), slope[j])
    elif _plain_entropy(loss, predictions, targets):
        shares = np.exp(a - a.max()) / np.exp(a - a.max()).sum()
        over = "" if len(targets) == 1 else f"/{len(targets)}"
        for j in shown(a.size):
            own = "1" if j == int(targets[0]) else "0"
            p = at("softmax(" + last.symbol + ")", j, a.size, sizes)
            text = f"{number(shares[j], digits)} - {own}"
            right, put_in = (f"({p} - {own}){over}", f"({text}){over}") if over else (f"{p} - {own}", text)
            yield Step(title, f"{at(left, j, a.size, sizes)} = {right}", put_in, number(slope[j], digits), slope[j])
    else:
        what = call(loss, f"{last.symbol}, y", digits)
        yield Step(f"{title}: l = {what}", f"{left} = slope of J at {last.symbol}", "", vector(slope, digits), slope)
        return
    if a.size > MOST:
        yield Step(f"All {a.size:,} outputs", left, "", vector(slope, digits), slope)


def _weights(loss: Any, y: Any, each: np.ndarray) -> np.ndarray | None:
    """What each value counts for, flat; None where each counts 1."""
    found = target_weights(loss, y)
    return None if found is None else np.broadcast_to(np.asarray(found), each.shape).reshape(-1)


def _formula(loss: Any, predictions: Any, targets: np.ndarray) -> tuple[str, str] | None:
    """The templates of a loss whose values and targets are one for each prediction."""
    formula = loss_formula(loss)
    if formula is None or targets.shape != np.shape(predictions):
        return None
    p = np.asarray(predictions)
    if is_plain(loss, binary_cross_entropy_probs) and not ((p > 1e-12) & (p < 1 - 1e-12)).all():
        return None  # where its logarithms are held
    return formula


def _plain_entropy(loss: Any, predictions: Any, targets: np.ndarray) -> bool:
    """Whether it is the cross-entropy of one label an example, without settings."""
    return is_plain(loss, softmax_cross_entropy) and targets.ndim == 1 and np.ndim(predictions) == 2
