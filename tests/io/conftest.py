"""Building files by hand, well-formed and otherwise."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import pytest

from jaxann.io import save
from jaxann.models import mlp

ZEROS = "0" * 64


class Saved(NamedTuple):
    """A saved model, and its file taken apart."""

    path: Path
    model: Any
    params: Any
    state: Any
    metadata: dict[str, str]  # the checksum is zero
    table: dict[str, Any]
    data: bytes


def craft(table, data: bytes = b"", metadata=None, *, checksum: bool = True) -> bytes:
    """A file with a true checksum, so that nothing but its own fault can have it refused.

    `table` is the JSON object of tensors, or the whole header as text or bytes; 64 zeros in it stand for the checksum.
    """
    if isinstance(table, dict):
        head = {"__metadata__": ({"sha256": ZEROS} if checksum else {}) | (metadata or {})}
        table = json.dumps(head | table, separators=(",", ":"))
    text = table.encode() if isinstance(table, str) else table
    whole = struct.pack("<Q", len(text)) + text + data
    digest = hashlib.sha256(whole).hexdigest()
    return whole.replace(b'"sha256":"' + ZEROS.encode(), b'"sha256":"' + digest.encode(), 1)


@pytest.fixture(scope="session", name="craft")
def craft_fixture():
    return craft


@pytest.fixture(scope="session")
def saved(tmp_path_factory) -> Saved:
    model = mlp((16, 10), activation="tanh", dropout=0.2, batch_norm=True)
    params, state = model.init(jax.random.key(0), jax.ShapeDtypeStruct((1, 4), jnp.float32))
    path = tmp_path_factory.mktemp("saved") / "model.safetensors"
    save(path, model, params, state)
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    table = json.loads(content[8 : 8 + length])
    metadata = table.pop("__metadata__") | {"sha256": ZEROS}
    return Saved(path, model, params, state, metadata, table, content[8 + length :])


@pytest.fixture
def forge(saved, tmp_path):
    """A file like the saved one with some texts and tensors changed (None: left out), and a true checksum."""

    def change(metadata=(), tensors=(), data=None) -> Path:
        texts, table = saved.metadata | dict(metadata), saved.table | dict(tensors)
        texts, table = ({name: v for name, v in d.items() if v is not None} for d in (texts, table))
        path = tmp_path / "forged.safetensors"
        path.write_bytes(craft(table, saved.data if data is None else data, texts))
        return path

    return change
