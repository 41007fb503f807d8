"""Codes of categories as the mean target of their examples, and how to do that to the training rows themselves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxann.core.checks import check_array, check_choice, check_integer, check_key, check_range, fail, is_concrete, show
from jaxann.core.factories import factory
from jaxann.core.preprocessor import Preprocessor, PreprocessorFunctions
from jaxann.core.typing import Array, Key, Scalar
from jaxann.preprocessing.codes import check_sizes, code_columns, is_known
from jaxann.preprocessing.columns import columns_of, counted, namespace, narrowed, rowwise

__all__ = ["cross_fit", "target_encode"]


@factory(Preprocessor, static=("sizes",), traits=("fills_missing", "reads_targets"))
def target_encode(sizes: tuple[int, ...], *, smoothing: Scalar | str = "auto"):
    """z = share m + (1 - share) M, with m the mean target of the n examples of code x, M of all, share = n / (n + s).

    Args:
        sizes: how many codes each column has, as `ordinal`'s `sizes(state)` gives.
        smoothing: s, how many examples of the mean M are added to each code; 0 takes m as it is. "auto" takes v / V for
            s, code by code, with v the variance of the targets of the code and V of all (empirical Bayes): the more
            the code says of the target, the less it is smoothed.

    **The training rows have met their own targets.** A code of one example becomes that example's target, so a model
    that is trained on `fit_transform` of its rows learns to trust what new rows will not have. Train on
    `cross_fit(target_encode(...), x, y)`, where no row's own target is in what it becomes, and `transform` new rows.

    y is `(examples,)`: numbers, or 0 and 1 for two classes; or `(examples, targets)`, such as one column of 0 and 1 for
    each class, for which z has `columns * targets` columns, those of a column of x side by side. A target of NaN
    counts nowhere. What is no code (missing, less than 0, not below the size), and a code without examples, becomes M.

    State: `encodings` `(all codes, targets)`, those of one column after those of the other; `mean` `(targets,)`. It
    learns from sums: counts, means and squared deviations of each code.

    Peers: as scikit-learn's TargetEncoder, whose fit_transform cross-fits and is not fit and transform; here each has
    its own name.

    Source: Micci-Barreca, A preprocessing scheme for high-cardinality categorical attributes, SIGKDD Explorations
    2001, equations 3 to 6.

    Raises:
        InputError: an argument is none; x is not `(examples, columns)` or `(examples,)` of whole numbers; y is missing,
            or not of so many rows.
    """
    check_sizes("target_encode", sizes)
    if isinstance(smoothing, str):
        check_choice("target_encode", "smoothing", smoothing, ("auto",))
    else:
        check_range("target_encode", "smoothing", smoothing, 0)

    def measure(x, where, y):
        codes = code_columns("target_encode", x, sizes)
        if codes.ndim > 2:
            fail("target_encode", "x", "of shape (examples, columns) or (examples,)", f" shape {tuple(codes.shape)}")
        targets = _targets("target_encode", y, len(codes))
        xp = namespace(codes, targets)
        codes, targets = xp.asarray(codes), xp.asarray(targets)
        real = counted("target_encode", xp.zeros_like(codes), where).reshape(-1, len(sizes))
        codes = codes.reshape(-1, len(sizes))
        there = real & is_known(codes, sizes)
        everyone = xp.zeros(len(codes), np.int32)
        moments = [_moments(targets, everyone, xp.any(real, 1), 1)]
        for i, size in enumerate(sizes):
            own = xp.where(there[:, i], codes[:, i], size).astype(np.int32)
            moments.append(_moments(targets, own, there[:, i], size))
        return {name: xp.concatenate([one[name] for one in moments]) for name in moments[0]}

    def merge(a, b):
        xp = namespace(a["mean"], b["mean"])
        if a["mean"].shape != b["mean"].shape:
            fail("target_encode", "sums", f"of {a['mean'].shape[1]} targets", f" {b['mean'].shape[1]}")
        count = a["count"] + b["count"]
        share = b["count"] / xp.maximum(count, 1)
        apart = b["mean"] - a["mean"]
        squares = a["squares"] + b["squares"] + apart * apart * a["count"] * share
        return {"count": count, "mean": a["mean"] + apart * share, "squares": squares}

    def compute(sums):
        count, mean = sums["count"], sums["mean"]
        xp = namespace(count, mean)
        variance = sums["squares"] / xp.maximum(count, 1)
        n = count[1:]
        total = xp.broadcast_to(mean[:1], n.shape)
        if isinstance(smoothing, str):
            weight, otherwise = xp.broadcast_to(variance[:1], n.shape) * n, variance[1:]
        else:
            weight, otherwise = n, smoothing + xp.zeros_like(n)
        whole = weight + otherwise
        share = xp.where(whole > 0, weight / xp.where(whole > 0, whole, 1), 0)
        return {"encodings": total + share * (mean[1:] - total), "mean": mean[0]}

    def transform(state, x):
        codes = code_columns("target_encode", x, sizes)
        columns = codes[:, None] if codes.ndim == 1 else codes
        encodings, mean = state["encodings"], state["mean"]
        xp = namespace(columns, encodings, mean)
        if encodings.shape[0] != sum(sizes):
            fail("target_encode", "state", f"of {sum(sizes)} codes", f" {encodings.shape[0]}")
        there = is_known(columns, sizes)
        firsts: Any = np.cumsum([0, *sizes[:-1]]).astype(np.int32)
        # Whatever is unknown is looked up in the row of the mean, which comes last.
        places = xp.where(there, xp.where(there, columns, 0).astype(np.int32) + rowwise(firsts, columns), sum(sizes))
        z = xp.concatenate([encodings, mean[None]])[places]
        return narrowed(z.reshape((*columns.shape[:-1], len(sizes) * mean.shape[0])), x)

    def named(state, names):
        targets = state["mean"].shape[0]
        if targets == 1:
            return names
        return [f"{name}_{target}" for name in names for target in range(targets)]

    return PreprocessorFunctions(transform, None, measure, merge, compute, names=named)


def cross_fit(
    preprocessor: Preprocessor,
    x: Array,
    y: Array,
    *,
    folds: int | Iterable[tuple[np.ndarray, np.ndarray]] = 5,
    key: Key | None = None,
    where: Array | None = None,
) -> Array:
    """The training rows, each changed by what was learned from the other folds alone: its own target has no say.

    For a model to be trained on; new rows are changed by what is learned from all: `fit` and `transform`.

    Args:
        preprocessor: one that reads targets, `target_encode`.
        x, y: the training rows and their targets.
        folds: how many folds, from 2 to the number of rows; or pairs of train rows and validation rows, such as
            `ja.tune.k_fold` and `ja.tune.stratified_k_fold` give, whose validation rows are every row once.
        key: shuffles the rows before they are dealt out to so many folds; None deals them out in turn.
        where: what counts, as in `fit`.

    Returns:
        z of every row, in the order of x.

    Raises:
        InputError: an argument is none, or as the preprocessor's `fit`.

    Peers: fit_transform of scikit-learn's TargetEncoder, with the same folds.
    """
    if not isinstance(preprocessor, Preprocessor):
        fail("cross_fit", "preprocessor", "a preprocessor", preprocessor)
    check_array("cross_fit", "x", x)
    _targets("cross_fit", y, len(x))
    pairs = _dealt("cross_fit", folds, len(x), key)
    if any(isinstance(rows, jax.Array) for rows in pairs[0]):  # traced, which indexes no array of numpy's
        x, y, where = jax.tree.map(jnp.asarray, (x, y, where))
    z, order = [], []
    for train, validation in pairs:
        state = preprocessor.fit(x[train], None if where is None else where[train], y[train])
        z.append(preprocessor.transform(state, x[validation]))
        order.append(validation)
    xp = namespace(*z, *order)
    return xp.concatenate(z)[xp.argsort(xp.concatenate(order))]


def _dealt(function: str, folds: Any, rows: int, key: Key | None) -> list[tuple[Any, Any]]:
    """Pairs of train rows and validation rows."""
    if not isinstance(folds, int | np.integer | str):
        if not isinstance(folds, Iterable):
            fail(function, "folds", "a number of folds, or pairs of train rows and validation rows", folds)
        pairs = [(np.asarray(train), np.asarray(validation)) for train, validation in folds]
        every = np.concatenate([validation for _, validation in pairs]) if pairs else np.zeros(0)
        if key is not None:
            fail(function, "key", "None where the folds are given", " a key")
        if not np.array_equal(np.sort(every), np.arange(rows)):
            fail(function, "folds", f"with each of {rows} rows once for validation", f" {len(every)} validation rows")
        for train, validation in pairs:
            if np.isin(validation, train).any():
                fail(function, "folds", "of train rows that are not validation rows of the same fold", " some that are")
        return pairs
    check_integer(function, "folds", folds, 2)
    number = int(folds)
    if number > rows:
        fail(function, "folds", f"at most the number of rows ({rows})", folds)
    order: Any = np.arange(rows)
    if key is not None:
        check_key(function, key)
        order = jax.random.permutation(key, rows)
        order = np.asarray(order) if is_concrete(order) else order
    turns = np.arange(rows) % number
    return [(order[turns != fold], order[turns == fold]) for fold in range(number)]


def _targets(function: str, y: Any, rows: int) -> Array:
    """y `(examples, targets)`, in float64 or float32 or better.

    Raises:
        InputError: it is not of so many rows, or no array of finite numbers.
    """
    check_array(function, "y", y)
    if getattr(y, "ndim", 0) not in (1, 2) or y.shape[0] != rows:
        fail(function, "y", f"of shape ({rows},) or ({rows}, targets), a row for each of x", f" {show(y)}")
    if is_concrete(y) and (infinite := np.isinf(np.asarray(y, np.float64))).any():
        first = ", ".join(map(str, np.argwhere(infinite)[0]))
        fail(function, "y", "finite, or NaN where it is missing", f" an infinite number at [{first}]")
    return columns_of(function, y).reshape(rows, -1 if y.ndim == 1 else y.shape[1])


def _moments(targets: Array, codes: Array, there: Array, size: int) -> dict[str, Array]:
    """Counts, means and squared deviations of the targets of each code, `(size, targets)` each."""
    xp = namespace(targets, codes)
    real = there[:, None] & ~xp.isnan(targets)
    values = xp.where(real, targets, 0)
    count = _by_code(real.astype(targets.dtype), codes, size)
    mean = _by_code(values, codes, size) / xp.maximum(count, 1)

    def off(mean: Array) -> Array:
        padded = xp.concatenate([mean, xp.zeros((1, mean.shape[1]), mean.dtype)])
        return xp.where(real, targets - padded[codes], 0)

    mean = mean + _by_code(off(mean), codes, size) / xp.maximum(count, 1)  # what rounding left of the sum
    return {"count": count, "mean": mean, "squares": _by_code(off(mean) ** 2, codes, size)}


def _by_code(values: Any, codes: Any, size: int) -> Any:
    """Sums of the rows of each code; those of code `size` belong to none."""
    if namespace(values, codes) is jnp:
        return jnp.zeros((size + 1, values.shape[1]), values.dtype).at[codes].add(values)[:size]
    columns = [np.bincount(codes, values[:, i], size + 1)[:size] for i in range(values.shape[1])]
    return np.stack(columns, 1)
