"""The loss of the first example, the mean over the batch, and the slope of that mean at the outputs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from jaxann.losses import binary_cross_entropy_probs, softmax_cross_entropy, target_weights
from jaxann.teach.formulas import call, is_plain, loss_formula, name_of, written
from jaxann.teach.forward import joined
from jaxann.teach.steps import Section, Step, number, operand, vector
from jaxann.teach.walk import MOST, Item, Sizes, at, gradient, row, shown, spots

__all__ = ["loss_section", "slope_section"]


def loss_section(
    last: Item, predictions: Any, y: Any, values: Any, counted: Any, cost: Any, loss: Any, sizes: Sizes
) -> Section:
    """The loss of the first example's outputs, and J, the mean over all entries of the batch.

    Args:
        last: the layer whose output is the prediction.
        predictions, y: of all examples, without what stands in padding.
        values: of the loss.
        counted: which of them count, 1 or 0, where targets were `Padded`; else None.
        cost: J.
        loss, sizes: what it is, and how much is written out.
    """
    a, targets, each = row(predictions), np.asarray(y), np.asarray(values)
    symbol, digits = last.symbol, sizes.digits
    weights = _weights(loss, y, each, counted)
    title = f"Loss: {name_of(loss)[0]}"
    alone = each.size == 1 and weights is None
    letter = "J" if alone else "l"
    formula = _formula(loss, predictions, targets)
    steps: list[Step] = []
    if formula is not None:
        t, sizes = row(targets), _beside(last, predictions, sizes)
        for j in spots(predictions, sizes):
            symbols = {"a": at(symbol, j, a.size, sizes), "y": at("y", j, a.size, sizes)}
            text = written(formula[0], symbols, {"a": a[j], "y": t[j]}, digits)
            left, value = letter if alone else at(letter, j, a.size, sizes), row(each)[j]
            steps.append(Step(title, f"{left} = {text.formula}", text.substituted, number(value, digits), value))
    elif _plain_entropy(loss, predictions, targets):
        steps += _entropy(title, last, predictions, targets, each, letter, sizes)
    else:
        value = each[0] if each.ndim else each
        right = call(loss, f"{symbol}, y", digits)
        steps.append(Step(title, f"{letter} = {right}", "", vector(value, digits), value))
    if not alone:
        steps.append(_mean(each, weights, _real(each, counted), cost, digits))
    return Section("Forward: the loss", (), tuple(steps))


def _entropy(
    title: str, last: Item, predictions: Any, targets: np.ndarray, each: np.ndarray, letter: str, sizes: Sizes
) -> Iterator[Step]:
    """ln of the sum of e^z, less the z of the label: of an example, or of the position that is shown."""
    t, classes, digits = sizes.place(predictions), np.shape(predictions)[-1], sizes.digits
    a, k, every = row(predictions)[t * classes :][:classes], int(targets.reshape(-1)[t]), row(predictions).size
    along = targets.ndim > 1
    if classes <= MOST:
        names = [at(last.symbol, t * classes + i, every, sizes) for i in range(classes)]
        right = f"ln({' + '.join(f'e^{name}' for name in names)}) - {names[k]}"
        put_in = f"ln({' + '.join(f'e^{number(v, digits)}' for v in a)}) - {operand(a[k], digits)}"
        value, left = each.reshape(-1)[t], f"{letter}[{t + 1}]" if along else letter
        yield Step(f"{title}, class {k}", f"{left} = {right}", put_in, number(value, digits), value)
    if along or classes > MOST:
        value = each[0]
        yield Step(title, f"{letter} = softmax_cross_entropy({last.symbol}, y)", "", vector(value, digits), value)


def _mean(each: np.ndarray, weights: np.ndarray | None, counted: np.ndarray | None, cost: Any, digits: int) -> Step:
    """J: the plain mean, that of what is no padding, or the sum over the sum of what the targets count for."""

    def total(numbers: np.ndarray) -> str:
        some = [operand(v, digits) for v in (numbers if numbers.size <= MOST else numbers[:2])]
        return f"({joined(some, numbers.size)})"

    flat = each.reshape(-1)
    if weights is None:
        put_in, title = f"{total(flat)}/{flat.size:,}".replace(",", ""), "Mean over all entries of the batch"
        return Step(title, "J = mean of l", put_in, number(cost, digits), cost)
    title = "Weighted mean: every target counts with its weight, which is in its l already"
    if counted is not None:
        flat, weights = flat[counted], weights[counted]
    if counted is not None and (weights == 1).all() and weights.size:
        title = "Mean over what is no padding"
        put_in = f"{total(flat)}/{weights.size}"
        return Step(title, "J = mean of l, padding left out", put_in, number(cost, digits), cost)
    if not weights.any():
        return Step(f"{title}; here none counts", "J", "", number(cost, digits), cost)
    right = "sum of l / sum of weights"
    return Step(title, f"J = {right}", f"{total(flat)}/{total(weights)}", number(cost, digits), cost)


def slope_section(last: Item, predictions: Any, y: Any, counted: Any, loss: Any, sizes: Sizes) -> Section:
    """dJ/da of the output, the last layer's."""
    steps = tuple(_at_outputs(last, predictions, np.asarray(y), counted, loss, sizes))
    return Section("Backward: the loss", (), steps)


