"""What every loss does before and after its formula: shapes checked, arithmetic in float32 or better, dtype kept.

Each decorator stands for one kind of input. It checks shapes and dtypes, hands arrays of at least float32 to the
formula, and returns the values in the dtype of the predictions.

    elementwise   predictions (...),        targets (...)             values (...)
    over_classes  predictions (..., k),     targets (..., k)          values (...)
    labelled      predictions (..., k),     integer targets (...)     values (...)
    structured    predictions (..., *event), targets (...)            values (...)
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxann.core.checks import check_array, check_floating, check_int32, check_plain, check_same_shape, fail
from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array

__all__ = ["elementwise", "hits", "labelled", "on_device", "over_classes", "real_rows", "structured"]

F = TypeVar("F", bound=Callable[..., Any])


def elementwise(formula: F) -> F:
    """A loss of predictions and targets of one shape, a value for each element."""

    def check(predictions: Any, targets: Any) -> None:
        check_same_shape(formula.__name__, predictions, targets)

    return _guarded(formula, check)


def over_classes(formula: F) -> F:
    """A loss of predictions and targets of one shape whose last axis is summed over."""

    def check(predictions: Any, targets: Any) -> None:
        check_same_shape(formula.__name__, predictions, targets)
        if np.ndim(predictions) == 0:
            fail(formula.__name__, "predictions", "of shape (..., classes)", " shape ()")

    return _guarded(formula, check)


def labelled(dense: str = "") -> Callable[[F], F]:
    """A loss of one row of scores and one integer label; `dense` names its sister for distributions."""

    def decorate(formula: F) -> F:
        name = formula.__name__

        def check(predictions: Any, targets: Any) -> None:
            _check_integers(name, targets, dense)
            shape = np.shape(predictions)
            if not shape or shape[:-1] != np.shape(targets):
                expected = f"of shape {shape[:-1]}, one label for each row of logits {shape}"
                fail(name, "targets", expected, f" shape {np.shape(targets)}")

        loss = _guarded(formula, check, integers=True)
        loss.__dict__["labels"] = lambda targets, *_, **settings: targets  # see `reduce.labels_to_check`
        return loss

    return decorate


def structured(*event: int | str, integers: bool = False, batch: bool = False) -> Callable[[F], F]:
    """A loss whose predictions carry more axes than the targets: `event` holds their lengths, a name for any length.

    Args:
        event: for instance `(2, "features")`, a pair of embeddings.
        integers: the targets are integer labels.
        batch: the values depend on the whole batch, the one leading axis.
    """

    def decorate(formula: F) -> F:
        name = formula.__name__
        leading = "batch" if batch else "..."
        shown = f"({', '.join([leading, *map(str, event)])})"

        def check(predictions: Any, targets: Any) -> None:
            shape, lead = np.shape(predictions), len(np.shape(predictions)) - len(event)
            fits = lead >= 0 and all(isinstance(n, str) or n == m for n, m in zip(event, shape[lead:], strict=True))
            if not fits or (batch and lead != 1):
                fail(name, "predictions", f"of shape {shown}", f" shape {shape}")
            if integers:
                _check_integers(name, targets, "")
            if np.shape(targets) != shape[:lead]:
                expected = f"of shape {shape[:lead]}, one for each of the predictions {shape}"
                fail(name, "targets", expected, f" shape {np.shape(targets)}")

        return _guarded(formula, check, integers=integers, pointwise=not batch)

    return decorate


def hits(targets: Array, classes: int) -> Array:
    """Whether a class is the label's, `(..., classes)`; nowhere for a label outside 0..classes-1.

    A comparison with the class numbers, not a gather: it fuses with the sums around it, and so does its gradient.
    """
    shape = (1,) * targets.ndim + (classes,)
    return lax.expand_dims(targets, [targets.ndim]) == lax.broadcasted_iota(targets.dtype, shape, targets.ndim)


def real_rows(function: str, where: Any, predictions: Array) -> Array:
    """The rows of a batch that are no padding, `(batch,)`, all of them for None."""
    batch = predictions.shape[:1]
    if where is None:
        return jnp.ones(batch, bool)
    if np.shape(where) != batch:
        fail(function, "where", f"of shape {batch}, one for each example", f" shape {np.shape(where)}")
    return jnp.asarray(where).astype(bool)


def _check_integers(function: str, targets: Any, dense: str) -> None:
    if not jnp.issubdtype(targets.dtype, jnp.integer):
        hint = f"For distributions use {dense}." if dense else None
        hint = "As labels: y.astype('int32')." if targets.dtype == bool else hint
        fail(function, "targets", "integer labels", f" {targets.dtype}", hint=hint)
    if targets.dtype.itemsize > 4:  # JAX has all others as they are
        check_int32(function, "targets", targets)


def on_device(array: Any) -> Array:
    """A numpy array as JAX has it; jnp.asarray would compile a program before the formula's own checks speak."""
    return array if isinstance(array, jax.Array) else jax.device_put(np.asarray(array))


def _guarded(formula: F, check: Callable[[Any, Any], None], *, integers: bool = False, pointwise: bool = True) -> F:
    """`pointwise`: whether the value of a place is that of its prediction and its target alone."""
    name = formula.__name__

    @functools.wraps(formula)
    def loss(predictions: Any, targets: Any, **keywords: Any) -> Array:
        check_floating(name, "predictions", predictions)
        check_array(name, "targets", targets)
        for argument, value in keywords.items():
            check_plain(name, argument, value)
        check(predictions, targets)
        wide = wide_dtype(predictions.dtype)
        if not integers:
            targets = targets.astype(wide)
        elif targets.dtype.itemsize < 4:
            targets = targets.astype(jnp.int32)  # int8 cannot count 300 classes
        values = formula(on_device(predictions.astype(wide)), on_device(targets), **keywords)
        return values.astype(predictions.dtype)

    loss.__dict__["pointwise"] = pointwise
    return cast(F, loss)
