"""How much worse a model gets when a column of its input tells it nothing any more."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxann.core.binding import as_partial
from jaxann.core.checks import check_integer, check_key, fail
from jaxann.core.domains import check_answers
from jaxann.core.products import Layer, Metric
from jaxann.core.programs import jit
from jaxann.core.results import apart
from jaxann.core.typing import Array, Inputs, Key, Params, Predictions, State
from jaxann.diagnose.columns import exchanged, read_columns
from jaxann.diagnose.explained import read_inputs
from jaxann.metrics import direction_of
from jaxann.metrics.calling import figure_of, uncallable
from jaxann.metrics.forms import form_of, is_known, sizes_of
from jaxann.train.batches import Batch, example_count, one_example
from jaxann.train.inputs import as_batch
from jaxann.train.objective import apply_in
from jaxann.train.own_functions import one_figure
from jaxann.train.recipe import Recipe

__all__ = ["PermutationImportance", "permutation_importance"]

_NAME = "permutation_importance"


class PermutationImportance(NamedTuple):
    """By how much a metric gets worse without each column; larger is more important, whatever the metric."""

    names: tuple[str, ...]  # of the columns
    mean: Array  # (columns,), over the repeats
    deviation: Array  # (columns,), standard deviation over the repeats, with their number as divisor
    values: Array  # (repeats, columns)
    baseline: Array  # (), the metric of the data as they are


@apart
def permutation_importance(
    model: Layer | Recipe,
    params: Params,
    state: State,
    data: tuple,
    metric: Callable | Metric,
    *,
    key: Key,
    repeats: int = 5,
    groups: Sequence[Sequence[int]] | Mapping[str, Sequence[int]] | None = None,
    batch_size: int = 1024,
) -> PermutationImportance:
    """metric(x, y) - metric(x with column j permuted, y), or the other way round for an error: mean over the repeats.

    On data that the model was not trained on it says what the model's quality rests on; on training data, what it has
    memorized. Columns that say nearly the same share the credit, or have none, for the model reads one where the other
    is permuted: put such columns into a group. All columns and repeats are one program.

    Args:
        model: a model, or a recipe, whose compute_dtype its layers then compute in; in evaluation mode.
        params, state: what `fit` or `load` gave for it.
        data: `(x, y)` or `(x, y, weights)` as in `evaluate`. The columns are the entries of the last axis of x, of each
            array where it is a tree of them; whole columns are permuted among the examples.
        metric: one that says whether more is better: those of `ja.metrics`, or your own behind
            `metrics.higher_is_better` or `metrics.lower_is_better`.
        key: draws the permutations; another one for each column and repeat.
        repeats: permutations of each column.
        groups: column numbers to be permuted together, each column in one group, by name or not; None for each by
            itself. Columns of a tree are counted from its first array on.
        batch_size: most rows in the model at a time.

    Returns:
        `names`, `mean`, `deviation`, `(columns,)`, `values`, `(repeats, columns)`, and `baseline`.

    Peers: scikit-learn's permutation_importance, one column after the other, with scores instead of errors.

    Source: Breiman 2001; Fisher et al. 2019.

    Raises:
        InputError: data are not the model's or hold no numbers; targets are not the metric's; the metric does not say
            what is better, or looks at values as NumPy does; groups do not hold each column once.
    """
    check_integer(_NAME, "repeats", repeats)
    check_integer(_NAME, "batch_size", batch_size)
    check_key(_NAME, key)
    sign = _sign(metric)
    if not isinstance(data, tuple | list) or len(data) not in (2, 3):
        fail(_NAME, "data", "a tuple (x, y) or (x, y, weights)", data)
    layer, params, state, dtype, x, _ = read_inputs(_NAME, model, params, state, data[0], "data x")
    batch = as_batch(_NAME, "data", data)._replace(x=x)
    columns = read_columns(_NAME, x, groups)
    rows = example_count(x)
    spec = jax.eval_shape(lambda p, s, v: apply_in(layer, p, s, v, dtype=dtype)[0], params, state, one_example(x, rows))
    measure = _measured(metric, batch, spec)
    size = -(-rows // -(-rows // batch_size))  # of equal blocks, the fewest that are small enough
    with_none = np.concatenate([np.zeros_like(columns.members[:1]), np.repeat(columns.members, repeats, axis=0)])
    figures = _figures(
        layer, params, state, jax.tree.map(jnp.asarray, batch), measure, key, with_none,
        dtype=dtype, size=size, together=max(1, batch_size // rows),
    )  # fmt: skip
    values = sign * (figures[0] - figures[1:].reshape(len(columns.names), repeats).T)
    return PermutationImportance(columns.names, values.mean(0), values.std(0), values, figures[0])


@jit(static_argnames=("dtype", "size", "together"))
def _figures(
    layer: Layer,
    params: Params,
    state: State,
    data: Batch,
    metric: Callable,
    key: Key,
    taken: Array,
    *,
    dtype: str | None,
    size: int,
    together: int,
) -> Array:
    """The metric with each set of columns permuted, `(sets,)`; so many sets, of so many rows each, at once."""
    rows = example_count(data.x)

    def predicted(x: Inputs) -> Predictions:
        if rows <= size:
            return apply_in(layer, params, state, x, dtype=dtype)[0]
        blocks = -(-rows // size)
        filled = jax.tree.map(lambda a: jnp.pad(a, [(0, blocks * size - rows)] + [(0, 0)] * (a.ndim - 1)), x)
        cut = jax.tree.map(lambda a: a.reshape(blocks, size, *a.shape[1:]), filled)
        seen = lax.map(lambda block: apply_in(layer, params, state, block, dtype=dtype)[0], cut)
        return jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:])[:rows], seen)

    def figure(one: tuple[Array, Array]) -> Array:
        number, columns = one
        order = jax.random.permutation(jax.random.fold_in(key, number), rows)
        x = exchanged(columns, data.x, jax.tree.map(lambda a: a[order], data.x))
        call = metric if isinstance(metric, Metric) else functools.partial(figure_of, metric)
        found = one_figure("metric", call(predicted(x), data.y, data.weights))
        if found.shape:
            fail(_NAME, "metric", "one that gives one figure", f" one of shape {found.shape}")
        return found.astype(jnp.result_type(float))

    return lax.map(figure, (jnp.arange(taken.shape[0]), taken), batch_size=together)


def _sign(metric: Any) -> int:
    """1 where more is better, -1 for an error.

    Raises:
        InputError: it is no metric, or does not say.
    """
    if isinstance(metric, str) or not callable(metric):
        fail(_NAME, "metric", "a metric (predictions, targets[, weights]) -> figure", metric)
    direction = direction_of(metric)
    if direction is None:
        hint = "ja.metrics.higher_is_better(metric) or ja.metrics.lower_is_better(metric) declares it."
        fail(_NAME, "metric", "one that says whether more of it is better", metric, hint=hint)
    return 1 if direction == "max" else -1


def _measured(metric: Any, data: Batch, predictions: Any) -> Any:
    """The metric as a program takes it, its targets checked.

    Raises:
        InputError: it cannot be called, or a target is none of its.
    """
    if not isinstance(metric, Metric) and not is_known(metric) and (got := uncallable(metric)) is not None:
        fail(_NAME, "metric", "a metric (predictions, targets[, weights]) -> figure", f" {got}")
    form = metric if isinstance(metric, Metric) else form_of(metric, data.y, predictions)
    if form is not None:
        classes = form.arguments.get("classes")
        check_answers(_NAME, form.traits, predictions, data.y, data.weights, "data y", classes=classes)
    return as_partial(metric, sizes_of(metric)) if form is None else form
