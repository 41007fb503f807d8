"""Figures of each layer's output, noted while a model runs: what probes, the doctor and the map know of activations.

    taps = Taps()
    with watching(taps):
        y, after = model.apply(params, state, x)
    taps.notes                                     one for each layer, in the order in which they ended

A note is made of every layer that is not made of others, and of one made of others that does something with what they
give (the sum of a residual). Inside of `repeat` and `remat` the notes are handed out of the loop, one for each round.
Inside of any other transformation that a layer makes nothing is noted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import get_opaque_trace_state

from jaxann.core.padding import Padded
from jaxann.core.products import Layer
from jaxann.core.typing import Array
from jaxann.core.watch import Paths

__all__ = ["FIGURES", "INPUT", "Note", "Place", "Stack", "Taps", "note_of", "places_of", "values_of"]

INPUT = "(input)"  # the path of what the model is given
FIGURES = ("mean", "std", "dead", "saturated", "similarity", "nonfinite")
_NEAR = 0.05  # of a limit of a bounded activation: saturated
_NOTHING = 1e-6  # what a unit that is off gives at most
_FAR = 1e4  # where an activation is at its limits


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Note:
    """What a layer gave.

    Attributes:
        figures: float32 `(len(FIGURES),)`, NaN where one has no meaning; with leading axes of rounds in a `Stack`.
        path: of the layer.
        kind: how its factory is called.
        shape: of its output, `()` for several.
    """

    figures: Any
    path: str = field(metadata={"static": True})
    kind: str = field(metadata={"static": True})
    shape: tuple[int, ...] = field(metadata={"static": True})


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Stack:
    """The notes of a loop, each array with a leading axis of rounds; `path` is that of what runs in it."""

    notes: Any
    path: str = field(metadata={"static": True})
    rounds: int = field(metadata={"static": True})


@dataclass(frozen=True)
class Place:
    """Where a note was made: the layer's path, which round of each loop around it, and the numbers it trains."""

    path: str
    rounds: tuple[tuple[str, int], ...]  # path of what runs in the loop, number of the round; from the outside inwards
    kind: str
    shape: tuple[int, ...]
    parameters: int = 0

    @property
    def name(self) -> str:
        """The path with the rounds in it: `blocks.block[3].dense`."""
        name = self.path or "(model)"
        for path, number in reversed(self.rounds):
            name = f"{path}[{number}]{name[len(path) :]}"
        return name


class Taps:
    """A watcher that notes figures of each layer's output."""

    def __init__(self):
        self._paths = Paths()
        self._trace = get_opaque_trace_state()
        self._notes: list[Note | Stack] = []
        self._last: Any = None  # what the layer gave that was noted last

    @property
    def notes(self) -> tuple[Note | Stack, ...]:
        """What was noted, in the order in which layers ended."""
        return tuple(self._notes)

    def __call__(self, layer: Layer, params: Any, run: Callable[[], Any], sequence_mask: Array | None) -> Any:
        """What `run()` gives, a note taken of it."""
        path = self._paths.find(layer, params) if get_opaque_trace_state() == self._trace else None
        if path is None:
            return run()
        before = len(self._notes)
        with self._paths.opened(layer, params, path):
            y, after = run()
        if "ends_sequence" in layer.traits:
            sequence_mask = None
        if len(self._notes) == before or (y is not self._last and not layer.traits & {"chain", "wraps", "stacked"}):
            self._notes.append(note_of(y, path, layer, sequence_mask))
            self._last = y
        return y, after

    def aside(self, run: Callable[[], Any]) -> tuple[Any, tuple[Note | Stack, ...]]:
        """What `run()` gives, and the notes of it, which belong to the trace that is going on."""
        outside = self._notes, self._trace, self._last
        self._notes, self._trace, self._last = [], get_opaque_trace_state(), None
        try:
            return run(), self.notes
        finally:
            self._notes, self._trace, self._last = outside

    def take_back(self, notes: tuple[Note | Stack, ...], rounds: int | None) -> None:
        """Add the notes of `aside`, those of so many rounds of a loop, or of one for None."""
        inside = self._paths.inside("block") if rounds is not None else ""
        self._notes.extend(notes if rounds is None else [Stack(notes, inside, rounds)])


def places_of(notes: tuple[Note | Stack, ...]) -> tuple[Place, ...]:
    """Where each row of `values_of` comes from: round after round of a loop, and in each layer after layer."""
    return tuple(_places(notes, ()))


def _places(notes: tuple[Note | Stack, ...], rounds: tuple[tuple[str, int], ...]) -> Iterator[Place]:
    for note in notes:
        if isinstance(note, Note):
            yield Place(note.path, rounds, note.kind, note.shape)
        else:
            for number in range(note.rounds):
                yield from _places(note.notes, (*rounds, (note.path, number)))


