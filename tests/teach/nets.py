"""Parameters made without drawing anything from a key, which would have to be compiled."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

import jaxann as ja

__all__ = ["filled", "recipe", "wide_net"]


def recipe(model: Any, loss: Any, optimizer: Any = None, **more: Any) -> Any:
    """What `explain` reads: plain gradient descent with a rate of 0.5 where no optimizer is given."""
    return ja.recipe(model, loss, ja.optimizers.sgd(0.5) if optimizer is None else optimizer, **more)


def filled(model: Any, x: np.ndarray, dtype: Any = np.float64) -> tuple[dict, dict]:
    """Parameters of a model for inputs like x, normal numbers, and a state of zeros."""
    draw = np.random.default_rng(0)
    spec = jax.ShapeDtypeStruct(x.shape, x.dtype if np.issubdtype(x.dtype, np.integer) else dtype)
    params, state = jax.eval_shape(lambda key: model.init(key, spec), jax.random.key(0))
    return (
        jax.tree.map(lambda leaf: draw.normal(size=leaf.shape).astype(leaf.dtype), params),
        jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), state),
    )


def wide_net(inputs: int, units: int, classes: int) -> tuple[Any, dict]:
    """A perceptron with one hidden layer of relu, and parameters for it."""
    model = ja.models.mlp((units, classes))
    return model, filled(model, np.zeros((1, inputs), np.float32), np.float32)[0]
