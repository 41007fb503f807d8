"""The worked nets: 2-2-1 and its variants, an LSTM and an attention over three positions."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np

from jaxann.activations import sigmoid
from jaxann.core.checks import check_choice
from jaxann.core.typing import Params
from jaxann.layers import dense, elementwise, global_pool, last_position, lstm, multi_head_attention, sequential
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
    "lstm": "three positions of two numbers, an LSTM of two units, one output from its last state; half squared error",
    "attention": "three positions of two numbers, one head that sees nothing later, one output from the mean of all; "
    "half squared error",
}
_SEQUENCE = np.array([[[0.5, 0.8], [-0.2, 0.4], [0.9, -0.6]]])


def example(name: str = "2-2-1") -> Example:
    """The worked net: x = (0.5, 0.8), y = 1, W1 = [[0.2, 0.3], [0.4, 0.7]], b1 = (0.1, 0.2), W2 = (0.5, 0.6), b2 = 0.3.

    Its optimizer is plain gradient descent with a learning rate of 0.5. Those with sequences have y = 1 too and three
    positions, (0.5, 0.8), (-0.2, 0.4), (0.9, -0.6).

    Args:
        name: "2-2-1", "2-2-1-cross-entropy", "2-2-1-slope-2", "lstm" or "attention".

    Raises:
        InputError: there is no such example.
    """
    check_choice("example", "name", name, EXAMPLES)
    if name in ("lstm", "attention"):
        return _of_sequence(name)
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


def _of_sequence(name: str) -> Example:
    out = {"weight": np.array([[0.5], [0.6]]), "bias": np.array([0.3])}
    if name == "lstm":
        inner, end = lstm(2), last_position()
        params = {
            "weight": np.array(
                [[0.2, 0.3, 0.1, -0.4, 0.7, -0.5, 0.6, 0.2], [0.4, -0.7, 0.5, 0.2, -0.3, 0.8, -0.1, 0.9]]
            ),
            "recurrent": np.array(
                [[0.1, -0.2, 0.4, 0.3, 0.6, 0.2, -0.3, 0.5], [-0.5, 0.6, 0.2, -0.1, 0.4, -0.7, 0.8, 0.1]]
            ),
            "bias": np.array([0.1, 0.2, 1.0, 1.0, 0.0, 0.1, -0.1, 0.2]),
            "recurrent_bias": np.zeros(8),
        }
    else:
        inner, end = multi_head_attention(2, 1, causal=True), global_pool()
        params = {
            "qkv": {
                "weight": np.array([[0.8, -0.5, 0.6, 0.9, 0.2, 0.7], [0.4, 1.0, -0.7, 0.3, -0.6, 0.5]]),
                "bias": np.array([0.1, -0.2, 0.3, 0.0, 0.2, -0.1]),
            },
            "out": {"weight": np.array([[0.9, -0.4], [0.3, 0.7]]), "bias": np.array([0.1, 0.2])},
        }
    model = sequential({name: inner, "end": end, "out": dense(1)})
    given = {name: params, "end": {}, "out": out}
    return Example(make_recipe(model, half_squared_error, sgd(0.5)), given, _SEQUENCE, np.array([[1.0]]))
