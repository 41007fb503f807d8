"""Named arrays in a file: bit for bit the same, damage always noticed, other tools can read them."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import random
import struct
import tracemalloc

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from jaxann.core import CheckpointError, InputError
from jaxann.io import load_arrays, save_arrays

DTYPES = [
    np.dtype(name) for name in "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64".split()
] + [np.dtype(ml_dtypes.bfloat16)]
NAMES = st.lists(st.text("abcé日 0_-", min_size=1, max_size=6), min_size=1, max_size=4).map(".".join)


@st.composite
def some_array(draw):
    """Any bits in any dtype and shape: NaN payloads and negative zeros too."""
    dtype = draw(st.sampled_from(DTYPES))
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=4))
    size = int(np.prod(shape, dtype=int))
    raw = draw(st.binary(min_size=size * dtype.itemsize, max_size=size * dtype.itemsize))
    if dtype == np.bool_:
        raw = bytes(byte & 1 for byte in raw)
    return np.frombuffer(raw, dtype).reshape(shape)


def assert_same_bits(got, expected):
    assert got.keys() == expected.keys()
    for name, array in expected.items():
        assert (got[name].dtype, got[name].shape) == (array.dtype, array.shape)
        assert got[name].tobytes() == array.tobytes()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("arrays")


@pytest.fixture
def example(tmp_path):
    """A path with a small file, and its arrays."""
    arrays = {
        "params.dense0.weight": np.arange(60, dtype=np.float32).reshape(4, 15),
        "params.dense0.bias": np.zeros(15, np.float32),
        "state.count": np.array(7, np.int32),
    }
    save_arrays(tmp_path / "a.safetensors", arrays, {"by": "test"})
    return tmp_path / "a.safetensors", arrays


@given(st.dictionaries(NAMES, some_array(), max_size=4), st.dictionaries(st.text('ab"\\{é\n'), st.text(max_size=20)))
@settings(max_examples=150, deadline=None)
def test_round_trip_keeps_every_bit(folder, arrays, metadata):
    metadata = {name: text for name, text in metadata.items() if text.isprintable()}
    save_arrays(folder / "a", arrays, metadata, allow_nonfinite=True)
    got, texts = load_arrays(folder / "a", allow_nonfinite=True)
    assert_same_bits(got, arrays)
    assert texts == metadata


def test_other_readers_see_the_same_arrays(tmp_path):
    arrays = {f"a.{i}": np.arange(6).reshape(2, 3).astype(dtype) for i, dtype in enumerate(DTYPES)}
    arrays |= {"scalar": np.array(1.5), "empty": np.zeros((0, 3), np.float32)}
    save_arrays(tmp_path / "a", arrays, {"note": "é"})
    assert_same_bits(safetensors.numpy.load_file(tmp_path / "a"), arrays)
    with safetensors.safe_open(tmp_path / "a", framework="np") as file:
        assert file.metadata()["note"] == "é"


def test_equal_content_gives_equal_bytes(tmp_path):
    arrays = {"b": np.ones(3, np.float32), "a": np.ones(3, np.int8), "c": np.ones((), np.float64)}
    metadata = {str(i): "text" for i in range(9)}
    save_arrays(tmp_path / "1", arrays, metadata)
    save_arrays(tmp_path / "2", dict(reversed(arrays.items())), dict(reversed(metadata.items())))
    content = (tmp_path / "1").read_bytes()
    assert content == (tmp_path / "2").read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    assert length % 8 == 0  # every tensor is aligned


def test_any_memory_layout_is_stored_in_c_order(tmp_path):
    base = np.arange(24, dtype=np.float32).reshape(4, 6)
    read_only = base.copy()
    read_only.setflags(write=False)
    layouts = {
        "fortran": np.asfortranarray(base),
        "strided": np.repeat(base, 2, axis=1)[:, ::2],
        "backwards": base[::-1].copy()[::-1],
        "read_only": read_only,
        "big_endian": base.astype(">f4"),
    }
    save_arrays(tmp_path / "a", layouts)
    assert_same_bits(load_arrays(tmp_path / "a")[0], dict.fromkeys(layouts, base))


def test_loaded_arrays_can_be_written_to(example):
    path, _ = example
    arrays, _ = load_arrays(path)
    for array in arrays.values():
        array[...] = 1
    assert_same_bits(load_arrays(path)[0], example[1])


def test_r8_every_single_bit_of_the_file_is_guarded(example):
    path, _ = example
    content = path.read_bytes()
    chosen = random.Random(0).sample(range(8 * len(content)), 300)
    for bit in chosen:
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError):
            load_arrays(path)
    path.write_bytes(content)
    load_arrays(path)


def test_r8_cuts_swaps_and_additions_are_noticed(tmp_path):
    path = tmp_path / "a"
    numbers = np.random.default_rng(0).integers(0, 255, 40_000).astype(np.uint8)
    save_arrays(path, {"a": numbers, "b": numbers[::-1].copy()})
    content = path.read_bytes()
    choose = random.Random(0)
    damaged = [content[: choose.randrange(len(content))] for _ in range(50)]
    damaged += [content + b"\0", content + content, content[1:], b"\0" + content]
    for _ in range(50):
        first, second = sorted(choose.sample(range(0, len(content) - 4096, 4096), 2))
        swapped = bytearray(content)
        swapped[first : first + 4096], swapped[second : second + 4096] = (
            content[second : second + 4096], content[first : first + 4096],
        )  # fmt: skip
        damaged.append(bytes(swapped))
    for attempt in damaged:
        path.write_bytes(attempt)
        with pytest.raises(CheckpointError):
            load_arrays(path)


def test_r8_the_checksum_is_over_the_whole_file_with_its_own_digits_zero(example):
    content = example[0].read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    stated = json.loads(content[8 : 8 + length])["__metadata__"]["sha256"]
    assert content.count(stated.encode()) == 1
    assert hashlib.sha256(content.replace(stated.encode(), b"0" * 64)).hexdigest() == stated


def test_r6_nothing_of_a_damaged_file_is_returned(example, monkeypatch):
    path, _ = example
    content = bytearray(path.read_bytes())
    content[-1] ^= 1  # the last tensor only; the first ones are whole
    path.write_bytes(content)
    result = "untouched"
    with pytest.raises(CheckpointError, match="damaged"):
        result = load_arrays(path)
    assert result == "untouched"


def test_r5_nothing_in_a_file_can_change_a_safety_setting(tmp_path, craft):
    table = {"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}
    texts = {"allow_nonfinite": "true", "safe_mode": "false", "trusted": "1"}
    (tmp_path / "a").write_bytes(craft(table, np.array([np.nan], "<f4").tobytes(), texts))
    with pytest.raises(CheckpointError, match="allow_nonfinite"):
        load_arrays(tmp_path / "a")
    arrays, _ = load_arrays(tmp_path / "a", allow_nonfinite=True)
    assert np.isnan(arrays["a"]).all()


def test_r3_the_file_is_one_flat_file_and_no_archive(example):
    content = example[0].read_bytes()
    for magic in (b"PK", b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x89HDF", b"\x80\x04"):
        assert not content.startswith(magic)
    assert content[8:9] == b"{"


def test_mutated_files_raise_checkpoint_error_and_nothing_else(example):
    path, _ = example
    content = path.read_bytes()
    choose = random.Random(1)
    for _ in range(1500):
        mutated = bytearray(content)
        for _ in range(choose.randint(1, 4)):
            place = choose.randrange(len(mutated))
            match choose.randrange(4):
                case 0:
                    mutated[place] = choose.randrange(256)
                case 1:
                    del mutated[place : place + choose.randint(1, 20)]
                case 2:
                    mutated[place:place] = choose.randbytes(choose.randint(1, 20))
                case 3:
                    mutated[:8] = struct.pack("<Q", choose.choice([0, 1, 2**16, 2**32, 2**63, choose.randrange(999)]))
        if mutated == content:
            continue
        path.write_bytes(mutated)
        with pytest.raises(CheckpointError):
            load_arrays(path)


def test_mutated_headers_with_a_true_checksum_raise_checkpoint_error_or_load(tmp_path, craft):
    """The mutations that a checksum does not stop: an attacker states the right one."""
    choose = random.Random(2)
    odd = [0, 1, -1, 2, 8, 2**31, 2**63, 2**64, 10**30, 1.5, True, None, "", "F32", "../x", [], [0], [[]], {}, {"a": 1}]
    loaded = 0
    for _ in range(1500):
        table = {
            "a": {"dtype": "F32", "shape": [2, 1], "data_offsets": [0, 8]},
            "b": {"dtype": "I8", "shape": [3], "data_offsets": [8, 11]},
        }
        for _ in range(choose.randint(1, 2)):
            row = table[choose.choice(["a", "b"])]
            field = choose.choice(["dtype", "shape", "data_offsets"])
            if isinstance(row.get(field), list) and row[field] and choose.random() < 0.6:
                row[field][choose.randrange(len(row[field]))] = copy.deepcopy(choose.choice(odd))
            else:
                row[field] = copy.deepcopy(choose.choice(odd))
        (tmp_path / "a").write_bytes(craft(table, bytes(11)))
        try:
            load_arrays(tmp_path / "a")
            loaded += 1
        except CheckpointError:
            pass
    assert loaded < 150  # a few mutations put back what was there


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ml_dtypes.bfloat16])
def test_values_that_are_not_finite_are_neither_written_nor_read(tmp_path, dtype, value):
    arrays = {"fine": np.ones(3), "weight": np.array([1, value, 2], dtype)}
    with pytest.raises(InputError, match="weight must be finite, got 1 of 3"):
        save_arrays(tmp_path / "a", arrays)
    assert os.listdir(tmp_path) == []
    save_arrays(tmp_path / "a", arrays, allow_nonfinite=True)
    with pytest.raises(CheckpointError, match="weight.*1 NaN or infinite"):
        load_arrays(tmp_path / "a")
    assert_same_bits(load_arrays(tmp_path / "a", allow_nonfinite=True)[0], arrays)


@pytest.mark.parametrize(
    ("arrays", "metadata", "says"),
    [
        ({"a/b": np.ones(1)}, None, "name"),
        ({"../a": np.ones(1)}, None, "name"),
        ({"": np.ones(1)}, None, "name"),
        ({"__metadata__": np.ones(1)}, None, "name"),
        ({"a" * 257: np.ones(1)}, None, "256 characters"),
        ({3: np.ones(1)}, None, "name"),
        ({"a": [1.0, 2.0]}, None, "a must be an array"),
        ({"a": 1.0}, None, "a must be an array"),
        ({"a": np.ones(1, complex)}, None, "complex128"),
        ({"a": np.array(["x"])}, None, "dtype"),
        ({"a": np.array([object()])}, None, "object"),
        ({"a": np.ones((1,) * 9)}, None, "rank at most 8"),
        ({f"a{i}": np.ones(1) for i in range(10_001)}, None, "at most 10000"),
        ({}, {"sha256": "x"}, "metadata"),
        ({}, {"a": 3}, "metadata"),
        ({}, {"a": "\ud800"}, "UTF-8"),
        ({}, {"a": "x" * 1_000_000}, "1000000 bytes"),
    ],
)
def test_what_cannot_be_stored_is_refused_by_name(tmp_path, arrays, metadata, says):
    with pytest.raises(InputError, match=says) as caught:
        save_arrays(tmp_path / "a", arrays, metadata)
    assert str(caught.value).startswith("save_arrays: ") and len(str(caught.value)) < 400
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("path", [None, 3, b"a", "", "a\0b", "\ud800", 2.5])
def test_a_path_must_be_a_path(path):
    with pytest.raises(InputError, match="path must be the name of a file"):
        save_arrays(path, {})
    with pytest.raises(InputError, match="path must be the name of a file"):
        load_arrays(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="missing.safetensors"):
        load_arrays(tmp_path / "missing.safetensors")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root reads every file")
def test_a_file_without_permission_is_named(example):
    example[0].chmod(0)
    with pytest.raises(PermissionError, match=r"a\.safetensors"):
        load_arrays(example[0])


@pytest.mark.skipif(os.name != "posix", reason="needs pipes and devices")
def test_folders_pipes_and_devices_are_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", "/dev/zero"):
        with pytest.raises(CheckpointError, match="plain file"):
            load_arrays(path)
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(InputError, match="folder|special"):
            save_arrays(path, {})
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.skipif(os.name != "posix", reason="a file that is open can be replaced")
def test_a_file_replaced_while_it_is_read_gives_the_old_one(example, monkeypatch):
    path, arrays = example
    newer = path.with_name("newer")
    save_arrays(newer, {name: array + 1 for name, array in arrays.items()})
    opened = os.fdopen

    def replace_after_opening(*args):
        file = opened(*args)
        if newer.exists():
            os.replace(newer, path)
        return file

    monkeypatch.setattr(os, "fdopen", replace_after_opening)
    assert_same_bits(load_arrays(path)[0], arrays)
    assert_same_bits(load_arrays(path)[0], {name: array + 1 for name, array in arrays.items()})


def test_reading_needs_little_more_memory_than_the_arrays(tmp_path):
    array = np.zeros(20_000_000 // 4, np.float32)
    save_arrays(tmp_path / "a", {"a": array})
    tracemalloc.start()
    load_arrays(tmp_path / "a")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1.5 * array.nbytes
