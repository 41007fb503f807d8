"""The temporal convolution network: what has come so far, read by convolutions each of which sees twice as far."""

from __future__ import annotations

from jaxann.core.checks import check_flag, check_integer, check_range, fail
from jaxann.core.factories import factory
from jaxann.core.products import Layer
from jaxann.core.typing import Scalar
from jaxann.initializers import he_normal
from jaxann.layers import conv, dense, dropout, elementwise, residual, sequential, weight_norm

__all__ = ["temporal_conv_net"]


@factory(Layer, static=("features", "filters", "kernel_size", "use_weight_norm"))
def temporal_conv_net(
    features: int,
    *,
    filters: tuple[int, ...] = (25,) * 8,
    kernel_size: int = 7,
    rate: Scalar | None = None,
    use_weight_norm: bool = True,
):
    """y = relu(skip(x) + f(f(x))) in each block, f = drop(relu(conv(.))) of what has come so far; then a dense layer.

    The windows of block l = 0, 1, ... have their entries 2^l positions apart, and their last at the position itself.
    With L blocks a position sees itself and the 2 (kernel_size - 1) (2^L - 1) before it, 3,060 of them with the
    defaults, which are those of the paper for digits pixel by pixel; what is further back it cannot know.

    Args:
        features: what comes out at each position.
        filters: of each block.
        kernel_size: entries of a window.
        rate: probability of dropping, after each convolution; None for no dropout.
        use_weight_norm: whether the convolutions' weights have lengths of their own, see `layers.weight_norm`.

    Input `(batch, time, channels)`, output `(batch, time, features)`. Layers by name: `block0` (`sum`: `conv0`, `act0`,
    `drop0`, `conv1`, ... in its `body`, and in the first block and where the filters change a dense layer as its
    `skip`; `act`), ..., `dense`. What is padding at the end of a sequence changes nothing. With `start` and `step` it
    goes one position at a time, keeping what its windows still see.

    Peers: the authors' TemporalConvNet with a linear layer after it; its weights are N(0, 0.01^2) at first and not
    `he_normal`, and its first block has no map in the skip where channels and filters are as many. Their text drops
    whole channels, their code single numbers, as here.

    Source: Bai, Kolter and Koltun 2018.

    Raises:
        InputError: an argument is out of range.
    """
    name = "temporal_conv_net"
    check_integer(name, "features", features)
    check_integer(name, "kernel_size", kernel_size)
    check_flag(name, "use_weight_norm", use_weight_norm)
    if not isinstance(filters, tuple) or not filters:
        fail(name, "filters", "a tuple of filters, one number for each block", filters)
    for number in filters:
        check_integer(name, "each of filters", number)
    if rate is not None:
        check_range(name, "rate", rate, 0, 1, open_high=True)
    layers: dict[str, Layer] = {}
    for i, number in enumerate(filters):
        body: dict[str, Layer] = {}
        for j in range(2):
            padding = ((2**i * (kernel_size - 1), 0),)
            made = conv(number, (kernel_size,), padding=padding, dilation=2**i, kernel_init=he_normal())
            body[f"conv{j}"] = weight_norm(made) if use_weight_norm else made
            body[f"act{j}"] = elementwise("relu")
            if rate is not None:
                body[f"drop{j}"] = dropout(rate)
        skip = dense(number, kernel_init=he_normal()) if i == 0 or filters[i - 1] != number else None
        layers[f"block{i}"] = sequential({"sum": residual(sequential(body), skip), "act": elementwise("relu")})
    return sequential(layers | {"dense": dense(features)}).functions
