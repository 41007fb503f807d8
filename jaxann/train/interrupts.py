"""Ctrl-C as an observer: it waits for the running chunk, so that what is returned agrees with what was recorded."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["held_interrupts"]


@contextlib.contextmanager
def held_interrupts() -> Iterator[Callable[..., bool]]:
    """Within, Ctrl-C only raises a flag, which the yielded observer tells; a second Ctrl-C interrupts at once.

    Only in the main thread, and only in the place of Python's own handler: one that the caller has set stays.
    """
    main = threading.current_thread() is threading.main_thread()
    current = signal.getsignal(signal.SIGINT)
    flag = getattr(current, "interrupted", None)
    if flag is not None:  # within another one: its flag
        yield lambda *_: flag.is_set()
        return
    if not main or current is not signal.default_int_handler:
        yield lambda *_: False
        return
    raised = threading.Event()

    def hold(number: int, frame: Any) -> None:
        if raised.is_set():
            raise KeyboardInterrupt
        raised.set()

    hold.interrupted = raised
    signal.signal(signal.SIGINT, hold)
    try:
        yield lambda *_: raised.is_set()
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
