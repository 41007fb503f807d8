"""Files that break the format: each is refused, with CheckpointError alone, and without memory or time spent on it."""

from __future__ import annotations

import json
import struct
import time
import tracemalloc

import numpy as np
import pytest

from jaxann.core import CheckpointError
from jaxann.io import load_arrays, save_arrays

META = '"__metadata__":{"sha256":"' + "0" * 64 + '"}'


def entry(dtype="F32", shape=(2,), begin=0, end=8):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


def pair(first, second):
    return {"a": entry(begin=first[0], end=first[1]), "b": entry(begin=second[0], end=second[1])}


EIGHT = bytes(8)
ENTRY = json.dumps(entry())
BROKEN = {  # name -> (arguments of craft, what the message says)
    "overlap": ((pair((0, 8), (4, 12)), bytes(12)), "overlap"),
    "same range twice": ((pair((0, 8), (0, 8)), EIGHT), "overlap"),
    "hole": ((pair((0, 8), (12, 20)), bytes(20)), "hole"),
    "hole at the start": (({"a": entry(begin=4, end=12)}, bytes(12)), "hole"),
    "trailing bytes": (({"a": entry()}, bytes(9)), "after 8 bytes"),
    "truncated data": (({"a": entry()}, bytes(7)), "truncated"),
    "shape does not fill its range": (({"a": entry(shape=(3,))}, EIGHT), "12 bytes"),
    "dtype does not fill its range": (({"a": entry(dtype="F64")}, EIGHT), "16 bytes"),
    "negative size": (({"a": entry(shape=(-1, -2))}, EIGHT), "sizes from 0 up"),
    "shape overflow": (({"a": entry(shape=(2**33, 2**33))}, EIGHT), "bytes for"),
    "overflow to the true size": (({"a": entry("U8", shape=(2**61, 8, 4), end=0)}, b""), "bytes for"),
    "huge and empty": (({"a": entry(shape=(2**62, 0), end=0)}, b""), "shape"),
    "begin after end": (({"a": entry(shape=(0,), begin=8, end=0)}, EIGHT), "begin"),
    "negative begin": (({"a": entry(begin=-8, end=0)}, EIGHT), "begin"),
    "three offsets": (({"a": entry() | {"data_offsets": [0, 4, 8]}}, EIGHT), "begin"),
    "unknown dtype": (({"a": entry("F8_E4M3", shape=(8,))}, EIGHT), "F8_E4M3"),
    "dtype is a number": (({"a": entry() | {"dtype": 32}}, EIGHT), "dtype"),
    "float shape": (({"a": entry(shape=(2.0,))}, EIGHT), "number 2.0"),
    "exponent in shape": ((f'{{{META},"a":{ENTRY.replace("[2]", "[2e0]")}}}', EIGHT), "number 2e0"),
    "true in shape": (({"a": entry(shape=(True, 2))}, EIGHT), "sizes from 0 up"),
    "text in shape": (({"a": entry(shape=("2",))}, EIGHT), "sizes from 0 up"),
    "shape is no list": (({"a": entry() | {"shape": 2}}, EIGHT), "sizes from 0 up"),
    "rank 9": (({"a": entry(shape=(2,) + (1,) * 8)}, EIGHT), "at most 8"),
    "number of 5000 digits": ((f'{{{META},"a":{ENTRY.replace("[2]", "[" + "9" * 5000 + "]")}}}', EIGHT), "JSON"),
    "missing shape": (({"a": {"dtype": "F32", "data_offsets": [0, 8]}}, EIGHT), "shape"),
    "field too many": (({"a": entry() | {"code": "os.system"}}, EIGHT), "shape"),
    "entry is a list": (({"a": [0, 8]}, EIGHT), "shape"),
    "duplicate key": ((f'{{{META},"a":{ENTRY},"a":{ENTRY}}}', EIGHT), "twice"),
    "duplicate key inside": ((f'{{{META},"a":{ENTRY[:-1]},"dtype":"F32"}}}}', EIGHT), "twice"),
    "duplicate metadata": ((f"{{{META},{META}}}", b""), "twice"),
    "NaN in the header": ((f'{{{META},"a":NaN}}', b""), "NaN"),
    "metadata of numbers": (({}, b"", {"epoch": 3}), "texts"),
    "metadata is a list": (('{"__metadata__":[]}',), "texts"),
    "not UTF-8": ((f'{{{META},"'.encode() + b'\xff":1}',), "UTF-8"),
    "not JSON": (("{" + META + ",}",), "JSON"),
    "nested too deep": (("{" + META + ',"a":' + "[" * 100_000 + "]" * 100_000 + "}",), "too deep"),
    "nested objects too deep": (("{" + META + ',"a":' + '{"a":' * 100_000 + "1" + "}" * 100_000 + "}",), "too deep"),
    "starts with a space": ((f" {{{META}}}",), "starts with"),
    "a list": (("[1, 2]",), "starts with"),
    "two documents": ((f"{{{META}}}{{}}",), "JSON"),
    "10,001 empty tensors": (({f"t{i}": entry(shape=(0,), end=0) for i in range(10_001)},), "10000 tensors"),
    "10^5 empty tensors": (({f"t{i}": entry(shape=(0,), end=0) for i in range(100_000)},), "1000000 bytes"),
    "name with a path": (({"../../etc/passwd": entry()}, EIGHT), "without slashes"),
    "name with a backslash": (({"a\\b": entry()}, EIGHT), "without slashes"),
    "name with two dots": (({"a..b": entry()}, EIGHT), "without slashes"),
    "name with a NUL": (({"a\0": entry()}, EIGHT), "without slashes"),
    "name with half a character": (({"\ud800": entry()}, EIGHT), "without slashes"),
    "empty name": (({"": entry()}, EIGHT), "without slashes"),
    "name of 257 characters": (({"n" * 257: entry()}, EIGHT), "256 characters"),
    "no checksum": (({"a": entry()}, EIGHT, {"sha256": "abc"}), "checksum"),
    "checksum in capitals": (({"a": entry()}, EIGHT, {"sha256": "A" * 64}), "checksum"),
    "bool of another byte": (({"a": entry("BOOL", shape=(2,), end=2)}, b"\x01\x02"), "0 and 1"),
}
FOREIGN = {
    "empty": b"",
    "7 bytes": b"\x08\0\0\0\0\0\0",
    "length 2^63": struct.pack("<Q", 2**63) + b"{}",
    "length over the limit": struct.pack("<Q", 1_000_001) + b"{" + b" " * 1_000_000,
    "length over the file": struct.pack("<Q", 1000) + b"{}",
    "pickle": b"\x80\x04\x95\x1a\0\0\0\0\0\0\0\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x02id\x94\x85\x94R\x94.",
    "old pickle": b"cos\nsystem\n(S'id'\ntR.",
    "short pickle": b"\x80\x04N.",
    "zip": b"PK\x03\x04\x14\0\0\0\x08\0" + bytes(40),
    "hdf5": b"\x89HDF\r\n\x1a\n" + bytes(40),
    "npy": b"\x93NUMPY\x01\0v\0{'descr': '<f4'}",
    "gzip": b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + bytes(20),
    "text": b"hello, this is no checkpoint\n" * 10,
    "zeros": bytes(100),
}


