"""Pictures come back as their files hold them; a file that is cut, foreign or mislabelled is named and refused."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import struct
import tarfile
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from jaxann.core import InputError
from jaxann.data import cifar10, digits, mnist, readers

RECORD = 3073


def idx(array):
    return bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def pictures(count, seed=0):
    numbers = np.random.default_rng(seed)
    return numbers.integers(0, 256, (count, 28, 28)).astype(np.uint8), numbers.integers(0, 10, count).astype(np.uint8)


def records(count, seed=0):
    """CIFAR-10 records, and the labels and the three planes in them."""
    numbers = np.random.default_rng(seed)
    labels, planes = numbers.integers(0, 10, count), numbers.integers(0, 256, (count, 3, 32, 32))
    rows = np.concatenate([labels[:, None], planes.reshape(count, -1)], axis=1)
    return rows.astype(np.uint8).tobytes(), labels, planes


def scaled(pixels):
    return pixels.astype(np.float32) / np.float32(255)


@pytest.fixture
def small_mnist(tmp_path):
    """A folder with the four files, 7 and 3 pictures; and what they hold."""
    pieces = {"train": pictures(7), "t10k": pictures(3, seed=1)}
    for part, (x, y) in pieces.items():
        (tmp_path / f"{part}-images-idx3-ubyte").write_bytes(idx(x))
        (tmp_path / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(y)))
    return tmp_path, pieces


def test_mnist_reads_plain_and_packed_files(small_mnist):
    folder, pieces = small_mnist
    data = mnist(folder)
    assert data.x.shape == (7, 28, 28, 1) and data.x_test.shape == (3, 28, 28, 1)
    assert (data.x.dtype, data.y.dtype) == (np.float32, np.int32)
    np.testing.assert_array_equal(data.x[..., 0], scaled(pieces["train"][0]))
    np.testing.assert_array_equal(data.y_test, pieces["t10k"][1])
    assert data.classes == tuple("0123456789")
    assert mnist(str(folder)).y.tolist() == data.y.tolist()


def test_pixels_lie_between_zero_and_one(tmp_path, small_mnist):
    folder, _ = small_mnist
    x = np.zeros((7, 28, 28), np.uint8)
    x[0, 3, 4] = 255
    (folder / "train-images-idx3-ubyte").write_bytes(idx(x))
    data = mnist(folder)
    assert data.x[0, 3, 4, 0] == 1 and data.x.sum() == 1  # row before column


def spoiled(name, content):
    """A change of one file: `content` of its unpacked bytes; the file is packed again as it was."""

    def change(folder):
        path = folder / name
        pack = (gzip.decompress, gzip.compress) if name.endswith(".gz") else (bytes, bytes)
        path.write_bytes(pack[1](content(pack[0](path.read_bytes()))))

    return change


def raw(name, content):
    return lambda folder: (folder / name).write_bytes(content((folder / name).read_bytes()))


IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte.gz"
SPOILED = {
    "empty": (raw(IMAGES, lambda b: b""), f"{IMAGES} must be an idx file.*no bytes"),
    "only a magic number": (raw(IMAGES, lambda b: b[:4]), f"{IMAGES} must be an idx file"),
    "cut": (raw(IMAGES, lambda b: b[:-1]), f"{IMAGES} must be 5504 bytes.*5503"),
    "one byte too many": (raw(IMAGES, lambda b: b + b"\0"), f"{IMAGES} must be 5504 bytes.*more"),
    "fewer than announced": (spoiled(LABELS, lambda b: b[:-2]), f"{LABELS} must be 15 bytes.*13 bytes"),
    "more than announced": (spoiled(LABELS, lambda b: b + bytes(9)), f"{LABELS} must be 15 bytes.*more"),
    "labels named pictures": (raw(IMAGES, lambda b: idx(pictures(7)[1])), f"{IMAGES} must be .*00000803.*00000801"),
    "pictures named labels": (spoiled(LABELS, lambda b: idx(pictures(7)[0])), f"{LABELS} must be .*00000801.*00000803"),
    "other picture size": (raw(IMAGES, lambda b: idx(np.zeros((7, 32, 32), np.uint8))), r"\(7, 32, 32\)"),
    "no pictures": (raw(IMAGES, lambda b: idx(np.zeros((0, 28, 28), np.uint8))), r"\(0, 28, 28\)"),
    "floats": (raw(IMAGES, lambda b: b"\0\0\x0d\x03" + b[4:]), "00000d03"),
    "a web page": (raw(IMAGES, lambda b: b"<html>404 not found</html>"), "3c68746d"),
    "packed but not named so": (raw(IMAGES, gzip.compress), "1f8b0800"),
    "named packed but not": (raw(LABELS, gzip.decompress), f"{LABELS} must be whole, undamaged gzip data"),
    "packed data cut": (raw(LABELS, lambda b: b[:-9]), f"{LABELS} must be whole, undamaged gzip data"),
    "packed data without its check": (raw(LABELS, lambda b: b[:-8]), f"{LABELS} must be whole, undamaged gzip data"),
    "packed data damaged": (raw(LABELS, lambda b: b[:-6] + bytes(6)), f"{LABELS} must be whole, undamaged gzip data"),
    "packed data and junk": (raw(LABELS, lambda b: b + b"junk"), f"{LABELS} must be whole, undamaged gzip data"),
    "a label of 10": (spoiled(LABELS, lambda b: b[:-1] + b"\x0a"), "labels from 0 to 9, got 10 at row 6"),
    "fewer labels": (spoiled(LABELS, lambda b: idx(pictures(6)[1])), "7 labels, got 6"),
    "other bytes order": (raw(IMAGES, lambda b: b[:4] + struct.pack("<3I", 7, 28, 28) + b[16:]), "shape"),
    "a missing file": (lambda folder: (folder / IMAGES).unlink(), f"folder that holds {IMAGES} or {IMAGES}.gz"),
    "a folder in its place": (lambda f: ((f / IMAGES).unlink(), (f / IMAGES).mkdir()), "folder that holds"),
    "a pipe in its place": (lambda f: ((f / IMAGES).unlink(), os.mkfifo(f / IMAGES)), "folder that holds"),
}


@pytest.mark.parametrize("name", SPOILED)
def test_a_spoiled_mnist_file_is_named(name, small_mnist):
    change, says = SPOILED[name]
    folder, _ = small_mnist
    change(folder)
    with pytest.raises(InputError, match=says) as caught:
        mnist(folder)
    assert str(caught.value).startswith("mnist: ") and len(str(caught.value)) < 400


@pytest.mark.parametrize("packed", [False, True])
def test_a_size_that_a_file_states_is_never_believed(small_mnist, packed):
    folder, _ = small_mnist
    (folder / IMAGES).unlink()
    lie = bytes((0, 0, 8, 3)) + struct.pack(">3I", 2**32 - 1, 28, 28) + bytes(100)
    (folder / (IMAGES + ".gz" * packed)).write_bytes(gzip.compress(lie) if packed else lie)
    tracemalloc.start()
    with pytest.raises(InputError, match="must be 3367254359296 bytes.*a file of"):
        mnist(folder)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000_000


def test_packed_data_is_unpacked_no_further_than_announced(small_mnist):
    folder, _ = small_mnist
    bomb = gzip.compress(idx(pictures(7)[1]) + bytes(100_000_000), 9)
    (folder / LABELS).write_bytes(bomb)
    tracemalloc.start()
    with pytest.raises(InputError, match="more"):
        mnist(folder)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000_000


@pytest.mark.parametrize("reader", [mnist, cifar10])
@pytest.mark.parametrize("folder", ["/no/such/folder", __file__, 3, b"/tmp", ["/tmp"]])
def test_what_is_no_folder_is_refused(reader, folder):
    with pytest.raises(InputError, match=f"{reader.__name__}: folder must be an existing folder"):
        reader(folder)


def test_cifar10_reads_whichever_batches_are_there(tmp_path):
    first, second, test = records(5), records(4, seed=1), records(3, seed=2)
    (tmp_path / "data_batch_2.bin").write_bytes(second[0])
    (tmp_path / "data_batch_1.bin.gz").write_bytes(gzip.compress(first[0]))
    (tmp_path / "test_batch_first3.bin.gz").write_bytes(gzip.compress(test[0]))
    data = cifar10(tmp_path)
    assert data.x.shape == (9, 32, 32, 3) and data.x_test.shape == (3, 32, 32, 3)
    assert (data.x.dtype, data.y.dtype) == (np.float32, np.int32)
    np.testing.assert_array_equal(data.y, np.concatenate([first[1], second[1]]))
    for channel in range(3):  # red, green, blue
        np.testing.assert_array_equal(data.x[5:, ..., channel], scaled(second[2][:, channel]))
    assert data.classes[3] == "cat" and len(data.classes) == 10


def test_no_picture_is_read_twice(tmp_path):
    content = records(5)[0]
    (tmp_path / "data_batch_1.bin").write_bytes(content)
    (tmp_path / "data_batch_1.bin.gz").write_bytes(gzip.compress(content))
    (tmp_path / "test_batch.bin").write_bytes(content)
    (tmp_path / "test_batch_first2.bin").write_bytes(content[: 2 * RECORD])
    data = cifar10(tmp_path)
    assert len(data.x) == 5 and len(data.x_test) == 5


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("data_batch_1.bin", b"", "records of 3073 bytes.*got 0 bytes"),
        ("data_batch_1.bin", records(2)[0][:-1], "data_batch_1.bin must be records of 3073 bytes.*got 6145 bytes"),
        ("data_batch_1.bin", bytes(10_001 * RECORD), "got more than 30730000 bytes"),
        ("data_batch_1.bin", b"\x0a" + bytes(RECORD - 1), "labels from 0 to 9, got 10 at row 0"),
        ("data_batch_1.bin.gz", gzip.compress(records(2)[0])[:-3], "data_batch_1.bin.gz must be whole"),
        ("data_batch_1.bin.gz", gzip.compress(bytes(100_000_000), 9), "got more than 30730000 bytes"),
        ("data_batch_1.bin.gz", records(1)[0], "gzip data"),
        ("other.bin", records(1)[0], "holds data_batch_1.bin or data_batch_1.bin.gz"),
    ],
)
def test_a_spoiled_batch_is_named(tmp_path, name, content, says):
    (tmp_path / "test_batch.bin").write_bytes(records(1)[0])
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=says):
        cifar10(tmp_path)


def test_a_missing_test_part_is_named(tmp_path):
    (tmp_path / "data_batch_1.bin").write_bytes(records(1)[0])
    with pytest.raises(InputError, match="holds test_batch.bin"):
        cifar10(tmp_path)


BATCHES = [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]


def archive(path, members, kind=tarfile.REGTYPE):
    with tarfile.open(path, "w:gz", compresslevel=1) as tar:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size, member.type = len(content), kind
            member.linkname = "/etc/passwd" if kind != tarfile.REGTYPE else ""
            tar.addfile(member, io.BytesIO(content))


@pytest.fixture
def small_batches(monkeypatch):
    """Batches of two records stand for those of 10,000."""
    monkeypatch.setattr(readers, "_BATCH", 2 * RECORD)
    return {name: records(2, seed) for seed, name in enumerate(BATCHES)}


def test_the_archive_is_read_in_the_order_of_its_names(tmp_path, small_batches, monkeypatch):
    members = [(f"cifar-10-batches-bin/{name}", content) for name, (content, _, _) in reversed(small_batches.items())]
    archive(tmp_path / "a.tar.gz", [("cifar-10-batches-bin/readme.html", b"<html>"), *members, ("../evil.bin", b"x")])
    monkeypatch.setattr(readers, "fetch_cifar10", lambda: tmp_path / "a.tar.gz")
    before = sorted(Path(tmp_path).rglob("*"))
    data = cifar10()
    assert data.x.shape == (10, 32, 32, 3) and data.x_test.shape == (2, 32, 32, 3)
    np.testing.assert_array_equal(data.y, np.concatenate([small_batches[name][1] for name in BATCHES[:5]]))
    np.testing.assert_array_equal(data.x_test[..., 2], scaled(small_batches["test_batch.bin"][2][:, 2]))
    assert sorted(Path(tmp_path).rglob("*")) == before  # nothing is unpacked to the disk


def test_a_spoiled_archive_is_named(tmp_path, small_batches, monkeypatch):
    path = tmp_path / "a.tar.gz"
    monkeypatch.setattr(readers, "fetch_cifar10", lambda: path)
    members = [(f"cifar-10-batches-bin/{name}", content) for name, (content, _, _) in small_batches.items()]
    archive(path, members[:-1])
    with pytest.raises(InputError, match="holds cifar-10-batches-bin/test_batch.bin"):
        cifar10()
    archive(path, [*members[:-1], (members[-1][0], bytes(RECORD))])
    with pytest.raises(InputError, match="test_batch.bin must be 6146 bytes, got 3073 bytes"):
        cifar10()
    archive(path, [(name, b"") for name, _ in members], kind=tarfile.SYMTYPE)
    with pytest.raises(InputError, match="holds cifar-10-batches-bin"):
        cifar10()
    archive(path, members)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(InputError, match="whole, undamaged"):
        cifar10()
    path.write_bytes(gzip.compress(b"no archive" * 1000))
    with pytest.raises(InputError, match="a.tar.gz"):
        cifar10()


def test_digits_are_those_of_scikit_learn():
    datasets = pytest.importorskip("sklearn.datasets")
    original = datasets.load_digits()
    data = digits(0.0)
    assert data.x.shape == (1797, 8, 8, 1) and data.x_test.shape == (0, 8, 8, 1)
    ours = [(label, (x * 16).astype(np.uint8).tobytes()) for x, label in zip(data.x, data.y.tolist(), strict=True)]
    theirs = [(int(y), x.astype(np.uint8).tobytes()) for x, y in zip(original.images, original.target, strict=True)]
    assert sorted(ours) == sorted(theirs)


def test_digits_need_no_other_file_and_little_room():
    assets = list(Path(readers.__file__).with_name("assets").glob("*.gz"))
    assert sum(path.stat().st_size for path in assets) < 60_000
    assert (digits().x.max(), digits().x.min()) == (1, 0)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.2, 1 / 3, 0.5, 0.99])
def test_digits_split_every_class_alike(share):
    data = digits(share)
    assert len(data.x_test) == len(data.y_test) == int(1797 * share)
    assert len(data.x) + len(data.x_test) == 1797
    counts = np.bincount(np.concatenate([data.y, data.y_test]), minlength=10)
    assert np.abs(np.bincount(data.y_test, minlength=10) - share * counts).max() <= 1


def test_digits_split_is_the_same_for_ever():
    """Figures written down once: another machine, Python or numpy must give them too."""
    data = digits()
    assert data.y[:10].tolist() == [0, 6, 9, 8, 4, 4, 4, 5, 3, 1]
    content = b"".join(part.tobytes() for part in data[:4])
    assert hashlib.sha256(content).hexdigest() == "293d3b88f854d3f666f912c2481af1993bd3e1fcaa3448fd383d1c021a60d2da"


def test_digits_seed_moves_the_split_and_loses_nothing():
    one, two = digits(seed=1), digits(seed=2)
    assert not np.array_equal(one.y_test, two.y_test)
    for data in (one, two):
        rows = np.concatenate([data.x, data.x_test]).reshape(1797, 64)
        assert sorted(rows.sum(axis=1)) == sorted(digits(0.0).x.reshape(1797, 64).sum(axis=1))


@pytest.mark.parametrize("arguments", [{"test_fraction": 1.0}, {"test_fraction": -0.1}, {"test_fraction": "a"},
                                       {"test_fraction": np.nan}, {"seed": -1}, {"seed": 0.5}])  # fmt: skip
def test_digits_refuse_what_is_out_of_range(arguments):
    with pytest.raises(InputError, match=f"digits: {next(iter(arguments))} must be"):
        digits(**arguments)


REAL = os.environ.get("JAXANN_DATA")
needs_data = pytest.mark.skipif(REAL is None, reason="JAXANN_DATA names no folder with the real data sets")


@needs_data
def test_the_real_mnist():
    data = mnist(Path(REAL) / "mnist")
    assert data.x.shape == (60_000, 28, 28, 1) and data.x_test.shape == (10_000, 28, 28, 1)
    assert data.y[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert np.bincount(data.y).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(data.y_test).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert (data.x.min(), data.x.max()) == (0, 1)
    assert abs(float(data.x.mean(dtype=np.float64)) - 0.1306604762738431) < 1e-7  # the mean everybody quotes


@needs_data
def test_the_real_cifar10():
    data = cifar10(Path(REAL) / "cifar10")
    assert data.x.shape == (10_000, 32, 32, 3) and data.x_test.shape == (1_000, 32, 32, 3)
    assert [data.classes[label] for label in data.y[:4]] == ["frog", "truck", "truck", "deer"]
    assert data.classes[data.y_test[0]] == "cat"
    np.testing.assert_array_equal(data.x[0, 0, 0], np.array([59, 62, 63], np.float32) / np.float32(255))
