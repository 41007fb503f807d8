"""The head of a safetensors file: which tensor lies where, and the texts beside them.

    8 bytes    length N of the header, unsigned, little-endian
    N bytes    JSON: {"__metadata__": {name: text}, tensor: {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}}
    the rest   the tensors' bytes, little-endian, C order; the offsets count from here

A file is untrusted. Every size it states is compared with the size of the file before any memory is set aside, the
tensors must tile the data exactly, and what the format leaves open (checksum, limits, names) is settled here:
`__metadata__` holds the SHA-256 of the whole file, taken with the 64 digits of the checksum itself set to zero.

Reference: https://github.com/huggingface/safetensors, section Format.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, NoReturn

import ml_dtypes
import numpy as np

from jaxann.core.errors import CheckpointError

__all__ = [
    "CHECKSUM",
    "CODES",
    "DTYPES",
    "HIGHEST_RANK",
    "LARGEST_HEADER",
    "LARGEST_TENSOR",
    "LONGEST_NAME",
    "MOST_TENSORS",
    "NO_CHECKSUM",
    "Header",
    "Tensor",
    "bad_name",
    "build_header",
    "largest_bytes",
    "locate_checksum",
    "parse_header",
    "parse_json",
    "refuse",
    "show",
]

LARGEST_HEADER = 1_000_000
MOST_TENSORS = 10_000
HIGHEST_RANK = 8
LONGEST_NAME = 256
LARGEST_TENSOR = 1 << 48  # bytes, counting empty axes as one: no shape that no machine can index, even without elements
CHECKSUM = "sha256"
NO_CHECKSUM = "0" * 64
_MARK = f'"{CHECKSUM}":"'.encode()

DTYPES: dict[str, np.dtype] = {
    "BOOL": np.dtype(np.bool_),
    "U8": np.dtype(np.uint8),
    "I8": np.dtype(np.int8),
    "U16": np.dtype(np.uint16),
    "I16": np.dtype(np.int16),
    "F16": np.dtype(np.float16),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "U32": np.dtype(np.uint32),
    "I32": np.dtype(np.int32),
    "F32": np.dtype(np.float32),
    "U64": np.dtype(np.uint64),
    "I64": np.dtype(np.int64),
    "F64": np.dtype(np.float64),
}
CODES = {dtype.name: code for code, dtype in DTYPES.items()}


class Tensor(NamedTuple):
    """Where one tensor lies in the data."""

    name: str
    code: str  # a key of DTYPES
    shape: tuple[int, ...]
    begin: int
    end: int


class Header(NamedTuple):
    """What the head of a file says; the tensors in the order of their bytes."""

    tensors: tuple[Tensor, ...]
    metadata: dict[str, str]


def show(value: Any) -> str:
    """A short, printable text of something read from a file."""
    text = ascii(value)
    return text if len(text) <= 60 else text[:57] + "..."


def refuse(where: str, expected: str, got: str, *, hint: str | None = None) -> NoReturn:
    """Raise CheckpointError in the one message format; `where` holds the function and the file."""
    message = f"{where} must {expected}, got {got}."
    raise CheckpointError(message if hint is None else f"{message}\n{hint}")


def bad_name(name: str) -> bool:
    """Whether a tensor's name is empty, long, unprintable, or looks like a path."""
    printable = name.isprintable() and "/" not in name and "\\" not in name
    return not printable or len(name) > LONGEST_NAME or not all(name.split("."))


def largest_bytes(shape: tuple[int, ...], itemsize: int) -> int:
    """Bytes of a tensor of this shape if its empty axes had length one."""
    return math.prod(max(n, 1) for n in shape) * itemsize


