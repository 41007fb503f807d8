"""A layer norm, number by number: mean, variance, what is normalized and scaled, and the way back through them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from jaxann.teach.cells import met
from jaxann.teach.steps import Step, bare, joined, number, operand, quoted, vector
from jaxann.teach.terms import Factor, along, few, spot
from jaxann.teach.walk import Item, Sizes, at, gradient, row, shown

__all__ = ["normalized", "through_norm", "told"]

_MOST_ROWS = 9  # terms of a sum over positions and examples that are all shown


class _Norm(NamedTuple):
    """All rows that are normalized, each by itself, and which of them is written out."""

    item: Item
    sizes: Sizes
    x: np.ndarray  # (examples, rows of an example, numbers of a row), as all of them
    u: np.ndarray
    y: np.ndarray
    above: np.ndarray
    of_u: np.ndarray
    below: np.ndarray
    mean: np.ndarray  # (examples, rows of an example), as the next one
    variance: np.ndarray
    eps: float
    t: int

    @property
    def count(self) -> int:
        return self.x.shape[2]

    @property
    def index(self) -> str:
        return f"[{self.t + 1}]" if self.x.shape[1] > 1 else ""

    def of_row(self, letter: str) -> str:
        """`m1[3]`: a number of a row."""
        return f"{letter}{self.item.number}{self.index}"

    def inside(self, letter: str, i: int, t: int | None = None) -> str:
        """`u1[3,2]`: a number within a row."""
        place = (self.t if t is None else t, i) if self.x.shape[1] > 1 else (i,)
        return spot(f"{letter}{self.item.number}", place, self.count)

    def input(self, i: int) -> str:
        return at(self.item.source, self.t * self.count + i, row(self.item.trace.x).size, self.sizes)

    def output(self, symbol: str, i: int, t: int | None = None) -> str:
        place = self.t if t is None else t
        return at(symbol, place * self.count + i, row(self.item.output).size, self.sizes)

    def param(self, name: str, i: int) -> Factor:
        array = np.asarray(self.item.params[name])
        symbol = quoted(f"{self.item.name}.{name}")
        return (symbol if array.size == 1 else spot(symbol, [int(k) for k in np.unravel_index(i, array.shape)])), float(
            array.flat[i]
        )


def _norm(item: Item, sizes: Sizes) -> _Norm:
    """Everything by the formulas, held against what the layer gave.

    Raises:
        ArithmeticError: what comes out, or a gradient, is not the net's own.
    """
    x, g = np.asarray(item.trace.x), np.asarray(item.slope)
    axes, eps = item.layer.arguments["axes"], float(item.layer.arguments["eps"])
    shape = (len(x), -1, math.prod(x.shape[x.ndim - axes :]))
    rows, above = x.reshape(shape), g.reshape(shape)
    mean, variance = rows.mean(-1), rows.var(-1)
    factor = np.where(variance + eps > 0, 1 / np.sqrt(np.where(variance + eps > 0, variance + eps, 1)), 0)
    u = (rows - mean[..., None]) * factor[..., None]
    scale, bias = (
        np.asarray(item.params.get(name, start)).reshape(-1) for name, start in (("scale", 1.0), ("bias", 0.0))
    )
    y, of_u = scale * u + bias, scale * above
    met(item, "the output", y.reshape(x.shape), item.output)
    below = factor[..., None] * (of_u - of_u.mean(-1, keepdims=True) - u * (u * of_u).mean(-1, keepdims=True))
    if item.trace.input_grad is not None:
        met(item, "what it hands down", below.reshape(x.shape), item.trace.input_grad)
    t = sizes.place(x) if axes == 1 and x.ndim == 3 else 0
    return _Norm(item, sizes, rows, u, y, above, of_u, below, mean, variance, eps, t)


def told(item: Item) -> tuple[str, ...]:
    """What a row is."""
    axes, shape = item.layer.arguments["axes"], np.shape(item.trace.x)
    count = math.prod(shape[len(shape) - axes :])
    what = f"The {count:,} numbers " + ("at each place" if len(shape) > axes + 1 else "of an example")
    n = item.number
    given = " + ".join(
        word for word in ("scale u" if "scale" in item.params else "u", "bias" if "bias" in item.params else "") if word
    )
    return (
        f"{what} are normalized by themselves: m{n} is their mean, v{n} their variance, u{n} = (x - m)/sqrt(v + eps), "
        f"and {item.symbol} = {given} is what the layer gives. Backward, g{n} is the mean of the slopes at u{n}, k{n} "
        "that of these slopes times u.",
    )


def _row_sum(terms: list[str], total: int, over: int) -> str:
    return f"({joined(terms, total)})/{over}"


def normalized(item: Item, sizes: Sizes) -> Iterator[Step]:
    """m = mean x, v = mean (x - m)^2, u = (x - m)/sqrt(v + eps), y = scale u + bias."""
    norm, digits, y = _norm(item, sizes), sizes.digits, row(item.output)
    n, t = norm.count, norm.t
    x, m, v = norm.x[0, t], float(norm.mean[0, t]), float(norm.variance[0, t])
    mean, variance = norm.of_row("m"), norm.of_row("v")
    some = few(n)
    names, numbers = [norm.input(i) for i in some], [operand(x[i], digits) for i in some]
    yield Step("The mean", f"{mean} = {_row_sum(names, n, n)}", bare(_row_sum(numbers, n, n)), number(m, digits), m)
    eps = number(norm.eps, digits)
    names = [f"({name} - {mean})^2" for name in names]
    numbers = [f"({number(x[i], digits)} - {operand(m, digits)})^2" for i in some]
    title = "The variance: the mean of the squares of what is away from the mean"
    yield Step(title, f"{variance} = {_row_sum(names, n, n)}", _row_sum(numbers, n, n), number(v, digits), v)
    for i in shown(n) if v + norm.eps > 0 else ():
        value = float(norm.u[0, t, i])
        left = f"{norm.inside('u', i)} = ({norm.input(i)} - {mean})/sqrt({variance} + {eps})"
        put_in = f"({number(x[i], digits)} - {operand(m, digits)})/sqrt({number(v, digits)} + {eps})"
        yield Step("Normalized", left, put_in, number(value, digits), value)
    if v + norm.eps == 0:
        u = np.zeros(n)
        yield Step("Nothing varies, and nothing is normalized", norm.of_row("u"), "", vector(u, digits), u)
    if item.params:
        for i in shown(n):
            value, terms = float(norm.y[0, t, i]), [norm.inside("u", i)]
            put = [operand(norm.u[0, t, i], digits)]
            if "scale" in item.params:
                scale = norm.param("scale", i)
                terms, put = [f"{scale[0]} {terms[0]}"], [f"{operand(scale[1], digits)} * {put[0]}"]
            if "bias" in item.params:
                bias = norm.param("bias", i)
                terms, put = [*terms, bias[0]], [*put, operand(bias[1], digits)]
            left = norm.output(item.symbol, i)
            title = "Scaled and shifted" if len(item.params) > 1 else "Scaled" if "scale" in item.params else "Shifted"
            yield Step(title, f"{left} = {' + '.join(terms)}", bare(" + ".join(put)), number(value, digits), value)
    yield Step(f"All {y.size:,} numbers", item.symbol, "", vector(y, digits), y)


def through_norm(item: Item, sizes: Sizes) -> Iterator[Step]:
    """dJ/du = scale dJ/dy, dJ/dx = (dJ/du - mean of dJ/du - u mean of u dJ/du)/sqrt(v + eps)."""
    norm, digits = _norm(item, sizes), sizes.digits
    yield from _of_params(norm)
    if item.source == "x" or item.trace.input_grad is None:
        return
    n, t, above = norm.count, norm.t, gradient(item.symbol)
    u, h = norm.u[0, t], norm.of_u[0, t]
    for i in shown(n):
        left, g = "dJ/d" + norm.inside("u", i), norm.above[0, t, i]
        names, put_in = norm.output(above, i), ""
        if "scale" in item.params:
            scale = norm.param("scale", i)
            names, put_in = f"{scale[0]} {names}", f"{number(scale[1], digits)} * {operand(g, digits)}"
        title = "Slope of what is normalized" + (": the scale times the slope above" if put_in else "")
        yield Step(title, f"{left} = {names}", put_in, number(h[i], digits), float(h[i]))
    some = few(n)
    each = [("dJ/d" + norm.inside("u", i), operand(h[i], digits)) for i in some]
    inner = [(norm.inside("u", i), operand(u[i], digits)) for i in some]
    plain, crossed = float(h.mean()), float((u * h).mean())
    first, second = norm.of_row("g"), norm.of_row("k")
    names, numbers = ([slope[i] for slope in each] for i in (0, 1))
    title = "The mean of these slopes: a shift of all changes nothing, so it goes off"
    yield Step(title, f"{first} = {_row_sum(names, n, n)}", bare(_row_sum(numbers, n, n)), number(plain, digits), plain)
    names = [f"{a[0]} {b[0]}" for a, b in zip(inner, each, strict=True)]
    numbers = [f"{a[1]} * {b[1]}" for a, b in zip(inner, each, strict=True)]
    title = "The mean of these slopes times u: a stretch of all changes nothing, so it goes off too"
    put_in = bare(_row_sum(numbers, n, n))
    yield Step(title, f"{second} = {_row_sum(names, n, n)}", put_in, number(crossed, digits), crossed)
    v, eps = float(norm.variance[0, t]), number(norm.eps, digits)
    for i in shown(n) if v + norm.eps > 0 else ():
        value = float(norm.below[0, t, i])
        left = at(gradient(item.source), t * n + i, row(item.trace.x).size, sizes) + item.way
        own = norm.inside("u", i)
        names = f"(dJ/d{own} - {first} - {own} {second})/sqrt({norm.of_row('v')} + {eps})"
        off = f"{operand(plain, digits)} - {operand(u[i], digits)} * {operand(crossed, digits)}"
        put_in = f"({number(h[i], digits)} - {off})/sqrt({number(v, digits)} + {eps})"
        yield Step("Down to the layer below", f"{left} = {names}", put_in, number(value, digits), value)
    g = row(item.trace.input_grad)
    left = gradient(item.source) + item.way
    yield Step(f"All {g.size:,} numbers below", left, "", vector(g, digits), g)


def _of_params(norm: _Norm) -> Iterator[Step]:
    item, digits, above = norm.item, norm.sizes.digits, gradient(norm.item.symbol)
    examples, places = norm.x.shape[:2]
    rows = np.ones((examples, places), bool)
    words = zip(("examples", "places"), (examples, places), strict=True)
    over = " and ".join(word for word, many in words if many > 1)
    for name in ("scale", "bias"):
        if name not in item.trace.grads:
            continue
        grads, i = np.asarray(item.trace.grads[name]), 0

        def term(n: int, t: int, name: str = name, i: int = i):
            slope = norm.output(above, i, t), float(norm.above[n, t, i])
            return ((norm.inside("u", i, t), float(norm.u[n, t, i])), slope) if name == "scale" else (slope,)

        what = "what is normalized times the slope above" if name == "scale" else "the slope above"
        title = f"Gradient of the {name}: {what}" + (f", added over the {over}" if over else "")
        left, value = f"dJ/d{norm.param(name, i)[0]}", float(grads.flat[i])
        yield along(title, left, value, list(range(places)), rows, term, digits, _MOST_ROWS)
        whole = f"dJ/d{quoted(f'{item.name}.{name}')}"
        if grads.size > 1:
            yield Step(f"All {grads.size:,} numbers of the {name}", whole, "", vector(grads, digits), grads)
