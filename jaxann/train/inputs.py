"""Checks of the values a person hands in, once, on the host, before anything is compiled.

x and y are arrays, or trees of them (dicts, named tuples, `Padded`) whose leading axis is the examples; a list is read
as an array. Every refusal names the argument down to the leaf (`train x['tokens']`), what was given and what is
expected. Nothing is changed in place.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from jaxann.core.binding import bound
from jaxann.core.checks import check_unmasked, fail, is_concrete
from jaxann.core.padding import Padded
from jaxann.losses import labels_to_check
from jaxann.losses.heads import heads_of
from jaxann.train.batches import Batch, default_float

__all__ = ["as_array", "as_batch", "as_inputs", "check_labels", "is_one_array", "named_leaves"]

_LARGEST = 1e18  # squares of anything greater overflow float32


def as_array(function: str, argument: str, value: Any, *, features: bool) -> jax.Array | np.ndarray:
    """A checked array of a dtype a program can take: float32 (float64 under x64), bfloat16, int32 or bool.

    Args:
        function, argument: for the message.
        value: array, nested list, or anything numpy can read (a DataFrame of numbers).
        features: whether it is x, which needs an axis of features.

    Raises:
        InputError: None, a path, text, ragged rows, complex or sparse data, NaN or infinity, numbers too large for
            float32, or too few axes.
    """
    if value is None:
        fail(function, argument, "an array", None)
    if isinstance(value, str | bytes):
        fail(function, argument, "an array", value, hint="A path is not read here; see jaxann.data for readers.")
    check_unmasked(function, argument, value)
    if hasattr(value, "toarray"):
        size = f"{np.prod(value.shape) * 4:,} bytes"
        fail(
            function,
            argument,
            "a dense array",
            f" a sparse one of shape {value.shape}",
            hint=f"x.toarray() takes {size}.",
        )
    array = value if isinstance(value, jax.Array) else _read(function, argument, value)
    if array.ndim < (2 if features else 1):
        hint = "One feature: x.reshape(-1, 1); one example: x.reshape(1, -1)." if features and array.ndim == 1 else None
        expected = "of shape (examples, ...features)" if features else "of shape (examples, ...)"
        fail(function, argument, expected, f" shape {array.shape}", hint=hint)
    if not _seen(array):
        _check_values(function, argument, array)
        _remember(array)
    kind = np.dtype(array.dtype).kind
    if kind == "f" and array.dtype != default_float() and array.dtype.itemsize > 2:
        return array.astype(default_float())
    if kind == "f" and array.dtype.itemsize == 2:
        return array.astype(np.float32)
    if kind in "iu":
        return array.astype(np.int32) if array.dtype != np.int32 else array
    return array


_SEEN: dict[int, weakref.ref] = {}


def _seen(array: Any) -> bool:
    """Whether this very jax array was checked before. It cannot have changed since; a numpy array can."""
    known = _SEEN.get(id(array))
    return known is not None and known() is array


def _remember(array: Any) -> None:
    if isinstance(array, jax.Array):
        place = id(array)
        _SEEN[place] = weakref.ref(array, lambda _: _SEEN.pop(place, None))


def _read(function: str, argument: str, value: Any) -> np.ndarray:
    try:
        array = np.asarray(value)
    except ValueError:
        lengths = [len(row) if hasattr(row, "__len__") else 0 for row in value]
        row = next((i for i, n in enumerate(lengths) if n != lengths[0]), 0)
        got = f" row {row} of length {lengths[row]}, row 0 of length {lengths[0]}"
        fail(function, argument, "a rectangular array", got)
    if array.dtype.kind == "O":
        try:
            array = array.astype(np.float64)
        except (TypeError, ValueError):
            fail(function, argument, "an array of numbers", f" text or objects {_where_text(value, array)}",
                 hint="Encode text as numbers first.")  # fmt: skip
    if array.dtype.kind == "c":
        fail(function, argument, "an array of real numbers", f" {array.dtype}")
    if array.dtype.kind not in "fiub" and not jax.dtypes.issubdtype(array.dtype, np.floating):
        fail(
            function, argument, "an array of numbers", f" {array.dtype}", hint="Encode labels as integers 0..classes-1."
        )
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def _where_text(value: Any, array: np.ndarray) -> str:
    flat = array.reshape(len(array), -1) if array.ndim > 1 else array[:, None]
    for column in range(flat.shape[1]):
        for row in range(flat.shape[0]):
            try:
                float(flat[row, column])
            except (TypeError, ValueError):
                names = getattr(value, "columns", None)
                label = column if names is None else f"{names[column]!r}"
                return f"({str(flat[row, column])[:30]!r} in column {label}, row {row})"
    return ""


def _check_values(function: str, argument: str, array: Any) -> None:
    if jax.dtypes.issubdtype(array.dtype, np.complexfloating):
        fail(function, argument, "an array of real numbers", f" {array.dtype}")
    if not jax.dtypes.issubdtype(array.dtype, np.floating):
        if np.dtype(array.dtype).kind in "iu" and array.size and not np.can_cast(array.dtype, np.int32):
            host = np.asarray(array)
            low, high = int(host.min()), int(host.max())
            if high > 2**31 - 1 or low < -(2**31):
                got = f" {host.dtype} {f'up to {high}' if high > 2**31 - 1 else f'down to {low}'}"
                fail(function, argument, "integers from -2^31 to 2^31 - 1", got)
        return
    host = np.asarray(array)
    if _all_small(host):
        return
    finite = np.isfinite(host.astype(np.float64) if host.dtype.itemsize == 2 else host)
    if not finite.all():
        place = _place(np.argwhere(~finite)[0])
        what = f" {(~finite).sum()} of {host.size} not finite, the first at {place}"
        fail(function, argument, "finite", what)
    size = np.abs(host.astype(np.float64, copy=False))
    if size.size and size.max() > _LARGEST:
        place = _place(np.unravel_index(int(size.argmax()), size.shape))
        got = f" {size.max():.3g} at {place}"
        fail(function, argument, f"of numbers up to {_LARGEST:g}", got, hint="Standardize the data first.")


def _all_small(host: np.ndarray) -> bool:
    """Whether every number is finite and within the limit, in one pass over the data and without a copy.

    A sum of squares that is finite and small enough holds neither NaN nor infinity nor a large number.
    """
    if host.dtype in (np.float32, np.float64) and host.flags.c_contiguous:
        flat = host.reshape(-1)
        return bool(np.vdot(flat, flat) <= _LARGEST**2)
    return host.size == 0 or (float(host.max()) <= _LARGEST and float(host.min()) >= -_LARGEST)


def _place(index: Any) -> str:
    """`row 2, column 1` from an index of an array."""
    row, *rest = (int(i) for i in index)
    return f"row {row}" + (f", column {', '.join(map(str, rest))}" if rest else "")


def named_leaves(argument: str, tree: Any) -> list[tuple[str, Any]]:
    """The leaves of x or y with their names in messages, such as `train x['tokens']`."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree, is_leaf=is_one_array)
    return [(argument + jax.tree_util.keystr(path), leaf) for path, leaf in leaves]