def values_of(notes: tuple[Note | Stack, ...]) -> Array:
    """The figures of all notes, `(places, len(FIGURES))`."""
    rows: list[Array] = []
    for note in notes:
        if isinstance(note, Note):
            rows.append(note.figures[None])
        else:  # one array for all rounds at once: the program does not grow with their number
            rows.append(jax.vmap(values_of)(note.notes).reshape(-1, len(FIGURES)))
    return jnp.concatenate(rows) if rows else jnp.zeros((0, len(FIGURES)), jnp.float32)


def note_of(y: Any, path: str, layer: Layer | None, sequence_mask: Array | None = None) -> Note:
    """The note of an output: of an array of floats, alone or `Padded`; of anything else only that it is there."""
    kind = "" if layer is None else layer._factory.short_name
    if isinstance(y, Padded):
        y, sequence_mask = y.values, y.mask
    if not hasattr(y, "dtype") or y.ndim == 0 or not jnp.issubdtype(y.dtype, jnp.floating):
        leaves = [leaf for leaf in jax.tree.leaves(y) if jnp.issubdtype(jnp.result_type(leaf), jnp.floating)]
        bad = sum((jnp.sum(~jnp.isfinite(leaf)).astype(jnp.float32) for leaf in leaves), jnp.float32(0))
        share = bad / max(sum(leaf.size for leaf in leaves), 1)
        figures = jnp.full(len(FIGURES), jnp.nan, jnp.float32).at[-1].set(share)
        return Note(figures, path, kind, tuple(y.shape) if hasattr(y, "shape") else ())
    mask = sequence_mask if sequence_mask is not None and sequence_mask.shape == y.shape[:2] else None
    figures = _figures(lax.stop_gradient(y).astype(jnp.float32), mask, _limits(layer, y))
    return Note(jnp.stack(figures), path, kind, tuple(y.shape))


def _figures(y: Array, mask: Array | None, limits: tuple[float, float, bool] | None) -> list[Array]:
    """The figures of `(batch, ..., units)`, in the order of `FIGURES`; padding counts in none of them."""
    nan = jnp.float32(jnp.nan)
    if mask is None:
        real, count = None, jnp.float32(y.size)
    else:
        real = lax.expand_dims(mask.astype(bool), range(mask.ndim, y.ndim))
        count = jnp.sum(mask.astype(jnp.float32)) * (y.size / mask.size)

    def share(flags: Array) -> Array:
        return jnp.sum(flags if real is None else flags & real, dtype=jnp.float32) / count

    kept = y if real is None else jnp.where(real, y, 0)
    mean = jnp.sum(kept) / count
    off = jnp.square(y - mean)
    std = jnp.sqrt(jnp.sum(off if real is None else jnp.where(real, off, 0)) / count)
    dead = saturated = nan
    if limits is not None:
        low, high, is_rectifier = limits
        if is_rectifier:
            most = jnp.max(jnp.abs(kept), axis=tuple(range(y.ndim - 1)))
            dead = jnp.mean((most <= _NOTHING).astype(jnp.float32))
        else:
            saturated = share((y < low + _NEAR) | (y > high - _NEAR))
    rows = kept.reshape(y.shape[0], -1)
    similarity = nan
    if y.shape[0] > 1:
        length = jnp.sqrt(jnp.sum(jnp.square(rows), 1))
        unit = rows / jnp.where(length == 0, 1, length)[:, None]
        pointing = jnp.sum(length > 0, dtype=jnp.float32)
        pairs = pointing * (pointing - 1)
        total = jnp.sum(jnp.square(jnp.sum(unit, 0))) - pointing
        similarity = jnp.where(pairs > 0, total / jnp.where(pairs > 0, pairs, 1), nan)
    return [mean, std, dead, saturated, similarity, share(~jnp.isfinite(y))]


def _limits(layer: Layer | None, y: Array) -> tuple[float, float, bool] | None:
    """Of an activation that is bounded from both sides, or gives 0 far to the left: its ends, and which it is."""
    if layer is None or "activation" not in layer.traits:
        return None
    with jax.ensure_compile_time_eval():
        points = jnp.full((3, y.shape[-1]), jnp.array([[-_FAR], [-1.0], [_FAR]]), jnp.float32)
        found, _ = layer.apply({}, {}, points)
        low, below, high = (float(v) for v in found[:, 0])
    if low == 0 and (below == 0 or high > 1):
        return low, high, True
    return (low, high, False) if low < high and max(abs(low), abs(high)) < _FAR / 10 else None
