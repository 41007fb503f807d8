"""Three sets of labelled pictures: the embedded digits, and MNIST and CIFAR-10 from their standard files.

A file is not trusted: the sizes it states are compared with its own size before memory is set aside, and compressed
data is unpacked no further than one byte past what the file may hold.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import math
import os
import struct
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from jaxann.core.checks import check_integer, check_range, fail
from jaxann.data.download import fetch_cifar10, fetch_mnist

__all__ = ["Dataset", "cifar10", "digits", "mnist"]

_CHUNK = 1 << 20
_BEST_RATIO = 1032  # deflate packs no more bytes than this into one
_TEN_DIGITS = tuple("0123456789")
_CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_RECORD = 1 + 3 * 32 * 32
_BATCH = 10_000 * _RECORD


class Dataset(NamedTuple):
    """Pictures and labels as numpy arrays, a training part and a test part.

    Attributes:
        x, x_test: `(n, height, width, channels)` float32 in [0, 1].
        y, y_test: `(n,)` int32, positions in `classes`.
        classes: the names of the classes.
    """

    x: np.ndarray
    y: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    classes: tuple[str, ...]


def digits(test_fraction: float = 0.2, *, seed: int = 0) -> Dataset:
    """1,797 handwritten digits of 8 x 8 pixels, part of the package: no download, no other library.

    The pictures are put in an order drawn from `seed` and split so that each class keeps its share in both parts. The
    order comes from SHA-256 alone: the same seed gives the same split on every machine, with every version of numpy.

    Args:
        test_fraction: share of the pictures in the test part, in [0, 1); of n pictures floor(n * share) are taken.
        seed: an integer from 0 up.

    Returns:
        x `(n, 8, 8, 1)`: counts of ink from 0 to 16, divided by 16.

    Raises:
        InputError: the share or the seed is out of range.

    Source: Alpaydin and Kaynak 1998, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository,
    https://doi.org/10.24432/C50P49, its test set, licence CC BY 4.0.
    """
    check_range("digits", "test_fraction", test_fraction, 0, 1, open_high=True)
    check_integer("digits", "seed", seed, 0)
    share = float(test_fraction)
    assets = Path(__file__).with_name("assets")
    x = _read_idx("digits", assets / "digits-images-idx3-ubyte.gz", (8, 8))
    y = _labels("digits", "digits", _read_idx("digits", assets / "digits-labels-idx1-ubyte.gz", ()), len(x))
    x = np.divide(x, 16, dtype=np.float32)[..., None]
    ranks = [hashlib.sha256(f"{seed}:{i}".encode()).digest() for i in range(len(x))]
    order = sorted(range(len(x)), key=ranks.__getitem__)
    # Along the pictures sorted by class, every 1/share-th goes to the test part: no class is off by more than one.
    by_class = sorted(order, key=y.__getitem__)
    chosen = {i for p, i in enumerate(by_class) if math.floor((p + 1) * share) > math.floor(p * share)}
    test = np.array([i for i in order if i in chosen], dtype=np.intp)
    train = np.array([i for i in order if i not in chosen], dtype=np.intp)
    return Dataset(x[train], y[train], x[test], y[test], _TEN_DIGITS)


def mnist(folder: str | os.PathLike[str] | None = None) -> Dataset:
    """MNIST, 70,000 handwritten digits of 28 x 28 pixels in grey: x `(n, 28, 28, 1)`.

    Args:
        folder: where the four files `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte`
            and `t10k-labels-idx1-ubyte` lie, plain or with `.gz`. None: they are downloaded once and kept (needs
            `pip install "jaxann[data]"`).

    Raises:
        InputError: a file is missing, cut, damaged, or not what its name says; the text names file and sizes.
        MissingDependencyError: a download is needed and pooch is missing.
        ConnectionError: the download failed.

    Source: LeCun, Cortes and Burges, The MNIST database of handwritten digits, 1998.
    """
    place = _folder("mnist", fetch_mnist() if folder is None else folder)
    x, y = _read_mnist_part(place, "train")
    x_test, y_test = _read_mnist_part(place, "t10k")
    return Dataset(x, y, x_test, y_test, _TEN_DIGITS)


def cifar10(folder: str | os.PathLike[str] | None = None) -> Dataset:
    """CIFAR-10, 60,000 colour pictures of 32 x 32 pixels: x `(n, 32, 32, 3)`, red, green, blue.

    Args:
        folder: where the files of the binary version lie, plain or with `.gz`: whichever `data_batch_*.bin` are there
            make the training part, `test_batch.bin` (or else any `test_batch*.bin`) the test part. None: the whole
            set is downloaded once and kept (needs `pip install "jaxann[data]"`).

    Raises:
        InputError: a file is missing, cut, damaged, or not what its name says; the text names file and sizes.
        MissingDependencyError: a download is needed and pooch is missing.
        ConnectionError: the download failed.

    Source: Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images.
    """
    if folder is None:
        train, test = _read_cifar10_archive(fetch_cifar10())
    else:
        place = _folder("cifar10", folder)
        train = [_read_batch(path) for path in _batch_files(place, "data_batch_*")]
        tests = _batch_files(place, "test_batch") or _batch_files(place, "test_batch*")
        test = [_read_batch(path) for path in tests]
        for name, pieces in (("data_batch_1.bin", train), ("test_batch.bin", test)):
            if not pieces:
                fail("cifar10", "folder", f"a folder that holds {name} or {name}.gz", f" {str(place)!r}")
    return Dataset(*_join(train), *_join(test), _CIFAR10_CLASSES)


def _folder(function: str, folder: str | os.PathLike[str]) -> Path:
    if not isinstance(folder, str | os.PathLike) or not os.path.isdir(folder):
        fail(function, "folder", "an existing folder", folder)
    return Path(folder)


@contextlib.contextmanager
def _open(function: str, path: Path) -> Iterator[gzip.GzipFile | IO[bytes]]:
    """The file's bytes, unpacked if its name ends in .gz; damage in the packing raises InputError."""
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else open(path, "rb") as stream:
            yield stream
    except (EOFError, zlib.error, gzip.BadGzipFile, tarfile.TarError) as error:
        fail(function, path.name, "whole, undamaged gzip data", f" {os.path.getsize(path)} bytes where: {error}")