def is_one_array(value: Any) -> bool:
    """Whether a value is one array (or something to be read as one), and no tree of several."""
    if isinstance(value, Mapping) or hasattr(value, "_fields"):
        return len(value) == 0
    return not (isinstance(value, tuple) and any(np.ndim(one) > 0 for one in value if hasattr(one, "dtype")))


def as_inputs(function: str, argument: str, value: Any, *, features: bool) -> Any:
    """x or y checked: an array, or the same tree of checked arrays, all of one length.

    Args:
        function, argument: for the message.
        value: an array or a tree of arrays; several arrays need no axis of features each.
        features: whether it is x, which needs an axis of features where it is one array.

    Raises:
        InputError: as `as_array`, for the leaf; or there is none, or lengths differ.
    """
    named = named_leaves(argument, value)
    if not named or (isinstance(value, Mapping | tuple) and len(value) == 0):
        fail(function, argument, "an array, or a tree with at least one", value)
    for name, leaf in named:
        if isinstance(leaf, Mapping | tuple) and len(leaf) == 0:
            fail(function, name, "an array", leaf)
    alone = len(named) == 1 and named[0][0] == argument
    leaves = [
        _mask(function, name, leaf)
        if name.endswith(".mask") and np.asarray(leaf).dtype == bool
        else as_array(function, name, leaf, features=features and alone)
        for name, leaf in named
    ]
    rows = leaves[0].shape[0]
    for (name, _), leaf in zip(named, leaves, strict=True):
        if leaf.shape[0] != rows:
            fail(function, name, f"as long as {named[0][0]} ({rows} rows)", f" {leaf.shape[0]} rows")
    structure = jax.tree.structure(value, is_leaf=is_one_array)
    checked = jax.tree.unflatten(structure, leaves)
    for node in jax.tree.leaves(checked, is_leaf=lambda node: isinstance(node, Padded)):
        if isinstance(node, Padded) and node.mask.shape != node.values.shape[:2]:
            expected = f"of the values' shape {node.values.shape[:2]}"
            fail(function, f"the mask of {argument}", expected, f" shape {node.mask.shape}")
    return checked


