"""A model in one file: how it was made, its parameters and its state.

The file is a safetensors file. Tensors are named `params.<layer>.<leaf>` and `state.<layer>.<leaf>`; the metadata
holds the model as plain data (names out of a fixed table, never code) and the nesting of both trees, so that layers
without parameters keep their place.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxann.core.checks import check_unmasked, fail, is_concrete, show
from jaxann.core.config import FORMER, from_config, to_config
from jaxann.core.errors import InputError
from jaxann.core.products import Layer
from jaxann.core.results import apart
from jaxann.core.tables import factory_called, has_factory
from jaxann.core.typing import Params, State
from jaxann.io.agreement import disagreement
from jaxann.io.atomic import check_path, show_path
from jaxann.io.header import CODES, parse_json, refuse
from jaxann.io.header import show as show_text
from jaxann.io.safetensors import read_arrays, write_arrays

__all__ = ["load", "save"]

_VERSION = 1
_DEEPEST = 60
_HINT_X64 = 'JAX shortens 64-bit numbers unless told: jax.config.update("jax_enable_x64", True).'
_LARGEST_FREE_SIZE = 1 << 20  # a size in the model's arguments that needs no tensor of that size to be believed


@apart
def save(
    path: str | os.PathLike[str], model: Layer, params: Params, state: State, *, allow_nonfinite: bool = False
) -> None:
    """Write a model to one file; at any moment the path holds the old file or the new one, whole.

    Args:
        path: file to write, with any ending.
        model: a layer or model made by jaxann's factories, or by a factory of your own.
        params, state: nested dicts of arrays, from `model.init` or a trainer.
        allow_nonfinite: let NaN and infinities through.

    Raises:
        InputError: the model holds a function that has no name in jaxann's table; a tree is not nested dicts of
            arrays; params and state are none of this model; an array is not finite, or of a kind that cannot be stored;
            the path is a folder.
        OSError: the system refused; the text names the path. What the path held before is intact.
    """
    if not isinstance(model, Layer):
        hint = "A recipe's model is recipe.model." if isinstance(getattr(model, "model", None), Layer) else None
        fail("save", "model", "a layer or model made by a factory", model, hint=hint)
    config = to_config(model)
    arrays: dict[str, Any] = {}
    structure = {"params": _take_apart("params", params, arrays), "state": _take_apart("state", state, arrays)}
    wrong = disagreement(model, params, state)
    if wrong is not None:
        swapped = disagreement(model, state, params) is None
        hint = "They go in as params, state." if swapped else None
        fail("save", wrong[0], f"{wrong[1]}, as the model has it", f" {wrong[2]}", hint=hint)
    elements = sum(array.size for array in arrays.values())
    for expected, got in _suspicions(config, elements):
        raise InputError(f"save: the file must {expected}, got {got}.")
    metadata = {
        "format": "jaxann",
        "format_version": str(_VERSION),
        "jaxann_version": getattr(sys.modules["jaxann"], "__version__", "unknown"),
        "model": json.dumps(config, ensure_ascii=False, allow_nan=False, separators=(",", ":")),
        "structure": json.dumps(structure, ensure_ascii=False, separators=(",", ":")),
    }
    write_arrays("save", path, arrays, metadata, allow_nonfinite=allow_nonfinite)


def load(path: str | os.PathLike[str], *, allow_nonfinite: bool = False) -> tuple[Layer, Params, State]:
    """The model, parameters and state that `save` wrote, bit for bit.

    A file is not trusted: it names no code, nothing in it changes how it is checked, and nothing is set aside in
    memory for a size that it only states. A factory of your own must be defined before its model is loaded.

    Args:
        path: file to read.
        allow_nonfinite: let NaN and infinities through, to look at a model that diverged.

    Returns:
        `(model, params, state)`; the leaves are jax arrays on the default device.

    Raises:
        CheckpointError: the file is damaged, cut, foreign, of a newer format, or disagrees with itself (its arrays with
            its model, too); nothing of it
            is returned.
        OSError: there is no such file, or no permission.
    """
    where = f"load: {show_path(check_path('load', path))}"
    arrays, metadata = read_arrays("load", path, allow_nonfinite=allow_nonfinite, inspect=_check_version)
    for key in ("model", "structure"):
        if key not in metadata:
            refuse(where, f"have the metadata {key!r}", "none")
    structure = parse_json(where, metadata["structure"])
    if not isinstance(structure, dict) or set(structure) != {"params", "state"}:
        refuse(where, "have a structure of params and state", show_text(structure))
    elements = sum(array.size for array in arrays.values())
    trees = [_assemble(where, name, structure[name], arrays) for name in ("params", "state")]
    if arrays:
        refuse(where, "hold only tensors of its structure", f"the extra tensor {show_text(min(arrays))}")
    model = _rebuild(where, parse_json(where, metadata["model"], floats=True), elements)
    wrong = disagreement(model, *trees)
    if wrong is not None:
        refuse(where, f"hold {show_text(wrong[0])} {wrong[1]}, as its model has it", wrong[2])
    params, state = (jax.tree.map(jnp.asarray, tree) for tree in trees)
    return model, params, state


def _check_version(where: str, metadata: dict[str, str]) -> None:
    if metadata.get("format") != "jaxann":
        hint = "Arrays without a model are read by jaxann.io.load_arrays."
        refuse(where, "be a jaxann checkpoint", "a safetensors file without a jaxann model", hint=hint)
    version = metadata.get("format_version", "")
    if not version.isascii() or not version.isdecimal() or len(version) > 6 or int(version) < 1:
        refuse(where, "state the version of its format", show_text(version))
    if int(version) > _VERSION:
        writer = show_text(metadata.get("jaxann_version", "unknown"))
        hint = f"The file needs a newer jaxann; version {writer} wrote it."
        refuse(where, f"be of format version {_VERSION} or older", version, hint=hint)


def _take_apart(name: str, tree: Any, arrays: dict[str, Any], depth: int = 0) -> Any:
    """The nesting of a tree, `[dtype, shape]` at each leaf, while its leaves are entered in `arrays` by dotted name."""
    if isinstance(tree, dict):
        if depth >= _DEEPEST:
            raise InputError(f"save: {name} must be nested at most {_DEEPEST} deep.")
        for key in tree:
            if not isinstance(key, str) or "." in key or not key:
                raise InputError(f"save: each key of {name} must be a name without a dot, got {show(key)}.")
        return {key: _take_apart(f"{name}.{key}", branch, arrays, depth + 1) for key, branch in tree.items()}
    if depth == 0:
        raise InputError(f"save: {name} must be nested dicts of arrays, got {show(tree)}.")
    arrays[name] = array = _on_host(name, tree)
    return [CODES[array.dtype.name], list(array.shape)]


def _on_host(name: str, leaf: Any) -> np.ndarray:
    if not is_concrete(leaf):
        raise InputError(
            f"save: {name} must be a concrete array, got a traced one or a mere shape.\nCall save outside jit and vmap."
        )
    check_unmasked("save", name, leaf)
    if not isinstance(leaf, jax.Array | np.ndarray | np.generic):
        raise InputError(f"save: {name} must be an array, got {show(leaf)}.")
    if getattr(leaf.dtype, "name", "") not in CODES:
        hint = "\nStore a random key as jax.random.key_data(key)." if isinstance(leaf, jax.Array) else ""
        raise InputError(f"save: {name} must be of bool, an integer or a float dtype, got {leaf.dtype}.{hint}")
    if _is_shortened(leaf.dtype):
        raise InputError(f"save: {name} must be of at most 32 bits, got {leaf.dtype}.\n{_HINT_X64}")
    try:
        return np.asarray(leaf)
    except RuntimeError as error:  # donated to a jitted function, or spread over other hosts
        fail("save", name, "an array that can be read here", f" one that cannot: {error!s:.150}".rstrip("."))


def _is_shortened(dtype: np.dtype) -> bool:
    """Whether a jax array of this dtype would lose bits, as jax is set now."""
    return jax.dtypes.canonicalize_dtype(dtype) != dtype


def _suspicions(config: Any, elements: int) -> Iterator[tuple[str, str]]:
    """What in a model's plain data is no honest model's, as what it must be and what it is.

    That is a factory nobody defined, and a size that no tensor of the file bears out. Sizes are the integers among a
    factory's static arguments; numbers that only enter formulas may be as large as they like. Walked with a list rather
    than by recursion, since the nesting comes from a file.
    """
    limit = max(_LARGEST_FREE_SIZE, elements)
    pending = [("model", config, False)]
    while pending:
        name, value, static = pending.pop()
        if isinstance(value, dict) and isinstance(value.get("arguments"), dict):
            called = value.get("factory")
            name = FORMER.get(str(called), str(called))
            if not has_factory(name):
                yield "name factories that are defined, your own before the file is loaded", show_text(called)
            fixed = factory_called(name).static if has_factory(name) else ()
            pending.extend((n, v, n in fixed) for n, v in value["arguments"].items())
        elif isinstance(value, dict):
            pending.extend((name, v, static) for v in value.values())
        elif isinstance(value, list):
            pending.extend((name, v, static) for v in value)
        elif static and type(value) is int and abs(value) > limit:
            yield f"give {show_text(name)} of the model a size that its {elements} numbers allow", show_text(value)


def _rebuild(where: str, config: Any, elements: int) -> Layer:
    """The model from its plain data; what its factories refuse is the file's fault."""
    for expected, got in _suspicions(config, elements):
        refuse(where, expected, got)
    try:
        model = from_config(config)
    except InputError as error:
        refuse(where, "describe a model", f"a refusal by {str(error).splitlines()[0].rstrip('.')}")
    except Exception as error:  # a factory's body may fail in any way on arguments it was never given before
        refuse(where, "describe a model", f"{type(error).__name__}: {error!s:.200}")
    if not isinstance(model, Layer):
        refuse(where, "describe a layer or a model", f"an {type(model).__name__.lower()}")
    return model


