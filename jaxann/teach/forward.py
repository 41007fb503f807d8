"""The forward pass, step by step, for the first example of a batch."""

from __future__ import annotations

import numpy as np

from jaxann.activations import gumbel_softmax, hard_max, identity, log_softmax, softmax, sparsemax
from jaxann.core.binding import bound
from jaxann.core.modes import TrainMode
from jaxann.teach.convolution import convolved, told
from jaxann.teach.formulas import call, is_plain, kind_formula, name_of, value_formula, written
from jaxann.teach.steps import Section, Step, bare, joined, number, operand, vector
from jaxann.teach.walk import MOST, Item, Sizes, at, row, shown, spots, weight
from jaxann.teach.written import written_as

__all__ = ["ROWWISE", "forward"]

ROWWISE = (softmax, log_softmax, sparsemax, hard_max, gumbel_softmax)  # each output from all inputs


def forward(found: list[Item], sizes: Sizes, train: bool | TrainMode) -> list[Section]:
    """A section for each layer; an activation stands with the dense layer before it."""
    sections: list[Section] = []
    for item in found:
        if item.formula.weighted_sum:
            sections.append(Section(f"Forward: layer {item.number} ({item.name})", (), tuple(_dense(item, sizes))))
        elif item.activation is not None:
            steps = tuple(_activation(item, sizes))
            if item.joined:
                last = sections.pop()
                title = f"{last.title[:-1]}, {item.name}: {name_of(item.activation)[0]})"
                sections.append(Section(title, last.text, last.steps + steps))
            else:
                sections.append(Section(f"Forward: {item.name} ({name_of(item.activation)[0]})", (), steps))
        elif item.formula.convolution:
            title = f"Forward: {item.name} (convolution)"
            sections.append(Section(title, (told(item),), tuple(convolved(item, sizes))))
        elif (written := written_as(item)) is not None:
            title = f"Forward: {item.name} ({item.kind})"
            sections.append(Section(title, written.text(item, sizes), tuple(written.forward(item, sizes))))
        else:
            what, letters = kind_formula(item.layer, item.source, train)
            text = (f"Here {letters}.",) if letters else ()
            sections.append(Section(f"Forward: {item.name} ({item.kind})", text, (_other(item, what, sizes),)))
    return sections


def _dense(item: Item, sizes: Sizes):
    """z[j] = sum_i x[i] W[i,j] + b[j]."""
    matrix, bias = np.asarray(item.params["weight"]), item.params.get("bias")
    inputs, units = matrix.shape
    digits, t = sizes.digits, sizes.place(item.output)
    x, z = (np.asarray(v).reshape(-1, n)[t] for v, n in ((item.trace.x, inputs), (item.output, units)))
    given, every = row(item.trace.x).size, row(item.output)
    title = "Weighted sum of the inputs" + ("" if bias is None else ", plus the bias")
    terms = range(inputs if inputs <= MOST else 2)
    for j in shown(units):
        symbols = [f"{at(item.source, t * inputs + i, given, sizes)} {weight(item.number, i, j, units)}" for i in terms]
        numbers = [f"{operand(x[i], digits)} * {operand(matrix[i, j], digits)}" for i in terms]
        right, put_in = joined(symbols, inputs), joined(numbers, inputs)
        if bias is not None:
            right += f" + {at(f'b{item.number}', j, units, sizes)}"
            put_in += f" + {operand(np.asarray(bias)[j], digits)}"
        left = at(item.symbol, t * units + j, every.size, sizes)
        yield Step(title, f"{left} = {right}", bare(put_in), number(z[j], digits), z[j])
    if every.size > MOST:
        what = f"{units:,} units" if every.size == units else f"{every.size:,} numbers"
        yield _all(f"All {what}", item.symbol, every, digits)


def _all(title: str, symbol: str, values: np.ndarray, digits: int) -> Step:
    return Step(title, symbol, "", vector(values, digits), values)


def _activation(item: Item, sizes: Sizes):
    """a = f(z), unit by unit."""
    z, a, digits = row(item.trace.x), row(item.output), sizes.digits
    name = name_of(item.activation)[0]
    title = f"Activation: {name}"
    if a.size != z.size:
        yield Step(title, f"{item.symbol} = {call(item.activation, item.source, digits)}", "", vector(a, digits), a)
        return
    settings = name_of(item.activation)[1]
    plain = is_plain(item.activation, softmax) and np.ndim(item.output) == 2
    each = bound(item.activation)[0] not in ROWWISE and all(np.ndim(value) == 0 for value in settings.values())
    template = value_formula(item.activation)
    for j in spots(item.output, sizes):
        left, inside = at(item.symbol, j, a.size, sizes), at(item.source, j, z.size, sizes)
        if plain and z.size <= MOST:
            right, put_in = _share(item.source, z, j, sizes)
        elif template is None:
            right = call(item.activation, inside, digits)
            put_in = call(item.activation, number(z[j], digits), digits)
            if not each:
                right, put_in = f"{call(item.activation, item.source, digits)}[{j + 1}]", ""
        else:
            text = written(template[0], {"z": inside, "b": "beta"}, {"z": z[j], **template[1]}, digits)
            right, put_in = f"{call(item.activation, inside, digits)} = {text.formula}", text.substituted
            if name == text.formula.split("(")[0] or is_plain(item.activation, identity):
                right = text.formula
        yield Step(title, f"{left} = {right}", put_in, number(a[j], digits), a[j])
    if z.size > MOST:
        yield _all(f"All {a.size:,} units", item.symbol, a, digits)


def _share(source: str, z: np.ndarray, j: int, sizes: Sizes) -> tuple[str, str]:
    """Softmax: e^z[j] over the sum."""
    symbols = [f"e^{at(source, k, z.size, sizes)}" for k in range(z.size)]
    numbers = [f"e^{number(v, sizes.digits)}" for v in z]
    return f"{symbols[j]}/({' + '.join(symbols)})", f"{numbers[j]}/({' + '.join(numbers)})"


def _other(item: Item, what: str, sizes: Sizes) -> Step:
    """A layer that is not taken apart: what it does, and what comes out."""
    values = row(item.output)
    return Step(
        f"{item.kind}: {values.size:,} numbers", f"{item.symbol} = {what}", "", vector(values, sizes.digits), values
    )