def _read_up_to(stream: gzip.GzipFile | IO[bytes], count: int) -> bytes:
    """At most `count` bytes, in chunks, so that memory grows with what is there and not with what was announced."""
    pieces = []
    while count > 0 and (piece := stream.read(min(count, _CHUNK))):
        pieces.append(piece)
        count -= len(piece)
    return b"".join(pieces)


def _read_idx(function: str, path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """An idx file of unsigned bytes: `(n, *shape)` uint8.

    The format: two zero bytes, 8 for unsigned bytes, the number of axes; each axis as four bytes, big-endian; the data.
    """
    rank = 1 + len(shape)
    magic = bytes((0, 0, 8, rank))
    with _open(function, path) as stream:
        head = stream.read(4 + 4 * rank)
        if head[:4] != magic or len(head) != 4 + 4 * rank:
            fail(function, path.name, f"an idx file that starts with {magic.hex()}", f" {head[:4].hex() or 'no bytes'}")
        sizes = struct.unpack(f">{rank}I", head[4:])
        if sizes[1:] != shape or sizes[0] == 0:
            fail(function, path.name, f"of shape {('n', *shape)} with n > 0", f" shape {sizes}")
        count = math.prod(sizes)
        held = os.path.getsize(path)
        if count + len(head) > held * (_BEST_RATIO if path.suffix == ".gz" else 1):
            fail(function, path.name, f"{count + len(head)} bytes for shape {sizes}", f" a file of {held} bytes")
        data = _read_up_to(stream, count + 1)
    if len(data) != count:
        got = "more" if len(data) > count else f"{len(data) + len(head)} bytes"
        fail(function, path.name, f"{count + len(head)} bytes for shape {sizes}", f" {got}")
    return np.frombuffer(data, np.uint8).reshape(sizes)


def _read_mnist_part(place: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    paths = []
    for name in (f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte"):
        there = [path for path in (place / name, place / f"{name}.gz") if path.is_file()]
        if not there:
            fail("mnist", "folder", f"a folder that holds {name} or {name}.gz", f" {str(place)!r}")
        paths.append(there[0])
    x = _read_idx("mnist", paths[0], (28, 28))
    y = _labels("mnist", paths[1].name, _read_idx("mnist", paths[1], ()), len(x))
    return np.divide(x, 255, dtype=np.float32)[..., None], y


def _labels(function: str, name: str, labels: np.ndarray, count: int) -> np.ndarray:
    """Labels of ten classes, one a picture, as int32."""
    if len(labels) != count:
        fail(function, name, f"as long as its pictures, {count} labels", f" {len(labels)}")
    if (labels > 9).any():
        row = int(np.argmax(labels > 9))
        fail(function, name, "labels from 0 to 9", f" {labels[row]} at row {row}")
    return labels.astype(np.int32)


def _batch_files(place: Path, pattern: str) -> list[Path]:
    """Batch files in order; where one is there plain and packed, the plain one."""
    found: dict[str, Path] = {}
    for ending in (".bin", ".bin.gz"):
        for path in place.glob(pattern + ending):
            if path.is_file():
                found.setdefault(path.name.removesuffix(".gz"), path)
    return [found[name] for name in sorted(found)]


def _read_batch(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with _open("cifar10", path) as stream:
        data = _read_up_to(stream, _BATCH + 1)
    if len(data) == 0 or len(data) % _RECORD or len(data) > _BATCH:
        got = f"more than {_BATCH}" if len(data) > _BATCH else f"{len(data)}"
        fail("cifar10", path.name, f"records of {_RECORD} bytes, at most {_BATCH} bytes in all", f" {got} bytes")
    return _split_records(path.name, data)


def _split_records(name: str, data: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Records of a label and three planes, red, green and blue, as `(n, 32, 32, 3)` uint8 and `(n,)` int32."""
    records = np.frombuffer(data, np.uint8).reshape(-1, _RECORD)
    y = _labels("cifar10", name, records[:, 0], len(records))
    return records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), y


def _join(pieces: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    x = np.empty((sum(len(y) for _, y in pieces), 32, 32, 3), np.float32)
    np.concatenate([pictures for pictures, _ in pieces], out=x)
    x /= np.float32(255)
    return x, np.concatenate([y for _, y in pieces])


def _read_cifar10_archive(path: Path) -> tuple[list, list]:
    """The six batches out of the published archive, read as streams: nothing is unpacked to the disk."""
    names = [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]
    found = {}
    with _open("cifar10", path) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
        for member in archive:
            folder, _, name = member.name.rpartition("/")
            if folder != "cifar-10-batches-bin" or name not in names or not member.isreg():
                continue
            content = archive.extractfile(member)
            data = _read_up_to(content, _BATCH) if content is not None and member.size == _BATCH else b""
            if len(data) != _BATCH:
                fail("cifar10", f"{path.name}, {name}", f"{_BATCH} bytes", f" {member.size} bytes")
            found[name] = _split_records(name, data)
    for name in names:
        if name not in found:
            fail("cifar10", path.name, f"an archive that holds cifar-10-batches-bin/{name}", " none")
    return [found[name] for name in names[:5]], [found["test_batch.bin"]]
