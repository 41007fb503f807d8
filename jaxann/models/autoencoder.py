"""Autoencoders, dense and convolutional: plain, denoising, sparse, contractive and variational ones.

    plain        autoencoder((256, 32), 784)                                          losses.squared_error
    denoising    autoencoder((256, 32), 784, corruption=layers.dropout(0.3))          losses.squared_error
    sparse       autoencoder((256,), 784, code_activation="sigmoid", with_code=True)  losses.sparse_code(squared_error)
    contractive  contractive_autoencoder(256, 784)                                    losses.contractive(squared_error)
    variational  variational_autoencoder((256, 16), 784)                              losses.negative_elbo(...)

Each is trained on pairs (x, x): a recipe of the model and the loss, `fit(recipe, (x, x), ...)`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from jaxann.core.checks import check_integer, fail
from jaxann.core.factories import factory
from jaxann.core.products import Layer
from jaxann.initializers import init_for
from jaxann.layers import (
    as_layer,
    contractive_encode_decode,
    conv,
    conv_transpose,
    dense,
    elementwise,
    encode_decode,
    encode_sample_decode,
    flatten,
    reshape,
    sequential,
)
from jaxann.models.mlp import mlp

__all__ = ["autoencoder", "contractive_autoencoder", "conv_autoencoder", "variational_autoencoder"]

_CORRUPTION: dict[str, Callable] = {
    "corruption": lambda v: v if v is None else as_layer(v, "autoencoder", "corruption"),
}


@factory(Layer, static=("widths", "features"), convert=_CORRUPTION)
def autoencoder(
    widths: tuple[int, ...],
    features: int,
    *,
    activation: str | Callable = "relu",
    code_activation: str | Callable | None = None,
    corruption: Layer | None = None,
    with_code: bool = False,
):
    """x - dense layers to a code - the same backwards - reconstruction, which is linear (values or logits).

    Args:
        widths: units of the encoder's layers, the code last; the decoder has them in reverse. `(k,)` alone is linear,
            and finds the span of the first k principal components.
        features: length of x.
        activation: after each hidden layer.
        code_activation: after the code, "sigmoid" for a sparse one; None for a linear code.
        corruption: a layer before the encoder that spoils x in training, such as `layers.gaussian_noise(0.3)` or
            `layers.dropout(0.3)`; the target stays the clean x (a denoising autoencoder).
        with_code: whether the output is {"reconstruction", "code"}, as `losses.sparse_code` asks, and not the
            reconstruction alone.

    Input `(batch, features)`, output `(batch, features)`. Layers by name: `encoder` (`corruption`, `code`, `act`) and
    `decoder`; `model.children["encoder"]` and `["decoder"]` are layers by themselves.

    Peers: none of PyTorch, Keras and flax has it.

    Source: Rumelhart, Hinton and Williams 1986; linear: Baldi and Hornik 1989; denoising: Vincent et al. 2008.

    Raises:
        InputError: an argument is wrong.
    """
    _check_widths("autoencoder", widths, features)
    encoder: dict[str, Layer] = {} if corruption is None else {"corruption": corruption}
    encoder["code"] = mlp(widths, activation=activation)
    if code_activation is not None:
        encoder["act"] = elementwise(code_activation)
    return _both(sequential(encoder), _mirrored(widths, features, activation), with_code).alias


@factory(Layer, static=("widths", "features"))
def variational_autoencoder(widths: tuple[int, ...], features: int, *, activation: str | Callable = "relu"):
    """x - dense layers - mean and log variance of a code - a sample - the same backwards - reconstruction.

    Args:
        widths: units of the encoder's layers, the code's length last; the decoder has them in reverse.
        features: length of x.
        activation: after each hidden layer.

    Output as of `layers.encode_sample_decode`, for `losses.negative_elbo`. Layers by name: `encoder`, `decoder`.

    Peers: none of PyTorch, Keras and flax has it.

    Source: Kingma and Welling 2014.

    Raises:
        InputError: an argument is wrong.
    """
    _check_widths("variational_autoencoder", widths, features)
    encoder = mlp((*widths[:-1], 2 * widths[-1]), activation=activation)
    return encode_sample_decode(encoder, _mirrored(widths, features, activation)).alias


@factory(Layer, static=("units", "features"))
def contractive_autoencoder(units: int, features: int, *, activation: str = "sigmoid"):
    """x - one layer of units - reconstruction, with the squared norm of the code's derivatives beside it.

    Args:
        units: length of the code.
        features: length of x.
        activation: of the code, "sigmoid" or "tanh".

    Output as of `layers.contractive_encode_decode`, for `losses.contractive`. Layers by name: `encoder`, `decoder`.

    Peers: none of PyTorch, Keras and flax has it. The paper's decoder has the encoder's weights; here it has its own.

    Source: Rifai et al. 2011.

    Raises:
        InputError: an argument is wrong.
    """
    check_integer("contractive_autoencoder", "features", features)
    return contractive_encode_decode(units, dense(features), activation=activation).alias


@factory(Layer, static=("filters", "code", "shape"), convert={**_CORRUPTION})
def conv_autoencoder(
    filters: tuple[int, ...],
    code: int,
    shape: tuple[int, int, int],
    *,
    activation: str | Callable = "relu",
    corruption: Layer | None = None,
    with_code: bool = False,
    variational: bool = False,
):
    """x - convolutions of 3 x 3 by steps of 2 - a code - transposed convolutions back to the size of x.

    Args:
        filters: of each convolution of the encoder; the decoder has them in reverse.
        code: length of the code.
        shape: of a picture, `(height, width, channels)`.
        activation, corruption, with_code: as of `autoencoder`.
        variational: whether the code is drawn, as in `variational_autoencoder`.

    Input `(batch, *shape)`; the reconstruction is linear, of the same shape. Layers by name: `encoder`, `decoder`.

    Peers: none of PyTorch, Keras and flax has it.

    Source: Masci et al. 2011.

    Raises:
        InputError: an argument is wrong, or both with_code and variational are True.
    """
    name = "conv_autoencoder"
    for argument, numbers in (("filters", filters), ("shape", shape)):
        if not isinstance(numbers, tuple) or not numbers:
            fail(name, argument, "a tuple of positive integers", numbers)
        for number in numbers:
            check_integer(name, f"each of {argument}", number)
    if len(shape) != 3:
        fail(name, "shape", "(height, width, channels)", shape)
    check_integer(name, "code", code)
    if variational and with_code:
        fail(name, "variational", "False where with_code is True: it gives mean and log variance", variational)
    init = init_for(activation)
    encoder: dict[str, Layer] = {} if corruption is None else {"corruption": corruption}
    sizes = [shape[:2]]
    for i, number in enumerate(filters):
        encoder[f"conv{i}"] = conv(number, 3, stride=2, padding=1, kernel_init=init)
        encoder[f"act{i}"] = elementwise(activation)
        sizes.append(((sizes[-1][0] + 1) // 2, (sizes[-1][1] + 1) // 2))
    encoder |= {"flat": flatten(), "code": dense(2 * code if variational else code)}
    last = (*sizes[-1], filters[-1])
    decoder: dict[str, Layer] = {"code": dense(math.prod(last), kernel_init=init), "act": elementwise(activation)}
    decoder["maps"] = reshape(last)
    for i, (size, number) in enumerate(zip(sizes[-2::-1], (*filters[-2::-1], shape[2]), strict=True)):
        more = (1 - size[0] % 2, 1 - size[1] % 2)
        inner = i < len(filters) - 1
        made = conv_transpose(number, 3, stride=2, padding=1, output_padding=more, kernel_init=init if inner else None)
        decoder[f"conv{i}"] = made
        if inner:
            decoder[f"act{i}"] = elementwise(activation)
    if variational:
        return encode_sample_decode(sequential(encoder), sequential(decoder)).alias
    return _both(sequential(encoder), sequential(decoder), with_code).alias


def _check_widths(name: str, widths: tuple[int, ...], features: int) -> None:
    if not isinstance(widths, tuple) or not widths:
        fail(name, "widths", "a tuple of positive integers, the code last", widths, hint=f"{name}((256, 32), 784)")
    for width in widths:
        check_integer(name, "each of widths", width)
    check_integer(name, "features", features)


def _mirrored(widths: tuple[int, ...], features: int, activation: str | Callable) -> Layer:
    return mlp((*widths[-2::-1], features), activation=activation)


def _both(encoder: Layer, decoder: Layer, with_code: bool) -> Layer:
    return encode_decode(encoder, decoder) if with_code else sequential({"encoder": encoder, "decoder": decoder})
