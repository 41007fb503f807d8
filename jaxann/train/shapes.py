"""A model tried on one batch abstractly: wrong shapes and labels are told before anything is compiled."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxann.core.checks import fail
from jaxann.core.errors import InputError
from jaxann.core.products import Layer
from jaxann.core.typing import Array, Key
from jaxann.train.epoch import Data
from jaxann.train.inputs import check_labels
from jaxann.train.objective import apply_in, example_sums
from jaxann.train.plan import Ingredients, Plan, streaming_form

__all__ = ["check_shapes", "for_model"]


def for_model(parts: Ingredients, key: Key, data: Data, held_out: Data | None) -> tuple[Data, Data | None]:
    """Whole numbers as floating point, unless the model takes them as they are (tokens)."""
    if np.dtype(data[0].dtype).kind not in "iub":
        return data, held_out
    try:
        spec = jax.ShapeDtypeStruct((1, *data[0].shape[1:]), data[0].dtype)
        jax.eval_shape(lambda k: parts.model.init(k, spec), key)
        return data, held_out
    except InputError:
        real = (data[0].astype(np.float32), *data[1:])
        if held_out is None or held_out is data:
            return real, None if held_out is None else real
        return real, (held_out[0].astype(np.float32), *held_out[1:])


def check_shapes(function: str, plan: Plan, parts: Ingredients, key: Key, data: Data, held_out: Data | None) -> None:
    """Refuse data that do not fit the model, the loss, or each other.

    Raises:
        InputError: shapes, dtypes or labels do not fit.
    """
    if held_out is not None and held_out[0].shape[1:] != data[0].shape[1:]:
        expected = f"of shape (examples, {', '.join(map(str, data[0].shape[1:]))}) as in training"
        fail(function, "validation x", expected, f" shape {held_out[0].shape}")

    for name, part in (("train", data), ("validation", held_out)):
        if part is not None:
            x, y = (jax.ShapeDtypeStruct((plan.batch_size, *a.shape[1:]), a.dtype) for a in part[:2])
            predictions = _forward.eval_shape(parts.model, parts.loss, key, x, y, plan.compute_dtype)
            check_labels(function, name, part[1], predictions, parts.loss)
            for metric, shape in _figures.eval_shape(parts.metrics, predictions, y).items():
                if shape.shape:
                    expected = "a metric that gives one figure"
                    fail(function, f"metrics[{metric!r}]", expected, f" one of shape {shape.shape}")
            if parts.loss.args or parts.loss.keywords:  # numbers bound to the loss: checked as they are, untraced
                jax.eval_shape(functools.partial(example_sums, parts.loss), predictions, y)


@functools.partial(jax.jit, static_argnames=("compute_dtype",))
def _forward(model: Layer, loss: Any, key: Key, x: Array, y: Array, compute_dtype: str | None) -> Array:
    """The predictions of a fresh model, its loss computed on the way; only ever traced, and only once for a setting."""
    params, state = model.init(key, x)
    predictions, _ = apply_in(model, params, state, x, compute_dtype=compute_dtype)
    example_sums(loss, predictions, y)
    return predictions


@jax.jit
def _figures(metrics: Any, predictions: Array, y: Array) -> dict[str, Array]:
    """The metrics of a batch; only ever traced, and only once for a setting."""
    forms = {name: streaming_form(metric, y, predictions) or metric for name, metric in metrics.items()}
    return {name: jnp.asarray(form(predictions, y)) for name, form in forms.items()}