def _mask(function: str, name: str, leaf: Any) -> Any:
    if np.ndim(leaf) != 2:
        fail(function, name, "of shape (examples, time)", f" shape {np.shape(leaf)}")
    return leaf if isinstance(leaf, jax.Array) else np.asarray(leaf)


def as_batch(function: str, argument: str, data: Any) -> Batch:
    """`(x, y, weights)` checked, weights None where there are none.

    Raises:
        InputError: as `as_inputs`; or lengths differ, there are no rows or features, a weight is negative, or all of
            them are 0.
    """
    if not isinstance(data, tuple | list) or len(data) not in (2, 3):
        fail(function, argument, "a tuple (x, y) or (x, y, weights)", data)
    x = as_inputs(function, f"{argument} x", data[0], features=True)
    y = as_inputs(function, f"{argument} y", data[1], features=False)
    rows = jax.tree.leaves(x)[0].shape[0]
    for name, leaf in named_leaves(f"{argument} y", y):
        if leaf.shape[0] != rows:
            fail(function, name, f"as long as x ({rows} rows)", f" {leaf.shape[0]} rows")
    for name, leaf in named_leaves(f"{argument} x", x):
        if rows == 0 or leaf.size == 0:
            fail(function, name, "of at least one row and one feature", f" shape {leaf.shape}")
    weights = data[2] if len(data) == 3 else None
    if weights is None:
        return Batch(x, y)
    weights = as_array(function, f"{argument} weights", weights, features=False)
    if weights.shape[0] != rows:
        got = f" shape {weights.shape}"
        fail(function, f"{argument} weights", f"of shape ({rows},), one an example, or one for each value", got)
    host = np.asarray(weights)
    if (host < 0).any():
        place = np.argwhere(host < 0)[0]
        fail(function, f"{argument} weights", "at least 0", f" {host[tuple(place)]:g} at {_place(place)}")
    if not host.any():
        fail(function, f"{argument} weights", "positive somewhere", " only zeros")
    return Batch(x, y, weights.astype(default_float()))


def check_labels(function: str, argument: str, targets: Any, predictions: Any, loss: Callable) -> None:
    """Integer labels must be in 0..classes-1 where the predictions have one more axis, the classes.

    The loss says which targets are labels: those that it ignores are none, and padding is none.

    Raises:
        InputError: a label is outside; the first is named with its row.
    """
    heads = heads_of(loss)
    if heads is not None:
        for name, own in heads.items():
            if isinstance(targets, Mapping) and isinstance(predictions, Mapping):
                check_labels(function, f"{argument} y[{name!r}]", targets[name], predictions[name], own)
        return
    mask = None
    named = argument if argument.endswith("]") else f"{argument} y"
    if isinstance(targets, Padded):
        targets, mask = targets.values, np.asarray(targets.mask)
        if not mask.any():
            fail(function, named, "of at least one real position", " only padding")
    _check_counted(function, named, targets, loss)
    targets = labels_to_check(loss, targets)
    if targets is None or not hasattr(targets, "ndim") or not hasattr(predictions, "ndim"):
        return
    if predictions.ndim != targets.ndim + 1 or not jax.dtypes.issubdtype(targets.dtype, np.integer):
        return
    host, classes = np.asarray(targets), predictions.shape[-1]
    if mask is not None:
        host = np.where(mask.reshape(*mask.shape, *(1,) * (host.ndim - mask.ndim)), host, 0)
    if host.min() < 0 or host.max() >= classes:
        bad = np.argwhere((host < 0) | (host >= classes))[0]
        got = f" {host[tuple(bad)]} at row {bad[0]}"
        hint = f"The model has {classes} outputs; labels start at 0."
        if host.min() < 0:
            hint += " Labels to be left out: functools.partial(loss, ignore_index=...)."
        fail(function, named, f"labels in 0..{classes - 1}", got, hint=hint)


def _check_counted(function: str, named: str, targets: Any, loss: Callable) -> None:
    """At least one label is none of those that the loss is told to leave out."""
    ignored = bound(loss)[2].get("ignore_index")
    if ignored is None or not is_concrete(ignored) or not hasattr(targets, "dtype"):
        return
    if targets.size and (np.asarray(targets) == np.asarray(ignored)).all():
        fail(function, named, f"labels other than ignore_index={int(ignored)} somewhere", " no other")
