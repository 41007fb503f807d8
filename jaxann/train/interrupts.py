"""Ctrl-C waits for the running chunk, so that what is returned agrees with what was recorded.

The first Ctrl-C ends the run, which returns what it has; so a loop over runs goes on with the next. A second one, in
the same run or less than `PATIENCE` seconds after it returned, is meant for the loop: it raises KeyboardInterrupt.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["PATIENCE", "InterruptedTwice", "held_interrupts"]

PATIENCE = 2.0  # seconds after an interrupted run within which another Ctrl-C is a second one


class InterruptedTwice(KeyboardInterrupt):
    """The second Ctrl-C, which no run answers by returning."""


class _Last:
    """When a run that Ctrl-C had ended gave the word back."""

    ended = float("-inf")


@contextlib.contextmanager
def held_interrupts() -> Iterator[Callable[..., bool]]:
    """Within, the first Ctrl-C only raises a flag, which the yielded observer tells, afterwards too.

    Only in the main thread, and only in the place of Python's own handler: one that the caller has set stays.

    Raises:
        InterruptedTwice: at a second Ctrl-C, at once.
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
        if raised.is_set() or time.monotonic() - _Last.ended < PATIENCE:
            signal.signal(signal.SIGINT, signal.default_int_handler)  # this may be too late for the line below
            raise InterruptedTwice
        raised.set()

    hold.interrupted = raised
    signal.signal(signal.SIGINT, hold)
    try:
        yield lambda *_: raised.is_set()
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if raised.is_set():
            _Last.ended = time.monotonic()
