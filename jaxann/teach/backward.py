"""The backward pass step by step: what each layer hands down, and the gradient of each of its parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from jaxann.activations import softmax
from jaxann.core.binding import bound
from jaxann.core.modes import TrainMode
from jaxann.core.trees import flatten_named
from jaxann.teach.branches import apart, together
from jaxann.teach.convolution import gradients
from jaxann.teach.cost import slope_section
from jaxann.teach.formulas import call, is_plain, name_of, slope_formula, written
from jaxann.teach.forward import ROWWISE
from jaxann.teach.steps import Section, Step, bare, joined, number, operand, quoted, vector
from jaxann.teach.walk import MOST, Item, Sizes, at, gradient, row, shown, spots, weight
from jaxann.teach.written import written_as

__all__ = ["backward"]


def backward(
    found: list[Item],
    predictions: Any,
    y: Any,
    counted: np.ndarray | None,
    loss: Any,
    sizes: Sizes,
    train: bool | TrainMode,
) -> list[Section]:
    """A section for the loss, then one for each layer from the last to the first."""
    sections = [slope_section(found[-1], predictions, y, counted, loss, sizes)]
    above: list[Step] = []
    title = ""
    for position, item in reversed(list(enumerate(found))):
        if item.activation is not None:
            steps, title = list(_through_activation(item, sizes)), f"{item.name}: {name_of(item.activation)[0]}"
            if item.joined:
                above = steps
                continue  # it stands with the dense layer that comes next
            sections.append(Section(f"Backward: {title}", (), tuple(steps)))
        elif item.formula.weighted_sum:
            name = f"{item.name}, {title}" if above else item.name
            steps = (*above, *_parameters(item, sizes), *_below(item, sizes))
            sections.append(Section(f"Backward: layer {item.number} ({name})", (), steps))
            above = []
        elif item.branches is not None:
            steps = tuple(apart(item, item.branches.ends, found, sizes, drawn=bool(train)))
            sections.append(Section(f"Backward: {item.name} ({item.kind})", (), steps))
        elif item.formula.convolution:
            sections.append(Section(f"Backward: {item.name} (convolution)", (), tuple(gradients(item, sizes))))
        elif (written := written_as(item)) is not None:
            sections.append(Section(f"Backward: {item.name} ({item.kind})", (), tuple(written.backward(item, sizes))))
        else:
            steps = tuple(_other(item, sizes))
            sections += [Section(f"Backward: {item.name} ({item.kind})", (), steps)] if steps else []
        for block in found:
            if block.branches is not None and block.branches.first == position and block.source != "x":
                steps = tuple(together(block, block.branches.ends, found, sizes))
                sections.append(Section(f"Backward: where the branches of {block.name} meet", (), steps))
    return sections


def _through_activation(item: Item, sizes: Sizes):
    """dJ/dz = dJ/da f'(z) for a function of one number; the transposed Jacobian for the others."""
    z, a, g = row(item.trace.x), row(item.output), row(item.slope)
    d, digits, name = row(item.trace.input_grad), sizes.digits, name_of(item.activation)[0]
    left, above = gradient(item.source), gradient(item.symbol)
    settings = name_of(item.activation)[1]
    inner = call(item.activation, item.source, digits) if settings else name
    title = f"Back through {name}: times its slope"
    if bound(item.activation)[0] in ROWWISE or a.size != z.size:
        note = f"Back through {name}: its Jacobian, transposed"
        if is_plain(item.activation, softmax) and np.ndim(item.output) == 2 and a.size <= MOST:
            yield from _through_softmax(note, item, sizes)
            return
        yield Step(note, f"{left}{item.way} = J({inner})^T {above}", "", vector(d, digits), d)
        return
    for j in spots(item.output, sizes):
        symbols = {"z": at(item.source, j, z.size, sizes), "a": at(item.symbol, j, a.size, sizes), "b": "beta"}
        top = at(above, j, a.size, sizes)
        found = slope_formula(item.activation, float(z[j]))
        if found is None:
            right, put_in = f"{top} {_slope_of(item, symbols['z'], digits)}", ""
        else:
            values = {"z": z[j], "a": a[j], "g": g[j], **found[1]}
            text = written("{g} * " + found[0], {**symbols, "g": top}, values, digits)
            right, put_in = text
            if "{" not in found[0]:
                right = f"{top} {_slope_of(item, symbols['z'], digits)}"
        below = at(left, j, z.size, sizes) + item.way
        yield Step(title, f"{below} = {right}", put_in, number(d[j], digits), d[j])
    if z.size > MOST:
        yield Step(f"All {z.size:,} units", left + item.way, "", vector(d, digits), d)


def _slope_of(item: Item, inside: str, digits: int) -> str:
    """`elu'(z1, alpha=0.3)`: the slope by its input."""
    name = name_of(item.activation)[0]
    return f"{name}'{call(item.activation, inside, digits)[len(name) :]}"


