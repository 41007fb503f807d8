"""Directions in which data vary most: fewer columns, uncorrelated ones, or white ones in the space of x."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxann.core.checks import check_choice, check_flag, check_integer, check_range, fail, is_concrete
from jaxann.core.factories import factory
from jaxann.core.preprocessor import Preprocessor, PreprocessorFunctions
from jaxann.core.typing import Array, Scalar, State
from jaxann.preprocessing.columns import (
    beside,
    check_columns,
    columns_of,
    counted,
    namespace,
    narrowed,
    nonzero,
    rowwise,
)

__all__ = ["pca", "zca"]

_HINT = "Fill them in beforehand: chain(impute(), ...)."


@factory(Preprocessor, static=("components", "iterations", "oversampling", "seed"))
def pca(
    components: int,
    *,
    whiten: bool = False,
    solver: str = "full",
    iterations: int = 7,
    oversampling: int = 10,
    seed: int = 0,
):
    """z = V (x - mean), the rows of V being the directions of largest variance: X - mean = U S V is their SVD.

    Args:
        components: how many directions are kept, from the one of largest variance on.
        whiten: whether each column of z is divided by its deviation, which makes all variances 1.
        solver: "full" takes the whole SVD apart; "randomized" looks for the first directions only, in a few products
            with a narrow matrix of random numbers, and suits `components` that are few among many columns.
        iterations: of "randomized": how often it goes over the data and back again, which brings out what is large.
        oversampling: of "randomized": by how many columns the narrow matrix is wider than `components`.
        seed: of the random numbers of "randomized".

    State: `mean` `(columns,)`, `components` `(components, columns)`, `variance` and `variance_ratio` `(components,)`.
    Variances divide by n - 1; ratios are shares of the variance of all columns; a variance that is rounding alone is 0,
    and is not divided by. Of each direction the entry of largest magnitude is positive. With "full" it also learns from
    sums: count, mean and the scatter matrix, from whose eigenvectors it finds the same where no variance is below some
    1e-6 of the largest; smaller ones lose digits, and those below 1e-15 (1e-6 in 32 bits) are lost.

    Peers: as scikit-learn's PCA, signs too; with "randomized" to rounding only where the variances fall off, since the
    random numbers are others.

    Source: Halko, Martinsson and Tropp 2011, "Finding Structure with Randomness", algorithms 4.4 and 5.1.

    Raises:
        InputError: an argument is out of range; there are fewer columns or examples than components; a number is
            missing (where it is known when called: in a program such a row does not count, and is changed to NaN).
    """
    check_integer("pca", "components", components)
    check_flag("pca", "whiten", whiten)
    check_choice("pca", "solver", solver, ("full", "randomized"))
    check_integer("pca", "iterations", iterations, 0)
    check_integer("pca", "oversampling", oversampling, 0)
    check_integer("pca", "seed", seed, 0)

    def check_size(count, columns):
        most = min(int(count), columns) if is_concrete(count) else columns
        if components > most:
            got = f" {components} for {f'{int(count)} examples of ' if is_concrete(count) else ''}{columns} columns"
            fail("pca.fit", "components", "at most the smaller of the numbers of examples and columns", got)

    def fit(x, where, y):
        values, weight = _rows("pca", x, where)
        count, mean, off = _centred(values, weight)
        check_size(count, values.shape[1])
        total = namespace(off).sum(off * off)
        if solver == "full":
            _, singular, directions = namespace(off).linalg.svd(off, full_matrices=False)
        else:
            width = min(components + oversampling, *off.shape)
            singular, directions = _randomized(off, width, iterations, seed)
        # Of the smaller side: with the larger one, a million rows in 32 bits would make noise of all but the first.
        noise = max(16, min(off.shape)) * float(np.finfo(off.dtype).eps)
        xp = namespace(singular)
        squares = xp.where(singular <= noise * singular[:1], 0, singular * singular)
        return _state(mean, squares[:components], directions[:components], total, count)

    def compute(sums):
        check_size(sums["count"], sums["mean"].shape[0])
        squares, directions = _eigen(sums["scatter"])
        total = namespace(sums["scatter"]).trace(sums["scatter"])
        return _state(sums["mean"], squares[:components], directions[:components], total, sums["count"])

    def scale(state):
        deviation = namespace(state["variance"]).sqrt(state["variance"])
        return nonzero(deviation) if whiten else namespace(deviation).ones_like(deviation)

    def transform(state, x):
        off = _off("pca", state, x)
        z = _product(off, _turned(beside(state["components"], off)))
        return narrowed(z / rowwise(scale(state), z), x)

    def inverse(state, z):
        wide = columns_of("pca", z)
        check_columns("pca", state["variance"], wide)
        x = _product(wide * rowwise(scale(state), wide), beside(state["components"], wide))
        return narrowed(x + rowwise(state["mean"], x), z)

    def names(state, names):
        return tuple(f"pca{number}" for number in range(components))

    if solver == "randomized":
        return PreprocessorFunctions(transform, inverse, fit=fit, names=names)
    return PreprocessorFunctions(
        transform, inverse, lambda x, where, y: _scatter("pca", x, where), _joined, compute, fit, names
    )


@factory(Preprocessor)
def zca(*, eps: Scalar = 1e-6):
    """z = V^T (V (x - mean) / sqrt(variance + eps)): white as by `pca`, and turned back to where x was.

    Of all white data it is the nearest to x: a picture still looks like one.

    Args:
        eps: is added to each variance, so that directions in which nothing varies are not blown up; it is of the
            square of the size of x.

    State: `mean` `(columns,)`, `components` `(columns, columns)`, `variance` `(columns,)`, as of `pca`. It learns from
    sums: count, mean and the scatter matrix.

    Peers: scikit-learn has none; Keras' ImageDataGenerator(zca_whitening=True) divides by n, and by
    sqrt(variance + 1e-6) by default.

    Source: Bell and Sejnowski 1997, "The 'independent components' of natural scenes are edge filters".

    Raises:
        InputError: eps is below 0; a number is missing, as in `pca`.
    """
    check_range("zca", "eps", eps, 0)

    def compute(sums):
        squares, directions = _eigen(sums["scatter"])
        total = namespace(sums["scatter"]).trace(sums["scatter"])
        state = _state(sums["mean"], squares, directions, total, sums["count"])
        return {name: state[name] for name in ("mean", "components", "variance")}

    def turned(state, off, power):
        components, variance = beside(state["components"], off), beside(state["variance"], off)
        scale = nonzero(variance + eps) ** power
        scores = _product(off, _turned(components))
        return _product(scores * rowwise(scale, scores), components)

    def transform(state, x):
        return narrowed(turned(state, _off("zca", state, x), -0.5), x)

    def inverse(state, z):
        wide = columns_of("zca", z)
        check_columns("zca", state["mean"], wide)
        return narrowed(turned(state, wide, 0.5) + rowwise(state["mean"], wide), z)

    return PreprocessorFunctions(transform, inverse, lambda x, where, y: _scatter("zca", x, where), _joined, compute)


def _rows(function: str, x: Array, where: Array | None) -> tuple[Array, Array]:
    """The rows of x, and 1 for each that counts: `(n, columns)` and `(n,)`."""
    wide = columns_of(function, x)
    if wide.ndim < 2:
        fail(f"{function}.fit", "x", "of shape (examples, ..., columns)", f" shape {tuple(wide.shape)}")
    xp = namespace(wide)
    asked = counted(function, xp.zeros_like(wide), where)
    real = asked & ~namespace(wide, asked).isnan(wide)
    if is_concrete(real):
        missing = np.asarray(asked) & np.isnan(np.asarray(wide))
        if missing.any():
            fail(f"{function}.fit", "x", "without missing numbers", f" {int(missing.sum())} of them", hint=_HINT)
        if (np.asarray(asked).any(-1) != np.asarray(asked).all(-1)).any():
            fail(f"{function}.fit", "where", "the same for all columns of a row", " rows that count in part")
    weight = namespace(real).all(real, -1).reshape(-1)
    return wide.reshape(-1, wide.shape[-1]), weight.astype(wide.dtype)


def _centred(values: Array, weight: Array) -> tuple[Array, Array, Array]:
    """Number of rows that count, their mean, and what each differs from it; 0 for a row that does not count."""
    xp = namespace(values, weight)
    there = xp.broadcast_to(weight[:, None] > 0, values.shape)
    count = xp.sum(weight)
    mean = xp.sum(xp.where(there, values, 0), 0) / xp.maximum(count, 1)
    off = xp.where(there, values - rowwise(mean, values), 0)
    mean = mean + xp.sum(off, 0) / xp.maximum(count, 1)  # what rounding left of the sum
    return count, mean, xp.where(there, values - rowwise(mean, values), 0)


def _scatter(function: str, x: Array, where: Array | None) -> State:
    count, mean, off = _centred(*_rows(function, x, where))
    return {"count": count, "mean": mean, "scatter": _product(_turned(off), off)}


def _joined(a: State, b: State) -> State:
    xp = namespace(a["mean"], b["mean"])
    count = a["count"] + b["count"]
    share = b["count"] / xp.maximum(count, 1)
    apart = b["mean"] - a["mean"]
    scatter = a["scatter"] + b["scatter"] + apart[:, None] * apart[None, :] * (a["count"] * share)
    return {"count": count, "mean": a["mean"] + apart * share, "scatter": scatter}


def _eigen(scatter: Array) -> tuple[Array, Array]:
    """Eigenvalues, the largest first, 0 where they are rounding alone, and eigenvectors as rows."""
    xp = namespace(scatter)
    values, vectors = xp.linalg.eigh(scatter)
    values, directions = values[::-1], vectors.T[::-1]
    noise = scatter.shape[0] * float(np.finfo(scatter.dtype).eps)
    return xp.where(values <= noise * values[:1], 0, values), directions


def _randomized(off: Array, width: int, iterations: int, seed: int) -> tuple[Array, Array]:
    """The first singular values of X and directions, from its products with a narrow random matrix."""
    xp = namespace(off)
    drawn: Any = np.random.default_rng(seed).standard_normal((off.shape[1], width))
    basis = xp.linalg.qr(_product(off, beside(drawn, off)))[0]
    for _ in range(iterations):  # an orthonormal basis at each half keeps what is small from drowning in what is large
        other = xp.linalg.qr(_product(_turned(off), basis))[0]
        basis = xp.linalg.qr(_product(off, other))[0]
    _, singular, directions = xp.linalg.svd(_product(_turned(basis), off), full_matrices=False)
    return singular, directions


def _state(mean: Array, squares: Array, directions: Array, total: Array, count: Array) -> State:
    xp = namespace(directions)
    largest = xp.take_along_axis(directions, xp.argmax(xp.abs(directions), 1)[:, None], 1)
    return {
        "mean": mean,
        "components": directions * xp.broadcast_to(xp.where(largest < 0, -1, 1).astype(mean.dtype), directions.shape),
        "variance": squares / xp.maximum(count - 1, 1),
        "variance_ratio": squares / nonzero(total),
    }


def _off(function: str, state: State, x: Array) -> Array:
    """What x differs by from the mean that was learned."""
    wide = columns_of(function, x)
    check_columns(function, state["mean"], wide)
    if is_concrete(wide) and (missing := np.isnan(np.asarray(wide))).any():
        fail(function, "x", "without missing numbers", f" {int(missing.sum())} of them", hint=_HINT)
    return wide - rowwise(state["mean"], wide)


def _turned(matrix: Array) -> Array:
    return namespace(matrix).swapaxes(matrix, 0, 1)


def _product(a: Array, b: Array) -> Array:
    """a b in full precision, which accelerators do not take of themselves."""
    if isinstance(a, jax.Array) or isinstance(b, jax.Array):
        return jnp.matmul(a, b, precision="highest")
    return a @ b
