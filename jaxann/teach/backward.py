"""The backward pass step by step: what each layer hands down, and the gradient of each of its parameters."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxann.teach.formulas import loss_formula, name_of, slope_formula, written
from jaxann.teach.forward import joined
from jaxann.teach.steps import Part, Step, bare, number, operand, quoted, vector
from jaxann.teach.walk import MOST, Item, Sizes, at, gradient, row, shown, weight

__all__ = ["backward"]


def backward(found: list[Item], predictions: Any, y: Any, loss: Any, sizes: Sizes) -> list[Part]:
    """A part for the loss, then one for each layer from the last to the first."""
    last = found[-1]
    parts = [Part("Backward: the loss", (), tuple(_of_loss(last, predictions, y, loss, sizes)))]
    readers = [item.source for item in found]
    merged: list[Step] = []
    title = ""
    for item in reversed(found):
        many = readers.count(item.source) > 1
        if item.kind == "elementwise":
            merged, title = list(_through_activation(item, sizes)), f"{item.name}: {name_of(item.activation)[0]}"
            if item.source[0] == "z":
                continue  # it stands with the dense layer that comes next
            parts.append(Part(f"Backward: {title}", (), tuple(merged)))
        elif item.kind == "dense":
            name = f"{item.name}, {title}" if merged and item is not last else item.name
            steps = (*merged, *_parameters(item, sizes), *_below(item, many, sizes))
            parts.append(Part(f"Backward: layer {item.number} ({name})", (), steps))
        else:
            parts.append(Part(f"Backward: {item.name} ({item.kind})", (), tuple(_other(item, many, sizes))))
        merged = []
    return parts


def _of_loss(last: Item, predictions: Any, y: Any, loss: Any, sizes: Sizes):
    """dJ/da of the output, the last layer's a or z."""
    a, targets, digits = row(predictions), np.asarray(y), sizes.digits
    slope = row(last.trace.delta)
    left, name = gradient(last.symbol), name_of(loss)[0]
    entries = np.size(predictions)
    formula = loss_formula(loss)
    title = f"Slope of the loss ({name}) at the output"
    if formula is not None and formula[1] and targets.shape == np.shape(predictions):
        t = row(targets)
        over = "" if entries == 1 else f"/{entries:,}"
        for j in shown(a.size):
            symbols = {"a": at(last.symbol, j, a.size, sizes), "y": at("y", j, a.size, sizes)}
            text = written(formula[1], symbols, {"a": a[j], "y": t[j]}, digits)
            right, put_in = (f"({text.formula}){over}", f"({text.substituted}){over}") if over else text
            yield Step(title, f"{at(left, j, a.size, sizes)} = {right}", put_in, number(slope[j], digits), slope[j])
    elif name == "softmax_cross_entropy" and not name_of(loss)[1] and targets.ndim == 1:
        shares = np.exp(a - a.max()) / np.exp(a - a.max()).sum()
        over = "" if len(targets) == 1 else f"/{len(targets):,}"
        for j in shown(a.size):
            own = "1" if j == int(targets[0]) else "0"
            p = at("softmax(" + last.symbol + ")", j, a.size, sizes)
            text = f"{number(shares[j], digits)} - {own}"
            right, put_in = (f"({p} - {own}){over}", f"({text}){over}") if over else (f"{p} - {own}", text)
            yield Step(title, f"{at(left, j, a.size, sizes)} = {right}", put_in, number(slope[j], digits), slope[j])
    else:
        yield Step(title, f"{left} = slope of J at {last.symbol}", "", vector(slope, digits), slope)
        return
    if a.size > MOST:
        yield Step(f"All {a.size:,} outputs", left, "", vector(slope, digits), slope)


def _through_activation(item: Item, sizes: Sizes):
    """dJ/dz = dJ/da f'(z) for a function of one number; the transposed Jacobian for the others."""
    z, a, g = row(item.trace.x), row(item.trace.z), row(item.trace.delta)
    d, digits, name = row(item.trace.input_grad), sizes.digits, name_of(item.activation)[0]
    left, above = gradient(item.source), gradient(item.symbol)
    title = f"Back through {name}: times its slope"
    if name in ("softmax", "log_softmax", "sparsemax", "hard_max") or a.size != z.size:
        note = f"Back through {name}: its Jacobian, transposed"
        if name == "softmax" and a.size <= MOST:
            yield from _through_softmax(note, item, sizes)
            return
        yield Step(note, f"{left} = J({name})^T {above}", "", vector(d, digits), d)
        return
    for j in shown(z.size):
        symbols = {"z": at(item.source, j, z.size, sizes), "a": at(item.symbol, j, a.size, sizes), "b": "beta"}
        top = at(above, j, a.size, sizes)
        found = slope_formula(item.activation, float(z[j]))
        if found is None:
            right, put_in = f"{top} {name}'({symbols['z']})", ""
        else:
            values = {"z": z[j], "a": a[j], "g": g[j], **found[1]}
            text = written("{g} * " + found[0], {**symbols, "g": top}, values, digits)
            right, put_in = text
            if "{" not in found[0]:
                right = f"{top} {name}'({symbols['z']})"
        yield Step(title, f"{at(left, j, z.size, sizes)} = {right}", put_in, number(d[j], digits), d[j])
    if z.size > MOST:
        yield Step(f"All {z.size:,} units", left, "", vector(d, digits), d)


