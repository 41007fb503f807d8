"""The forward pass and the loss, step by step, for the first example of a batch."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxann.teach.formulas import KINDS, loss_formula, name_of, value_formula, written
from jaxann.teach.steps import Part, Step, bare, number, operand, vector
from jaxann.teach.walk import MOST, Item, Sizes, at, row, shown, weight

__all__ = ["forward", "joined", "loss_part"]


def forward(found: list[Item], sizes: Sizes) -> list[Part]:
    """A part for each layer; an activation stands with the dense layer before it."""
    parts: list[Part] = []
    for item in found:
        if item.kind == "dense":
            parts.append(Part(f"Forward: layer {item.number} ({item.name})", (), tuple(_dense(item, sizes))))
        elif item.kind == "elementwise":
            steps = tuple(_activation(item, sizes))
            if item.symbol[0] == "a" and parts and parts[-1].title.startswith("Forward: layer"):
                last = parts.pop()
                title = f"{last.title[:-1]}, {item.name}: {name_of(item.activation)[0]})"
                parts.append(Part(title, last.text, last.steps + steps))
            else:
                parts.append(Part(f"Forward: {item.name} ({name_of(item.activation)[0]})", (), steps))
        else:
            parts.append(Part(f"Forward: {item.name} ({item.kind})", (), (_other(item, sizes),)))
    return parts


def joined(terms: list[str], total: int) -> str:
    """`a + b + ... 62 more`: the terms that are written out, and how many are not."""
    rest = total - len(terms)
    return " + ".join([*terms, f"... {rest:,} more"] if rest else terms)


def _dense(item: Item, sizes: Sizes):
    """z[j] = sum_i x[i] W[i,j] + b[j]."""
    matrix, bias = np.asarray(item.params["weight"]), item.params.get("bias")
    x, z = (
        np.asarray(item.trace.x).reshape(-1, matrix.shape[0])[0],
        np.asarray(item.trace.z).reshape(-1, matrix.shape[1])[0],
    )
    inputs, units = matrix.shape
    digits = sizes.digits
    title = "Weighted sum of the inputs" + ("" if bias is None else ", plus the bias")
    terms = range(inputs if inputs <= MOST else 2)
    for j in shown(units):
        symbols = [f"{at(item.source, i, inputs, sizes)} {weight(item.number, i, j, units)}" for i in terms]
        numbers = [f"{operand(x[i], digits)} * {operand(matrix[i, j], digits)}" for i in terms]
        right, put_in = joined(symbols, inputs), joined(numbers, inputs)
        if bias is not None:
            right += f" + {at(f'b{item.number}', j, units, sizes)}"
            put_in += f" + {operand(np.asarray(bias)[j], digits)}"
        left = at(item.symbol, j, units, sizes)
        yield Step(title, f"{left} = {right}", bare(put_in), number(z[j], digits), z[j])
    if units > MOST:
        yield _all(f"All {units:,} units", item.symbol, z, digits)


def _all(title: str, symbol: str, values: np.ndarray, digits: int) -> Step:
    return Step(title, symbol, "", vector(values, digits), values)


def _activation(item: Item, sizes: Sizes):
    """a = f(z), unit by unit."""
    z, a, digits = row(item.trace.x), row(item.trace.z), sizes.digits
    name = name_of(item.activation)[0]
    title = f"Activation: {name}"
    if a.size != z.size:
        yield Step(title, f"{item.symbol} = {name}({item.source})", "", vector(a, digits), a)
        return
    template = value_formula(item.activation)
    for j in shown(z.size):
        left, inside = at(item.symbol, j, a.size, sizes), at(item.source, j, z.size, sizes)
        if name == "softmax" and z.size <= MOST:
            right, put_in = _share(item.source, z, j, sizes)
        elif template is None:
            right, put_in = f"{name}({inside})", f"{name}({number(z[j], digits)})"
            if not _elementwise(item.activation):
                right, put_in = f"{name}({item.source})[{j + 1}]", ""
        else:
            text = written(template[0], {"z": inside, "b": "beta"}, {"z": z[j], **template[1]}, digits)
            right, put_in = f"{name}({inside}) = {text.formula}", text.substituted
            if name == text.formula.split("(")[0] or name == "identity":
                right = text.formula
        yield Step(title, f"{left} = {right}", put_in, number(a[j], digits), a[j])
    if z.size > MOST:
        yield _all(f"All {a.size:,} units", item.symbol, a, digits)


def _elementwise(activation: Any) -> bool:
    return name_of(activation)[0] not in ("softmax", "log_softmax", "sparsemax", "hard_max")


def _share(source: str, z: np.ndarray, j: int, sizes: Sizes) -> tuple[str, str]:
    """Softmax: e^z[j] over the sum."""
    symbols = [f"e^{at(source, k, z.size, sizes)}" for k in range(z.size)]
    numbers = [f"e^{number(v, sizes.digits)}" for v in z]
    return f"{symbols[j]}/({' + '.join(symbols)})", f"{numbers[j]}/({' + '.join(numbers)})"


def _other(item: Item, sizes: Sizes) -> Step:
    """A layer that is not taken apart: what it does, and what comes out."""
    what = KINDS.get(item.kind, f"{item.kind}(u)")
    if item.layer.arguments.get("skip", "") is None:
        what = what.replace("skip(u)", "u")
    what = f"{what}, u = {item.source}" if "u" in what else what
    values = row(item.trace.a)
    return Step(
        f"{item.kind}: {values.size:,} numbers", f"{item.symbol} = {what}", "", vector(values, sizes.digits), values
    )


def loss_part(symbol: str, predictions: Any, y: Any, values: Any, cost: Any, loss: Any, sizes: Sizes) -> Part:
    """The loss of the first example's outputs, and J, the mean over all entries of the batch."""
    a, targets, each = row(predictions), np.asarray(y), np.asarray(values)
    name, digits = name_of(loss)[0], sizes.digits
    steps: list[Step] = []
    formula = loss_formula(loss)
    entries = each.size
    title = f"Loss: {name}"
    if formula is not None and targets.shape == np.asarray(predictions).shape:
        t = row(targets)
        for j in shown(a.size):
            symbols = {"a": at(symbol, j, a.size, sizes), "y": at("y", j, a.size, sizes)}
            text = written(formula[0], symbols, {"a": a[j], "y": t[j]}, digits)
            left = "J" if entries == 1 else at("l", j, a.size, sizes)
            value = row(each)[j]
            steps.append(Step(title, f"{left} = {text.formula}", text.substituted, number(value, digits), value))
    elif name == "softmax_cross_entropy" and a.size <= MOST and targets.ndim == 1:
        k = int(targets[0])
        symbols = [f"e^{at(symbol, i, a.size, sizes)}" for i in range(a.size)]
        numbers = [f"e^{number(v, digits)}" for v in a]
        right = f"ln({' + '.join(symbols)}) - {at(symbol, k, a.size, sizes)}"
        put_in = f"ln({' + '.join(numbers)}) - {operand(a[k], digits)}"
        value = each.reshape(-1)[0]
        left = "J" if entries == 1 else "l"
        steps.append(Step(f"{title}, class {k}", f"{left} = {right}", put_in, number(value, digits), value))
    else:
        left = "J" if entries == 1 else "l"
        value = each[0] if each.ndim else each
        steps.append(Step(title, f"{left} = {name}({symbol}, y)", "", vector(value, digits), value))
    if entries > 1:
        flat = each.reshape(-1)
        some = [operand(v, digits) for v in (flat if flat.size <= MOST else flat[:2])]
        put_in = f"({joined(some, flat.size)})/{entries:,}"
        steps.append(Step("Mean over all entries of the batch", "J = mean of l", put_in, number(cost, digits), cost))
    return Part("Forward: the loss", (), tuple(steps))
