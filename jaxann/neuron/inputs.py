"""What the functions of this room take: examples in rows, targets of 0 and 1, weights with the bias row last."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxann.core.checks import check_unmasked, fail, is_concrete
from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array, Scalar

__all__ = ["as_numbers", "check_examples", "check_inputs", "check_targets", "check_weights", "floating", "with_bias"]


def floating(*arrays: Any) -> Any:
    """The dtype to compute in: that of the widest float among the arrays, at least float32; JAX's own for integers."""
    kinds = [jnp.result_type(array) for array in arrays if jnp.issubdtype(jnp.result_type(array), jnp.floating)]
    return np.result_type(*(wide_dtype(kind) for kind in kinds)) if kinds else jnp.result_type(float)


def as_numbers(function: str, argument: str, value: Any) -> Array:
    """An array of real numbers; lists of numbers are taken too."""
    check_unmasked(function, argument, value)
    if not isinstance(value, jax.Array):
        try:
            value = np.asarray(value)
        except ValueError:  # rows of different lengths
            fail(function, argument, "an array of real numbers", value)
    kinds = (jnp.floating, jnp.integer, np.bool_)
    if not any(jnp.issubdtype(value.dtype, kind) for kind in kinds):
        fail(function, argument, "an array of real numbers", value)
    return value


def check_inputs(function: str, x: Array) -> None:
    """At least one axis, whose last one holds the inputs."""
    if x.ndim == 0:
        fail(function, "x", "of shape (..., inputs)", " a single number")


def check_examples(function: str, x: Any) -> None:
    """Examples in rows, `(examples, inputs)`, at least one of each, every number finite."""
    shape = np.shape(x)
    if len(shape) != 2 or 0 in shape:
        hint = "One example is a row: x[None, :]. One input is a column: x[:, None]." if len(shape) == 1 else None
        fail(function, "x", "of shape (examples, inputs), at least one of each", f" shape {shape}", hint=hint)
    if is_concrete(x) and not (finite := np.isfinite(np.asarray(x).astype(np.float64))).all():
        rows = np.flatnonzero(~finite.all(1))
        fail(function, "x", "finite in every place", f" {np.asarray(x)[~finite][0]} in row {rows[0]}")


def check_targets(function: str, x: Any, targets: Any) -> None:
    """A 0 or 1 for each example, `(examples,)`, or for each example and neuron, `(examples, neurons)`."""
    shape, rows = np.shape(targets), np.shape(x)[0]
    if len(shape) not in (1, 2) or shape[0] != rows or 0 in shape:
        fail(function, "targets", f"of shape ({rows},) or ({rows}, neurons)", f" shape {shape}")
    if is_concrete(targets):
        values = np.asarray(targets)
        if (strange := (values != 0) & (values != 1)).any():
            hint = "For classes -1 and 1 take targets > 0; for K classes one neuron each, labels[:, None] == arange(K)."
            fail(function, "targets", "0 or 1 in every place", f" {values[strange][0]}", hint=hint)


def check_weights(function: str, inputs: int, weights: Any, argument: str = "weights", *, bias: bool = True) -> None:
    """One row an input and, last, that of the bias node if there is one; a column a neuron, or a single vector."""
    shape, rows = np.shape(weights), inputs + bias
    if len(shape) not in (1, 2) or shape[0] != rows:
        what = f"{inputs} inputs" + " and the bias node" * bias
        fail(function, argument, f"of shape ({rows},) or ({rows}, neurons), for {what}", f" shape {shape}")


def with_bias(x: Array, bias_input: Scalar) -> Array:
    """[x, c]: the constant c appended to the last axis, as one more input."""
    column = jnp.broadcast_to(jnp.asarray(bias_input, x.dtype), (*x.shape[:-1], 1))
    return jnp.concatenate([x, column], -1)
