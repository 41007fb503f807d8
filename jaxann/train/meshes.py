"""Meshes with explicit axis types: the training program leaves the layout of what it computes to the compiler.

A step gathers a batch out of the data by index, and no type says where such rows should lie. So arrays that come on an
explicit mesh are handed to the program on a mesh of the same devices and names whose axes are automatic: the same
placement, nothing is copied.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from jax.core import Tracer
from jax.sharding import AxisType, Mesh, NamedSharding

from jaxann.core.checks import refuse_traced

__all__ = ["automatic_mesh", "on_automatic_meshes"]


def on_automatic_meshes(tree: Any) -> Any:
    """The arrays as they lie, those on a mesh with explicit axes on its automatic twin."""
    try:
        leaves = jax.tree.leaves(tree, is_leaf=_holds_no_arrays)
    except ValueError:  # of keys that cannot be sorted, which the checks tell
        return tree
    if not any(map(_explicit, leaves)):
        return tree

    def one(leaf: Any) -> Any:
        if not _explicit(leaf):
            return leaf
        return jax.device_put(leaf, NamedSharding(_twin(leaf.sharding.mesh), leaf.sharding.spec))

    return jax.tree.map(one, tree, is_leaf=_holds_no_arrays)


def _holds_no_arrays(node: Any) -> bool:
    """Whether it is a list of numbers, or what can be gone through once only: neither is taken apart."""
    if isinstance(node, list):
        return all(isinstance(one, int | float | list) for one in node)
    return isinstance(node, Iterator)


def _explicit(leaf: Any) -> bool:
    """Whether an array lies on a mesh with explicit axes."""
    if isinstance(leaf, int | float | np.ndarray):  # most leaves of a recipe; the next question takes longer
        return False
    if not isinstance(leaf, jax.Array) or isinstance(leaf, Tracer):
        return False
    return isinstance(leaf.sharding, NamedSharding) and not _automatic(leaf.sharding.mesh)


@contextlib.contextmanager
def automatic_mesh() -> Iterator[None]:
    """Within (or in a function decorated with it) a mesh set with `jax.set_mesh` has automatic axes."""
    try:
        current = jax.sharding.get_mesh()
    except ValueError:  # it can only be asked for where nothing is traced
        refuse_traced("fit", "each argument")
    if current.empty or _automatic(current):
        yield
        return
    with jax.set_mesh(_twin(current)):
        yield


def _automatic(mesh: Any) -> bool:
    return all(kind == AxisType.Auto for kind in mesh.axis_types)


def _twin(mesh: Any) -> Mesh:
    return Mesh(mesh.devices, mesh.axis_names, axis_types=(AxisType.Auto,) * len(mesh.axis_names))
