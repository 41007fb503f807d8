"""A convolution, number by number: the window of one place written out, and the kernel's gradient as a sum."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from jaxann.ops.windows import Windows, as_windows
from jaxann.teach.steps import Step, bare, joined, number, operand, quoted, vector
from jaxann.teach.walk import MOST, Item, Sizes, at, gradient, row, shown

__all__ = ["convolved", "entry", "gradients", "told", "written_out"]

MOST_ENTRIES = 9  # of a kernel, or terms of a window, that are all shown
_KINDS: dict[str, Any] = {"circular": "wrap", "reflect": "reflect", "replicate": "edge"}


class _Term(NamedTuple):
    """One product of a window: a place of the input (counted through one example), and an entry of the kernel."""

    place: int
    entry: tuple[int, ...]


class _Map(NamedTuple):
    """Which place of the input meets which entry of the kernel at which place of the output."""

    windows: Windows
    inputs: tuple[int, ...]  # (*places, channels)
    results: tuple[int, ...]  # (*positions, filters)
    kernel: tuple[int, ...]  # (*size, channels / groups, filters)
    seen: np.ndarray  # the places of the padded input, counted by rows; -1 for one that holds 0

    def terms(self, output: tuple[int, ...]) -> list[_Term]:
        """The products that one place of the output is the sum of, padded zeros left out."""
        *position, unit = output
        *size, channels, _ = self.kernel
        first = self.group(unit)
        found = []
        for offset in np.ndindex(*size):
            steps = zip(position, offset, self.windows.stride, self.windows.dilation, strict=True)
            place = int(self.seen[tuple(s * p + d * q for p, q, s, d in steps)])
            if place >= 0:
                found += [_Term(place * self.inputs[-1] + first + i, (*offset, i, unit)) for i in range(channels)]
        return found

    def group(self, unit: int) -> int:
        """The first channel that an output sees."""
        channels, units = self.kernel[-2:]
        return unit // (units // (self.inputs[-1] // channels)) * channels

    def under(self, offset: tuple[int, ...]) -> np.ndarray:
        """The place of the input under one place of the window, at each position; -1 where that is a padded 0."""
        axes = zip(offset, self.windows.dilation, self.windows.stride, self.results, strict=False)
        return self.seen[tuple(slice(d * q, d * q + s * (count - 1) + 1, s) for q, d, s, count in axes)].ravel()

    def met_by_weight(self, entry: tuple[int, ...]) -> list[tuple[int, int]]:
        """The (place of the input, place of the output) that an entry of the kernel connects."""
        *offset, i, unit = entry
        places = self.under(tuple(offset))
        channel, own = self.group(unit) + i, np.flatnonzero(places >= 0)
        pairs = zip(places[own] * self.inputs[-1] + channel, own * self.results[-1] + unit, strict=True)
        return [(int(place), int(output)) for place, output in pairs]

    def met_by_place(self, place: int) -> list[tuple[tuple[int, ...], int]]:
        """The (entry of the kernel, place of the output) that a place of the input meets."""
        at_place, channel = divmod(place, self.inputs[-1])
        *size, channels, units = self.kernel
        own = [unit for unit in range(units) if 0 <= channel - self.group(unit) < channels]
        return [
            ((*offset, channel - self.group(unit), unit), int(position) * units + unit)
            for offset in np.ndindex(*size)
            for position in np.flatnonzero(self.under(offset) == at_place)
            for unit in own
        ]


def _map(item: Item) -> _Map:
    arguments, kernel = item.layer.arguments, np.shape(item.params["weight"])
    inputs, results = np.shape(item.trace.x)[1:], np.shape(item.output)[1:]
    settings = {name: arguments[name] for name in ("stride", "padding", "dilation")}
    windows = as_windows("explain", inputs[:-1], kernel[:-2], **settings)
    places = np.arange(math.prod(inputs[:-1])).reshape(inputs[:-1])
    mode = arguments["padding_mode"]
    if mode == "zeros":
        seen = np.pad(places, windows.pads, constant_values=-1)
    else:
        seen = np.pad(places, windows.pads, mode=_KINDS[mode])
    return _Map(windows, inputs, results, kernel, seen)


def told(item: Item) -> str:
    """The windows in one sentence."""
    found = _map(item)
    size, positions = (" x ".join(map(str, numbers)) for numbers in (found.windows.size, found.results[:-1]))
    apart = (
        " x ".join(map(str, found.windows.stride)) if len(set(found.windows.stride)) > 1 else found.windows.stride[0]
    )
    padded = "" if not any(map(any, found.windows.pads)) else (
        ", and places outside of it are 0" if item.layer.arguments["padding_mode"] == "zeros" else
        f", and places outside of it are {item.layer.arguments['padding_mode']}"
    )  # fmt: skip
    return (
        f"A window of {size} places is moved over {item.source} by {apart} and fits {positions} times{padded}. "
        "Its weights are the same everywhere."
    )


def written_out(item: Item) -> bool:
    """Whether every entry of the kernel is shown."""
    return np.size(item.params["weight"]) <= MOST_ENTRIES


def entry(item: Item, name: str, place: tuple[int, ...]) -> str:
    """`conv.weight[2,3]`, with the input and the output behind the place where there are several of them."""
    shape = np.shape(item.params[name])
    kept = [i + 1 for axis, i in enumerate(place) if shape[axis] > 1 or name == "weight" and axis < len(shape) - 2]
    index = f"[{','.join(map(str, kept))}]" if kept else ""
    return quoted(f"{item.name}.{name}") + index


def convolved(item: Item, sizes: Sizes) -> Iterator[Step]:
    """z[p, o] = sum over the window of x W, plus b[o]."""
    found, digits = _map(item), sizes.digits
    x, z, kernel = row(item.trace.x), row(item.output), np.asarray(item.params["weight"])
    bias = item.params.get("bias")
    title = "The window over the input, times the kernel, added up" + ("" if bias is None else ", plus the bias")
    for j in shown(z.size):
        output = tuple(int(i) for i in np.unravel_index(j, found.results))
        terms = found.terms(output)
        few = terms if len(terms) <= MOST_ENTRIES else terms[:2]
        symbols = [f"{at(item.source, t.place, x.size, sizes)} {entry(item, 'weight', t.entry)}" for t in few]
        numbers = [f"{operand(x[t.place], digits)} * {operand(kernel[t.entry], digits)}" for t in few]
        right, put_in = joined(symbols, len(terms)), joined(numbers, len(terms))
        if bias is not None:
            right += f" + {entry(item, 'bias', output[-1:])}"
            put_in += f" + {operand(np.asarray(bias)[output[-1]], digits)}"
        yield Step(title, f"{at(item.symbol, j, z.size, sizes)} = {right}", bare(put_in), number(z[j], digits), z[j])
    if z.size > MOST:
        yield Step(f"All {z.size:,} places", item.symbol, "", vector(z, digits), z)


def gradients(item: Item, sizes: Sizes) -> Iterator[Step]:
    """dJ/dW[q] = sum over the positions of x delta, dJ/db = sum of delta; dJ/dx = sum over the windows of W delta."""
    found = _map(item)
    yield from _of_kernel(item, found, sizes)
    yield from _of_bias(item, found, sizes)
    if item.source != "x" and item.trace.input_grad is not None:
        yield from _below(item, found, sizes)


def _rows(item: Item) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and deltas, a row an example."""
    x, g = np.asarray(item.trace.x), np.asarray(item.trace.delta)
    return x.reshape(len(x), -1), g.reshape(len(g), -1)