def parse_json(where: str, text: bytes | str, *, floats: bool = False) -> Any:
    """Strict JSON: UTF-8, no duplicate keys, no NaN or infinity, and no floats unless allowed.

    Raises:
        CheckpointError: anything else, too deep a nesting included.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError("a key that appears twice")
        return found

    def number(digits: str) -> float:
        value = float(digits)
        if not floats or not math.isfinite(value):
            raise ValueError(f"the number {digits[:20]}")
        return value

    try:
        decoded = text.decode("utf-8") if isinstance(text, bytes) else text
        return json.loads(decoded, object_pairs_hook=unique, parse_float=number, parse_constant=number)
    except RecursionError:
        reason = "JSON nested too deep"
    except UnicodeDecodeError:
        reason = "bytes that are not UTF-8"
    except ValueError as error:
        reason = show(str(error))
    refuse(where, "hold plain JSON", reason)


def build_header(arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> tuple[bytes, list[str]]:
    """Length and header of a file with these arrays, its checksum still zero, and the order of the arrays' bytes.

    The order is by falling size of one element, then by name: every tensor is aligned, and equal content gives equal
    bytes.
    """
    order = sorted(arrays, key=lambda name: (-arrays[name].dtype.itemsize, name))
    table: dict[str, Any] = {"__metadata__": {CHECKSUM: NO_CHECKSUM, **dict(sorted(metadata.items()))}}
    begin = 0
    for name in order:
        array = arrays[name]
        end = begin + array.nbytes
        table[name] = {"dtype": CODES[array.dtype.name], "shape": list(array.shape), "data_offsets": [begin, end]}
        begin = end
    text = json.dumps(table, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text, order


def locate_checksum(where: str, text: bytes, metadata: Mapping[str, str]) -> int:
    """Position of the checksum's 64 digits in the header.

    Raises:
        CheckpointError: the file has none, or it is not 64 lower-case hexadecimal digits.
    """
    digest = metadata.get(CHECKSUM)
    if digest is None:
        refuse(where, "be a jaxann checkpoint", "a safetensors file without a checksum")
    position = text.find(_MARK) + len(_MARK)
    whole = len(digest) == 64 and set(digest) <= set("0123456789abcdef")
    if not whole or text.count(_MARK) != 1 or text[position : position + 64] != digest.encode():
        refuse(where, "state its checksum once, as 64 hexadecimal digits", show(digest))
    return position


def parse_header(
    where: str, text: bytes, data_size: int, inspect: Callable[[str, dict[str, str]], None] | None = None
) -> Header:
    """Check a header against the number of data bytes that follow it.

    Args:
        where: function and file, for messages.
        text: the N header bytes.
        data_size: bytes of the file after the header.
        inspect: called with `where` and the metadata before the tensors are looked at: a file of a newer format is
            better told from its version than from what in it is unknown.

    Raises:
        CheckpointError: anything in it breaks the format.
    """
    if not text.startswith(b"{"):
        refuse(where, "be a jaxann checkpoint", f"a header that starts with {show(text[:8])}")
    table = parse_json(where, text)
    metadata = table.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        refuse(where, "have metadata that maps names to texts", show(metadata))
    if inspect is not None:
        inspect(where, metadata)
    if len(table) > MOST_TENSORS:
        refuse(where, f"hold at most {MOST_TENSORS} tensors", str(len(table)))
    tensors = [_parse_tensor(where, name, entry, data_size) for name, entry in table.items()]
    tensors.sort(key=lambda t: (t.begin, t.end))
    end = 0
    for tensor in tensors:
        if tensor.begin != end:
            gap = "a hole before" if tensor.begin > end else "an overlap at"
            refuse(where, "hold tensors that follow one another", f"{gap} {show(tensor.name)}")
        end = tensor.end
    if end != data_size:
        refuse(where, f"end with its last tensor, after {end} bytes of data", f"{data_size} bytes")
    return Header(tuple(tensors), metadata)


def _parse_tensor(where: str, name: str, entry: Any, data_size: int) -> Tensor:
    if bad_name(name):
        refuse(where, f"name its tensors in at most {LONGEST_NAME} characters, dotted, without slashes", show(name))
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        refuse(where, f"give dtype, shape and data_offsets of {show(name)}", show(entry))
    code, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(code, str) or code not in DTYPES:
        refuse(where, f"give {show(name)} a dtype out of {', '.join(DTYPES)}", show(code))
    if not _sizes(shape) or len(shape) > HIGHEST_RANK:
        refuse(where, f"give {show(name)} a shape of at most {HIGHEST_RANK} sizes from 0 up", show(shape))
    if not _sizes(offsets) or len(offsets) != 2 or not offsets[0] <= offsets[1]:
        refuse(where, f"give {show(name)} a begin and an end", show(offsets))
    begin, end = offsets
    if end > data_size:
        refuse(where, f"hold {show(name)} up to byte {end} of its data", f"{data_size} bytes (truncated?)")
    itemsize = DTYPES[code].itemsize
    needed = math.prod(shape) * itemsize
    if needed != end - begin or largest_bytes(tuple(shape), itemsize) > LARGEST_TENSOR:
        refuse(where, f"hold {show(needed)} bytes for {show(name)}, {code} of shape {show(shape)}", f"{end - begin}")
    return Tensor(name, code, tuple(shape), begin, end)


def _sizes(value: Any) -> bool:
    """A list of integers from 0 up; JSON's true and false are none."""
    return isinstance(value, list) and all(type(n) is int and n >= 0 for n in value)
