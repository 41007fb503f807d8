"""The workloads: which rows, which layer sizes, how many epochs a turn; and their way to the worker processes."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from benchmarks.contenders.base import Task

DATA_VARIABLE = "JAXANN_DATA"
"""Environment variable: the folder that holds `mnist/`."""

ARRAYS = ("x", "y", "x_test", "y_test")
Arrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Workload:
    """One piece of work that every contender does."""

    load: Callable[[], Arrays]
    """Returns training rows, their classes, test rows, their classes."""
    sizes: tuple[int, ...]
    """Features, hidden units layer by layer, classes."""
    batch_size: int
    epochs: int
    """Epochs of one turn."""
    quick_epochs: int
    about: str

    def flops(self, rows: int) -> int:
        """Model FLOPs of one epoch: what the matrix products need, and nothing else.

        With P weights in the matrices, a row costs 2P forward, 2P for the gradient of the weights and 2P for the
        gradient of the inputs; the first layer's inputs need no gradient, so that 2 * features * units are not due.
        Biases, activations, loss and optimizer are left out, and so are rows of padding.
        """
        weights = sum(a * b for a, b in pairwise(self.sizes))
        return rows * (6 * weights - 2 * self.sizes[0] * self.sizes[1])


class MissingDataError(Exception):
    """The files of a workload are not on this machine."""


def read_idx(path: Path) -> np.ndarray:
    """Read a gzipped idx file of bytes."""
    raw = gzip.decompress(path.read_bytes())
    shape = tuple(np.frombuffer(raw, ">i4", count=raw[3], offset=4).tolist())
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(shape)


def load_mnist() -> Arrays:
    """60,000 training and 10,000 test images, one row each, pixels in [0, 1]."""
    folder = Path(os.environ.get(DATA_VARIABLE, ".")) / "mnist"
    try:
        images = [read_idx(folder / f"{part}-images-idx3-ubyte.gz") for part in ("train", "t10k")]
        labels = [read_idx(folder / f"{part}-labels-idx1-ubyte.gz") for part in ("train", "t10k")]
    except FileNotFoundError as error:
        raise MissingDataError(
            f"no {Path(error.filename).name}: set {DATA_VARIABLE} to the folder with mnist/"
        ) from None
    rows = [part.reshape(len(part), -1).astype(np.float32) / 255 for part in images]
    return rows[0], labels[0], rows[1], labels[1]


def load_rows80() -> Arrays:
    """80 rows of noise with 301 features, 10 of each of 8 classes; tested on the same rows."""
    x = np.random.default_rng(0).normal(size=(80, 301)).astype(np.float32)
    y = np.arange(80) % 8
    return x, y, x, y


def load_digits() -> Arrays:
    """scikit-learn's 1,797 digits of 8 by 8 pixels in [0, 1], a fixed fifth of them for the test."""
    from sklearn.datasets import load_digits as load
    from sklearn.model_selection import train_test_split

    x, y = load(return_X_y=True)
    x, x_test, y, y_test = train_test_split(x / 16, y, test_size=0.2, random_state=0, stratify=y)
    return x, y, x_test, y_test


def load_iris() -> Arrays:
    """All 150 irises, standardised; tested on the same rows."""
    from sklearn.datasets import load_iris as load

    x, y = load(return_X_y=True)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    return x, y, x, y


WORKLOADS: dict[str, Workload] = {
    "mnist-512-512": Workload(load_mnist, (784, 512, 512, 10), 128, 1, 1, "60,000 images, test set of 10,000"),
    "mnist-128": Workload(load_mnist, (784, 128, 10), 32, 1, 1, "60,000 images, test set of 10,000"),
    "rows80": Workload(load_rows80, (301, 100, 8), 80, 200, 20, "80 rows of noise; accuracy on the same rows"),
    "digits": Workload(load_digits, (64, 100, 10), 200, 50, 5, "1,437 images of 8 by 8 pixels, 360 for the test"),
    "iris": Workload(load_iris, (4, 16, 3), 150, 200, 20, "150 flowers; accuracy on the same rows"),
}

QUICK_ROWS = 6_000
"""Training rows that a quick run keeps: enough for a partial last batch on MNIST."""


def load_arrays(workload: Workload, *, quick: bool) -> Arrays:
    """Load the rows as float32 and the classes as int32, in order; a quick run keeps the first rows only."""
    x, y, x_test, y_test = workload.load()
    keep = QUICK_ROWS if quick else len(x)
    return (
        np.ascontiguousarray(x[:keep], np.float32),
        np.ascontiguousarray(y[:keep], np.int32),
        np.ascontiguousarray(x_test, np.float32),
        np.ascontiguousarray(y_test, np.int32),
    )


def write_task(folder: Path, workload: Workload, arrays: Arrays, seed: int) -> None:
    """Leave the task in `folder` for the workers: none of them then reads gzip files or imports a data library."""
    for name, array in zip(ARRAYS, arrays, strict=True):
        np.save(folder / f"{name}.npy", array)
    about = {"sizes": workload.sizes, "batch_size": workload.batch_size, "seed": seed}
    (folder / "task.json").write_text(json.dumps(about))


def read_task(folder: str) -> Task:
    """Read what `write_task` left."""
    about = json.loads((Path(folder) / "task.json").read_text())
    arrays = {name: np.load(Path(folder) / f"{name}.npy") for name in ARRAYS}
    return Task(tuple(about["sizes"]), about["batch_size"], about["seed"], **arrays)
