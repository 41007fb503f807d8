"""Densely connected networks: every layer of a block sees what all layers before it have put out."""

from __future__ import annotations

from jaxann.core.checks import check_choice, check_integer, check_range
from jaxann.core.factories import factory
from jaxann.core.products import Layer
from jaxann.core.typing import Scalar
from jaxann.initializers import init_for
from jaxann.layers import avg_pool, batch_norm, conv, dense, dense_block, elementwise, global_pool, max_pool, sequential
from jaxann.layers import dropout as drop
from jaxann.models.stages import blocks_of, conv_norm_act, norm_act_conv

__all__ = ["densenet"]

_KNOWN = {
    121: (6, 12, 24, 16),
    169: (6, 12, 32, 32),
    201: (6, 12, 48, 32),
    264: (6, 12, 64, 48),
    100: (16, 16, 16),
    190: (31, 31, 31),
    250: (41, 41, 41),
}


@factory(Layer, static=("depth", "classes", "growth", "compression", "bottleneck"))
def densenet(
    depth: int | tuple[int, ...] = 121,
    classes: int = 1000,
    *,
    growth: int = 32,
    stem: str = "imagenet",
    compression: float = 0.5,
    bottleneck: int = 4,
    dropout: Scalar | None = None,
):
    """Blocks of layers that each append `growth` channels, smaller maps between them, the mean, a dense layer; logits.

    A layer is norm - relu - conv 1 x 1 to bottleneck growth filters - norm - relu - conv 3 x 3 to growth filters, of
    all channels so far (`layers.dense_block`). Between two blocks stands norm - relu - conv 1 x 1 to `compression` of
    the channels - mean of 2 x 2; norm - relu stands after the last.

    Args:
        depth: 121, 169, 201, 264, or 100, 190, 250 of the small pictures, or the layers of each block.
        classes: number of outputs.
        growth: channels that each layer appends; 48 with depth (6, 12, 36, 24) is DenseNet-161.
        stem: "imagenet", a convolution 7 x 7 / 2 - norm - relu - max pool 3 x 3 / 2; or "cifar", a convolution of 3 x 3
            alone for pictures of 32 x 32. Either has 2 growth filters.
        compression: share of the channels, in (0, 1], that is left between two blocks (rounded down).
        bottleneck: filters of a layer's 1 x 1 convolution, in growths.
        dropout: probability of dropping what a layer appends; None for no dropout layers.

    Input `(batch, height, width, channels)`, output `(batch, classes)`. Layers by name: `stem`, `block0` (`layer0`,
    ...), `transition0` (`norm0`, `act0`, `conv0`, `pool`), `block1`, ..., `norm`, `act`, `pool`, `dense`. Convolutions
    have no bias. 7,978,856 parameters at depth 121 and 1000 classes; 769,162 at depth 100, growth 12 and 10 classes.

    Peers: torchvision's densenet121 to densenet201 (drop_rate 0 by default); Keras' DenseNet121 to DenseNet201 have eps
    1.001e-5 and no dropout.

    Source: Huang et al. 2017 (DenseNet-BC).

    Raises:
        InputError: an argument is wrong.
    """
    blocks = blocks_of("densenet", depth, _KNOWN)
    for name, value in (("classes", classes), ("growth", growth), ("bottleneck", bottleneck)):
        check_integer("densenet", name, value)
    check_choice("densenet", "stem", stem, ("imagenet", "cifar"))
    check_range("densenet", "compression", compression, 0, 1, open_low=True)
    if dropout is not None:
        check_range("densenet", "dropout", dropout, 0, 1, open_high=True)
    channels = 2 * growth
    if stem == "imagenet":
        first = conv_norm_act(0, channels, 7, 2) | {"pool0": max_pool(3, stride=2, padding=1)}
    else:
        first = {"conv0": conv(channels, 3, padding=1, use_bias=False, kernel_init=init_for("relu"))}
    layers: dict[str, Layer] = {"stem": sequential(first)}
    for i, number in enumerate(blocks):
        grown = {f"layer{j}": _layer(growth, bottleneck, dropout) for j in range(number)}
        layers[f"block{i}"] = dense_block(grown)
        channels += number * growth
        if i < len(blocks) - 1:
            channels = max(1, int(compression * channels))
            layers[f"transition{i}"] = sequential(norm_act_conv(0, channels, 1) | {"pool": avg_pool(2)})
    layers |= {"norm": batch_norm(), "act": elementwise("relu"), "pool": global_pool(), "dense": dense(classes)}
    return sequential(layers).functions


def _layer(growth: int, bottleneck: int, dropout: Scalar | None) -> Layer:
    dropped = {} if dropout is None else {"drop": drop(dropout)}
    return sequential(norm_act_conv(0, bottleneck * growth, 1) | norm_act_conv(1, growth, 3) | dropped)
