"""Backpropagation through time, number by number: the deltas of one step, and the gradients as sums over all steps."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from jaxann.teach.recurrence import CALLED, Shown, shown_of
from jaxann.teach.steps import Step, bare, number, operand, quoted, vector
from jaxann.teach.terms import Factor, along, few, summed
from jaxann.teach.walk import Item, Sizes, at, gradient, row

__all__ = ["back_through_time"]

_MOST_TERMS = 9  # of a sum over time, or over the gates of all units, that are all shown


def back_through_time(item: Item, sizes: Sizes) -> Iterator[Step]:
    """The deltas of the gates at the position, and the gradients as sums over all positions."""
    shown = shown_of(item, sizes)
    if shown is not None:
        yield from _of_state(shown)
        yield from _of_gates(shown)
        yield from _of_params(shown)
    for name, grad in sorted(item.trace.grads.items(), key=lambda pair: "bias" in pair[0]):
        array = np.asarray(grad)
        whole = f"dJ/d{quoted(f'{item.name}.{name}')}"
        yield Step(f"All {array.size:,} numbers of {name}", whole, "", vector(array, sizes.digits), array)
    if item.source != "x" and item.trace.input_grad is not None:
        if shown is not None:
            yield from _of_input(shown)
        g = row(item.trace.input_grad)
        left = gradient(item.source) + item.way
        yield Step(f"All {g.size:,} numbers below", left, "", vector(g, sizes.digits), g)


def _handed_back(shown: Shown, j: int) -> tuple[str, str]:
    """What the position after hands to h, as text: the deltas there times U, and of a GRU what it keeps."""
    after, run, digits = shown.after(), shown.run, shown.sizes.digits
    if after is None:
        return "", ""
    total = len(shown.gates) * shown.units
    terms = []
    for column in few(total, _MOST_TERMS):
        gate, unit = shown.gates[column // shown.units], column % shown.units
        delta = shown.delta(gate, after, unit), float(run.of_z[gate][0, after, unit])
        reset = [(shown.letter("r", after, unit), float(run.gates["r"][0, after, unit]))] if gate == "n" else []
        terms.append((*shown.kept(0, j), shown.param("recurrent", j, column), *reset, delta))
    found = summed(terms, total, digits)
    if shown.gates != "run":
        return found
    straight = (
        (shown.letter("u", after), float(run.gates["u"][0, after, 0])),
        ("dJ/d" + shown.state(after, j), float(run.of_h[0, after, j])),
    )
    names, numbers = summed([straight], 1, digits)
    return f"{names} + {found.names}", f"{numbers} + {found.numbers}"


def _of_state(shown: Shown) -> Iterator[Step]:
    """dJ/dh in full: what comes from above at this position, and what comes back from the next one."""
    item, run, t, digits = shown.item, shown.run, shown.t, shown.sizes.digits
    after = shown.after()
    for j in few(run.h.shape[-1]) if "projection" in item.params else (0,):
        above = shown.output(gradient(item.symbol), t, j)
        g, e = float(np.asarray(item.slope)[0, t, j]), float(run.of_h[0, t, j])
        names, numbers = _handed_back(shown, j)
        title = f"Position {t + 1}: the state's slope, from above" + (
            f" and from position {after + 1}" if after is not None else "; nothing comes after it"
        )
        right = above + (f" + {names}" if names else "")
        put_in = bare(f"{operand(g, digits)} + {numbers}") if numbers else ""
        yield Step(title, f"dJ/d{shown.state(t, j)} = {right}", put_in, number(e, digits), e)
    if "projection" in item.params:
        width = run.h.shape[-1]
        terms = (
            (shown.param("projection", 0, k), ("dJ/d" + shown.state(t, k), float(run.of_h[0, t, k])))
            for k in few(width)
        )
        found, value = summed(terms, width, digits), float(run.of_hidden[0, t, 0])
        formula = f"dJ/d{shown.letter('q', t)} = {found.names}"
        title = f"Position {t + 1}, unit 1: back through the projection"
        yield Step(title, formula, bare(found.numbers), number(value, digits), value)


def _of_gates(shown: Shown) -> Iterator[Step]:
    run, t, digits, before = shown.run, shown.t, shown.sizes.digits, shown.before()
    gate = {name: (shown.letter(name, t), float(values[0, t, 0])) for name, values in run.gates.items()}
    e = "dJ/d" + shown.state(t, 0), float(run.of_h[0, t, 0])
    written: dict[str, str] = {}  # templates: names and numbers go in by letter
    known = {"e": e, **gate}
    if shown.gates == "h":
        if shown.item.layer.arguments["activation"] == "relu":
            written["h"] = "{e}" if gate["h"][1] > 0 else "{e} * 0"
        else:
            written["h"] = "{e} * (1 - {h}^2)"
        known["h"] = shown.state(t, 0), float(run.h[0, t, 0])
    elif shown.gates == "run":
        inner = float(run.inner[0, t, 0])
        old = 0.0 if before is None else float(run.before[0, t, 0])
        known |= {
            "s": (shown.letter("s", t), inner),
            "old": ("0" if before is None else shown.state(before, 0), old),
            "d": (shown.delta("n", t), float(run.of_z["n"][0, t, 0])),
        }
        written["n"] = "{e} * (1 - {u}) * (1 - {n}^2)"
        written["r"] = "{d} * {s} * {r} * (1 - {r})"
        written["u"] = "{e} * ({old} - {n}) * {u} * (1 - {u})"
    else:
        yield _of_cell(shown)
        h = "dJ/d" + shown.letter("q", t) if "projection" in shown.item.params else e[0]
        known |= {
            "C": ("dJ/d" + shown.letter("c", t), float(run.of_cell[0, t, 0])),
            "M": (h, float(run.of_hidden[0, t, 0])),
            "c": (shown.letter("c", t), float(run.cell[0, t, 0])),
            "old": ("0", 0.0) if before is None else (shown.letter("c", before), float(run.cell[0, before, 0])),
        }
        written["i"] = "{C} * {g} * {i} * (1 - {i})"
        written["f"] = "{C} * {old} * {f} * (1 - {f})"
        written["g"] = "{C} * {i} * (1 - {g}^2)"
        written["o"] = "{M} * tanh({c}) * {o} * (1 - {o})"
    names = {key: name for key, (name, _) in known.items()}
    numbers = {key: (number if key == "c" else operand)(value, digits) for key, (_, value) in known.items()}
    for name, template in written.items():
        value = float(run.of_z[name][0, t, 0])
        formula = f"{shown.delta(name, t)} = {template.replace(' * ', ' ').format(**names)}"
        put_in = bare(template.format(**numbers)) if "*" in template else ""
        title = f"Position {t + 1}, unit 1: the delta of {CALLED[name]}"
        yield Step(title, formula, put_in, number(value, digits), value)


def _of_cell(shown: Shown) -> Step:
    """dJ/dc = dJ/dc of the next position times f there + dJ/dh o (1 - tanh(c)^2)."""
    run, t, digits, after = shown.run, shown.t, shown.sizes.digits, shown.after()
    c, o, value = (float(v[0, t, 0]) for v in (run.cell, run.gates["o"], run.of_cell))
    hidden = float(run.of_hidden[0, t, 0])
    above = shown.letter("q", t) if "projection" in shown.item.params else shown.state(t, 0)
    names = f"dJ/d{above} {shown.letter('o', t)} (1 - tanh({shown.letter('c', t)})^2)"
    put_in = f"{operand(hidden, digits)} * {operand(o, digits)} * (1 - tanh({number(c, digits)})^2)"
    title = f"Position {t + 1}, unit 1: the cell's slope, by the state"
    if after is not None:
        f, later = float(run.gates["f"][0, after, 0]), float(run.of_cell[0, after, 0])
        names = f"dJ/d{shown.letter('c', after)} {shown.letter('f', after)} + {names}"
        put_in = f"{operand(later, digits)} * {operand(f, digits)} + {put_in}"
        title += f" and from the cell of position {after + 1}"
    return Step(title, f"dJ/d{shown.letter('c', t)} = {names}", bare(put_in), number(value, digits), value)


def _of_params(shown: Shown) -> Iterator[Step]:
    """Backpropagation through time: every position adds its part to the same weight."""
    item, run, digits = shown.item, shown.run, shown.sizes.digits
    grads, x = {k: np.asarray(v) for k, v in item.trace.grads.items()}, np.asarray(item.trace.x)
    real, own = run.real, [int(t) for t in np.flatnonzero(run.real[0])]
    late = real & (np.cumsum(real, 1) > 1)  # positions with a state before them
    previous = {t: own[k - 1] for k, t in enumerate(own) if k}
    over = " and over the examples" if len(x) > 1 else ""

    def delta(gate: str):
        return lambda n, t: (shown.delta(gate, t), float(run.of_z[gate][n, t, 0]))

    def step(name: str, place: tuple[int, ...], places, which, term, what: str) -> Step:
        left, value = f"dJ/d{shown.param(name, *place)[0]}", float(grads[name][place])
        title = f"Gradient of {name}: {what}, added over all positions{over}"
        return along(title, left, value, places, which, term, digits, _MOST_TERMS)

    def state_before(n: int, t: int) -> tuple[Factor, ...]:
        return ((shown.state(previous.get(t, 0), 0), float(run.before[n, t, 0])), *shown.kept(n, 0))

    first = delta(shown.gates[0])
    word = "the state before times the delta"
    yield step("recurrent", (0, 0), own[1:], late, lambda n, t: (*state_before(n, t), first(n, t)), word)
    if shown.gates == "run":
        of_n, column = delta("n"), 2 * shown.units

        def reset(n: int, t: int) -> tuple[Factor, ...]:
            return (shown.letter("r", t), float(run.gates["r"][n, t, 0])), of_n(n, t)

        word = "the state before times the delta of n, times r"
        term = lambda n, t: (*state_before(n, t), *reset(n, t))  # noqa: E731
        yield step("recurrent", (0, column), own[1:], late, term, word)
        yield step("recurrent_bias", (column,), own, real, reset, "the delta of n, times r")

    def product(n: int, t: int) -> tuple[Factor, ...]:
        return (shown.input(t, 0)[0], float(x[n, t, 0])), first(n, t)

    yield step("weight", (0, 0), own, real, product, "the input times the delta")
    for name in ("bias", "recurrent_bias"):
        yield step(name, (0,), own, real, lambda n, t: (first(n, t),), "the delta")
    if "projection" in grads:

        def hidden(n: int, t: int) -> tuple[Factor, ...]:
            e = "dJ/d" + shown.state(t, 0), float(run.of_h[n, t, 0])
            return (shown.letter("q", t), float(run.hidden[n, t, 0])), e

        yield step("projection", (0, 0), own, real, hidden, "what is projected times the state's slope")


def _of_input(shown: Shown) -> Iterator[Step]:
    """dJ/dx = D W^T at the position."""
    item, run, t, digits = shown.item, shown.run, shown.t, shown.sizes.digits
    total, below = len(shown.gates) * shown.units, np.asarray(item.trace.input_grad)
    terms = []
    for column in few(total, _MOST_TERMS):
        gate, unit = shown.gates[column // shown.units], column % shown.units
        delta = shown.delta(gate, t, unit), float(run.of_z[gate][0, t, unit])
        terms.append((shown.param("weight", 0, column), delta))
    found, value = summed(terms, total, digits), float(below[0, t, 0])
    left = at(gradient(item.source), t * below.shape[2], below[0].size, shown.sizes) + item.way
    title = f"Down to the layer below, position {t + 1}: the weights times the deltas"
    yield Step(title, f"{left} = {found.names}", bare(found.numbers), number(value, digits), value)
