"""Ctrl-C that waits for the running chunk, so that what is returned was recorded and agrees with itself."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

__all__ = ["held_interrupts"]


@contextlib.contextmanager
def held_interrupts() -> Iterator[Callable[[], bool]]:
    """Within, Ctrl-C only raises a flag, which the yielded function tells; a second Ctrl-C interrupts at once.

    Only in the main thread, and only in the place of Python's own handler: one that the caller has set stays.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield lambda: False
        return
    seen: list[int] = []

    def hold(number, frame):
        if seen:
            raise KeyboardInterrupt
        seen.append(number)

    signal.signal(signal.SIGINT, hold)
    try:
        yield lambda: bool(seen)
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
