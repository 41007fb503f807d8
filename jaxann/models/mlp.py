"""The multi-layer perceptron, and the one that normalizes itself."""

from __future__ import annotations

from collections.abc import Callable

from jaxann.core.checks import check_integer, check_range, fail
from jaxann.core.factories import factory
from jaxann.core.products import Initializer, Layer
from jaxann.core.typing import Scalar
from jaxann.initializers import init_for, lecun_normal
from jaxann.layers import alpha_dropout, dense, elementwise, sequential
from jaxann.layers import batch_norm as normalization
from jaxann.layers import dropout as drop

__all__ = ["mlp", "self_normalizing_mlp"]


@factory(Layer, static=("widths",))
def mlp(
    widths: tuple[int, ...],
    *,
    activation: str | Callable | Layer = "relu",
    dropout: Scalar | None = None,
    batch_norm: bool = False,
    kernel_init: Initializer | None = None,
):
    """Dense layers with an activation between them; the output is linear (logits, or the regression itself).

    Args:
        widths: units of each layer, the output last: `(512, 512, 10)` has two hidden layers; `(10,)` is a linear
            model.
        activation: name, function or layer such as `layers.prelu()`, after each hidden layer.
        dropout: probability of dropping after each hidden activation; None for no dropout layers.
        batch_norm: whether to normalize before each hidden activation.
        kernel_init: distribution of the hidden weights, the customary one of the activation when None. The output layer
            has `lecun_normal()`.

    Layers by name: `dense0`, `norm0`, `act0`, `drop0`, `dense1`, ...; input `(..., features)`.

    Peers: scikit-learn's MLPClassifier has neither dropout nor normalization, and its output is a probability.

    Raises:
        InputError: widths are no positive integers, the activation is unknown, or the dropout rate is out of range.
    """
    if not isinstance(widths, tuple) or not widths:
        fail("mlp", "widths", "a tuple of positive integers, the output last", widths, hint="mlp((64, 10))")
    for width in widths:
        check_integer("mlp", "each of widths", width)
    if dropout is not None:
        check_range("mlp", "dropout", dropout, 0, 1, open_high=True)
    hidden_init = kernel_init or init_for(activation)
    layers: dict[str, Layer] = {}
    for i, width in enumerate(widths[:-1]):
        layers[f"dense{i}"] = dense(width, use_bias=not batch_norm, kernel_init=hidden_init)
        if batch_norm:
            layers[f"norm{i}"] = normalization()
        layers[f"act{i}"] = activation if isinstance(activation, Layer) else elementwise(activation)
        if dropout is not None:
            layers[f"drop{i}"] = drop(dropout)
    layers[f"dense{len(widths) - 1}"] = dense(widths[-1], kernel_init=lecun_normal())
    return sequential(layers).functions


@factory(Layer, static=("widths",))
def self_normalizing_mlp(widths: tuple[int, ...], *, dropout: Scalar | None = None):
    """Dense layers of `lecun_normal` weights with selu between them, whose signal keeps mean 0 and variance 1.

    Inputs of mean 0 and variance 1 keep them through any depth without a normalization; the output is linear.

    Args:
        widths: units of each layer, the output last: `(256,) * 8 + (10,)`.
        dropout: probability of dropping after each selu, by `alpha_dropout`, which keeps both too; 0.05 or 0.1 in the
            paper. None for no such layers.

    Layers by name: `dense0`, `act0`, `drop0`, `dense1`, ...; input `(..., features)`. Put `standardize` or
    `tabular` before it where the inputs are not of mean 0 and variance 1.

    Peers: none of PyTorch, Keras and flax has it whole; each has the selu, PyTorch and Keras the dropout.

    Source: Klambauer et al. 2017.

    Raises:
        InputError: widths are no positive integers, or the dropout rate is out of range.
    """
    if not isinstance(widths, tuple) or not widths:
        fail("self_normalizing_mlp", "widths", "a tuple of positive integers, the output last", widths)
    for width in widths:
        check_integer("self_normalizing_mlp", "each of widths", width)
    if dropout is not None:
        check_range("self_normalizing_mlp", "dropout", dropout, 0, 1, open_high=True)
    layers: dict[str, Layer] = {}
    for i, width in enumerate(widths[:-1]):
        layers[f"dense{i}"] = dense(width, kernel_init=lecun_normal())
        layers[f"act{i}"] = elementwise("selu")
        if dropout is not None:
            layers[f"drop{i}"] = alpha_dropout(dropout)
    layers[f"dense{len(widths) - 1}"] = dense(widths[-1], kernel_init=lecun_normal())
    return sequential(layers).functions
