"""What a watcher notes of each layer's output while a model runs, and the mark that it leaves in the program.

The layers are those of `train.taps`, in the same order, so that figures of probes and notes go together by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
from jax.ad_checkpoint import checkpoint_name
from jax.extend.core import get_opaque_trace_state

from jaxann.core.binding import bound
from jaxann.core.padding import Padded
from jaxann.core.products import Layer
from jaxann.core.typing import Array
from jaxann.core.watch import Paths

__all__ = ["MARK", "Noted", "Output", "Watch", "function_of", "kind_of", "mark", "noted_places"]

MARK = "jaxann.map#"  # how the identity is called that an output goes through


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Output:
    """A layer that ran."""

    found: Any  # arrays that `look` made of its output
    number: int = field(metadata={"static": True})  # of the layers of this trace
    path: str = field(metadata={"static": True})
    kind: str = field(metadata={"static": True})
    shape: tuple[int, ...] = field(metadata={"static": True})


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class _Rounds:
    """What was seen in a loop, each array with a leading axis of rounds."""

    seen: Any
    path: str = field(metadata={"static": True})
    rounds: int = field(metadata={"static": True})


class Noted(NamedTuple):
    """One layer in one round of each loop around it."""

    name: str  # its path with the rounds in it, as `taps.Place.name`
    key: tuple[int, tuple[int, ...]]  # number of the layer, rounds
    seen: Output
    found: Any  # its arrays, without axes of rounds
    loops: tuple[str, ...]  # paths of what runs in the loops around it


class Watch:
    """A watcher: `look(y, layer, mask, number) -> (y, arrays)` is called with each output, and gives what goes on.

    The layers at the paths of `also` are looked at in any case, made of others as they may be.
    """

    def __init__(
        self, look: Callable[[Any, Layer, Array | None, int], tuple[Any, Any]], also: frozenset[str] = frozenset()
    ):
        self._look, self._also = look, also
        self._paths = Paths()
        self._trace = get_opaque_trace_state()
        self._seen: list[Output | _Rounds] = []
        self._last: Any = None  # what the layer gave that was seen last
        self._count = 0

    @property
    def seen(self) -> tuple[Output | _Rounds, ...]:
        """What was seen, in the order in which layers ended."""
        return tuple(self._seen)

    def __call__(self, layer: Layer, params: Any, run: Callable[[], Any], sequence_mask: Array | None) -> Any:
        """What `run()` gives, looked at where it is the layer's own."""
        path = self._paths.find(layer, params) if get_opaque_trace_state() == self._trace else None
        if path is None:
            return run()
        before = len(self._seen)
        with self._paths.opened(layer, params, path):
            y, after = run()
        if "ends_sequence" in layer.traits:
            sequence_mask = None
        passed_on = y is self._last or layer.traits & {"chain", "wraps", "stacked"}
        if len(self._seen) == before or not passed_on or (path in self._also and "wraps" not in layer.traits):
            y, found = self._look(y, layer, sequence_mask, self._count)
            shape = tuple(getattr(y.values if isinstance(y, Padded) else y, "shape", ()))
            self._seen.append(Output(found, self._count, path, kind_of(layer), shape))
            self._last, self._count = y, self._count + 1
        return y, after

    def aside(self, run: Callable[[], Any]) -> tuple[Any, tuple[Output | _Rounds, ...]]:
        """What `run()` gives, and what is seen of it, which belongs to the trace that is going on."""
        outside = self._seen, self._trace, self._last
        self._seen, self._trace, self._last = [], get_opaque_trace_state(), None
        try:
            return run(), self.seen
        finally:
            self._seen, self._trace, self._last = outside

    def take_back(self, seen: tuple[Output | _Rounds, ...], rounds: int | None) -> None:
        """Add what `aside` saw, in so many rounds of a loop, or in one for None."""
        inside = self._paths.inside("block") if rounds is not None else ""
        self._seen.extend(seen if rounds is None else [_Rounds(seen, inside, rounds)])


def kind_of(layer: Layer) -> str:
    """How its factory is called; of an activation, which function it applies."""
    kind = layer._factory.short_name
    given = layer.arguments.get("activation") if "activation" in layer.traits else None
    return f"{kind} ({function_of(given)})" if given is not None else kind


def function_of(function: Any) -> str:
    """The name of an activation or a loss."""
    return function if isinstance(function, str) else str(getattr(bound(function)[0], "__name__", "a function"))


def mark(y: Any, mask: Array | None, number: int) -> Any:
    """The output through an identity that bears its number, so that it is known in the program; and its mask."""
    if isinstance(y, Padded):
        return Padded(mark(y.values, y.mask, number), y.mask)
    if mask is not None:
        checkpoint_name(mask, f"{MARK}{number}.mask")
    leaves, structure = jax.tree.flatten(y)
    several = "" if len(leaves) == 1 else "+"  # of several arrays none stands for the output
    return jax.tree.unflatten(structure, [checkpoint_name(leaf, f"{MARK}{number}.{several}0") for leaf in leaves])


def noted_places(seen: tuple[Output | _Rounds, ...]) -> tuple[Noted, ...]:
    """All layers, round after round of a loop, in the order of `taps.places_of`."""
    return tuple(_each(seen, (), ()))


def _each(seen: Any, rounds: tuple[tuple[str, int], ...], index: tuple[int, ...]) -> Iterator[Noted]:
    for one in seen:
        if isinstance(one, Output):
            name = one.path or "(model)"
            for path, number in reversed(rounds):
                name = f"{path}[{number}]{name[len(path) :]}"
            found = jax.tree.map(lambda a: a[index], one.found)
            yield Noted(name, (one.number, index), one, found, tuple(path for path, _ in rounds))
        else:
            for number in range(one.rounds):
                yield from _each(one.seen, (*rounds, (one.path, number)), (*index, number))
