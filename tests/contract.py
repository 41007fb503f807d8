"""What every error about bad input must look like, in one helper."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import jax
import pytest

from jaxann.core import InputError

__all__ = ["assert_input_error", "compiles"]

_FORM = re.compile(r"(?P<function>[\w.]+): (?P<argument>.+?) must be (?P<expected>.+), got (?P<given>.+)\.", re.DOTALL)
_COMPILED: list[str] = []


def _listen(event: str, seconds: float, **extra: Any) -> None:
    if event == "/jax/core/compile/backend_compile_duration":
        _COMPILED.append(event)


jax.monitoring.register_event_duration_secs_listener(_listen)


def compiles() -> int:
    """Number of programs compiled (or read from the cache on disk) by this process so far."""
    return len(_COMPILED)


def assert_input_error(
    call: Callable[[], Any], argument: str, *, given: str | None = None, expected: str | None = None
) -> str:
    """The call raises InputError in the one message format, before anything is compiled.

    Args:
        call: what must fail.
        argument: the name the message must give.
        given, expected: texts that must stand in the parts after "got" and after "must be".

    Returns:
        The whole message.
    """
    before = compiles()
    with pytest.raises(InputError) as caught:
        call()
    assert compiles() == before, "a program was compiled before the check spoke"
    message = str(caught.value)
    first, *hint = message.split("\n")
    assert len(first) <= 300, f"{len(first)} characters: {first}"
    assert len(hint) <= 1, f"more than one line of hint: {hint}"
    form = _FORM.fullmatch(first)
    assert form is not None, f"not '<function>: <argument> must be <expectation>, got <value>.': {first}"
    assert argument in form["argument"], f"names {form['argument']!r}, not {argument!r}: {first}"
    assert given is None or given in form["given"], f"{given!r} is not in what was given: {first}"
    assert expected is None or expected in form["expected"], f"{expected!r} is not in what was expected: {first}"
    return message
