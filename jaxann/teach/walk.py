"""The layers of a model in the order they run in, each with what it is called in the formulas."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxann import layers
from jaxann.backprop.registry import rule_of
from jaxann.core.padding import Padded
from jaxann.core.products import Layer
from jaxann.teach.layers import RECURRENT, LayerFormula, formula_of
from jaxann.teach.steps import quoted

__all__ = [
    "MOST",
    "Branches",
    "Item",
    "Sizes",
    "at",
    "by_block",
    "gradient",
    "in_sequences",
    "items",
    "places_of",
    "position_of",
    "row",
    "shown",
    "spots",
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
        number: of a weighted sum (a dense layer), counted from 1; of a layer that is written out with letters of its
            own (`h1`, `q2`), counted among these; 0 for the others.
        activation: the function that an activation layer applies, else None.
        formula: how it is shown.
        repeats: of a layer in the second or a later one of many blocks that are alike, what these are called; else "".
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
    repeats: str = ""

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


def items(model: Layer, params: Mapping[str, Any], traces: Mapping[str, Any]) -> list[Item]:
    """The layers that a trace has, in the order they ran in."""
    found: list[Item] = []
    _walk(model, "", by_block(model, params), traces, "x", found, "")
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
    layer: Layer, name: str, params: Any, traces: Mapping[str, Any], source: str, found: list[Item], way: str
) -> str:
    """Append the layers inside; the symbol of the output."""
    noted = layer._factory.short_name
    while "wraps" in layer.traits:
        layer = layer.arguments["layer"]
    if "stacked" in layer.traits:  # block after block, as a chain
        ((child, inner),) = layer.children.items()
        for turn, (block, own) in enumerate(params[child].items()):
            before = len(found)
            source = _walk(inner, _join(name, f"{child}.{block}"), own, traces, source, found, way)
            if turn:
                found[before:] = [item._replace(repeats=_join(name, child)) for item in found[before:]]
            way = way if len(found) == before else ""
        return source
    if "chain" in layer.traits:
        for child, inner in layer.children.items():
            before = len(found)
            source = _walk(inner, _join(name, child), params[child], traces, source, found, way)
            way = way if len(found) == before else ""
        return source
    kind, formula, rule = layer._factory.short_name, formula_of(layer), rule_of("explain", layer, name)
    if formula.like is layers.multi_head_attention and _join(name, "qkv") in traces:
        return _attention(layer, name, params, traces, source, found, way)
    activation = None
    if rule is not None and rule.activation and rule.function is not None and not params:  # f alone
        activation = rule.function(layer)
    first, ends = len(found), {}
    for child, inner in layer.children.items():
        inside = _join(name, child)
        if formula.branches:
            by = f" (by {quoted(_join(name or kind, child))})"
            ends[child] = _walk(inner, inside, params[child], traces, source, found, by)
        else:  # what it is given is known to the layer alone
            ends[child] = _walk(inner, inside, params[child], traces, quoted(f"{inside}.in"), found, "")
    if formula.weighted_sum:
        symbol = f"z{_dense_layers(found) + 1}"
    elif formula.like is layers.layer_norm:
        symbol = f"y{_lettered(found, formula)}"
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
    trace = traces.get(name) if name in traces else traces.get(noted) if not name else None
    if trace is not None:
        count = _dense_layers(found) + 1 if formula.weighted_sum else _lettered(found, formula)
        branches = Branches(ends, first) if formula.branches else None
        item = Item(
            name or kind, kind, layer, trace, params, source, symbol, count, activation, way, branches, formula
        )  # fmt: skip
        found.append(item)
    return symbol


def _attention(
    layer: Layer, name: str, params: Any, traces: Mapping[str, Any], source: str, found: list[Item], way: str
) -> str:
    """Append the map before the heads, the heads by themselves, and the map behind them."""
    kind, formula, inner = layer._factory.short_name, formula_of(layer), layer.children
    path = {child: _join(name, child) for child in ("qkv", "out")}
    mixed = _walk(inner["qkv"], path["qkv"], params["qkv"], traces, source, found, way)
    before, behind, whole = traces[path["qkv"]], traces[path["out"]], traces[name or kind]
    heads = dataclasses.replace(
        whole,
        x=before.y,
        **dict.fromkeys(("z", "a", "y"), behind.x),
        **dict.fromkeys(("delta", "output_grad"), behind.input_grad),
        grads={child: grad for child, grad in whole.grads.items() if child not in inner},
        input_grad=before.output_grad,
    )
    own = {child: value for child, value in params.items() if child not in inner}  # what is learned of distances
    number = _lettered(found, formula)
    symbol = f"o{number}"
    found.append(Item(name or kind, kind, layer, heads, own, mixed, symbol, number, None, "", None, formula))
    return _walk(inner["out"], path["out"], params["out"], traces, symbol, found, "")


def _lettered(found: list[Item], formula: LayerFormula) -> int:
    """The number of the next layer with letters of its own; 0 for one that has none."""
    each = [one.like not in (None, layers.embedding) for one in (formula, *(item.formula for item in found))]
    return sum(each) if each[0] else 0


def _dense_layers(found: list[Item]) -> int:
    return sum(item.formula.weighted_sum for item in found)


def _used(found: list[Item]) -> set[str]:
    return {item.symbol for item in found}


def _join(name: str, child: str) -> str:
    return f"{name}.{child}" if name else child


def row(array: Any) -> np.ndarray:
    """The first example of a batch as a vector."""
    values = array.values if isinstance(array, Padded) else array
    return np.asarray(values)[0].reshape(-1)


class Sizes(NamedTuple):
    """How much is written out."""

    digits: int
    names: tuple[str, ...]  # of the inputs; () for x[1], x[2], ...
    places: Mapping[str, tuple[int, ...]] = MappingProxyType({})  # (*places, channels) by the symbol of an image
    position: int = 0  # of a sequence, the one whose numbers are shown

    def place(self, values: Any) -> int:
        """The position that is shown, of `(batch, positions, features)`; 0 where there are none."""
        return min(self.position, np.shape(values)[1] - 1) if np.ndim(values) == 3 else 0


def at(symbol: str, index: int, count: int, sizes: Sizes) -> str:
    """`z1[2]`, counted from 1; `z1` where there is only one; an input by its name where it has one.

    A place of an image is `conv[2,3]`, of several channels `conv[2,3,1]`.
    """
    if symbol == "x" and sizes.names:
        return quoted(sizes.names[index])
    shape = sizes.places.get(re.sub(r"^delta(?=\d+$)", "z", symbol.removeprefix("dJ/d")), ())
    if count > 1 and count == math.prod(shape):
        place = np.unravel_index(index, shape if shape[-1] > 1 else shape[:-1])
        return f"{symbol}[{','.join(str(int(i) + 1) for i in place)}]"
    return symbol if count == 1 else f"{symbol}[{index + 1}]"


def places_of(found: list[Item]) -> dict[str, tuple[int, ...]]:
    """Places and channels of all that has some, by its symbol, in a net with a convolution or with sequences."""
    if not any(item.formula.convolution or in_sequences(item) for item in found):
        return {}
    named = [(item.source, item.trace.x) for item in found] + [(item.symbol, item.output) for item in found]
    return {symbol: np.shape(values)[1:] for symbol, values in named if np.ndim(values) > 2}


def in_sequences(item: Item) -> bool:
    """Whether a layer goes along a sequence, or looks up what stands at each position of one."""
    like = item.formula.like
    return like in (*RECURRENT, layers.multi_head_attention) or (like is layers.embedding and np.ndim(item.trace.x) > 1)


def position_of(found: list[Item]) -> int:
    """The position of the first example that is shown: its third real one, of less than four the second.

    So there is something before it, little enough to be written down, and of three or more something after it.
    """
    along = [item for item in found if in_sequences(item)]
    if not along or np.ndim(along[0].trace.x) < 2:
        return 0
    trace = along[0].trace
    mask = np.ones(np.shape(trace.x)[:2]) if trace.sequence_mask is None else np.asarray(trace.sequence_mask)
    real = np.flatnonzero(mask[0])
    return int(real[min(2, real.size // 2)]) if real.size else 0


def spots(values: Any, sizes: Sizes) -> list[int]:
    """Where in the first example the numbers are that are written out: all of a few, one of the position of many."""
    count, width = row(values).size, np.shape(values)[-1]
    return list(range(count)) if count <= MOST else [sizes.place(values) * width]


def weight(number: int, i: int, j: int, units: int) -> str:
    """`W1[2,1]`, from input 2 to unit 1; `W2[2]` where the layer has a single unit."""
    return f"W{number}[{i + 1}]" if units == 1 else f"W{number}[{i + 1},{j + 1}]"


def gradient(symbol: str) -> str:
    """`delta2` for the output z2 of a dense layer, else `dJ/da2`."""
    return f"delta{symbol[1:]}" if symbol[0] == "z" and symbol[1:].isdigit() else f"dJ/d{symbol}"


def shown(count: int, most: int = MOST) -> range:
    """The positions that are written out one by one: all of a few, the first of many."""
    return range(count if count <= most else 1)
