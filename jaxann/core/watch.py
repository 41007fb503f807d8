"""Looking on while a model runs: who wants to know of every layer that is applied.

A watcher is called for each `Layer.apply`, and `Paths` tells it which layer that is. What it notes of values inside a
loop or a transformation belongs to that trace alone; a layer that runs its child in one hands the notes out by
`noted_aside` and `note_rounds`, so that a watcher has them like all others.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any

__all__ = ["Paths", "note_rounds", "noted_aside", "watched", "watching"]

_WATCHER: ContextVar[Callable | None] = ContextVar("watcher", default=None)


@contextlib.contextmanager
def watching(watcher: Callable) -> Iterator[None]:
    """While it lasts, `watcher(layer, params, run, sequence_mask)` is called for every `Layer.apply`.

    It returns what `run()` gives; the mask is that of the positions, None where all are real.
    """
    token = _WATCHER.set(watcher)
    try:
        yield
    finally:
        _WATCHER.reset(token)


def watched(layer: Any, params: Any, run: Callable[[], Any], sequence_mask: Any = None) -> Any:
    """What `run()` gives, in the sight of whoever watches."""
    watcher = _WATCHER.get()
    return run() if watcher is None else watcher(layer, params, run, sequence_mask)


def noted_aside(run: Callable[[], Any]) -> tuple[Any, Any]:
    """What `run()` gives, and what the watcher notes of it meanwhile: arrays to be handed out of the trace.

    For a layer that runs a child inside of a loop or a transformation. Nothing, `()`, where nobody takes notes.
    """
    watcher = _WATCHER.get()
    return (run(), ()) if not hasattr(watcher, "aside") else watcher.aside(run)  # pyright: ignore[reportOptionalMemberAccess]


def note_rounds(notes: Any, rounds: int | None = None) -> None:
    """Give the watcher what `noted_aside` gave, outside of the trace; with a leading axis where there were rounds."""
    watcher = _WATCHER.get()
    if hasattr(watcher, "take_back"):
        watcher.take_back(notes, rounds)  # pyright: ignore[reportOptionalMemberAccess]


class Paths:
    """Which layer is being applied: the dotted names of the layers that are open, from the model inwards.

    A child is known by being given the very parameters that its parent holds under its name.
    """

    def __init__(self):
        self._open: list[tuple[Any, Any, str]] = []
        self._begun = False

    def find(self, layer: Any, params: Any) -> str | None:
        """The path of this layer, "" for the model itself; None for what a layer has inside without showing it."""
        if not self._open:
            return None if self._begun else ""
        parent, given, path = self._open[-1]
        if "wraps" in parent.traits and layer is parent.arguments.get("layer"):
            return path
        for name, child in parent.children.items():
            one = isinstance(given, Mapping) and name in given and given[name] is params
            if one or "stacked" in parent.traits and layer is child:  # which is given one block's parameters at a time
                return f"{path}.{name}" if path else name
        return None

    @contextlib.contextmanager
    def opened(self, layer: Any, params: Any, path: str) -> Iterator[None]:
        """While it lasts, the layers applied are those inside of this one."""
        self._begun = True
        self._open.append((layer, params, path))
        try:
            yield
        finally:
            self._open.pop()

    def inside(self, name: str) -> str:
        """The path of a child of the layer that is open."""
        path = self._open[-1][2]
        return f"{path}.{name}" if path else name
