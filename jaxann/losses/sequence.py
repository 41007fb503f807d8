"""The loss of a sequence of labels without an alignment to the frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxann.core.checks import (
    check_array,
    check_flag,
    check_floating,
    check_int32,
    check_integer,
    check_plain,
    fail,
    is_concrete,
)
from jaxann.core.logits import log_softmax, log_sum_exp
from jaxann.core.tables import named_functions
from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array
from jaxann.losses.inputs import on_device
from jaxann.losses.reduce import weighed_by
from jaxann.losses.terms import at_least_zero

__all__ = ["ctc"]


def _without_padding(targets: Any, *, blank: int = 0, **others: Any) -> np.ndarray:
    """The labels with padding put to 0, for a check of their range.

    Raises:
        InputError: a label stands after padding; it would be lost.
    """
    host = np.asarray(targets)
    absent = (host < 0) | (host == blank)
    astray = absent[..., :-1] & ~absent[..., 1:]
    if astray.any():
        *row, place = (int(i) for i in np.argwhere(astray)[0])
        hint = f"The blank is {blank}: a class that stands for no label, see blank=."
        where = f" in row {', '.join(map(str, row))}" if row else ""
        got = f" label {host[(*row, place + 1)]} after {host[(*row, place)]}{where}"
        fail("ctc", "targets", "labels with all padding (negative, or the blank) at the end", got, hint=hint)
    return np.maximum(host, 0)


@weighed_by(labels=_without_padding)
def ctc(
    predictions: Array,
    targets: Array,
    *,
    blank: int = 0,
    lengths: Array | Sequence[int] | None = None,
    zero_infinity: bool = False,
) -> Array:
    """-log sum over paths of prod_t softmax(z_t)[path_t]; a path is the labels once repeats, then blanks, are dropped.

    Summed by the forward algorithm over logarithms: frames x (2 labels + 1) steps.

    Args:
        predictions: logits z, `(..., frames, classes)`, the blank among the classes.
        targets: integer labels, `(..., labels)`; a negative one or a blank is padding, all of it at the end.
        blank: the class that stands for no label, a Python integer.
        lengths: number of frames that count, `(...)`; all of them when not given. Inside `fit`, where there is no
            place for it, let the model write the logits [0 at the blank, -inf elsewhere] after a sequence's end: it
            comes to the same.
        zero_infinity: whether labels that do not fit into the frames count 0 and not +inf. Fixed when the program is
            traced.

    Returns:
        `(...)`, not divided by the number of labels; +inf with slope 0 for labels that need more frames than there
        are, NaN for a label that is no class.

    Peers: as optax's ctc_loss (about 1e5 for +inf) and PyTorch's CTCLoss(reduction="none") of log_softmax(z),
        its "mean" divides by the labels' number; Keras's CTC takes 0 for blank and padding.

    Source: Graves and others 2006.

    Raises:
        InputError: shapes do not fit, labels are not integers or stand after padding, blank is no class, or the logits
            are not floating point.
    """
    check_plain("ctc", "lengths", lengths)
    shape, classes = np.shape(predictions), _check_shapes(predictions, targets)
    check_integer("ctc", "blank", blank, 0)
    check_flag("ctc", "zero_infinity", zero_infinity)
    if blank >= classes:
        fail("ctc", "blank", f"one of the classes 0..{classes - 1}", blank)
    if is_concrete(targets):
        _without_padding(targets, blank=blank)
    if lengths is not None and np.shape(lengths) != shape[:-2]:
        fail("ctc", "lengths", f"of shape {shape[:-2]}", f" shape {np.shape(lengths)}")
    labels = on_device(targets).astype(jnp.int32)
    logs = log_softmax(jnp.asarray(predictions).astype(wide_dtype(predictions.dtype)))
    if lengths is not None:
        logs = _only_blanks_after(logs, jnp.asarray(lengths), blank)
    values = at_least_zero(-_log_paths(logs, labels, blank))
    if zero_infinity:
        values = jnp.where(jnp.isposinf(values), 0, values)
    return jnp.where(jnp.any(labels >= classes, -1), jnp.nan, values).astype(predictions.dtype)


def _check_shapes(predictions: Any, targets: Any) -> int:
    check_floating("ctc", "predictions", predictions)
    check_array("ctc", "targets", targets)
    if not jnp.issubdtype(targets.dtype, jnp.integer):
        fail("ctc", "targets", "integer labels", f" {targets.dtype}")
    check_int32("ctc", "targets", targets)
    shape = np.shape(predictions)
    if len(shape) < 2 or shape[-1] < 1:
        fail("ctc", "predictions", "of shape (..., frames, classes)", f" shape {shape}")
    if np.ndim(targets) != len(shape) - 1 or np.shape(targets)[:-1] != shape[:-2]:
        expected = f"of shape {(*shape[:-2], 'labels')} for predictions {shape}"
        fail("ctc", "targets", expected, f" shape {np.shape(targets)}")
    return shape[-1]


def _only_blanks_after(logs: Array, lengths: Array, blank: int) -> Array:
    """Frames from a sequence's end on hold a sure blank: every path goes on with it and at no cost."""
    time = lax.broadcasted_iota(jnp.int32, logs.shape, logs.ndim - 2)
    sure = lax.broadcasted_iota(jnp.int32, logs.shape, logs.ndim - 1) == blank
    counted = time < jnp.broadcast_to(lax.expand_dims(lengths.astype(jnp.int32), [-2, -1]), logs.shape)
    return jnp.where(counted, logs, jnp.where(sure, 0, -jnp.inf))


def _log_paths(logs: Array, labels: Array, blank: int) -> Array:
    """Log of the sum over all paths. States: blank, label 1, blank, label 2, ..., blank."""
    absent = (labels < 0) | (labels == blank)
    count = jnp.sum(~absent, -1, dtype=jnp.int32)
    names = jnp.where(absent, blank, jnp.minimum(labels, logs.shape[-1] - 1))
    states = 2 * labels.shape[-1] + 1
    path = jnp.full((*labels.shape[:-1], states), blank, jnp.int32).at[..., 1::2].set(names)
    # From one label straight to the next, without a blank between, only where the two differ.
    skips = (path != blank) & (path != _moved(path, 2, blank))
    place = lax.broadcasted_iota(jnp.int32, path.shape, path.ndim - 1)
    index = jnp.broadcast_to(lax.expand_dims(path, [-2]), (*logs.shape[:-1], states))
    heights = jnp.moveaxis(jnp.take_along_axis(logs, index, -1), -2, 0)

    def frame(before: Array, height: Array) -> tuple[Array, None]:
        one = _moved(before, 1, -jnp.inf)
        two = jnp.where(skips, _moved(before, 2, -jnp.inf), -jnp.inf)
        return height + log_sum_exp(jnp.stack([before, one, two], -1)), None

    start = jnp.where(place == 0, jnp.zeros((), logs.dtype), -jnp.inf)
    after, _ = lax.scan(frame, start, heights)
    end = lax.expand_dims(2 * count, [-1])
    last = (place == end) | (place == end - 1)
    return log_sum_exp(jnp.where(last, after, -jnp.inf))


def _moved(x: Array, by: int, fill: Any) -> Array:
    """Entries along the last axis moved to the right."""
    return lax.pad(x, jnp.asarray(fill, x.dtype), [(0, 0, 0)] * (x.ndim - 1) + [(by, -by, 0)])


named_functions(ctc)
