"""A value as text that gives it back exactly: as Python source to paste, and as JSON to keep.

Both take numbers, texts, flags, None, tuples, lists, dicts of them, and products of jaxann's factories; what is read
back from JSON is never code.
"""

from __future__ import annotations

import json
import math
from typing import Any

from jaxann.core import from_config, is_product, to_config
from jaxann.core.checks import fail
from jaxann.tune.dimensions import plain

__all__ = ["from_json", "to_json", "to_source"]

_EXPECTED = "made of numbers, texts, flags, None, tuples, lists and dicts"
_HINT = "Choose among names instead, and look the value up when building."


def to_source(function: str, argument: str, value: Any) -> str:
    """The value as Python source that evaluates to it; a product as the call that makes it.

    Raises:
        InputError: the value cannot be written so.
    """

    def spell(value: Any) -> str:
        value = plain(value)
        if isinstance(value, float):
            return repr(float(value)) if math.isfinite(value) else f'float("{float(value)}")'
        if isinstance(value, str):
            return json.dumps(value, ensure_ascii=False)
        if value is None or type(value) in (bool, int) or is_product(value):
            return repr(value)
        if type(value) is tuple:
            return f"({', '.join(map(spell, value))}{',' if len(value) == 1 else ''})"
        if type(value) is list:
            return f"[{', '.join(map(spell, value))}]"
        if type(value) is dict:
            return f"{{{', '.join(f'{spell(k)}: {spell(v)}' for k, v in value.items())}}}"
        fail(function, argument, _EXPECTED, value, hint=_HINT)

    return spell(value)


def to_json(function: str, argument: str, value: Any) -> Any:
    """The value as lists, dicts and scalars that JSON can hold; `from_json` reads it.

    Raises:
        InputError: the value cannot be written.
    """

    def encode(value: Any) -> Any:
        value = plain(value)
        if value is None or type(value) in (bool, int, str):
            return value
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else {"number": str(float(value))}
        if type(value) is list:
            return [encode(v) for v in value]
        if type(value) is tuple:
            return {"tuple": [encode(v) for v in value]}
        if type(value) is dict:
            return {"dict": [[encode(k), encode(v)] for k, v in value.items()]}
        if is_product(value):
            return {"product": to_config(value)}
        fail(function, argument, _EXPECTED, value, hint=_HINT)

    return encode(value)


def from_json(value: Any) -> Any:
    """The value that `to_json` wrote.

    Raises:
        ValueError, TypeError, RecursionError: it did not write this.
    """
    match value:
        case list():
            return [from_json(v) for v in value]
        case {"number": ("nan" | "inf" | "-inf") as text}:
            return float(text)
        case {"tuple": list(items)}:
            return tuple(from_json(v) for v in items)
        case {"dict": list(items)}:
            return {from_json(k): from_json(v) for k, v in items}
        case {"product": config}:
            return from_config(config)
        case dict():
            raise ValueError("an unknown kind of value")
    return value
