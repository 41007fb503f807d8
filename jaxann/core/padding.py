"""Sequences of unequal lengths as one array: values, and which of their positions are real.

Padding travels with what it pads. A model that is given `Padded` values sees the values, and every layer inside is told
which positions count (`sequence_mask`); a loss and a metric whose targets are `Padded` count the real positions alone.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxann.core.checks import check_unmasked, fail, is_concrete
from jaxann.core.typing import Array, Predictions, Targets

__all__ = ["Padded", "check_mask", "check_positions", "is_padded", "padded", "real_places", "unpadded", "zero_padding"]


class Padded(NamedTuple):
    """Sequences padded to one length. A pytree: both arrays are cut into batches along with everything else."""

    values: Any  # (examples, time, ...)
    mask: Any  # bool (examples, time), True for a real position


def padded(values: Array, lengths: Array) -> Padded:
    """Values whose first `lengths[i]` positions of example i are real, the rest padding.

    Args:
        values: `(examples, time, ...)`; what stands in the padding does not matter, as long as it is finite.
        lengths: whole numbers `(examples,)`, each in 0..time.

    Raises:
        InputError: shapes do not fit together, lengths are no whole numbers, or one is outside of 0..time.
    """
    check_unmasked("padded", "values", values)
    check_unmasked("padded", "lengths", lengths)
    shape, counts = np.shape(values), np.shape(lengths)
    if len(shape) < 2:
        fail("padded", "values", "of shape (examples, time, ...)", f" shape {shape}")
    if counts != shape[:1]:
        fail("padded", "lengths", f"of shape {shape[:1]}, one for each example", f" shape {counts}")
    if is_concrete(lengths):
        host = np.asarray(lengths)
        if host.dtype.kind not in "iu":
            fail("padded", "lengths", "whole numbers", f" {host.dtype}")
        if ((host < 0) | (host > shape[1])).any():
            row = int(np.argmax((host < 0) | (host > shape[1])))
            fail("padded", "lengths", f"in 0..{shape[1]}", f" {host[row]} at row {row}")
        return Padded(values, np.arange(shape[1])[None, :] < host[:, None])
    return Padded(values, jnp.arange(shape[1], dtype=lengths.dtype)[None, :] < lengths[:, None])


def is_padded(value: Any) -> bool:
    """Whether a value is a `Padded`."""
    return isinstance(value, Padded)


def zero_padding(values: Array, mask: Array) -> Array:
    """The values with 0 where the mask is 0: whatever stands in the padding, NaN too, goes no further.

    Args:
        values: `(batch, ...)` or `(batch, time, ...)`.
        mask: over the leading axes of the values, 1 or True for what is real.
    """
    real = lax.expand_dims(mask.astype(bool), range(mask.ndim, values.ndim))
    return jnp.where(real, values, jnp.zeros((), values.dtype))


def check_positions(function: str, argument: str, x: Any) -> None:
    """x, or a specification, is `(batch, time, features)`.

    Raises:
        InputError: it has other axes.
    """
    if len(x.shape) != 3:
        fail(function, argument, "of shape (batch, time, features)", f" shape {tuple(x.shape)}")


def real_places(example_mask: Array | None, sequence_mask: Array | None) -> Array | None:
    """What is real by both masks of a call, `(batch,)` or `(batch, time)`; None where neither is given."""
    if sequence_mask is None or example_mask is None:
        return example_mask if sequence_mask is None else sequence_mask
    return sequence_mask * example_mask[:, None].astype(sequence_mask.dtype)


def unpadded(
    predictions: Predictions, targets: Targets, weights: Array | None = None
) -> tuple[Predictions, Targets, Array | None]:
    """Predictions and targets without padding's content, and weights that leave it out: for a loss or a metric.

        predictions, targets, weights = unpadded(predictions, targets, weights)
        losses.mean(loss(predictions, targets), weights=weights)

    Args:
        predictions: of a model; `Padded` where their mask arose inside the model.
        targets: `Padded(values, mask)`, or anything else. A tree of several heads comes back as it is: `losses.by_head`
            and `metrics.of_head` do this for each.
        weights: one for each example, or of the mask's shape, or None.

    Returns:
        `(predictions, targets, weights)`; weights of the mask's shape, and as they were where nothing is `Padded`.

    Raises:
        InputError: the mask or the weights do not fit.
    """
    for argument, value in (("predictions", predictions), ("targets", targets), ("weights", weights)):
        check_unmasked("unpadded", argument, value)
    mask = None
    if isinstance(targets, Padded):
        targets, mask = targets
    if isinstance(predictions, Padded):
        predictions, mask = predictions.values, predictions.mask if mask is None else mask
    if mask is None:
        return predictions, targets, weights
    for argument, value in (("predictions", predictions), ("targets", targets)):
        if np.shape(value)[: mask.ndim] != mask.shape:
            expected = f"of the mask's shape {mask.shape} in the first axes"
            fail("unpadded", argument, expected, f" shape {np.shape(value)}")
    predictions, targets = (zero_padding(jnp.asarray(value), mask) for value in (predictions, targets))
    real = jnp.asarray(mask).astype(jnp.result_type(float))
    if weights is None:
        return predictions, targets, real
    shape = np.shape(weights)
    if shape != real.shape[: len(shape)]:
        fail("unpadded", "weights", f"of the mask's shape {real.shape} or its first axis", f" shape {shape}")
    wide = lax.expand_dims(jnp.asarray(weights).astype(real.dtype), tuple(range(len(shape), real.ndim)))
    return predictions, targets, jnp.where(real == 0, 0, jnp.broadcast_to(wide, real.shape))


def check_mask(function: str, argument: str, mask: Any, axes: int, x: Any) -> None:
    """A mask over the leading axes of x, where x is one array."""
    shape = getattr(mask, "shape", None)
    expected = getattr(x, "shape", None)
    if mask is None:
        return
    if shape is None or len(shape) != axes:
        names = "(batch,)" if axes == 1 else "(batch, time)"
        hint = "Padded rows are example_mask=, padded positions of sequences are sequence_mask=."
        fail(function, argument, f"of shape {names}", mask if shape is None else f" shape {tuple(shape)}", hint=hint)
    if expected is not None and tuple(expected[:axes]) != tuple(shape):
        fail(function, argument, f"of x's leading shape {tuple(expected[:axes])}", f" shape {tuple(shape)}")