def refusal(path, content):
    """The message of the refusal; it took little memory and little time."""
    path.write_bytes(content)
    tracemalloc.start()
    start = time.perf_counter()
    with pytest.raises(CheckpointError) as caught:
        load_arrays(path)
    seconds = time.perf_counter() - start
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < len(content) + 10_000_000
    assert seconds < 2
    message = str(caught.value)
    assert str(path.name) in message and len(message) < 400
    message.encode()  # printable: nothing of the file reaches the terminal raw
    return message


@pytest.mark.parametrize("name", BROKEN)
def test_r4_a_broken_header_is_refused_before_memory_is_set_aside(name, tmp_path, craft):
    arguments, says = BROKEN[name]
    assert says in refusal(tmp_path / "a.safetensors", craft(*arguments))


@pytest.mark.parametrize("name", FOREIGN)
def test_r2_no_other_format_is_read(name, tmp_path):
    says = "got a file of 10 bytes (truncated?)" if name == "length over the file" else "be a jaxann checkpoint"
    message = refusal(tmp_path / "a.pt", FOREIGN[name])
    assert says in message
    assert "pickle" not in name or "pickle" in message or name == "old pickle"


def test_a_foreign_safetensors_file_is_refused(tmp_path, craft):
    message = refusal(tmp_path / "a.safetensors", craft({"a": entry()}, EIGHT, checksum=False))
    assert "without a checksum" in message


def test_the_size_that_a_file_states_is_never_believed(tmp_path, craft):
    content = craft({"a": entry("F64", shape=(2**37,), end=2**40)}, EIGHT)  # a terabyte
    assert "truncated" in refusal(tmp_path / "a", content)


def test_a_well_formed_file_made_by_hand_is_read(tmp_path, craft):
    table = {"b.weight": entry(begin=0), "a": entry("BF16", (2, 1), 8, 12), "empty": entry("I8", (0, 3), 12, 12)}
    (tmp_path / "a").write_bytes(craft(table, np.array([1, 2], "<f4").tobytes() + b"\x80\x3f\0\xc0", {"by": "hand"}))
    arrays, metadata = load_arrays(tmp_path / "a")
    assert metadata == {"by": "hand"}
    np.testing.assert_array_equal(arrays["b.weight"], np.array([1, 2], np.float32))
    np.testing.assert_array_equal(arrays["a"].astype(np.float32), np.array([[1], [-2]], np.float32))
    assert arrays["empty"].shape == (0, 3) and arrays["empty"].dtype == np.int8


def test_the_largest_numbers_the_format_allows_are_read(tmp_path):
    arrays = {"n" * 256: np.zeros((1,) * 8, np.float32)}
    arrays |= {f"t{i}": np.zeros(0, np.int8) for i in range(9_999)}
    save_arrays(tmp_path / "a", arrays)
    assert load_arrays(tmp_path / "a")[0].keys() == arrays.keys()
