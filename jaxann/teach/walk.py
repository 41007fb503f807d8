"""The layers of a model in the order they run in, each with what it is called in the formulas."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxann.backprop.registry import rule_of
from jaxann.core.products import Layer
from jaxann.teach.layers import LayerFormula, formula_of
from jaxann.teach.steps import quoted

__all__ = [
    "MOST",
    "Branches",
    "Item",
    "Sizes",
    "at",
    "by_block",
    "gradient",
    "items",
    "places_of",
    "row",
    "shown",
    "weight",
]

MOST = 4  # units of a layer, or terms of a sum, that are all shown


class Item(NamedTuple):
    """One layer that ran.

    Attributes:
        name: its dotted name.
        kind: the name of its factory, to be shown.
        layer: the layer.
        trace: what went in, came out and came back.
        params: its own parameters.
        source, symbol: what its input and its output are called: `a1`, `z2`.
        way: behind the gradient that it hands down where a branch begins with it: ` (by block0.body)`; else "".
        branches: of a residual and its like, else None.
        number: of a weighted sum (a dense layer), counted from 1; 0 for the others.
        activation: the function that an activation layer applies, else None.
        formula: how it is shown.
    """

    name: str
    kind: str
    layer: Layer
    trace: Any
    params: Mapping[str, Any]
    source: str
    symbol: str
    number: int
    activation: Any
    way: str
    branches: Branches | None
    formula: LayerFormula

    @property
    def output(self) -> Any:
        """What the layer gives, whatever activation stands behind it."""
        return self.trace.y

    @property
    def slope(self) -> Any:
        """dJ/d(output)."""
        return self.trace.output_grad

    @property
    def joined(self) -> bool:
        """Whether it is the activation right behind a dense layer, on the same path."""
        return not self.way and self.source[0] == "z" and self.symbol == f"a{self.source[1:]}"


class Branches(NamedTuple):
    """The children of a layer that adds what they make of its input.

    Attributes:
        ends: what the output of each is called, by the child's name.
        first: the position of the first layer inside.
    """

    ends: Mapping[str, str]
    first: int


def items(model: Layer, params: Mapping[str, Any], layers: Mapping[str, Any]) -> list[Item]:
    """The layers that a trace has, in the order they ran in."""
    found: list[Item] = []
    _walk(model, "", by_block(model, params), layers, "x", found, "")
    return found


def by_block(layer: Layer, tree: Any) -> Any:
    """Parameters with a branch `0`, `1`, ... for each of many stacked blocks, as the trace names them."""
    while "wraps" in layer.traits:
        layer = layer.arguments["layer"]
    if "stacked" in layer.traits:
        ((name, child),) = layer.children.items()
        count = next((np.shape(leaf)[0] for leaf in jax.tree.leaves(tree)), 0)
        each = [jax.tree.map(lambda leaf, i=i: np.asarray(leaf)[i], tree[name]) for i in range(count)]
        return {name: {str(i): by_block(child, one) for i, one in enumerate(each)}}
    if not layer.children:
        return tree
    inside = {name: by_block(child, tree[name]) for name, child in layer.children.items()}
    return {**tree, **inside}


def _walk(
    layer: Layer, name: str, params: Any, layers: Mapping[str, Any], source: str, found: list[Item], way: str
) -> str:
    """Append the layers inside; the symbol of the output."""
    noted = layer._factory.short_name
    while "wraps" in layer.traits:
        layer = layer.arguments["layer"]
    if "stacked" in layer.traits:  # block after block, as a chain
        ((child, inner),) = layer.children.items()
        for block, own in params[child].items():
            source = _walk(inner, _join(name, f"{child}.{block}"), own, layers, source, found, way)
        return source
    if "chain" in layer.traits:
        for child, inner in layer.children.items():
            before = len(found)
            source = _walk(inner, _join(name, child), params[child], layers, source, found, way)
            way = way if len(found) == before else ""
        return source
    kind, formula, rule = layer._factory.short_name, formula_of(layer), rule_of("explain", layer, name)
    activation = rule.function(layer) if rule is not None and rule.activation and rule.function is not None else None
    first, ends = len(found), {}
    for child, inner in layer.children.items():
        inside = _join(name, child)
        if formula.branches:
            by = f" (by {quoted(_join(name or kind, child))})"
            ends[child] = _walk(inner, inside, params[child], layers, source, found, by)
        else:  # what it is given is known to the layer alone
            ends[child] = _walk(inner, inside, params[child], layers, quoted(f"{inside}.in"), found, "")
    if formula.weighted_sum:
        symbol = f"z{_dense_layers(found) + 1}"
    elif (
        activation is not None
        and found
        and found[-1].symbol == source
        and not found[-1].layer.children
        and _dense_layers(found)
        and f"a{_dense_layers(found)}" not in _used(found)
    ):
        symbol = f"a{_dense_layers(found)}"
    else:
        symbol = quoted(name) if name else kind
    trace = layers.get(name) if name in layers else layers.get(noted) if not name else None
    if trace is not None:
        count = _dense_layers(found) + 1 if formula.weighted_sum else 0
        branches = Branches(ends, first) if formula.branches else None
        item = Item(
            name or kind, kind, layer, trace, params, source, symbol, count, activation, way, branches, formula
        )  # fmt: skip
        found.append(item)
    return symbol


def _dense_layers(found: list[Item]) -> int:
    return sum(item.formula.weighted_sum for item in found)


def _used(found: list[Item]) -> set[str]:
    return {item.symbol for item in found}


def _join(name: str, child: str) -> str:
    return f"{name}.{child}" if name else child


def row(array: Any) -> np.ndarray:
    """The first example of a batch as a vector."""
    return np.asarray(array)[0].reshape(-1)


class Sizes(NamedTuple):
    """How much is written out."""

    digits: int
    names: tuple[str, ...]  # of the inputs; () for x[1], x[2], ...
    places: Mapping[str, tuple[int, ...]] = MappingProxyType({})  # (*places, channels) by the symbol of an image


def at(symbol: str, index: int, count: int, sizes: Sizes) -> str:
    """`z1[2]`, counted from 1; `z1` where there is only one; an input by its name where it has one.

    A place of an image is `conv[2,3]`, of several channels `conv[2,3,1]`.
    """
    if symbol == "x" and sizes.names:
        return quoted(sizes.names[index])
    shape = sizes.places.get(symbol.removeprefix("dJ/d"), ())
    if count > 1 and count == math.prod(shape):
        place = np.unravel_index(index, shape if shape[-1] > 1 else shape[:-1])
        return f"{symbol}[{','.join(str(int(i) + 1) for i in place)}]"
    return symbol if count == 1 else f"{symbol}[{index + 1}]"


def places_of(found: list[Item]) -> dict[str, tuple[int, ...]]:
    """Places and channels of everything that has some, by its symbol, in a net with a convolution."""
    if not any(item.formula.convolution for item in found):
        return {}
    named = [("x", found[0].trace.x), *((item.symbol, item.output) for item in found)]
    return {symbol: np.shape(values)[1:] for symbol, values in named if np.ndim(values) > 2}


def weight(number: int, i: int, j: int, units: int) -> str:
    """`W1[2,1]`, from input 2 to unit 1; `W2[2]` where the layer has a single unit."""
    return f"W{number}[{i + 1}]" if units == 1 else f"W{number}[{i + 1},{j + 1}]"


def gradient(symbol: str) -> str:
    """`delta2` for the output z2 of a dense layer, else `dJ/da2`."""
    return f"delta{symbol[1:]}" if symbol[0] == "z" and symbol[1:].isdigit() else f"dJ/d{symbol}"


def shown(count: int, most: int = MOST) -> range:
    """The positions that are written out one by one: all of a few, the first of many."""
    return range(count if count <= most else 1)
