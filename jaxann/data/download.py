"""Getting the standard data sets once, with known checksums, into the user's cache folder.

Nothing here runs unless a data set is asked for without a folder. pooch keeps a file only when its SHA-256 is the
published one, and downloads it once.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxann.core.errors import MissingDependencyError

__all__ = ["fetch_cifar10", "fetch_mnist"]

_MNIST_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
_MNIST_SHA256 = {
    "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}
_CIFAR10_MIRRORS = ("https://www.cs.toronto.edu/~kriz/",)
_CIFAR10_ARCHIVE = "cifar-10-binary.tar.gz"
_CIFAR10_SHA256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"


def fetch_mnist() -> Path:
    """The folder with MNIST's four packed files (11.6 MB), downloaded if they are not in the cache.

    Raises:
        MissingDependencyError: pooch is missing.
        ConnectionError: no mirror gave a file with the published checksum.
    """
    pooch = _import_pooch("mnist")
    folder = Path(pooch.os_cache("jaxann")) / "mnist"
    for name, digest in _MNIST_SHA256.items():
        _retrieve(pooch, "mnist", folder, name, digest, _MNIST_MIRRORS)
    return folder


def fetch_cifar10() -> Path:
    """The archive of CIFAR-10's binary version (170 MB), downloaded if it is not in the cache.

    Raises:
        MissingDependencyError: pooch is missing.
        ConnectionError: the server gave no file with the published checksum.
    """
    pooch = _import_pooch("cifar10")
    folder = Path(pooch.os_cache("jaxann")) / "cifar10"
    return _retrieve(pooch, "cifar10", folder, _CIFAR10_ARCHIVE, _CIFAR10_SHA256, _CIFAR10_MIRRORS)


def _import_pooch(function: str) -> Any:
    try:
        import pooch
    except ImportError as error:
        message = (
            f'{function}: the download needs pooch: pip install "jaxann[data]".\n'
            "Or download the files yourself and name their folder: folder=..."
        )
        raise MissingDependencyError(message) from error
    return pooch


def _retrieve(pooch: Any, function: str, folder: Path, name: str, digest: str, mirrors: Sequence[str]) -> Path:
    """One file from the first mirror that has it with the right checksum."""
    reasons = []
    for mirror in mirrors:
        try:
            found = pooch.retrieve(mirror + name, known_hash=f"sha256:{digest}", fname=name, path=folder)
        except (OSError, ValueError) as error:  # no connection, or another checksum
            reasons.append(f"{mirror}: {type(error).__name__}: {error!s:.150}")
        else:
            return Path(found)
    message = (
        f"{function}: the download of {name} must succeed, got {'; '.join(reasons)}.\n"
        f"Download it yourself and name its folder: {function}(folder=...)."
    )
    raise ConnectionError(message)