def _at_outputs(last: Item, predictions: Any, targets: np.ndarray, counted: Any, loss: Any, sizes: Sizes):
    a, slope, digits = row(predictions), row(last.slope), sizes.digits
    left, name = gradient(last.symbol), name_of(loss)[0]
    title = f"Slope of the loss ({name}) at the output"
    formula = _formula(loss, predictions, targets)
    there = counted is None or bool(counted.reshape(-1)[sizes.place(predictions)])  # what is shown is no padding
    if formula is not None and formula[1] and there:
        t, sizes = row(targets), _beside(last, predictions, sizes)
        entries = a.size * len(predictions) if counted is None else int(counted.sum()) * a.size // counted[0].size
        over = "" if entries == 1 else f"/{entries}"
        for j in spots(predictions, sizes):
            symbols = {"a": at(last.symbol, j, a.size, sizes), "y": at("y", j, a.size, sizes)}
            text = written(formula[1], symbols, {"a": a[j], "y": t[j]}, digits)
            right, put_in = (f"({text.formula}){over}", f"({text.substituted}){over}") if over else text
            yield Step(title, f"{at(left, j, a.size, sizes)} = {right}", put_in, number(slope[j], digits), slope[j])
    elif _plain_entropy(loss, predictions, targets):
        t, classes = sizes.place(predictions), np.shape(predictions)[-1]
        z = a[t * classes :][:classes]
        shares = np.exp(z - z.max()) / np.exp(z - z.max()).sum()
        entries = targets.size if counted is None else int(counted.sum())
        over = "" if entries == 1 else f"/{entries}"
        for j in shown(classes) if there else ():
            own, k = "1" if j == int(targets.reshape(-1)[t]) else "0", t * classes + j
            p = f"softmax({last.symbol})" + at(last.symbol, k, a.size, sizes).removeprefix(last.symbol)
            text = f"{number(shares[j], digits)} - {own}"
            right, put_in = (f"({p} - {own}){over}", f"({text}){over}") if over else (f"{p} - {own}", text)
            yield Step(title, f"{at(left, k, a.size, sizes)} = {right}", put_in, number(slope[k], digits), slope[k])
    else:
        what = call(loss, f"{last.symbol}, y", digits)
        yield Step(f"{title}: l = {what}", f"{left} = slope of J at {last.symbol}", "", vector(slope, digits), slope)
        return
    if a.size > MOST:
        yield Step(f"All {a.size:,} outputs", left, "", vector(slope, digits), slope)


def _beside(last: Item, predictions: Any, sizes: Sizes) -> Sizes:
    """Targets and losses one for each prediction, at the same positions."""
    if last.symbol not in sizes.places:
        return sizes
    return sizes._replace(places={**sizes.places, **dict.fromkeys("yl", np.shape(predictions)[1:])})


def _weights(loss: Any, y: Any, each: np.ndarray, counted: np.ndarray | None) -> np.ndarray | None:
    """What each value counts for, flat; None where each counts 1."""
    found = target_weights(loss, y)
    if found is None and counted is None:
        return None
    return np.broadcast_to(np.ones(()) if found is None else np.asarray(found), each.shape).reshape(-1)


def _real(each: np.ndarray, counted: np.ndarray | None) -> np.ndarray | None:
    """Which values are no padding, flat; None where there is none."""
    if counted is None:
        return None
    return np.broadcast_to(
        counted.reshape(*counted.shape, *(1,) * (each.ndim - counted.ndim)) != 0, each.shape
    ).reshape(-1)


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
    return is_plain(loss, softmax_cross_entropy) and targets.ndim == np.ndim(predictions) - 1 <= 2