def _assemble(where: str, name: str, node: Any, arrays: dict[str, np.ndarray], depth: int = 0) -> Any:
    """The nested dicts that `structure` describes; each leaf is taken out of `arrays` and compared."""
    if depth > _DEEPEST:
        refuse(where, f"be nested at most {_DEEPEST} deep", "more")
    if isinstance(node, dict):
        if not all(key and "." not in key for key in node):
            refuse(where, f"have keys without a dot under {show_text(name)}", show_text(list(node)))
        return {key: _assemble(where, f"{name}.{key}", branch, arrays, depth + 1) for key, branch in node.items()}
    if not isinstance(node, list) or len(node) != 2 or depth == 0:
        refuse(where, f"have a dtype and a shape for {show_text(name)} in its structure", show_text(node))
    if name not in arrays:
        refuse(where, f"hold the tensor {show_text(name)}", "none")
    array = arrays.pop(name)
    code, shape = CODES[array.dtype.name], list(array.shape)
    if [code, shape] != node:
        expected = f"hold {show_text(name)} as {show_text(node[0])} of shape {show_text(node[1])}"
        refuse(where, expected, f"{code} of shape {shape}")
    if _is_shortened(array.dtype):
        refuse(where, f"hold {show_text(name)} in at most 32 bits", array.dtype.name, hint=_HINT_X64)
    return array
