"""A model at a glance: its layers, their parameters and work, and the memory that a step of training takes.

Everything is read from shapes: nothing is compiled, and no device is touched.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np

from jaxann.core.checks import check_integer, fail
from jaxann.core.padding import Padded
from jaxann.core.products import Layer, Optimizer
from jaxann.core.trees import flatten_named
from jaxann.core.typing import Specs
from jaxann.core.watch import Paths, watching
from jaxann.diagnose.flops import MARK, flops_by_mark
from jaxann.diagnose.leaves import LeafFacts, leaf_facts
from jaxann.layers import as_layer

__all__ = ["LayerSummary", "StepMemory", "Summary", "summary"]

_MOST = 100  # characters of a line


@dataclass(frozen=True)
class LayerSummary:
    """One layer: what is its own, not that of the layers inside it.

    Attributes:
        path: its dotted name, that of its parameters; "" for the model itself.
        kind: the name of its factory.
        output: the shape of its output, or a tree of shapes for several.
        parameters, bytes: their number and size.
        flops: floating-point operations forward for one example, in evaluation mode.
        frozen, decayed: how many of the parameters the optimizer never moves, and lets decay.
        learning_rate_scales: the factors of the learning rate that its moving parameters have, in ascending order.
    """

    path: str
    kind: str
    output: Any
    parameters: int
    bytes: int
    flops: int
    frozen: int = 0
    decayed: int = 0
    learning_rate_scales: tuple[float, ...] = ()


@dataclass(frozen=True)
class StepMemory:
    """Bytes that a step of training needs, as predicted from shapes; the compiled program may need more or less.

    Attributes:
        parameters, state: of the model.
        gradients: as the parameters.
        optimizer: its state.
        batch: the inputs.
        activations: what is kept on the way forward for the backward pass.
    """

    parameters: int
    state: int
    gradients: int
    optimizer: int
    batch: int
    activations: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.parameters + self.state + self.gradients + self.optimizer + self.batch + self.activations


@dataclass(frozen=True)
class Summary:
    """What `summary` gives; `print` shows it as a table.

    Attributes:
        rows: a `LayerSummary` a layer, in the order in which they run.
        parameters, bytes, flops: totals over the model; flops for one example.
        frozen: how many parameters the optimizer never moves.
        batch_size: examples a step.
        memory: of a step of training.
        optimized: whether an optimizer was given.
    """

    rows: tuple[LayerSummary, ...]
    parameters: int
    bytes: int
    flops: int
    frozen: int
    batch_size: int
    memory: StepMemory
    optimized: bool

    def __str__(self) -> str:
        return _table(self)


def summary(model: Layer, spec: Specs, optimizer: Optimizer | None = None, *, batch_size: int | None = None) -> Summary:
    """A row for each layer with output shape, parameters, bytes and work, totals, and the memory of a training step.

        print(ja.summary(ja.models.mlp((512, 512, 10)), jax.ShapeDtypeStruct((128, 784), jnp.float32)))

    A layer made of layers has a row where it does something of its own, such as the sum of a residual.

    Args:
        model: any layer or model, of your own too: the layers inside are those of `Layer.children`.
        spec: what `model.init` takes: an array, or anything with `.shape` and `.dtype`, `(batch, ...)`, or a tree of
            these.
        optimizer: what it is trained with: rows then say which parameters are frozen, decay, or learn at another rate,
            and its state counts in the memory.
        batch_size: examples a step; the spec's when None.

    Peers: as Keras' model.summary() and flax's tabulate, which compile for the FLOPs; PyTorch has none of its own.

    Raises:
        InputError: batch_size is no positive integer, optimizer is none, or the model refuses the spec.
    """
    layer = as_layer(model, "summary")
    if optimizer is not None and not isinstance(optimizer, Optimizer):
        fail("summary", "optimizer", "an optimizer of jaxann, or None", optimizer)
    shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), spec)
    if not jax.tree.leaves(shapes):
        fail("summary", "spec", "an input or a tree of inputs", spec)
    if batch_size is None:
        batch_size = int(jax.tree.leaves(shapes)[0].shape[0])
    check_integer("summary", "batch_size", batch_size)
    shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((batch_size, *leaf.shape[1:]), leaf.dtype), shapes)
    key = jax.eval_shape(lambda: jax.random.key(0))
    params, state = jax.eval_shape(layer.init, key, shapes)
    walk = _Walk()
    with watching(walk):
        program = jax.make_jaxpr(lambda p, s, x: layer.apply(p, s, x)[0])(params, state, shapes)
    flops = flops_by_mark(program)
    facts = {} if optimizer is None else leaf_facts(optimizer, params)
    seen = walk.rows(params, flops, batch_size, facts)
    memory = StepMemory(
        _bytes(params),
        _bytes(state),
        _bytes(params),
        0 if optimizer is None else _bytes(jax.eval_shape(optimizer.init, params)),
        _bytes(shapes),
        _activations(layer, params, state, shapes, key),
    )
    return Summary(
        seen,
        _number(params),
        _bytes(params),
        sum(flops.values()) // batch_size,
        sum(
            math.prod(leaf.shape)
            for name, leaf in flatten_named(params).items()
            if name in facts and facts[name].frozen
        ),
        batch_size,
        memory,
        optimizer is not None,
    )


class _Walk:
    """What is seen while the model is traced: each layer that runs, by its path."""

    def __init__(self):
        self._paths = Paths()
        self._numbers: dict[str, int] = {}
        self._layers: list[Layer] = []
        self._shapes: list[Any] = []

    def __call__(self, layer: Layer, params: Any, run: Any, sequence_mask: Any) -> Any:
        path = self._paths.find(layer, params)
        if path is None:  # what a layer has inside without showing it
            return run()
        number = self._numbers.setdefault(path, len(self._numbers))
        if number == len(self._layers):
            self._layers.append(layer)
            self._shapes.append(None)
        elif "wraps" in self._layers[number].traits:
            self._layers[number] = layer  # the row is that of the layer inside
        with self._paths.opened(layer, params, path), jax.named_scope(f"{MARK}{number}"):
            y, after = run()
        self._shapes[number] = jax.tree.map(lambda a: tuple(a.shape), _plain(y))
        return y, after

    def rows(self, params: Any, flops: Any, batch: int, facts: Mapping[str, LeafFacts]) -> tuple[LayerSummary, ...]:
        """A row a layer, without those made of layers that have nothing of their own."""
        sizes = flatten_named(params)
        owner = {name: max((p for p in self._numbers if not p or name.startswith(p + ".")), key=len) for name in sizes}
        found = []
        for path, number in self._numbers.items():
            layer = self._layers[number]
            own = {name: leaf for name, leaf in sizes.items() if owner[name] == path}
            work = flops[number] // batch
            if layer.children and not own and not work:
                continue
            row = LayerSummary(path, layer._factory.short_name, self._shapes[number], _number(own), _bytes(own), work)
            found.append(_with_facts(row, own, facts) if facts else row)
        return tuple(found)


def _with_facts(row: LayerSummary, own: Mapping[str, Any], facts: Mapping[str, LeafFacts]) -> LayerSummary:
    moving = [name for name in own if not facts[name].frozen]
    return replace(
        row,
        frozen=sum(math.prod(leaf.shape) for name, leaf in own.items() if facts[name].frozen),
        decayed=sum(math.prod(own[name].shape) for name in moving if facts[name].decayed),
        learning_rate_scales=tuple(sorted({facts[name].scale for name in moving})),
    )


def _plain(y: Any) -> Any:
    return jax.tree.map(
        lambda leaf: leaf.values if isinstance(leaf, Padded) else leaf, y, is_leaf=lambda n: isinstance(n, Padded)
    )


def _activations(layer: Layer, params: Any, state: Any, x: Any, key: Any) -> int:
    """Bytes that a backward pass in training mode needs from the way forward, parameters and inputs apart."""

    def kept(params, state, x, key):
        def forward(params):
            return layer.apply(params, state, x, key=key, train=True)[0]

        return jax.tree.leaves(jax.vjp(forward, params)[1])

    program = jax.make_jaxpr(kept)(params, state, x, key).jaxpr
    given = set(map(id, program.invars))
    known = set(given)  # what depends on an input: constants are not kept
    for equation in program.eqns:
        if any(id(v) in known for v in equation.invars):
            known |= set(map(id, equation.outvars))
    kept_values = {id(v): v for v in program.outvars if id(v) in known - given}
    return _bytes([v.aval for v in kept_values.values()])


def _number(tree: Any) -> int:
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))


def _bytes(tree: Any) -> int:
    leaves = [leaf for leaf in jax.tree.leaves(tree) if hasattr(leaf, "dtype")]
    return sum(math.prod(leaf.shape) * _width(leaf.dtype) for leaf in leaves)


def _width(dtype: Any) -> int:
    return 8 if jax.dtypes.issubdtype(dtype, jax.dtypes.extended) else np.dtype(dtype).itemsize


def _table(found: Summary) -> str:
    heads = ["layer", "kind", "output", "parameters", "bytes", "FLOPs"] + (["training"] if found.optimized else [])
    lines = [heads]
    for row in found.rows:
        cells = [row.path or "(model)", row.kind, _shape(row.output), f"{row.parameters:,}", _short(row.bytes, "B"),
                 _short(row.flops)]  # fmt: skip
        lines.append(cells + ([_training(row)] if found.optimized else []))
    lines.append(["total", "", "", f"{found.parameters:,}", _short(found.bytes, "B"), _short(found.flops)])
    most = [26, 16, 20, 13, 9, 9, 0]
    widths = [min(most[i], max(len(line[i]) for line in lines if i < len(line))) for i in range(6)]
    widths.append(_MOST - sum(widths) - 2 * 6)
    shown = [_line(line, widths) for line in lines]
    rule = "-" * min(_MOST, max(map(len, shown)))
    memory = found.memory
    kinds = ("parameters", "state", "gradients", "optimizer", "batch", "activations")
    listed = ", ".join(f"{k} {_short(getattr(memory, k), 'B')}" for k in kinds if getattr(memory, k))
    text = [shown[0], rule, *shown[1:-1], rule, shown[-1]]
    if found.frozen:
        text.append(f"{found.frozen:,} of the parameters are frozen")
    text.append(f"memory of a step with batch size {found.batch_size:,}: about {_short(memory.total, 'B')}")
    text += textwrap.wrap(listed, _MOST - 2, initial_indent="  ", subsequent_indent="  ")
    return "\n".join(line[:_MOST].rstrip() for line in text)


def _line(cells: list[str], widths: list[int]) -> str:
    fitted = [_fitted(cell, w, first=i == 0) for i, (cell, w) in enumerate(zip(cells, widths, strict=False))]
    return "  ".join(
        c.rjust(w) if 3 <= i <= 5 else c.ljust(w) for i, (c, w) in enumerate(zip(fitted, widths, strict=False))
    )


def _fitted(cell: str, width: int, *, first: bool) -> str:
    """A cell that is too long without its end; the name of a layer without its beginning, which many share."""
    room = max(width - 3, 0)
    if len(cell) <= width:
        return cell
    return "..." + cell[len(cell) - room :] if first else cell[:room] + "..."


def _shape(output: Any) -> str:
    if isinstance(output, tuple) and all(isinstance(n, int) for n in output):
        return "(" + ", ".join(map(str, output)) + ("," if len(output) == 1 else "") + ")"
    if isinstance(output, Mapping):
        return ", ".join(f"{name} {_shape(one)}" for name, one in output.items())
    return ", ".join(map(_shape, output)) if isinstance(output, tuple | list) else str(output)


def _training(row: LayerSummary) -> str:
    if not row.parameters:
        return ""
    if row.frozen == row.parameters:
        return "frozen"
    words = ["part frozen"] if row.frozen else []
    words += ["decays"] if row.decayed else []
    scales = row.learning_rate_scales
    if scales != (1.0,):
        words.append(f"x{scales[0]:.3g}" + (f"..{scales[-1]:.3g}" if len(scales) > 1 else ""))
    return ", ".join(words)


def _short(number: int, unit: str = "") -> str:
    """Three digits and a letter: 1.34 M, 512 B; bytes by powers of 1024."""
    base = 1024 if unit else 1000
    value, letters = float(number), ["", "k", "M", "G", "T", "P"]
    while value >= base and len(letters) > 1:
        value, letters = value / base, letters[1:]
    text = f"{number:,}" if letters[0] == "" else f"{value:.3g}" if value < 999.5 else f"{value:.0f}"
    letter = (letters[0].upper() + "i" if letters[0] else "") if unit else letters[0]
    return f"{text} {letter}{unit}".rstrip()
