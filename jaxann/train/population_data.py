"""The data of a population: one set for all, or several of equal shape as rows of one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from jaxann.core.checks import fail
from jaxann.core.keys import pick_keys
from jaxann.core.typing import Key
from jaxann.train.crew import Fold
from jaxann.train.epoch import Data, Rows
from jaxann.train.inputs import as_data
from jaxann.train.recipes import Group, ingredients_of
from jaxann.train.shapes import check_shapes, for_model

__all__ = ["check_keys", "check_lanes", "folded", "joined", "prepared", "some_devices"]


def check_keys(function: str, keys: Any) -> int:
    """The number of members: a vector of typed keys, at least one.

    Raises:
        InputError: anything else.
    """
    dtype = getattr(keys, "dtype", None)
    typed = dtype is not None and jax.dtypes.issubdtype(dtype, jax.dtypes.prng_key)
    if not typed or keys.ndim != 1 or keys.shape[0] < 1:
        got = f" {'one key' if keys.shape == () else f'keys of shape {keys.shape}'}" if typed else keys
        fail(function, "keys", "typed keys, one for each member", got, hint="jax.random.split(jax.random.key(0), n)")
    return keys.shape[0]


def check_lanes(function: str, lanes: Any) -> None:
    """A positive integer, "all", or None.

    Raises:
        InputError: anything else.
    """
    if lanes is not None and lanes != "all" and (isinstance(lanes, bool) or not isinstance(lanes, int) or lanes < 1):
        fail(function, "lanes", 'a positive integer, "all", or None', lanes)


def some_devices(function: str, devices: Any) -> list:
    """The devices to train on, all local ones for None.

    Raises:
        InputError: there is none among them.
    """
    found = list(jax.local_devices() if devices is None else devices)
    if not found:
        fail(function, "devices", "at least one device", " none")
    return found


def joined(
    function: str, train: Any, validation: Any, dataset: Any, members: int
) -> tuple[Data, Data | None, Fold | None]:
    """Checked data; several sets come as one, with the rows of each.

    Raises:
        InputError: data are wrong, sets differ in shape, or `dataset` does not fit.
    """
    if not isinstance(train, list):
        if dataset is not None:
            fail(function, "train", "a list of data sets where `dataset` is given", f" a {type(train).__name__}")
        data = as_data(function, "train", train)
        return data, None if validation is None else as_data(function, "validation", validation), None
    if not train:
        fail(function, "train", "at least one data set", " an empty list")
    if dataset is None or np.shape(dataset) != (members,) or np.asarray(dataset).dtype.kind not in "iu":
        fail(function, "dataset", f"{members} whole numbers, the data set of each member", dataset)
    which = np.asarray(dataset)
    if which.min() < 0 or which.max() >= len(train):
        fail(
            function, "dataset", f"numbers in 0..{len(train) - 1}", f" {which[(which < 0) | (which >= len(train))][0]}"
        )
    if validation is not None and (not isinstance(validation, list) or len(validation) != len(train)):
        got = f" {len(validation)} of them" if isinstance(validation, list) else f" a {type(validation).__name__}"
        fail(function, "validation", f"a list of {len(train)} data sets, as `train`", got)
    data, rows = _joined(function, "train", train)
    held_out, held_rows = (None, None) if validation is None else _joined(function, "validation", validation)
    return data, held_out, Fold(rows, held_rows, which.astype(np.int32))


def _joined(function: str, argument: str, sets: Sequence[Any]) -> tuple[Data, Rows]:
    checked = [as_data(function, f"{argument}[{i}]", one) for i, one in enumerate(sets)]
    shapes = [[None if a is None else (a.shape, a.dtype) for a in one] for one in checked]
    for i, shape in enumerate(shapes):
        if shape != shapes[0]:
            fail(function, f"{argument}[{i}]", f"of the shapes of {argument}[0] {shapes[0]}", f" {shape}")
    size = checked[0][0].shape[0]
    whole = tuple(None if column[0] is None else np.concatenate(column) for column in zip(*checked, strict=True))
    index = np.arange(len(sets) * size, dtype=np.int32).reshape(len(sets), size)
    return whole, Rows(index, None)  # pyright: ignore[reportReturnType]


def folded(parts: Sequence[tuple[np.ndarray, np.ndarray]], which: np.ndarray) -> Fold:
    """A fold table from `(train rows, validation rows)` pairs, shorter ones padded.

    Args:
        parts: index arrays, a pair for each fold.
        which: int `(members,)`, each member's fold.
    """
    train, validation = (_table([pair[side] for pair in parts]) for side in (0, 1))
    return Fold(train, validation, np.asarray(which, np.int32))


def _table(rows: Sequence[np.ndarray]) -> Rows:
    counts = np.array([len(r) for r in rows], np.int32)
    longest = int(counts.max())
    index = np.stack([np.concatenate([r, np.full(longest - len(r), r[0])]) for r in rows]).astype(np.int32)
    return Rows(index, None if (counts == longest).all() else counts)


def prepared(
    function: str, groups: Sequence[Group], keys: Key, data: Data, held_out: Data | None
) -> tuple[Data, Data | None]:
    """The data as the models take them, checked against each group's first member.

    Raises:
        InputError: data do not fit a model or a loss.
    """
    firsts = [ingredients_of(g.recipe, jax.tree.map(lambda a: a[0], g.leaves)) for g in groups]
    key = pick_keys(keys, np.array(0))
    data, held_out = for_model(firsts[0], key, data, held_out)
    for group, parts in zip(groups, firsts, strict=True):
        if held_out is None and group.plan.stops_early and group.plan.monitor.startswith("validation"):
            fail(function, "validation", f"given to stop early on {group.plan.monitor!r}", None)
        check_shapes(function, group.plan, parts, key, data, held_out)
    return data, held_out
