"""Where in a model a fault was found."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from jaxann.core.errors import InputError

__all__ = ["told_where"]

_IN = "In the layer "


@contextlib.contextmanager
def told_where(name: str) -> Iterator[None]:
    """A fault found inside says below its message in which layer, by the dotted path of its parameters."""
    try:
        yield
    except InputError as error:
        notes = getattr(error, "__notes__", [])  # among which JAX may have left one of its own
        inner = [i for i, note in enumerate(notes) if note.startswith(_IN)]
        if inner:
            notes[inner[0]] = f"{_IN}{name}.{notes[inner[0]].removeprefix(_IN)}"
        else:
            error.add_note(f"{_IN}{name}")
        raise
