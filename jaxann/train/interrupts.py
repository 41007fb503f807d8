"""Ctrl-C that waits for the running chunk, so that what is returned was recorded and agrees with itself."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["held_interrupts"]


@contextlib.contextmanager
def held_interrupts() -> Iterator[Callable[[], bool]]:
    """Within, Ctrl-C only raises a flag, which the yielded function tells; a second Ctrl-C interrupts at once.

    Only in the main thread, and only in the place of Python's own handler: one that the caller has set stays.
    """
    main = threading.current_thread() is threading.main_thread()
    current = signal.getsignal(signal.SIGINT)
    if isinstance(current, _Held):  # within another one: its flag
        yield lambda: current.raised
        return
    if not main or current is not signal.default_int_handler:
        yield lambda: False
        return
    held = _Held()
    signal.signal(signal.SIGINT, held)
    try:
        yield lambda: held.raised
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


class _Held:
    """A handler that raises its flag the first time."""

    raised = False

    def __call__(self, number: int, frame: Any) -> None:
        if self.raised:
            raise KeyboardInterrupt
        self.raised = True
