"""The contenders, by name. Nothing is imported here but names: a missing package is reported, not an error."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.contenders.base import Contender

REFERENCE = "jaxann"
"""The contender that all ratios are taken against."""


@dataclass(frozen=True)
class Entry:
    """One row of the table of contenders."""

    packages: tuple[str, ...]
    """Importable packages it needs."""
    note: str
    """What it is, in one line."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Environment variables it needs before the import."""
    persistent_cache: bool = False
    """Whether its cold start is measured a second time with JAX's compilation cache on disk."""


CONTENDERS: dict[str, Entry] = {
    "jaxann": Entry(("jax", "jaxann"), "ja.fit, continued with resume=", persistent_cache=True),
    "raw_jax": Entry(("jax",), "hand-written JAX: one jitted scan over all epochs of a turn", persistent_cache=True),
    "torch_eager": Entry(("torch",), "PyTorch, tensors in memory, fused Adam"),
    "torch_compile": Entry(("torch",), "PyTorch, torch.compile around the training step"),
    "flax_nnx": Entry(("flax", "optax"), "Flax NNX: nnx.jit step with cached_partial, optax Adam"),
    "equinox": Entry(("equinox", "optax"), "Equinox: filter_jit step, optax Adam"),
    "keras": Entry(("keras", "jax"), "Keras on its JAX backend: model.fit", {"KERAS_BACKEND": "jax"}),
    "sklearn": Entry(("sklearn",), "scikit-learn MLPClassifier (always on the CPU)"),
}


def missing_packages(name: str) -> list[str]:
    """Packages that contender `name` needs and that are not installed."""
    return [package for package in CONTENDERS[name].packages if importlib.util.find_spec(package) is None]


def load_contender(name: str) -> type[Contender]:
    """Import the module of contender `name` and return its class."""
    return importlib.import_module(f"benchmarks.contenders.{name}").Contestant
