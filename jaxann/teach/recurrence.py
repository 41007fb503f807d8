"""One step of a recurrent layer, number by number: the gates of one unit at one position."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from jaxann.teach.cells import Unrolled, gates_of, unrolled
from jaxann.teach.steps import Step, bare, number, operand, quoted, vector
from jaxann.teach.terms import Factor, few, spot, summed
from jaxann.teach.walk import Item, Sizes, at, row

__all__ = ["CALLED", "Shown", "one_step", "shown_of", "told"]

CALLED = {
    "i": "the input gate", "f": "the forget gate", "g": "what may be added", "o": "the output gate",
    "r": "the reset gate", "u": "the update gate", "n": "what is new", "h": "the new state",
}  # fmt: skip


class Shown(NamedTuple):
    """What is written out: a position of the first example, and a unit."""

    item: Item
    run: Unrolled
    sizes: Sizes
    t: int

    @property
    def gates(self) -> str:
        """The letters of the gates, in the order of the parameters' columns."""
        return gates_of(self.item)

    @property
    def units(self) -> int:
        """The units of a gate."""
        return self.run.z[self.gates[0]].shape[-1]

    def letter(self, letter: str, t: int, j: int = 0, width: int | None = None) -> str:
        """`i1[3,1]`: a letter of the layer at a position and a unit."""
        return spot(f"{letter}{self.item.number}", (t, j), self.units if width is None else width)

    def state(self, t: int, j: int) -> str:
        """`h1[3,1]`."""
        return self.letter("h", t, j, self.run.h.shape[-1])

    def delta(self, gate: str, t: int, j: int = 0) -> str:
        """`dJ/dzi1[3,1]`."""
        return "dJ/d" + self.letter(f"z{gate}", t, j)

    def param(self, name: str, *place: int) -> Factor:
        """An entry of a parameter, by its name."""
        array = np.asarray(self.item.params[name])
        return spot(quoted(f"{self.item.name}.{name}"), place), float(array[place])

    def input(self, t: int, i: int) -> Factor:
        """A number of the input at a position."""
        x = np.asarray(self.item.trace.x)
        return at(self.item.source, t * x.shape[2] + i, x[0].size, self.sizes), float(x[0, t, i])

    def output(self, symbol: str, t: int, j: int) -> str:
        """A number of what the layer gives, or of its slope, by its name."""
        width = self.run.h.shape[-1]
        return at(symbol, t * width + j, self.run.h[0].size, self.sizes)

    def kept(self, n: int, k: int) -> list[Factor]:
        """What dropout multiplies a number of h by."""
        keep = self.run.keep
        return [] if keep is None else [(spot(f"m{self.item.number}", (k,)), float(keep[n, k]))]

    def before(self) -> int | None:
        """The real position before the one that is shown."""
        found = np.flatnonzero(self.run.real[0, : self.t])
        return int(found[-1]) if found.size else None

    def after(self) -> int | None:
        """The real position after it."""
        found = np.flatnonzero(self.run.real[0, self.t + 1 :])
        return int(found[0]) + self.t + 1 if found.size else None


