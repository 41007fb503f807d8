"""A call that succeeds or changes nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

__all__ = ["or_as_before"]


@contextlib.contextmanager
def or_as_before(estimator: Any) -> Iterator[None]:
    """What fails within, Ctrl-C too, leaves the estimator as it was."""
    before = dict(vars(estimator))
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise
