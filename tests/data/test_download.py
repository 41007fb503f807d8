"""The download: known checksums, every mirror tried, plain words when it fails. Nothing here uses a network."""

from __future__ import annotations

import builtins
import gzip
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from jaxann.core import MissingDependencyError
from jaxann.data import cifar10, download, mnist

pooch = pytest.importorskip("pooch")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The user's cache folder, empty."""
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / project)
    return tmp_path / "jaxann"


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A table from address to content in the place of the network, and the addresses asked for."""
    table, asked = {}, []

    def downloader(url, output_file, pooch_object, check_only=False):
        asked.append(url)
        if url not in table:
            raise OSError(f"no route to {url}")
        Path(output_file).write_bytes(table[url])

    monkeypatch.setattr(pooch.core, "choose_downloader", lambda url, **options: downloader)
    return table, asked


@pytest.fixture
def published(monkeypatch):
    """Small files in the place of MNIST's, with their checksums in the table."""
    files = {}
    for part, count in (("train", 5), ("t10k", 2)):
        x, y = np.full((count, 28, 28), 255, np.uint8), np.arange(count, dtype=np.uint8)
        for name, array in ((f"{part}-images-idx3-ubyte.gz", x), (f"{part}-labels-idx1-ubyte.gz", y)):
            head = bytes((0, 0, 8, array.ndim)) + b"".join(n.to_bytes(4, "big") for n in array.shape)
            files[name] = gzip.compress(head + array.tobytes())
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    monkeypatch.setattr(download, "_MNIST_SHA256", digests)
    return files


def test_mnist_is_downloaded_once_and_kept(cache, server, published):
    table, asked = server
    table |= {download._MNIST_MIRRORS[0] + name: content for name, content in published.items()}
    data = mnist()
    assert data.x.shape == (5, 28, 28, 1) and data.y_test.tolist() == [0, 1] and data.x.min() == 1
    assert len(asked) == 4 and sorted(os.listdir(cache / "mnist")) == sorted(published)
    mnist()
    assert len(asked) == 4


def test_a_file_with_another_checksum_is_never_used(cache, server, published):
    table, asked = server
    first, second = download._MNIST_MIRRORS
    table |= {first + name: b"something else" for name in published}
    with pytest.raises(ConnectionError, match=r"(?s)train-images.* must succeed.*SHA256.*no route.*folder="):
        mnist()
    assert not (cache / "mnist").exists() or os.listdir(cache / "mnist") == []
    table |= {second + name: content for name, content in published.items()}
    assert mnist().y.tolist() == [0, 1, 2, 3, 4]  # the other mirror has the true files


def test_a_damaged_file_in_the_cache_is_fetched_again(cache, server, published):
    table, asked = server
    table |= {download._MNIST_MIRRORS[0] + name: content for name, content in published.items()}
    mnist()
    (cache / "mnist" / "t10k-labels-idx1-ubyte.gz").write_bytes(b"damaged")
    assert mnist().y_test.tolist() == [0, 1] and len(asked) == 5


def test_cifar10_asks_for_the_published_archive(cache, server, monkeypatch):
    _, asked = server
    with pytest.raises(ConnectionError, match="cifar10: the download of cifar-10-binary.tar.gz must succeed"):
        cifar10()
    assert asked == ["https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"]


@pytest.mark.parametrize("reader", [mnist, cifar10])
def test_without_pooch_the_message_says_what_to_install(reader, monkeypatch):
    real = builtins.__import__

    def without_pooch(name, *args, **kwargs):
        if name == "pooch":
            raise ModuleNotFoundError("No module named 'pooch'")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_pooch)
    with pytest.raises(MissingDependencyError, match=r'(?s)pip install "jaxann\[data\]".*folder='):
        reader()


def test_importing_the_room_imports_no_pooch_and_opens_no_socket():
    code = (
        "import sys; sys.addaudithook(lambda e, a: e.startswith('socket') and print('used', e))\n"
        "import jaxann.data; print('pooch' in sys.modules)"
    )
    place = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=place)
    assert run.stdout.split() == ["False"]


def test_the_checksums_are_those_of_the_real_files():
    """Three files are at hand as published; the training pictures in another packing, with the published content."""
    if "JAXANN_DATA" not in os.environ:
        pytest.skip("JAXANN_DATA names no folder with the real data sets")
    folder = Path(os.environ["JAXANN_DATA"]) / "mnist"
    for name, digest in download._MNIST_SHA256.items():
        if name != "train-images-idx3-ubyte.gz":
            assert pooch.file_hash(folder / name) == digest
    content = gzip.decompress((folder / "train-images-idx3-ubyte.gz").read_bytes())
    assert hashlib.md5(content).hexdigest() == "6bbc9ace898e44ae57da46a324031adb"
