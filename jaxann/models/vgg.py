"""The plain deep convolutional networks of Simonyan and Zisserman."""

from __future__ import annotations

from jaxann.core.checks import check_integer, check_range
from jaxann.core.factories import factory
from jaxann.core.products import Layer
from jaxann.core.typing import Scalar
from jaxann.initializers import init_for
from jaxann.layers import adaptive_pool, batch_norm, conv, dense, elementwise, flatten, max_pool, sequential
from jaxann.layers import dropout as drop
from jaxann.models.stages import blocks_of

__all__ = ["vgg"]

_KNOWN = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}


@factory(Layer, static=("depth", "classes", "width", "hidden", "pool_size"), convert={"hidden": tuple})
def vgg(
    depth: int | tuple[int, ...] = 16,
    classes: int = 1000,
    *,
    batch_norm: bool = False,
    dropout: Scalar | None = 0.5,
    width: int = 64,
    hidden: tuple[int, ...] = (4096, 4096),
    pool_size: int | None = 7,
):
    """Stages of 3 x 3 convolutions with ReLU, each ending in a pool of 2 x 2, then dense layers; logits.

    Args:
        depth: 11, 13, 16 or 19, the number of layers with weights, or the convolutions of each stage.
        classes: number of outputs.
        batch_norm: whether to normalize before each ReLU of a convolution (which has a bias then too, as in PyTorch).
        dropout: probability of dropping after each hidden dense layer; None for no dropout layers.
        width: filters of the first stage; each stage has twice those of the one before, up to eight times the first.
        hidden: units of the hidden dense layers; `()` with pool_size=1 for the small form used on CIFAR-10.
        pool_size: side to which the last maps are averaged, so that any size of picture is taken; None to leave them.

    Input `(batch, height, width, channels)`, at least 32 x 32 for the known depths; output `(batch, classes)`. Layers
    by name: `stage0` (`conv0`, `norm0`, `act0`, `conv1`, ..., `pool`), ..., `pool`, `flat`, `dense0`, `act0`, `drop0`,
    `dense1`, ... Parameters of three channels and 1000 classes: 132,863,336, 133,047,848, 138,357,544 and 143,667,240.

    Peers: torchvision's vgg11 to vgg19 and their _bn forms; Keras' VGG16 and VGG19 have no dropout.

    Source: Simonyan and Zisserman 2015.

    Raises:
        InputError: an argument is wrong.
    """
    stages = blocks_of("vgg", depth, _KNOWN)
    for name, value in (("classes", classes), ("width", width)):
        check_integer("vgg", name, value)
    if pool_size is not None:
        check_integer("vgg", "pool_size", pool_size)
    if dropout is not None:
        check_range("vgg", "dropout", dropout, 0, 1, open_high=True)
    layers: dict[str, Layer] = {}
    for stage, number in enumerate(stages):
        layers[f"stage{stage}"] = _stage(number, width * min(2**stage, 8), batch_norm)
    if pool_size is not None:
        layers["pool"] = adaptive_pool(pool_size)
    layers["flat"] = flatten()
    for i, units in enumerate(hidden):
        check_integer("vgg", "each of hidden", units)
        layers |= {f"dense{i}": dense(units, kernel_init=init_for("relu")), f"act{i}": elementwise("relu")}
        if dropout is not None:
            layers[f"drop{i}"] = drop(dropout)
    layers[f"dense{len(hidden)}"] = dense(classes)
    return sequential(layers).functions


def _stage(number: int, filters: int, normalized: bool) -> Layer:
    layers: dict[str, Layer] = {}
    for i in range(number):
        layers[f"conv{i}"] = conv(filters, 3, padding=1, kernel_init=init_for("relu"))
        if normalized:
            layers[f"norm{i}"] = batch_norm()
        layers[f"act{i}"] = elementwise("relu")
    return sequential(layers | {"pool": max_pool(2)})