def _of_kernel(item: Item, found: _Map, sizes: Sizes) -> Iterator[Step]:
    (x, g), digits, above = _rows(item), sizes.digits, gradient(item.symbol)
    grads = np.asarray(item.trace.grads["weight"])
    over = ", and over the examples" if len(x) > 1 else ""
    title = f"Gradient of the kernel: each place that a weight met times delta there, added over all positions{over}"
    for place in list(np.ndindex(*found.kernel))[: None if written_out(item) else 1]:
        met = found.met_by_weight(place)
        count, few = len(met) * len(x), met if len(met) * len(x) <= MOST_ENTRIES else met[:2]
        pairs = [f"{at(item.source, i, x.shape[1], sizes)} {at(above, j, g.shape[1], sizes)}" for i, j in few]
        numbers = [
            f"{operand(x[n, i], digits)} * {operand(g[n, j], digits)}"
            for n in range(len(x) if count <= MOST_ENTRIES else 1)
            for i, j in few
        ]
        right = joined(pairs, len(met)) if met else "0"
        right = f"sum of {right}" if len(x) > 1 else right
        left = f"dJ/d{entry(item, 'weight', place)}"
        put_in = bare(joined(numbers, count)) if met else ""
        yield Step(title, f"{left} = {right}", put_in, number(grads[place], digits), grads[place])
    if not written_out(item):
        whole = quoted(f"{item.name}.weight")
        yield Step(f"All {grads.size:,} weights", f"dJ/d{whole}", "", vector(grads, digits), grads)


def _of_bias(item: Item, found: _Map, sizes: Sizes) -> Iterator[Step]:
    if "bias" not in item.trace.grads:
        return
    (_, g), digits, above = _rows(item), sizes.digits, gradient(item.symbol)
    grads, units = np.asarray(item.trace.grads["bias"]), found.results[-1]
    title = "Gradient of the bias: delta added over all positions" + (", and over the examples" if len(g) > 1 else "")
    for unit in shown(units):
        own = list(range(unit, g.shape[1], units))
        few = own if len(own) * len(g) <= MOST_ENTRIES else own[:2]
        numbers = [operand(g[n, j], digits) for n in range(len(g) if few is own else 1) for j in few]
        right = joined([at(above, j, g.shape[1], sizes) for j in few], len(own))
        right = f"sum of {right}" if len(g) > 1 else right
        put_in = bare(joined(numbers, len(own) * len(g)))
        left = f"dJ/d{entry(item, 'bias', (unit,))}"
        yield Step(title, f"{left} = {right}", put_in, number(grads[unit], digits), grads[unit])
    if units > MOST:
        whole = quoted(f"{item.name}.bias")
        yield Step(f"All {units:,} biases", f"dJ/d{whole}", "", vector(grads, digits), grads)


def _below(item: Item, found: _Map, sizes: Sizes) -> Iterator[Step]:
    g, below, digits = row(item.trace.delta), row(item.trace.input_grad), sizes.digits
    above, kernel = gradient(item.symbol), np.asarray(item.params["weight"])
    title = "Down to the layer below: every window that saw a place gives it back its weight times delta"
    for i in shown(below.size, MOST_ENTRIES):
        met = found.met_by_place(i)
        few = met if len(met) <= MOST_ENTRIES else met[:2]
        pairs = [f"{entry(item, 'weight', q)} {at(above, j, g.size, sizes)}" for q, j in few]
        numbers = [f"{operand(kernel[q], digits)} * {operand(g[j], digits)}" for q, j in few]
        right, put_in = joined(pairs, len(met)) if met else "0", bare(joined(numbers, len(met))) if met else ""
        left = at(gradient(item.source), i, below.size, sizes) + item.way
        yield Step(title, f"{left} = {right}", put_in, number(below[i], digits), below[i])
    if below.size > MOST_ENTRIES:
        yield Step(f"All {below.size:,} places", gradient(item.source) + item.way, "", vector(below, digits), below)
