"""The worked net 2-2-1 and its variants: two inputs, two hidden units, one output."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np

from jaxann.activations import sigmoid
from jaxann.core.checks import check_choice
from jaxann.core.typing import Params
from jaxann.layers import dense, elementwise, sequential
from jaxann.losses import binary_cross_entropy_probs, half_squared_error
from jaxann.optimizers import sgd
from jaxann.train.recipe import Recipe
from jaxann.train.recipe import recipe as make_recipe

__all__ = ["EXAMPLES", "Example", "example"]


class Example(NamedTuple):
    """What `explain` takes: `explain(*example("2-2-1"))`."""

    recipe: Recipe
    params: Params
    x: np.ndarray
    y: np.ndarray


EXAMPLES = {
    "2-2-1": "two inputs, two hidden units, one output, all sigmoid; half squared error",
    "2-2-1-cross-entropy": "the same net with the binary cross-entropy",
    "2-2-1-slope-2": "the same net with sigmoids twice as steep, 1/(1 + e^(-2 z))",
}


def example(name: str = "2-2-1") -> Example:
    """The worked net: x = (0.5, 0.8), y = 1, W1 = [[0.2, 0.3], [0.4, 0.7]], b1 = (0.1, 0.2), W2 = (0.5, 0.6), b2 = 0.3.

    Its optimizer is plain gradient descent with a learning rate of 0.5.

    Args:
        name: "2-2-1", "2-2-1-cross-entropy" or "2-2-1-slope-2".

    Raises:
        InputError: there is no such example.
    """
    check_choice("example", "name", name, EXAMPLES)
    activation: Any = functools.partial(sigmoid, beta=2.0) if name == "2-2-1-slope-2" else "sigmoid"
    loss = binary_cross_entropy_probs if name == "2-2-1-cross-entropy" else half_squared_error
    model = sequential(
        {"dense0": dense(2), "act0": elementwise(activation), "dense1": dense(1), "act1": elementwise(activation)}
    )
    params = {
        "dense0": {"weight": np.array([[0.2, 0.3], [0.4, 0.7]]), "bias": np.array([0.1, 0.2])},
        "act0": {},
        "dense1": {"weight": np.array([[0.5], [0.6]]), "bias": np.array([0.3])},
        "act1": {},
    }
    return Example(make_recipe(model, loss, sgd(0.5)), params, np.array([[0.5, 0.8]]), np.array([[1.0]]))
