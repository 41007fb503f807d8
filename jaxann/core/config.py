"""A product as plain data and back: how a saved model rebuilds itself.

`to_config` writes names from the fixed tables of factories and functions, never code; `from_config` looks names up in
those tables and nowhere else, so that a file cannot name anything to import or run. A name that has changed since the
file was written is looked up in `FORMER` first.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxann.core.checks import check_choice, fail, is_concrete
from jaxann.core.factories import Product
from jaxann.core.maker import Factory
from jaxann.core.tables import factory_called, function_called, name_of

__all__ = ["FORMER", "from_config", "to_config"]

# Former public names of factories and functions, as they stand in files, and what they are called now.
FORMER: dict[str, str] = {"layers.spread": "layers.repeat_members"}

_LARGEST_ARRAY = 10_000
_DEEPEST = 60


def to_config(product: Product) -> dict[str, Any]:
    """The product as a dict that JSON can hold: its factory's public name and all its arguments.

    Raises:
        InputError: an argument is a function that is not in jaxann's table, a traced value, or a large array.
    """
    if not isinstance(product, Product):
        fail("to_config", "product", "made by a factory (a layer, a model, an optimizer)", product)
    return _encode(product, type(product).__name__.lower())


def from_config(config: Mapping[str, Any]) -> Any:
    """The product that `to_config` wrote; its arguments are checked like those of a new call.

    Raises:
        InputError: the dict is malformed, names an unknown factory or function, or an argument is out of range.
    """
    if not isinstance(config, Mapping) or "factory" not in config:
        fail("from_config", "config", "a dict with the keys 'factory' and 'arguments'", config)
    return _decode(config, 0)


def _encode(value: Any, where: str) -> Any:
    if isinstance(value, Product):
        maker = value._factory
        inside = {name: _encode(v, f"{maker.short_name}.{name}") for name, v in value.arguments.items()}
        return {"factory": maker.name, "arguments": inside}
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int | float) and not isinstance(value, np.generic):
        return value if math.isfinite(value) else {"number": str(value)}
    if isinstance(value, Mapping):
        return {"table": [[name, _encode(v, f"{where}.{name}")] for name, v in value.items()]}
    if isinstance(value, tuple | list):
        return {"tuple": [_encode(v, where) for v in value]}
    if isinstance(value, jax.Array | np.ndarray | np.generic) and is_concrete(value):
        array = np.asarray(value)
        if array.size > _LARGEST_ARRAY:
            fail("to_config", where, f"an array of at most {_LARGEST_ARRAY} numbers", value)
        if jax.dtypes.issubdtype(array.dtype, np.floating):
            numbers = array.astype(np.float64)
            flat = [v if math.isfinite(v) else str(v) for v in numbers.ravel().tolist()]
        else:
            flat = array.ravel().tolist()
        return {"array": flat, "shape": list(array.shape), "dtype": array.dtype.name}
    if callable(value):
        if name := name_of(value):
            return {"function": name}
        hint = (
            "Only jaxann's own functions can be named in a file. Make a factory of your own function with "
            "jaxann.core.factory, or save the parameters alone with jaxann.io.save_arrays."
        )
        fail("to_config", where, "a function of jaxann's rooms", value, hint=hint)
    fail("to_config", where, "a number, string, flag, array, tuple, dict or product", value)


def _decode(value: Any, depth: int) -> Any:
    if depth > _DEEPEST:
        fail("from_config", "config", f"nested at most {_DEEPEST} deep", " more")
    if not isinstance(value, Mapping):
        if value is None or isinstance(value, bool | str | int | float):
            return value
        fail("from_config", "config", "made of dicts, numbers, strings and flags", value)
    match dict(value):
        case {"factory": str(name), "arguments": Mapping() as arguments, **rest} if not rest:
            maker = factory_called(FORMER.get(name, name))
            return _call(maker, {n: _decode(v, depth + 1) for n, v in arguments.items()})
        case {"number": ("inf" | "-inf" | "nan") as text, **rest} if not rest:
            return float(text)
        case {"table": list(rows), **rest} if not rest and all(
            isinstance(r, list) and len(r) == 2 and isinstance(r[0], str) for r in rows
        ):
            return OrderedDict((name, _decode(v, depth + 1)) for name, v in rows)
        case {"tuple": list(items), **rest} if not rest:
            return tuple(_decode(v, depth + 1) for v in items)
        case {"function": str(name), **rest} if not rest:
            return function_called(FORMER.get(name, name))
        case {"array": list(flat), "shape": list(shape), "dtype": str(dtype), **rest} if not rest:
            return _array(flat, shape, dtype)
    fail("from_config", "config", "written by to_config", value)


def _call(maker: Factory, arguments: dict[str, Any]) -> Any:
    parameters = maker.signature.parameters
    args: list[Any] = []
    for parameter in parameters.values():
        if parameter.kind is parameter.VAR_POSITIONAL and parameter.name in arguments:
            several = arguments.pop(parameter.name)
            if not isinstance(several, tuple):
                fail("from_config", parameter.name, "a tuple", several)
            args.extend(several)
    missing = [p.name for p in parameters.values() if p.default is p.empty and p.kind is not p.VAR_POSITIONAL]
    for needed in missing:
        if needed not in arguments:
            fail("from_config", maker.name, f"given with its argument {needed!r}", f" {sorted(arguments)}")
    return maker.public(*args, **arguments)


def _array(flat: list[Any], shape: list[Any], dtype: str) -> Any:
    good = all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in shape)
    plain = all(isinstance(v, bool | int | float) or v in ("nan", "inf", "-inf") for v in flat)
    known = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
    check_choice("from_config", "dtype", dtype, (*known, "float16", "bfloat16", "float32", "float64"))
    if not good or not plain or math.prod(shape) != len(flat) or len(flat) > _LARGEST_ARRAY:
        fail("from_config", "array", "flat numbers that fill its shape", f" {len(flat)} numbers for shape {shape}")
    numbers = [float(v) if isinstance(v, str) else v for v in flat]
    try:
        with np.errstate(invalid="raise", over="raise"):
            array = np.asarray(numbers, dtype=np.float64 if "float" in dtype else None).reshape(shape)
            array = array.astype(jnp.dtype(dtype))
    except (OverflowError, FloatingPointError):
        fail("from_config", "array", f"numbers that {dtype} can hold", flat)
    return jnp.asarray(array) if dtype != "float64" else array