def _through_softmax(title: str, item: Item, sizes: Sizes):
    """dJ/dz[j] = p[j] (g[j] - s), s = sum_k p[k] g[k]."""
    p, g, digits = row(item.output), row(item.slope), sizes.digits
    d, above, below = row(item.trace.input_grad), gradient(item.symbol), gradient(item.source)
    total = float(p @ g)
    products = " + ".join(f"{operand(p[k], digits)} * {operand(g[k], digits)}" for k in range(p.size))
    yield Step(title, f"s = sum of {item.symbol} {above}", products, number(total, digits), total)
    for j in range(p.size):
        left = at(below, j, p.size, sizes) + item.way
        right = f"{at(item.symbol, j, p.size, sizes)} ({at(above, j, p.size, sizes)} - s)"
        put_in = f"{number(p[j], digits)} * ({number(g[j], digits)} - {operand(total, digits)})"
        yield Step(title, f"{left} = {right}", put_in, number(d[j], digits), d[j])


def _parameters(item: Item, sizes: Sizes):
    """dJ/dW[i,j] = x[i] delta[j] and dJ/db[j] = delta[j], summed over the examples."""
    grads = {name: np.asarray(value) for name, value in item.trace.grads.items()}
    matrix, digits = grads["weight"], sizes.digits
    inputs, units = matrix.shape
    x, delta = np.asarray(item.trace.x).reshape(-1, inputs), np.asarray(item.trace.delta).reshape(-1, units)
    d_name, examples = gradient(item.symbol), len(np.asarray(item.trace.x))
    own, sizes_of = len(x) // examples, (row(item.trace.x).size, row(item.output).size)
    over = ", summed over " + " and ".join(
        word for word, many in (("the positions", own > 1), ("the examples", examples > 1)) if many
    ) if len(x) > 1 else ""  # fmt: skip
    few = inputs <= MOST and units <= MOST

    def of_all(named: Callable[[int], str]) -> str:
        """The sum over the rows: those of one example by name."""
        right = joined([named(k) for k in range(own if own <= MOST else 2)], own)
        return f"sum of {right}" if examples > 1 else right

    for i in range(inputs if few else 1):
        for j in range(units if few else 1):
            right = of_all(
                lambda k, i=i, j=j: (
                    f"{at(item.source, k * inputs + i, sizes_of[0], sizes)} "
                    + at(d_name, k * units + j, sizes_of[1], sizes)
                )
            )
            products = [f"{operand(x[k, i], digits)} * {operand(delta[k, j], digits)}" for k in _rows(x)]
            left = f"dJ/d{weight(item.number, i, j, units)}"
            title = f"Gradient of the weights: input times delta{over}"
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
            left = f"dJ/d{at(f'b{item.number}', j, units, sizes)}"
            right = of_all(lambda k, j=j: at(d_name, k * units + j, sizes_of[1], sizes))
            terms = joined([operand(delta[k, j], digits) for k in _rows(x)], len(x)) if len(x) > 1 else ""
            yield Step(title, f"{left} = {right}", bare(terms), number(bias[j], digits), bias[j])
        if units > MOST:
            yield Step(f"All {units:,} biases", f"dJ/db{item.number}", "", vector(bias, digits), bias)


def _rows(x: np.ndarray) -> range:
    return range(len(x) if len(x) <= MOST else 2)


def _below(item: Item, sizes: Sizes):
    """dJ/dx[i] = sum_j W[i,j] delta[j], with the weights of the forward pass."""
    if item.source == "x" or item.trace.input_grad is None:
        return
    matrix, digits = np.asarray(item.params["weight"]), sizes.digits
    inputs, units = matrix.shape
    t, all_below, above = sizes.place(item.output), row(item.trace.input_grad), row(item.output).size
    g, delta = (
        np.asarray(v).reshape(-1, n)[t] for v, n in ((item.trace.input_grad, inputs), (item.trace.delta, units))
    )
    title = "Down to the layer below: each unit's weights times the deltas above"
    terms = range(units if units <= MOST else 2)
    for i in shown(inputs):
        names = [
            f"{weight(item.number, i, j, units)} {at(gradient(item.symbol), t * units + j, above, sizes)}"
            for j in terms
        ]
        products = [f"{operand(matrix[i, j], digits)} * {operand(delta[j], digits)}" for j in terms]
        left = at(gradient(item.source), t * inputs + i, all_below.size, sizes) + item.way
        yield Step(title, f"{left} = {joined(names, units)}", bare(joined(products, units)), number(g[i], digits), g[i])
    if all_below.size > MOST:
        what = f"{inputs:,} units" if all_below.size == inputs else f"{all_below.size:,} numbers"
        left = gradient(item.source) + item.way
        yield Step(f"All {what} below", left, "", vector(all_below, digits), all_below)


def _other(item: Item, sizes: Sizes):
    """A layer that is not taken apart: what comes back, and the gradients of its parameters."""
    digits = sizes.digits
    if item.slope is not None and item.source != "x" and item.trace.input_grad is not None:
        g = row(item.trace.input_grad)
        formula = f"{gradient(item.source)}{item.way} = J({item.kind})^T {gradient(item.symbol)}"
        yield Step(f"Back through {item.kind}: its Jacobian, transposed", formula, "", vector(g, digits), g)
    for name, value in flatten_named(item.trace.grads).items():
        array = np.asarray(value)
        yield Step(f"Gradient of {name}", f"dJ/d{quoted(f'{item.name}.{name}')}", "", vector(array, digits), array)
