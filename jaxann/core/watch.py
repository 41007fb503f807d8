"""Looking on while a model runs: who wants to know of every layer that is applied."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

__all__ = ["watched", "watching"]

_WATCHER: ContextVar[Callable | None] = ContextVar("watcher", default=None)


@contextlib.contextmanager
def watching(watcher: Callable) -> Iterator[None]:
    """While it lasts, `watcher(layer, params, run)` is called for every `Layer.apply`; it returns `run()`."""
    token = _WATCHER.set(watcher)
    try:
        yield
    finally:
        _WATCHER.reset(token)


def watched(layer: Any, params: Any, run: Callable[[], Any]) -> Any:
    """What `run()` gives, in the sight of whoever watches."""
    watcher = _WATCHER.get()
    return run() if watcher is None else watcher(layer, params, run)