def _through_softmax(title: str, item: Item, sizes: Sizes):
    """dJ/dz[j] = p[j] (g[j] - s), s = sum_k p[k] g[k]."""
    p, g, digits = row(item.trace.z), row(item.trace.delta), sizes.digits
    d, above, below = row(item.trace.input_grad), gradient(item.symbol), gradient(item.source)
    total = float(p @ g)
    products = " + ".join(f"{operand(p[k], digits)} * {operand(g[k], digits)}" for k in range(p.size))
    yield Step(title, f"s = sum of {item.symbol} {above}", products, number(total, digits), total)
    for j in range(p.size):
        left = at(below, j, p.size, sizes)
        right = f"{at(item.symbol, j, p.size, sizes)} ({at(above, j, p.size, sizes)} - s)"
        put_in = f"{number(p[j], digits)} * ({number(g[j], digits)} - {operand(total, digits)})"
        yield Step(title, f"{left} = {right}", put_in, number(d[j], digits), d[j])


def _parameters(item: Item, sizes: Sizes):
    """dJ/dW[i,j] = x[i] delta[j] and dJ/db[j] = delta[j], summed over the examples."""
    grads = {name: np.asarray(value) for name, value in item.trace.grads.items()}
    matrix, digits = grads["weight"], sizes.digits
    inputs, units = matrix.shape
    x, delta = np.asarray(item.trace.x).reshape(-1, inputs), np.asarray(item.trace.delta).reshape(-1, units)
    d_name, summed = gradient(item.symbol), len(x) > 1
    over = ", summed over the examples" if summed else ""
    few = inputs <= MOST and units <= MOST
    for i in range(inputs if few else 1):
        for j in range(units if few else 1):
            right = f"{at(item.source, i, inputs, sizes)} {at(d_name, j, units, sizes)}"
            products = [f"{operand(x[k, i], digits)} * {operand(delta[k, j], digits)}" for k in _rows(x)]
            left = f"dJ/d{weight(item.number, i, j, units)}"
            title = f"Gradient of the weights: input times delta{over}"
            right = f"sum of {right}" if summed else right
            yield Step(
                title, f"{left} = {right}", bare(joined(products, len(x))), number(matrix[i, j], digits), matrix[i, j]
            )
    if not few:
        title = f"All {matrix.size:,} weights, {inputs:,} x {units:,}"
        yield Step(title, f"dJ/dW{item.number}", "", vector(matrix, digits), matrix)
    if "bias" in grads:
        bias = grads["bias"]
        title = f"Gradient of the bias: delta itself{over}"
        for j in shown(units):
            left, right = f"dJ/d{at(f'b{item.number}', j, units, sizes)}", at(d_name, j, units, sizes)
            terms = joined([operand(delta[k, j], digits) for k in _rows(x)], len(x)) if summed else ""
            right = f"sum of {right}" if summed else right
            yield Step(title, f"{left} = {right}", bare(terms), number(bias[j], digits), bias[j])
        if units > MOST:
            yield Step(f"All {units:,} biases", f"dJ/db{item.number}", "", vector(bias, digits), bias)


def _rows(x: np.ndarray) -> range:
    return range(len(x) if len(x) <= MOST else 2)


def _below(item: Item, many: bool, sizes: Sizes):
    """dJ/dx[i] = sum_j W[i,j] delta[j], with the weights of the forward pass."""
    if item.source == "x" or item.trace.input_grad is None:
        return
    matrix, digits = np.asarray(item.params["weight"]), sizes.digits
    inputs, units = matrix.shape
    g, delta = (
        np.asarray(v).reshape(-1, n)[0] for v, n in ((item.trace.input_grad, inputs), (item.trace.delta, units))
    )
    title = "Down to the layer below: each unit's weights times the deltas above"
    way = f" (by {quoted(item.name)})" if many else ""  # a part of it: others read the same numbers
    terms = range(units if units <= MOST else 2)
    for i in shown(inputs):
        names = [f"{weight(item.number, i, j, units)} {at(gradient(item.symbol), j, units, sizes)}" for j in terms]
        products = [f"{operand(matrix[i, j], digits)} * {operand(delta[j], digits)}" for j in terms]
        left = at(gradient(item.source), i, inputs, sizes) + way
        yield Step(title, f"{left} = {joined(names, units)}", bare(joined(products, units)), number(g[i], digits), g[i])
    if inputs > MOST:
        yield Step(f"All {inputs:,} units below", gradient(item.source) + way, "", vector(g, digits), g)


def _other(item: Item, many: bool, sizes: Sizes):
    """A layer that is not taken apart: what comes back, and the gradients of its parameters."""
    digits = sizes.digits
    if item.trace.delta is not None and item.source != "x" and item.trace.input_grad is not None:
        g = row(item.trace.input_grad)
        way = f", by way of {item.name}" if many else ""
        formula = f"{gradient(item.source)} = J({item.kind})^T {gradient(item.symbol)}"
        yield Step(f"Back through {item.kind}: its Jacobian, transposed{way}", formula, "", vector(g, digits), g)
    for name, value in item.trace.grads.items():
        array = np.asarray(value)
        yield Step(f"Gradient of {name}", f"dJ/d{quoted(f'{item.name}.{name}')}", "", vector(array, digits), array)
