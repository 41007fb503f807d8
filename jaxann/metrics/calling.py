"""How a metric of whole arrays is called: with what its signature asks for, in its order."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jaxann.core.binding import bound, misfit
from jaxann.core.checks import fail
from jaxann.core.errors import InputError
from jaxann.core.typing import Array, Predictions, Targets

__all__ = ["NotTraceableError", "figure_of", "takes_weights", "uncallable"]

_WEIGHTS = ("weights", "sample_weight")
_TARGETS_FIRST = ("y_true",)  # scikit-learn's and Keras' name of a first argument that is the targets
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class NotTraceableError(InputError):
    """A metric looks at values, as NumPy and scikit-learn do, and so cannot be part of a compiled program."""


def figure_of(metric: Callable, predictions: Predictions, targets: Targets, weights: Array | None = None) -> Any:
    """What a metric says of whole arrays; weights (ones, where there are none) go to one whose signature has them.

    A parameter called `weights` or `sample_weight` gets them, or a third one that has no default. A metric whose first
    parameter is called `y_true`, as in scikit-learn, gets targets first. One that takes no weights does not see what
    has weight 0, and of nothing it is NaN; while arrays are being traced no row can be left out, and if one has to be
    the figure is NaN.

    Raises:
        NotTraceableError: the arrays are being traced and the metric needs their values.
    """
    first, by_name, third = _asked(metric)
    if weights is not None and by_name is None and not third:
        if isinstance(weights, Tracer):
            return _or_nan(figure_of(metric, predictions, targets), weights)
        counted = np.asarray(weights) != 0
        if not counted.any():
            return np.nan
        predictions, targets = (_taken(tree, counted) for tree in (predictions, targets))
    arrays = (targets, predictions) if first in _TARGETS_FIRST else (predictions, targets)
    keywords: dict[str, Any] = {}
    if by_name is not None or third:
        given = np.ones(jax.tree.leaves(targets)[0].shape[:1], np.float32) if weights is None else weights
        if by_name is None:
            arrays = (*arrays, given)
        else:
            keywords[by_name] = given
    try:
        return metric(*arrays, **keywords)
    except Exception as error:
        traced = any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves((predictions, targets)))
        if traced and _wants_values(error):
            _refuse(metric, error)
        raise


def _taken(tree: Any, counted: np.ndarray) -> Any:
    """What counts of every array that has the weights' axes."""
    if counted.all():
        return tree

    def one(leaf: Any) -> Any:
        if np.shape(leaf)[: counted.ndim] != counted.shape:
            return leaf
        found = np.asarray(leaf)[counted]
        return jnp.asarray(found) if isinstance(leaf, jax.Array) else found

    return jax.tree.map(one, tree)


def _or_nan(figure: Any, weights: Array) -> Any:
    """A figure of all rows, NaN where one of them has weight 0: a program has no arrays of another length."""
    if not (isinstance(figure, bool | int | float) or hasattr(figure, "dtype")):
        return figure  # which is refused as no figure

    def one(value: Any) -> Any:
        value = jnp.asarray(value)
        value = value if jnp.issubdtype(value.dtype, jnp.inexact) else value.astype(jnp.result_type(float))
        return jnp.where(jnp.any(weights == 0), jnp.nan, value)

    return jax.tree.map(one, figure)


def uncallable(metric: Callable) -> str | None:
    """Name and signature of a metric that cannot be called as `figure_of` does; None for one that can, or has none."""
    _, by_name, third = _asked(metric)
    return misfit(metric, 3 if third else 2, *(() if by_name is None else (by_name,)))


def takes_weights(metric: Callable) -> bool:
    """Whether a metric of whole arrays is handed weights."""
    _, by_name, third = _asked(metric)
    return by_name is not None or third


def _asked(metric: Callable) -> tuple[str | None, str | None, bool]:
    """The first parameter's name, that of the weights, and whether a third one without a default stands for them."""
    inner, args, keywords = bound(metric)
    try:
        parameters = list(inspect.signature(inner).parameters.values())
    except (TypeError, ValueError):  # an object without a signature
        return None, None, False
    free = [p for p in parameters if p.kind in _POSITIONAL][len(args) :]
    free = [p for p in free if p.name not in keywords]
    named = {p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY} | {
        p.name for p in free if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    }
    by_name = next((name for name in _WEIGHTS if name in named and name not in keywords), None)
    third = by_name is None and len(free) > 2 and free[2].default is inspect.Parameter.empty
    return (free[0].name if free else None), by_name, third


def _wants_values(error: BaseException | None) -> bool:
    """Whether JAX said that a value was asked for, here or in what this error came from."""
    while error is not None:
        if isinstance(error, jax.errors.JAXTypeError | jax.errors.JAXIndexError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _refuse(metric: Callable, error: BaseException) -> None:
    name = getattr(bound(metric)[0], "__name__", "a metric")
    hint = "`fit` and `evaluate` take such a metric; elsewhere write it with jax.numpy."
    try:
        fail("metrics", name, "of jax.numpy, without a look at values", f" {type(error).__name__}", hint=hint)
    except InputError as refusal:
        raise NotTraceableError(str(refusal)) from error