def shown_of(item: Item, sizes: Sizes) -> Shown | None:
    """What of the layer is written out; None where the first example has no real position."""
    run = unrolled(item)
    t = sizes.place(item.output)
    if not run.real[0, t]:  # turned round, the real positions may be others
        found = np.flatnonzero(run.real[0])
        if not found.size:
            return None
        t = int(found[min(2, found.size // 2)])
    return Shown(item, run, sizes, t)


def told(item: Item) -> tuple[str, ...]:
    """What the letters and the columns are."""
    gates, n = gates_of(item), item.number
    units = np.size(item.params["bias"]) // len(gates)
    state = f"{item.symbol} is the state h{n} at each position, 0 before the first one."
    if gates == "h":
        return (state,)
    names = ", ".join(f"{gate}{n}{' is' * (k == 0)} {CALLED[gate]}" for k, gate in enumerate(gates))
    columns = ", ".join(
        f"{k * units + 1}" + (f" to {(k + 1) * units}" if units > 1 else "") + f" are of {gate}{n}"
        for k, gate in enumerate(gates)
    )
    cell = f" c{n} is the cell, 0 before the first position." if "f" in gates else ""
    return (f"{state}{cell}", f"{names}.", f"Columns of the parameters: {columns}.")


def one_step(item: Item, sizes: Sizes) -> Iterator[Step]:
    """The gates of one unit at one position, its cell and its state; then all positions."""
    shown = shown_of(item, sizes)
    digits = sizes.digits
    if shown is not None:
        yield from _left_before(shown)
        for gate in shown.gates:
            yield from _gate(shown, gate)
        yield from _state(shown)
    h = row(item.output)
    yield Step(f"All {h.size:,} numbers of all positions", item.symbol, "", vector(h, digits), h)


def _left_before(shown: Shown) -> Iterator[Step]:
    before, number_ = shown.before(), shown.item.number
    if before is None:
        return
    title, digits = f"What position {before + 1} left behind", shown.sizes.digits
    h = shown.run.h[0, before]
    yield Step(title, f"h{number_}[{before + 1},:]", "", vector(h, digits), h)
    if "f" in shown.gates:
        c = shown.run.cell[0, before]
        yield Step(title, f"c{number_}[{before + 1},:]", "", vector(c, digits), c)
    if shown.run.keep is not None:
        m = shown.run.keep[0]
        yield Step("Dropout, drawn once for the sequence", f"m{number_}", "", vector(m, digits), m)


def _gate(shown: Shown, gate: str) -> Iterator[Step]:
    """z = x W + b + h U + d of one unit, and its activation."""
    t, run, digits = shown.t, shown.run, shown.sizes.digits
    column = shown.gates.index(gate) * shown.units
    features = np.shape(shown.item.trace.x)[2]
    left, value = shown.letter(f"z{gate}", t), float(run.z[gate][0, t, 0])
    title = f"Position {t + 1}, unit 1: what goes into {CALLED[gate]}"
    terms = [(shown.input(t, i), shown.param("weight", i, column)) for i in few(features)]
    first = summed(terms, features, digits)
    b, d = shown.param("bias", column), shown.param("recurrent_bias", column)
    of_h, of_numbers = _recurrent_terms(shown, column)
    if gate == "n":  # the reset gate acts on all that comes by h
        inner = float(run.inner[0, t, 0])
        s, r = shown.letter("s", t), shown.letter("r", t)
        inside = " + ".join(piece for piece in (of_h, d[0]) if piece)
        put_in = bare(f"{of_numbers} + {operand(d[1], digits)}") if of_h else ""
        yield Step(f"Position {t + 1}, unit 1: the part of n by the state", f"{s} = {inside}", put_in,
                   number(inner, digits), inner)  # fmt: skip
        names = f"{first.names} + {b[0]} + {r} {s}"
        put_in = f"{first.numbers} + {operand(b[1], digits)}"
        put_in += f" + {operand(run.gates['r'][0, t, 0], digits)} * {operand(inner, digits)}"
    else:
        names = " + ".join(piece for piece in (first.names, b[0], of_h, d[0]) if piece)
        put_in = " + ".join(
            piece for piece in (first.numbers, operand(b[1], digits), of_numbers, operand(d[1], digits)) if piece
        )
    yield Step(title, f"{left} = {names}", bare(put_in), number(value, digits), value)
    out = float(run.gates[gate][0, t, 0])
    symbol, put = shown.letter(gate, t), number(value, digits)
    title = f"Position {t + 1}, unit 1: {CALLED[gate]}"
    if gate in "ifour":
        formula, put_in = f"1/(1 + e^-{left})", f"1/(1 + e^{number(-value, digits)})"
    elif gate == "h" and shown.item.layer.arguments["activation"] == "relu":
        formula, put_in = f"max(0, {left})", f"max(0, {put})"
    else:
        formula, put_in = f"tanh({left})", f"tanh({put})"
    yield Step(title, f"{symbol} = {formula}", put_in, number(out, digits), out)


def _recurrent_terms(shown: Shown, column: int) -> tuple[str, str]:
    """h U of the position before; nothing before the first one."""
    before, digits = shown.before(), shown.sizes.digits
    if before is None:
        return "", ""
    width, h = shown.run.h.shape[-1], shown.run.h[0, before]
    found = summed(
        (
            ((shown.state(before, k), float(h[k])), *shown.kept(0, k), shown.param("recurrent", k, column))
            for k in few(width)
        ),
        width,
        digits,
    )
    return found.names, found.numbers


def _state(shown: Shown) -> Iterator[Step]:
    t, run, digits, before = shown.t, shown.run, shown.sizes.digits, shown.before()
    unit = f"Position {t + 1}, unit 1: "
    gate = {name: (shown.letter(name, t), float(values[0, t, 0])) for name, values in run.gates.items()}
    if shown.gates == "run":
        n, h = gate["n"], float(run.h[0, t, 0])
        u, old = gate["u"], float(run.before[0, t, 0])
        kept = "" if before is None else f" + {u[0]} {shown.state(before, 0)}"
        kept_numbers = "" if before is None else f" + {operand(u[1], digits)} * {operand(old, digits)}"
        put_in = f"(1 - {operand(u[1], digits)}) * {operand(n[1], digits)}{kept_numbers}"
        formula = f"{shown.state(t, 0)} = (1 - {u[0]}) {n[0]}{kept}"
        yield Step(f"{unit}the new state, between what is new and the old one", formula, put_in, number(h, digits), h)
    elif shown.gates == "ifgo":
        terms = [(gate["i"], gate["g"])]
        if before is not None:
            terms.insert(0, (gate["f"], (shown.letter("c", before), float(run.cell[0, before, 0]))))
        found, c = summed(terms, len(terms), digits), float(run.cell[0, t, 0])
        symbol = shown.letter("c", t)
        title = f"{unit}the cell, what is kept and what is added"
        yield Step(title, f"{symbol} = {found.names}", bare(found.numbers), number(c, digits), c)
        o, hidden = gate["o"], float(run.hidden[0, t, 0])
        projected = "projection" in shown.item.params
        left = shown.letter("q", t) if projected else shown.state(t, 0)
        put_in = f"{operand(o[1], digits)} * tanh({number(c, digits)})"
        title = f"{unit}the state, what the output gate lets out"
        yield Step(title, f"{left} = {o[0]} tanh({symbol})", put_in, number(hidden, digits), hidden)
        if projected:
            q = run.hidden[0, t]
            terms = (
                ((shown.letter("q", t, k), float(q[k])), shown.param("projection", k, 0)) for k in few(shown.units)
            )
            found, h = summed(terms, shown.units, digits), float(run.h[0, t, 0])
            formula = f"{shown.state(t, 0)} = {found.names}"
            yield Step(f"Position {t + 1}: the state, projected", formula, bare(found.numbers), number(h, digits), h)
