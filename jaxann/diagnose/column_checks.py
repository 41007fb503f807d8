"""The columns by themselves: their scale as the model gets them, and those that say nothing or the same as others."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np

from jaxann import preprocessing
from jaxann.core.typing import Inputs
from jaxann.diagnose.example_columns import (
    AMOUNTS,
    NAMES,
    PICTURES,
    SEQUENCES,
    InputArray,
    entry_names,
    example_columns,
    input_arrays,
    is_table,
    row_sample,
)
from jaxann.diagnose.verdicts import Remedy, Verdict
from jaxann.layers import preprocess, sequential
from jaxann.preprocessing.varied_columns import varies
from jaxann.train.recipe import Recipe

__all__ = ["input_scale", "useless_columns"]

_ROWS, _COLUMNS, _NUMBERS = 10_000, 1_024, 4_000_000
_SMALL, _LARGE = 1e-2, 30.0  # deviations; and no mean is larger
_FEW = 0.1  # share of columns that may be smaller than that
_FAR, _FAR_DEVIATIONS = 10.0, 4.0  # of a mean from 0: in itself, and in deviations
_RATIO = 1e3  # of the greatest deviation to the smallest
_PEAK = 10.0  # deviations; a column that departs further than that is rarely other than usual, and not small
_COPY = 1e-3  # deviations by which a copy may differ
_TOLD = 5  # rows that have another value than most: fewer may coincide in columns that have nothing in common
_SHOWN = 8


class _Channels(NamedTuple):
    names: list[str]
    mean: np.ndarray
    deviation: np.ndarray
    size: np.ndarray  # the deviation, and of columns that are rarely other than usual more


def input_scale(x: Inputs, rows: np.ndarray) -> Verdict | None:
    """The verdict, where columns are far from mean 0 and deviation 1.

    Of tables each column is looked at, of pictures and sequences each channel, as layers take them.

    Args:
        x: the inputs, as the model gets them.
        rows: numbers of the rows that count.
    """
    found = [_channels(one, rows) for one in input_arrays(x) if _is_scaled(one)]
    found = [one for one in found if len(one.mean)]
    if not found:
        return None
    names = [name for one in found for name in one.names]
    mean, deviation, size = (np.concatenate([getattr(one, f) for one in found]) for f in ("mean", "deviation", "size"))
    far = np.where(np.abs(mean) > _FAR_DEVIATIONS * deviation, np.abs(mean) / _FAR, 0)
    small = size < _SMALL
    if small.mean() < _FEW:  # some pixels of the rim: what they say is lost, and little it is
        size = np.maximum(size, _SMALL)
    beyond = np.maximum.reduce([far, np.abs(mean) / _LARGE, deviation / _LARGE, _SMALL / np.maximum(size, 1e-300)])
    ratio = float(size.max() / size.min())
    worst = [int(j) for j in np.argsort(-beyond, kind="stable") if beyond[j] > 1]
    if not worst and ratio <= _RATIO:
        return None
    if ratio > _RATIO:
        worst += [j for j in (int(size.argmax()), int(size.argmin())) if j not in worst]
    told = ", ".join(f"{names[j]} (mean {mean[j]:.3g}, deviation {deviation[j]:.3g})" for j in worst[:_SHOWN])
    more = f", and {len(worst) - _SHOWN} more" if len(worst) > _SHOWN else ""
    evidence = f"{len(worst)} of {len(names)} columns, and nothing brings them to one size: {told}{more}."
    if ratio > _RATIO:
        evidence += f" The greatest deviation is {ratio:.3g} times the smallest."
    severity = max(1.0, float(beyond.max()), ratio / _RATIO)
    remedy = Remedy(
        "Standardize first, as part of the model: layers.preprocess(preprocessing.standard()) in front of it learns "
        "means and deviations from the training rows of each run.",
        functools.partial(_standardized, x),
    )
    return Verdict("input_scale", evidence, tuple(names[j] for j in worst), severity, (remedy,))


def _is_scaled(array: InputArray) -> bool:
    """Whether its numbers are amounts: whole numbers of a table are names, those of pictures brightness."""
    whole = array.values.dtype.kind in "iub"
    return array.kind == AMOUNTS or array.kind == PICTURES or (array.kind == SEQUENCES and not whole)


def _channels(array: InputArray, rows: np.ndarray) -> _Channels:
    """Means and deviations over rows and places, of channels that vary."""
    each = max(1, int(np.prod(array.values.shape[1:])))
    taken = row_sample(rows, max(64, min(_ROWS, _NUMBERS // each)))
    values = array.values[taken]
    channels = values.shape[-1] if values.ndim > 1 else 1
    table = values.reshape(-1, channels) if array.mask is None else values[array.mask[taken]].reshape(-1, channels)
    table = table.astype(np.float64)
    there = np.flatnonzero(~np.isnan(table).all(0)) if table.size else np.zeros(0, np.int64)
    table = table[:, there]
    mean, deviation = np.nanmean(table, axis=0), np.nanstd(table, axis=0)
    peak = np.nanmax(np.abs(table - mean), axis=0, initial=0.0)
    known = varies(mean, deviation)
    whole = values.ndim <= 2
    names = entry_names(array, there[known]) if whole else [f"{array.name}[..., {j}]" for j in there[known]]
    size = np.maximum(deviation, peak / _PEAK)
    return _Channels(names, mean[known], deviation[known], size[known])


def _standardized(x: Inputs, recipe: Recipe) -> Recipe:
    """The recipe with its model behind a standardization."""
    arrays = input_arrays(x)
    scale: dict[str, Any] = {}
    for one in arrays:
        gaps = one.values.dtype.kind == "f" and bool(np.isnan(one.values).any())
        standard = preprocessing.standard()
        filled = preprocessing.chain(preprocessing.impute(), standard) if gaps else standard
        scale[one.name] = filled if _is_scaled(one) else None
    first = next(iter(scale.values()))
    if len(arrays) > 1 or arrays[0].name != "x":
        first = preprocessing.by_name({name.removeprefix("x['").removesuffix("']"): s for name, s in scale.items()})
    return recipe.replace(model=sequential({"standardize": preprocess(first), "net": recipe.model}))


def useless_columns(x: Inputs, rows: np.ndarray) -> Verdict | None:
    """The verdict, where columns are constant, or copies of others (also in other units).

    Args:
        x: the inputs; of tables alone: what stands at a place of pictures may well be the same for all of them.
        rows: numbers of the rows that count.
    """
    kinds = (AMOUNTS,) if len(input_arrays(x)) == 1 else (AMOUNTS, NAMES)  # alone, whole numbers are a sequence of ids
    sample = row_sample(rows, _ROWS)
    names, columns = example_columns(x, sample, kinds, _COLUMNS)
    if not names or len(rows) < 3:
        return None
    gaps = np.isnan(columns)
    constant = [j for j in range(len(names)) if _is_constant(columns[:, j], gaps[:, j])]
    varied = [j for j in range(len(names)) if j not in set(constant)]
    mean, deviation = np.nanmean(columns[:, varied], axis=0), np.nanstd(columns[:, varied], axis=0)
    z = np.where(gaps[:, varied], 0, (columns[:, varied] - mean) / deviation)
    products = np.abs(z.T @ z)
    lengths = np.sqrt(np.diag(products))  # of columns with gaps less than the root of the number of rows
    alike = products / np.outer(lengths, lengths)
    copies = []
    for b in range(len(varied)):
        for a in np.flatnonzero(alike[:b, b] > 0.999):
            sign = np.sign(z[:, a] @ z[:, b])
            same = np.abs(z[:, a] - sign * z[:, b]).max() <= _COPY and (gaps[:, varied[a]] == gaps[:, varied[b]]).all()
            if same and _unusual(columns[:, varied[b]]) >= _TOLD:
                copies.append((varied[b], varied[int(a)]))
                break
    if not constant and not copies:
        return None
    told = []
    if constant:
        told.append(f"Constant: {_listed([names[j] for j in constant])}.")
    if copies:
        told.append(f"Copies, but for scale and offset: {_listed([f'{names[b]} of {names[a]}' for b, a in copies])}.")
    useless = [*constant, *(b for b, _ in copies)]
    change = None
    if is_table(x) and len(names) == np.shape(x)[1] and len(useless) < len(names):  # type: ignore[arg-type]
        change = functools.partial(_without, tuple(j for j in range(len(names)) if j not in set(useless)))
    text = "Leave them out: they cost weights, and copies share one weight among them in any way."
    where = tuple(names[j] for j in useless)
    return Verdict("useless_columns", " ".join(told), where, 1.0 + len(useless) / len(names), (Remedy(text, change),))


def _is_constant(column: np.ndarray, gaps: np.ndarray) -> bool:
    """Whether it is always the same; where a number is missing may say something."""
    if gaps.any():
        return bool(gaps.all())
    return not bool(varies(column.mean(), column.std()))


def _unusual(column: np.ndarray) -> int:
    """How many rows have another value than most."""
    return len(column) - int(np.unique(column, return_counts=True)[1].max())


def _listed(texts: list[str]) -> str:
    return ", ".join(texts[:_SHOWN]) + (f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else "")


def _without(kept: tuple[int, ...], recipe: Recipe) -> Recipe:
    select = preprocess(preprocessing.select_columns(kept))
    return recipe.replace(model=sequential({"select": select, "net": recipe.model}))
