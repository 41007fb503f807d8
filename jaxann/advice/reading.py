"""Facts read from data, on the host, with numpy: nothing is compiled, and the same data give the same facts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxann.advice.facts import Facts, check_facts
from jaxann.advice.targets import read_target
from jaxann.core.checks import OUTSIDE, check_untraced, fail
from jaxann.core.padding import Padded
from jaxann.core.typing import Array
from jaxann.preprocessing.varied_columns import standardized
from jaxann.train.inputs import as_batch, as_inputs

__all__ = ["read_facts"]

_ROWS, _COLUMNS = 20_000, 256  # that are looked at; more would change no choice
_FAR = 20.0  # robust z of a number that heavy tails have
_VARIANCE = 0.95
_TABLE = ("categories", "numbers")
_PAIR = ("source", "target")


def read_facts(
    data: Any, task: str | None, inputs: str | None, bounds: tuple | None, levels: tuple[float, ...]
) -> Facts:
    """The facts of `(x, y)`, `(x, y, weights)`, or of x alone.

    Raises:
        InputError: data are none that can be trained on, or do not say what is to be learned from them.
    """
    check_untraced("recommend", "data", data, OUTSIDE)
    whole = isinstance(data, tuple | list) and not isinstance(data, Padded) and len(data) in (2, 3)
    raw = data[0] if whole and not hasattr(data, "_fields") else data
    _refuse_texts(raw)
    if raw is data:
        x, y = as_inputs("recommend", "data x", data, features=True, missing=True), None
    else:
        x, y, weights = as_batch("recommend", "data", data)
        if weights is not None and np.ndim(weights) == 1:
            counted = np.flatnonzero(np.asarray(weights))
            x, y = _rows(x, counted), _rows(y, counted)
    next_ids = _is_shifted(x, y)
    told = _kind(raw, x, inputs, next_ids=next_ids)
    found = {"inputs": told, "examples": int(_first(x).shape[0])} | _inputs_facts(told, x)
    if y is None:
        if task not in (None, "reconstruction"):
            fail("recommend", "data", f"a tuple (x, y) for {task!r}", " x alone")
        found |= {"task": "reconstruction"} | _columns_facts(told, x)
    else:
        found |= read_target(task, told, found["shape"], y, levels, next_ids=next_ids)
        found["bounds"], found["levels"] = bounds, levels
    _check_missing(told, found["task"], x)
    facts = check_facts("recommend", Facts(**found))
    if bounds is not None:
        _check_bounds(bounds, np.asarray(y))
    return facts


def _refuse_texts(x: Any) -> None:
    """Say of a table with texts in it which columns they are and what makes numbers of them."""
    table = np.asarray(x, dtype=object) if hasattr(x, "columns") else x
    if not isinstance(table, np.ndarray) or table.dtype.kind not in "OUST" or table.ndim != 2 or not len(table):
        return
    texts = [j for j in range(table.shape[1]) if any(isinstance(one, str | bytes) for one in table[:, j])]
    if not texts:
        return
    shown = ", ".join(map(str, texts[:8])) + (", ..." if len(texts) > 8 else "")
    hint = (
        f"codes = ja.preprocessing.ordinal(unknown='missing'); c = x[:, {texts[:8]}]; state = codes.fit(c); then "
        "data = ({'numbers': the other columns as floats, 'categories': codes.transform(state, c)}, y)."
    )
    fail(
        "recommend",
        "data x",
        "of numbers, or {'numbers': ..., 'categories': codes}",
        f" texts in columns {shown}",
        hint=hint,
    )


def _rows(tree: Any, rows: np.ndarray) -> Any:
    if isinstance(tree, Mapping):
        return {name: _rows(one, rows) for name, one in tree.items()}
    if isinstance(tree, Padded):
        return Padded(*(np.asarray(one)[rows] for one in tree))
    return np.asarray(tree)[rows]


def _first(x: Any) -> Array:
    """One array of x, for the number of examples."""
    leaf = next(iter(x.values())) if isinstance(x, Mapping) else x
    return leaf.values if isinstance(leaf, Padded) else leaf


def _plain(x: Any) -> np.ndarray:
    """The numbers, those of padding too."""
    return np.asarray(x.values if isinstance(x, Padded) else x)


def _is_shifted(x: Any, y: Any) -> bool:
    """Whether y is what comes next in x: the same ids, one position on."""
    if y is None or isinstance(x, Mapping) or isinstance(y, Mapping):
        return False
    a, b = _plain(x), _plain(y)
    whole = a.dtype.kind in "iu" and b.dtype.kind in "iu"
    if not whole or a.ndim != 2 or a.shape != b.shape or a.shape[1] < 2:
        return False
    real = _mask(x, a.shape)[:, 1:]
    return bool(real.any() and (a[:, 1:] == b[:, :-1])[real].all())


def _mask(x: Any, shape: tuple[int, ...]) -> np.ndarray:
    return np.asarray(x.mask) if isinstance(x, Padded) else np.ones(shape[:2], bool)


def _kind(raw: Any, x: Any, told: str | None, *, next_ids: bool) -> str:
    """What kind of inputs x are."""
    names = sorted(x) if isinstance(x, Mapping) else []
    if names in (["numbers"], ["categories"], list(_TABLE)):
        return _agreed(told, "table", x)
    if names == list(_PAIR):
        return _agreed(told, "pair", x)
    if names or isinstance(x, tuple) and not isinstance(x, Padded):
        shown = ", ".join(map(repr, names)) if names else "a tuple"
        expected = "one array, {'numbers', 'categories'} or {'source', 'target'}"
        hint = "Several inputs of other kinds: layers.parallel joins a net for each."
        fail("recommend", "data x", expected, f" {shown}", hint=hint)
    array = _plain(x)
    if array.ndim == 3 and str(getattr(raw, "dtype", "")) == "uint8" and told is None:
        hint = "Pictures: x[..., None]; sequences: inputs='sequences'."
        fail(
            "recommend",
            "data x",
            "(n, height, width, channels) or (n, time, features)",
            f" uint8 {array.shape}",
            hint=hint,
        )
    if array.ndim == 2 and array.dtype.kind in "iu":
        sequences = isinstance(x, Padded) or next_ids
        return _agreed(told, "ids", x) if sequences or told == "ids" else _agreed(told, "table", x)
    found = {2: "table", 3: "sequences", 4: "images"}.get(array.ndim)
    if found is None or (found != "sequences" and isinstance(x, Padded)):
        expected = "a table (n, features), sequences (n, time, features), or images (n, height, width, channels)"
        fail("recommend", "data x", expected, f" {array.dtype} of shape {array.shape}")
    return _agreed(told, found, x)


def _agreed(told: str | None, found: str, x: Any) -> str:
    if told is not None and told != found:
        shown = "a dict" if isinstance(x, Mapping) else f"{_plain(x).dtype} of shape {_plain(x).shape}"
        fail("recommend", "inputs", f"{found!r} for {shown}", told)
    return found


def _inputs_facts(kind: str, x: Any) -> dict[str, Any]:
    """Shape, and what there is to know of the numbers."""
    if kind == "pair":
        source, target = (_ids(name, x[name]) for name in _PAIR)
        return {
            "shape": source.shape[1:],
            "vocabulary": int(source.max()) + 1,
            "target_vocabulary": int(target.max()) + 1,
        }
    if kind == "ids":
        ids = _ids("data x", x)
        return {"shape": ids.shape[1:], "vocabulary": int(ids.max()) + 1}
    table = kind == "table" and isinstance(x, Mapping)
    categories: tuple[int, ...] = ()
    if table and "categories" in x:
        codes = np.asarray(x["categories"])
        if codes.ndim != 2 or codes.dtype.kind not in "iu":
            got = f" {codes.dtype} of shape {codes.shape}"
            fail(
                "recommend",
                "data x['categories']",
                "whole numbers (n, columns)",
                got,
                hint="preprocessing.ordinal makes codes.",
            )
        categories = tuple(max(1, int(top) + 1) for top in codes.max(0))
    if table and "numbers" not in x:
        return {"shape": (), "categories": categories}
    array = _plain(x["numbers"] if table else x)
    if table and array.ndim != 2:
        fail("recommend", "data x['numbers']", "of shape (n, columns)", f" shape {array.shape}")
    found: dict[str, Any] = {"shape": array.shape[1:], "categories": categories}
    real = array[_mask(x, array.shape)] if kind == "sequences" else array
    if kind != "images" and real.size:
        columns = _sample(real.reshape(-1, array.shape[-1]))
        found["missing"] = float(np.isnan(real).mean()) if real.dtype.kind == "f" else 0.0
        found["heavy"] = _heavy(columns)
        found["correlation"] = _correlation(columns) if kind == "table" else 0.0
    return found


def _ids(name: str, x: Any) -> np.ndarray:
    array = _plain(x)
    if array.ndim != 2 or array.dtype.kind not in "iu":
        fail("recommend", name, "ids, whole numbers (n, time)", f" {array.dtype} of shape {array.shape}")
    real = array[_mask(x, array.shape)]
    if not real.size or real.min() < 0:
        fail("recommend", name, "ids from 0 on", f" {real.min() if real.size else 'none'}")
    return np.where(_mask(x, array.shape), array, 0)


def _sample(columns: np.ndarray) -> np.ndarray:
    """Every so manieth row and the first columns, in float64, without columns that are empty."""
    step = max(1, -(-len(columns) // _ROWS))
    taken = columns[::step, :_COLUMNS].astype(np.float64)
    return taken[:, ~np.isnan(taken).all(0)]


def _heavy(columns: np.ndarray) -> float:
    """Share of the columns with a robust z above 20."""
    if not columns.size:
        return 0.0
    quartiles = np.nanquantile(columns, (0.25, 0.5, 0.75), axis=0)
    scale = (quartiles[2] - quartiles[0]) / 1.349
    known = scale > 0  # a column that is mostly one value has no scale to be far by
    far = np.nanmax(np.abs(columns - quartiles[1]), axis=0)
    return float((known & (far > _FAR * np.where(known, scale, 1))).mean())


def _correlation(columns: np.ndarray) -> float:
    z = standardized(columns) if columns.size else columns
    if z.shape[1] < 2:
        return 0.0
    products = np.abs(z.T @ z) / len(z)
    np.fill_diagonal(products, 0)
    return float(min(1.0, products.max()))


def _columns_facts(kind: str, x: Any) -> dict[str, Any]:
    """What is to be reconstructed: its size and scale, and how few numbers could have it."""
    if isinstance(x, Mapping) or kind not in ("images", "table"):
        fail("recommend", "data x", "one array of a table or of images, to reconstruct it", f" {kind}")
    array = _plain(x)
    flat = array.reshape(len(array), -1)
    found: dict[str, Any] = {"target_shape": array.shape[1:]}
    columns = _sample(flat)
    if kind == "table":
        wide = flat.astype(np.float64)
        deviation = wide.std(0)
        found["center"] = tuple(map(float, wide.mean(0)))
        found["deviation"] = tuple(float(s) if s > 0 else 1.0 for s in deviation)
    z = standardized(columns) if not np.isnan(columns).any() else np.zeros((1, 0))
    if z.shape[1]:
        variance = np.linalg.eigvalsh(z.T @ z)[::-1].cumsum()
        found["components"] = int(np.searchsorted(variance, _VARIANCE * variance[-1]) + 1)
    return found


def _check_missing(inputs: str, task: str, x: Any) -> None:
    """Missing numbers where a recommended model fills none in."""
    if inputs == "images" or task == "reconstruction":
        array = _plain(x)
        if array.dtype.kind == "f" and np.isnan(array).any():
            count, hint = int(np.isnan(array).sum()), "preprocessing.impute fills missing numbers in."
            fail(
                "recommend",
                "data x",
                f"without missing numbers for {task!r} from {inputs}",
                f" {count} of {array.size} NaN",
                hint=hint,
            )


def _check_bounds(bounds: tuple[float, float | None], y: np.ndarray) -> None:
    low, high = bounds
    if y.min() < low or (high is not None and y.max() > high):
        got = f" numbers from {y.min():g} to {y.max():g}"
        fail("recommend", "data y", f"within the bounds {low:g} to {'infinity' if high is None else f'{high:g}'}", got)
