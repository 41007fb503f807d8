"""Predictions and figures of a trained model, in batches, without a new program for every number of rows."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxann.core.checks import check_choice, check_integer
from jaxann.core.products import Layer
from jaxann.core.typing import Array, Params, State
from jaxann.layers import as_layer
from jaxann.optimizers import sgd
from jaxann.train.inputs import as_array, as_data, check_labels
from jaxann.train.measure import Sums, add_batch, figures, nothing, with_streams
from jaxann.train.objective import apply_in
from jaxann.train.plan import make_plan, strong

__all__ = ["as_model_takes", "evaluate", "padded_block", "predict", "rows_bucket"]

_SMALLEST = 8  # rows; batches are padded to the next power of two, so at most log2 programs are compiled


@functools.partial(jax.jit, static_argnames=("compute_dtype",))
def _forward(model: Layer, params: Params, state: State, x: Array, compute_dtype: str | None) -> Array:
    return apply_in(model, params, state, x, compute_dtype=compute_dtype)[0]


def predict(
    model: Any, params: Params, state: State, x: Any, *, batch_size: int = 1024, compute_dtype: str | None = None
) -> Array:
    """The model's output for each row of x, in evaluation mode.

    Rows go through in batches padded to a power of two, so that any number of rows runs through a handful of compiled
    programs. 0 rows give an empty array of the output's shape.

    Args:
        model, params, state: a model and what `fit` or `load` gave for it.
        x: `(rows, ...features)`.
        batch_size: most rows at a time.
        compute_dtype: as in `fit`.

    Returns:
        `(rows, ...outputs)`: logits for a classifier.

    Raises:
        InputError: x is not finite, or does not have the features the model was made for.
    """
    check_integer("predict", "batch_size", batch_size)
    if compute_dtype is not None:
        check_choice("predict", "compute_dtype", compute_dtype, ("bfloat16", "float16", "float32"))
    model = strong(as_layer(model, "predict", "model"))
    x = as_array("predict", "x", x, features=True)
    if np.dtype(x.dtype).kind in "iub":
        x = as_model_takes(model, params, state, x)
    rows = x.shape[0]
    if rows == 0:
        spec = jax.ShapeDtypeStruct((1, *x.shape[1:]), x.dtype)
        out = jax.eval_shape(lambda m, p, s, v: _forward(m, p, s, v, compute_dtype), model, params, state, spec)
        return jnp.zeros((0, *out.shape[1:]), out.dtype)
    outputs = []
    for first in range(0, rows, batch_size):
        block = np.asarray(x[first : first + batch_size])
        padded = padded_block(block, rows_bucket(len(block), batch_size))
        outputs.append(np.asarray(_forward(model, params, state, padded, compute_dtype))[: len(block)])
    return jax.device_put(np.concatenate(outputs))


def as_model_takes(model: Layer, params: Params, state: State, x: Any) -> Any:
    """Whole numbers as they are where the model takes them (tokens), else as float32."""
    spec = jax.ShapeDtypeStruct((1, *x.shape[1:]), x.dtype)
    try:
        jax.eval_shape(lambda p, s, v: model.apply(p, s, v)[0], params, state, spec)
        return x
    except (ValueError, TypeError):
        return x.astype(np.float32)


@functools.partial(jax.jit, static_argnames=("compute_dtype",))
def _add(parts: Any, params: Params, state: State, sums: Sums, batch: tuple, compute_dtype: str | None) -> Any:
    return add_batch(parts, params, state, sums, batch, compute_dtype)


def padded_block(array: Any, size: int) -> np.ndarray:
    """Rows of zeros appended up to `size`."""
    block = np.zeros((size, *array.shape[1:]), array.dtype)
    block[: array.shape[0]] = array
    return block


def rows_bucket(rows: int, batch_size: int) -> int:
    """The next power of two, at least 8 and at most a batch."""
    return min(batch_size, max(_SMALLEST, 1 << (rows - 1).bit_length()))


def evaluate(
    model: Any,
    params: Params,
    state: State,
    data: tuple,
    *,
    loss: Callable,
    metrics: Mapping[str, Any] | None = None,
    batch_size: int = 1024,
    compute_dtype: str | None = None,
) -> dict[str, float]:
    """Mean loss and metrics of a model on `(x, y)` or `(x, y, weights)`, in evaluation mode, exact over all rows.

    Batches are padded with weight 0 to a power of two, so that any number of rows runs through a handful of compiled
    programs. A metric given as a plain function of your own is computed on the predictions of all rows at once.

    Returns:
        `{"loss": ..., name: ...}`.

    Raises:
        InputError: as `fit`.
    """
    plan, parts = make_plan(
        "evaluate",
        model,
        loss,
        sgd(0.0),
        batch_size=1,
        metrics=metrics,
        patience=None,
        min_delta=0.0,
        monitor="loss",
        mode="min",
        restore_best=False,
        shuffle=False,
        evaluation_batch_size=batch_size,
        compute_dtype=compute_dtype,
        most_bad=1,
    )
    parts = strong(parts)
    x, y, weights = as_data("evaluate", "data", data)
    if np.dtype(x.dtype).kind in "iub":
        x = as_model_takes(parts.model, params, state, x)
    predictions = jax.eval_shape(
        lambda p, s, v: apply_in(parts.model, p, s, v, compute_dtype=compute_dtype)[0],
        params,
        state,
        jax.ShapeDtypeStruct((1, *x.shape[1:]), x.dtype),
    )
    check_labels("evaluate", "data", y, predictions, parts.loss)
    weights = np.ones(x.shape[0], np.float32) if weights is None else np.asarray(weights)
    parts = with_streams(parts, params, state, x, y, compute_dtype)
    sums, outputs = nothing(parts, y), []
    for first in range(0, x.shape[0], batch_size):
        blocks = [np.asarray(a[first : first + batch_size]) for a in (x, y, weights)]
        rows = len(blocks[0])
        batch = tuple(padded_block(block, rows_bucket(rows, batch_size)) for block in blocks)
        sums, predicted = _add(parts, params, state, sums, batch, compute_dtype)
        outputs.append(np.asarray(predicted)[:rows])
    found = figures(parts, sums, *jax.device_put((np.asarray(y), np.concatenate(outputs))))
    return dict(zip(("loss", *plan.metrics), (float(f) for f in found), strict=True))
