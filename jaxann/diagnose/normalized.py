"""Whether a model brings its inputs to one size before weights meet them."""

from __future__ import annotations

import jax
import numpy as np

from jaxann.core.preprocessor import Preprocessor
from jaxann.core.products import Layer

__all__ = ["normalizes"]

_MEAN, _DEVIATION = 10.0, 30.0  # that numbers brought to one size do not pass
_REFUSED = (ValueError, TypeError, IndexError, AttributeError)  # what layers raise that take no table


def normalizes(model: Layer) -> bool:
    """Whether the first of its layers standardize, or the like: `preprocess`, `standardize`, `batch_norm`.

    Layers are gone through in the order in which they run, up to the first with weights. A layer counts that makes
    numbers of size 1 of columns as unlike as 1e-3 and 1e3; one that has a mean and a deviation counts for those that it
    has. What learns from data but changes no scale, such as `impute`, does not count.
    """
    return _answer(model) is True


def _answer(layer: Layer) -> bool | None:
    """Whether numbers leave the layer at one size; None where they leave it as they came."""
    layer = layer.resolved
    if "wraps" in layer.traits:
        return _answer(layer.arguments["layer"])
    if getattr(layer.declared, "fit", None) is not None:
        preprocessor = layer.arguments.get("preprocessor")
        return True if not isinstance(preprocessor, Preprocessor) or _scales(preprocessor) else None
    if "chain" in layer.traits:
        for child in layer.children.values():
            answer = _answer(child)
            if answer is not None:
                return answer
        return None
    if layer.children:
        return any(_answer(child) is True for child in layer.children.values())
    if "deviation" in layer.arguments and "mean" in layer.arguments:
        return True
    return _measured(layer)


def _columns() -> np.ndarray:
    """Columns as unlike as they come: small, ordinary, large, and far from 0."""
    drawn = np.random.default_rng(0).normal(size=(256, 4))
    return (drawn * [1e-3, 1.0, 1e3, 1.0] + [0.0, 0.0, 0.0, 1e3]).astype(np.float32)


def _scales(preprocessor: Preprocessor) -> bool:
    """Whether it brings such columns to one size; of one that takes no such table that is taken for granted."""
    x = _columns()
    try:
        return _is_ordinary(np.asarray(preprocessor.transform(preprocessor.fit(x), x)))
    except _REFUSED:
        return True


def _measured(layer: Layer) -> bool | None:
    """What a single layer does to such columns in training."""
    x = _columns()
    key = jax.random.key(0)
    try:
        params, state = layer.init(key, jax.ShapeDtypeStruct(x.shape, x.dtype))
        y, _ = layer.apply(params, state, x, key=key, train=True)
        if y.shape == x.shape and _is_ordinary(np.asarray(y)):
            return True
    except _REFUSED:
        return False
    return False if jax.tree.leaves(params) else None


def _is_ordinary(y: np.ndarray) -> bool:
    flat = y.reshape(len(y), -1)
    return bool((np.abs(flat.mean(0)) <= _MEAN).all() and (flat.std(0) <= _DEVIATION).all() and flat.std(0).max() > 0.1)
