"""Slopes gathered on the way from a baseline to the input, so that they add up to what the output changes by."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxann.core.checks import OUTSIDE, check_integer, check_key, check_untraced, fail
from jaxann.core.products import Layer
from jaxann.core.programs import jit
from jaxann.core.results import apart
from jaxann.core.typing import Array, Inputs, Key, Params, State
from jaxann.diagnose.explained import Explained, aimed, as_background, chosen, mean_outcome, over_blocks, read_explained
from jaxann.diagnose.saliency import slope
from jaxann.train.batches import default_float, example_count
from jaxann.train.inputs import as_array, named_leaves
from jaxann.train.recipe import Recipe

__all__ = ["Attributions", "as_baseline", "expected_gradients", "integrated_gradients", "total"]

_MOST_NODES = 100  # of one Gauss-Legendre rule, for which numpy's nodes are exact to the last digits


class Attributions(NamedTuple):
    """What each number of the input adds to the output, and how far the sum is from what it should be."""

    values: Inputs  # of x's shape
    gap: Array  # (rows,), what the output changes by, less the sum of the values


@apart
def integrated_gradients(
    model: Layer | Recipe,
    params: Params,
    state: State,
    x: Inputs,
    *,
    baseline: Inputs | None = None,
    steps: int = 50,
    target: int | Array | None = None,
    batch_size: int = 1024,
) -> Attributions:
    """(x - x')_j integral over a in [0, 1] of df / dx_j at x' + a (x - x'): the output's change, shared out.

    The values add up to f(x) - f(x') but for the error of the integral, which is the gap: look at it. It is tiny for
    smooth nets; of nets with kinks (relu) it falls as 1 / steps.

    Args:
        model, params, state, x, target, batch_size: as in `saliency`.
        baseline: x', what stands for no information, one row or of x's shape; zeros when None.
        steps: gradients of each row, at the nodes of a Gauss-Legendre rule (of several rules end to end above 100).

    Returns:
        `values`, of x's shape, and `gap`, `(rows,)`.

    Peers: Captum's IntegratedGradients, with the same nodes and steps.

    Source: Sundararajan et al. 2017.

    Raises:
        InputError: as `saliency`; or the baseline does not fit.
    """
    name = "integrated_gradients"
    check_integer(name, "steps", steps)
    check_integer(name, "batch_size", batch_size)
    explained = read_explained(name, model, params, state, x, target, floats=True)
    begin = as_baseline(name, baseline, explained.x)
    explained = aimed(explained, batch_size)
    nodes = tuple(a.astype(default_float()) for a in _nodes(steps))
    return over_blocks(_integrated, explained, batch_size, nodes, beside=(begin,))


@apart
def expected_gradients(
    model: Layer | Recipe,
    params: Params,
    state: State,
    x: Inputs,
    background: Inputs,
    *,
    key: Key,
    samples: int = 200,
    target: int | Array | None = None,
    batch_size: int = 1024,
) -> Attributions:
    """Mean over rows x' of the background and a in [0, 1] of (x - x')_j df / dx_j at x' + a (x - x') (GradientSHAP).

    Integrated gradients without one baseline: a missing number is one of the background's. The values add up to f(x)
    less the mean of f over the background, but for the sampling error, which is the gap. With one row of background
    they are integrated gradients, of a linear model Shapley values.

    Args:
        model, params, state, x, target, batch_size: as in `saliency`.
        background: rows like those of x, some hundred of the training set.
        key: draws x' and a, of each row by itself; a falls once into each of as many equal parts of [0, 1] as there are
            samples.
        samples: gradients of each row.

    Returns:
        `values`, of x's shape, and `gap`, `(rows,)`.

    Peers: shap's GradientExplainer, and Captum's GradientShap, which draws a without parts.

    Source: Erion et al. 2021; Lundberg and Lee 2017.

    Raises:
        InputError: as `saliency`; or the background has other columns, or no rows.
    """
    name = "expected_gradients"
    check_key(name, key)
    check_integer(name, "samples", samples)
    check_integer(name, "batch_size", batch_size)
    explained = read_explained(name, model, params, state, x, target, floats=True)
    others = as_background(name, background, explained, batch_size)
    explained = aimed(explained, batch_size)
    rows = np.arange(example_count(explained.x), dtype=np.int32)
    values, outcome = over_blocks(
        _expected, explained, batch_size, others, key, np.arange(samples, dtype=np.int32), beside=(rows,)
    )
    change = outcome - jnp.asarray(mean_outcome(explained, others, batch_size))
    return Attributions(values, change - total(values))


@jit(static_argnames=("dtype",))
def _integrated(
    layer: Layer, params: Params, state: State, rows: tuple, nodes: tuple[Array, Array], dtype: str | None
) -> Attributions:
    x, target, begin = rows
    explained = Explained(layer, params, state, dtype, x, target)
    way = jax.tree.map(jnp.subtract, x, begin)

    def step(gathered: Inputs, node: tuple[Array, Array]) -> tuple[Inputs, None]:
        a, weight = node
        here = jax.tree.map(lambda b, w: b + a.astype(w.dtype) * w, begin, way)
        found = slope(explained, here, target)
        return jax.tree.map(lambda t, g: t + weight.astype(g.dtype) * g, gathered, found), None

    gathered, _ = lax.scan(step, jax.tree.map(jnp.zeros_like, way), nodes)
    values = jax.tree.map(jnp.multiply, way, gathered)
    change = chosen(explained, x, target) - chosen(explained, begin, target)
    return Attributions(values, change - total(values))


@jit(static_argnames=("dtype",))
def _expected(
    layer: Layer,
    params: Params,
    state: State,
    rows: tuple,
    background: Inputs,
    key: Key,
    samples: Array,
    dtype: str | None,
) -> tuple[Inputs, Array]:
    x, target, numbers = rows
    explained = Explained(layer, params, state, dtype, x, target)
    keys = jax.vmap(lambda row: jax.random.fold_in(key, row))(numbers)
    count, examples = samples.shape[0], example_count(background)

    def draw(key: Key, sample: Array) -> tuple[Array, Array]:
        which, where = jax.random.split(jax.random.fold_in(key, sample))
        share = (sample.astype(default_float()) + jax.random.uniform(where)) / count
        return jax.random.randint(which, (), 0, examples), share

    def step(gathered: Inputs, sample: Array) -> tuple[Inputs, None]:
        index, share = jax.vmap(draw, in_axes=(0, None))(keys, sample)
        begin = jax.tree.map(lambda a: a[index], background)
        way = jax.tree.map(jnp.subtract, x, begin)
        here = jax.tree.map(lambda b, w: b + _column(share, w) * w, begin, way)
        found = slope(explained, here, target)
        return jax.tree.map(lambda t, w, g: t + w * g / count, gathered, way, found), None

    gathered, _ = lax.scan(step, jax.tree.map(jnp.zeros_like, x), samples)
    return gathered, chosen(explained, x, target)


def _column(share: Array, like: Array) -> Array:
    """One number an example, against the axes of the features."""
    return share.astype(like.dtype).reshape(-1, *(1,) * (like.ndim - 1))


def total(values: Inputs) -> Array:
    """Sum of all numbers of each row."""
    leaves = [jnp.sum(a.reshape(a.shape[0], -1), axis=1) for a in jax.tree.leaves(values)]
    return sum(leaves[1:], leaves[0])


def _nodes(steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Places in [0, 1] and weights that add up to 1: Gauss-Legendre, piece by piece where there are many."""
    sizes = [len(piece) for piece in np.array_split(np.arange(steps), -(-steps // _MOST_NODES))]
    rules = {size: np.polynomial.legendre.leggauss(size) for size in set(sizes)}
    places, weights, low = [], [], 0.0
    for size in sizes:
        x, w = rules[size]
        width = size / steps
        places.append(low + width * (x + 1) / 2)
        weights.append(width * w / 2)
        low += width
    return np.concatenate(places), np.concatenate(weights)


def as_baseline(function: str, baseline: Any, x: Inputs) -> Inputs:
    """x' for every row of x.

    Raises:
        InputError: it is not finite, or neither one row of x nor all of them.
    """
    if baseline is None:
        return jax.tree.map(lambda a: np.zeros(a.shape, a.dtype), x)
    check_untraced(function, "baseline", baseline, OUTSIDE)
    named = named_leaves("baseline", baseline)
    own = jax.tree.leaves(x)
    alone = hasattr(x, "shape")
    if len(named) != len(own) or (not alone and jax.tree.structure(baseline) != jax.tree.structure(x)):
        fail(function, "baseline", "of the same inputs as x", baseline)
    found = []
    for (name, leaf), like in zip(named, own, strict=True):
        if np.ndim(leaf) == 0 and like.ndim > 1:
            hint = "The same number everywhere: np.full(x.shape[1:], number)."
            fail(function, name, f"of shape {like.shape[1:]}, one row of x", leaf, hint=hint)
        array = np.asarray(leaf) if np.ndim(leaf) == 0 else as_array(function, name, leaf, features=False)
        if array.shape not in (like.shape, like.shape[1:]):
            expected = f"of shape {like.shape[1:]}, one row of x, or {like.shape}"
            fail(function, name, expected, f" shape {array.shape}")
        found.append(np.broadcast_to(np.asarray(array).astype(like.dtype), like.shape))
    return jax.tree.unflatten(jax.tree.structure(x), found)
