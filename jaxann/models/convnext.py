"""ConvNeXt: a convolutional network with the blocks of a transformer."""

from __future__ import annotations

from jaxann.core.checks import check_choice, check_integer, check_range, fail
from jaxann.core.factories import factory
from jaxann.core.products import Layer
from jaxann.core.typing import Scalar
from jaxann.initializers import truncated_normal
from jaxann.layers import conv, dense, depthwise_conv, elementwise, global_pool, layer_norm, layer_scale, sequential
from jaxann.models.stages import exact_gelu, residual_or_dropped

__all__ = ["convnext"]

_SIZES = {
    "tiny": ((3, 3, 9, 3), 96),
    "small": ((3, 3, 27, 3), 96),
    "base": ((3, 3, 27, 3), 128),
    "large": ((3, 3, 27, 3), 192),
    "xlarge": ((3, 3, 27, 3), 256),
}


@factory(Layer, static=("size", "classes", "widths"))
def convnext(
    size: str | tuple[int, ...] = "tiny",
    classes: int = 1000,
    *,
    widths: tuple[int, ...] | None = None,
    rate: Scalar | None = None,
    initial_scale: Scalar = 1e-6,
):
    """Stages of depthwise convolutions and dense layers of each place, the mean, norm and a dense layer; logits.

        y = x + scale dense(gelu(dense(norm(conv(x))))), the convolution depthwise and 7 x 7, the inner dense layer four
                                                          times as wide

    Args:
        size: "tiny", "small", "base", "large" or "xlarge", or the blocks of each stage.
        classes: number of outputs.
        widths: channels of each stage; None for those of the size, 96 doubled from stage to stage where the blocks are
            given.
        rate: probability of leaving out the branch of the last block in training, growing linearly from 0 in the first;
            None for plain residual blocks. The paper has 0.1 for the tiny net, 0.4 for the small one, else 0.5.
        initial_scale: what the factors at the end of each branch (`layers.layer_scale`) begin at.

    Input `(batch, height, width, channels)`, output `(batch, classes)`. Layers by name: `stem` (`conv`, `norm`),
    `stage0` (`block0`, ...), `stage1` (`norm`, `conv`, `block0`, ...), ..., `pool`, `norm`, `dense`. Layer norms have
    eps 1e-6, gelu is the exact one; a norm and a convolution 2 x 2 / 2 begin every stage but the first. Weights are of
    truncated normals of 0.02. Parameters of three channels and 1000 classes: 28,589,128, 50,223,688, 88,591,464,
    197,767,336 and 350,196,968.

    Peers: torchvision's convnext_tiny to convnext_large, whose normals are cut at 100 deviations and not at 2; Keras'
    ConvNeXtTiny to XLarge.

    Source: Liu et al. 2022.

    Raises:
        InputError: an argument is wrong.
    """
    if isinstance(size, tuple):
        blocks, first = size, 96
        if not size:
            fail("convnext", "size", "a name or a tuple of blocks, one number for each stage", size)
        for number in size:
            check_integer("convnext", "each of size", number)
    else:
        check_choice("convnext", "size", size, _SIZES)
        blocks, first = _SIZES[size]
    check_integer("convnext", "classes", classes)
    if widths is None:
        widths = tuple(first * 2**stage for stage in range(len(blocks)))
    if not isinstance(widths, tuple) or len(widths) != len(blocks):
        fail("convnext", "widths", f"one number for each of {len(blocks)} stages, or None", widths)
    for width in widths:
        check_integer("convnext", "each of widths", width)
    if rate is not None:
        check_range("convnext", "rate", rate, 0, 1, open_high=True)
    check_range("convnext", "initial_scale", initial_scale)
    layers: dict[str, Layer] = {
        "stem": sequential({"conv": _smaller(widths[0], 4), "norm": layer_norm(eps=1e-6)}),
    }
    before = 0
    for stage, (number, width) in enumerate(zip(blocks, widths, strict=True)):
        own: dict[str, Layer] = {}
        if stage:
            own |= {"norm": layer_norm(eps=1e-6), "conv": _smaller(width, 2)}
        for i in range(number):
            own[f"block{i}"] = residual_or_dropped(_branch(width, initial_scale), rate, before + i, sum(blocks))
        layers[f"stage{stage}"] = sequential(own)
        before += number
    last = dense(classes, kernel_init=truncated_normal(0.02))
    return sequential(layers | {"pool": global_pool(), "norm": layer_norm(eps=1e-6), "dense": last}).functions


def _smaller(filters: int, size: int) -> Layer:
    """A convolution of windows that do not overlap."""
    return conv(filters, size, stride=size, padding="valid", kernel_init=truncated_normal(0.02))


def _branch(width: int, initial_scale: Scalar) -> Layer:
    init = truncated_normal(0.02)
    return sequential(
        {
            "conv": depthwise_conv(7, padding=3, kernel_init=init),
            "norm": layer_norm(eps=1e-6),
            "dense0": dense(4 * width, kernel_init=init),
            "act": elementwise(exact_gelu),
            "dense1": dense(width, kernel_init=init),
            "scale": layer_scale(initial_scale),
        }
    )
