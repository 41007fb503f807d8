"""Shapley values: the output of a model shared out among the columns, by what each adds to every set of others."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import jax
import numpy as np

from jaxann.core.checks import check_integer, check_key, fail
from jaxann.core.products import Layer
from jaxann.core.results import apart
from jaxann.core.typing import Array, Inputs, Key, Params, State
from jaxann.diagnose.coalitions import ShapValues, all_coalitions, read_game, shared_out
from jaxann.train.recipe import Recipe

__all__ = ["exact_shap", "kernel_shap"]

_GROUPS = "groups= puts columns together"


@apart
def exact_shap(
    model: Layer | Recipe,
    params: Params,
    state: State,
    x: Inputs,
    background: Inputs,
    *,
    target: int | Array | None = None,
    groups: Sequence[Sequence[int]] | Mapping[str, Sequence[int]] | None = None,
    batch_size: int = 1024,
) -> ShapValues:
    """phi_j = sum over S without j of |S|! (M - |S| - 1)! / M! (v(S + j) - v(S)),  v(S) = mean f(x_S, background).

    The columns of S are the example's, the others those of the rows of the background, over which the mean goes. Values
    of an example add up to its output less the mean output of the background; a column that the model does not read has
    0; two that do the same have the same. Correlated columns are torn apart: f is asked about rows that do not occur.

    2^M times the rows of the background go through the model for each example.

    Args:
        model: a model, or a recipe, whose compute_dtype its layers then compute in; in evaluation mode.
        params, state: what `fit` or `load` gave for it.
        x: `(rows, columns)`, `(rows, time, columns)` with whole columns in or out, or a tree of such arrays; whole
            numbers and categories too.
        background: rows like those of x, some hundred of the training set.
        target: which output is f, a number or one for each row; None for the only one, or the predicted class.
        groups: column numbers that are in or out together, each column in one group, by name or not; None for each by
            itself. At most 14 groups or columns.
        batch_size: most rows in the model at a time, but for a longer background.

    Returns:
        `values`, `(rows, columns)` or `(rows, groups)`, `expected`, `(rows,)`, and `names`.

    Peers: shap's ExactExplainer with a masker of independent columns.

    Source: Shapley 1953; Lundberg and Lee 2017.

    Raises:
        InputError: x, the target or the background is not the model's; groups do not hold each column once; or there
            are too many columns.
    """
    game = read_game("exact_shap", model, params, state, x, background, target, groups, batch_size)
    hint = f"{_GROUPS}; kernel_shap(..., samples=2048, key=key) samples subsets."
    subsets, many = all_coalitions("exact_shap", game.players, hint), game.players
    size = subsets.sum(1)
    joined = np.array([math.factorial(s - 1) * math.factorial(many - s) if s else 0 for s in range(many + 1)])
    left = np.array([math.factorial(s) * math.factorial(many - s - 1) if s < many else 0 for s in range(many + 1)])
    shares = np.where(subsets, joined[size][:, None], -left[size][:, None]) / math.factorial(many)
    return shared_out(game, subsets, shares.T)


@apart
def kernel_shap(
    model: Layer | Recipe,
    params: Params,
    state: State,
    x: Inputs,
    background: Inputs,
    *,
    samples: int | None = None,
    key: Key | None = None,
    target: int | Array | None = None,
    groups: Sequence[Sequence[int]] | Mapping[str, Sequence[int]] | None = None,
    batch_size: int = 1024,
) -> ShapValues:
    """phi = argmin sum_S pi(S) (v(S) - v({}) - sum_{j in S} phi_j)^2, with sum phi = f(x) - v({}): Shapley values.

    pi(S) = (M - 1) / (C(M, |S|) |S| (M - |S|)), and v as in `exact_shap`. Over all subsets the solution is that of
    `exact_shap`; over samples of them, which any number of columns allows, it comes near, and still adds up.

    Args:
        model, params, state, x, background, target, groups, batch_size: as in `exact_shap`.
        samples: subsets to try, at least 2 M; None for all of them, of at most 14 columns. Sizes whose subsets can all
            be had for their share of the weight are gone through, the smallest and greatest first; of the others
            subsets are drawn, each with its complement. They are the same for all examples.
        key: draws the subsets; needed with `samples`.

    Returns:
        As `exact_shap`.

    Peers: shap's KernelExplainer, which goes through the subsets in the same way, and draws others for each example.

    Source: Lundberg and Lee 2017; Covert and Lee 2021 (complements).

    Raises:
        InputError: as `exact_shap`; or samples are too few, or without a key.
    """
    name = "kernel_shap"
    if samples is not None:
        check_integer(name, "samples", samples)
    if samples is not None or key is not None:
        check_key(name, key)
    game = read_game(name, model, params, state, x, background, target, groups, batch_size)
    many = game.players
    if samples is None or samples >= 2**many - 2:
        subsets = all_coalitions(name, many, f"{_GROUPS}; samples=2048, key=key samples subsets.")[1:-1]
        inside = subsets.sum(1)
        weights = np.array([_weight(many, s) / math.comb(many, s) for s in inside.tolist()])
    else:
        if samples < 2 * many:
            fail(name, "samples", f"at least {2 * many}, twice the number of columns", samples)
        assert key is not None  # checked above
        generator = np.random.default_rng(np.asarray(jax.random.key_data(key)).ravel())
        subsets, weights = _drawn(many, samples, generator)
    every = np.concatenate([np.zeros((1, many), bool), subsets, np.ones((1, many), bool)])
    return shared_out(game, every, _solution(subsets, weights))


def _weight(many: int, size: int) -> float:
    """Of all subsets of a size together, which is pi times their number."""
    return (many - 1) / (size * (many - size))


def _drawn(many: int, samples: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """So many subsets, but for complements and double ones, and their weights: bool `(subsets, M)`, `(subsets,)`."""
    pairs = [(size, _weight(many, size) * (1 if 2 * size == many else 2)) for size in range(1, many // 2 + 1)]
    found: dict[bytes, float] = {}

    def add(columns: np.ndarray, weight: float) -> None:
        for subset in (columns, ~columns):
            found[subset.tobytes()] = found.get(subset.tobytes(), 0.0) + weight / 2

    left = samples
    while pairs:
        size, weight = pairs[0]
        count = math.comb(many, size) * (1 if 2 * size == many else 2)
        if size > 1 and left * weight / sum(w for _, w in pairs) < count - 1e-8:
            break
        for numbers in _subsets(many, size):
            columns = np.isin(np.arange(many), numbers)
            add(columns, weight / math.comb(many, size))
        left -= count
        pairs = pairs[1:]
    if pairs and left > 0:
        sizes, weights = (np.array(column) for column in zip(*pairs, strict=True))
        draws = -(-left // 2)
        for size in generator.choice(sizes, draws, p=weights / weights.sum()):
            columns = np.zeros(many, bool)
            columns[generator.permutation(many)[:size]] = True
            add(columns, weights.sum() / draws)
    subsets = np.frombuffer(b"".join(found), bool).reshape(-1, many)
    return subsets, np.fromiter(found.values(), np.float64)


def _subsets(many: int, size: int) -> list[tuple[int, ...]]:
    return list(itertools.combinations(range(many), size))


def _solution(subsets: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The solution of the weighted squares as sums over v: `(M, 2 + subsets)`, v({}) first, v(all) last.

    With phi_M = v(all) - v({}) - sum of the others put in, one linear system in M - 1 unknowns is left:
    sum_{j < M} (z_j - z_M) phi_j = v(S) - v({}) - z_M (v(all) - v({})).
    """
    many = subsets.shape[1]
    z = subsets.astype(np.float64)
    matrix, last = z[:, :-1] - z[:, -1:], z[:, -1:]
    count = len(subsets)
    weighed = matrix.T * weights
    sides = np.concatenate([weighed @ (last - 1), weighed, -weighed @ last], axis=1)  # of v({}), v(S), v(all)
    front = np.linalg.solve(weighed @ matrix, sides) if many > 1 else np.zeros((0, 2))
    total = np.zeros(count + 2)
    total[0], total[-1] = -1.0, 1.0
    return np.concatenate([front, total - front.sum(0, keepdims=True)])
