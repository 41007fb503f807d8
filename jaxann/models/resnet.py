"""Residual networks for images: the deep ones of ImageNet and the small ones of CIFAR-10."""

from __future__ import annotations

from jaxann.core.checks import check_choice, check_integer, fail
from jaxann.core.factories import factory
from jaxann.core.products import Layer
from jaxann.layers import dense, elementwise, global_pool, max_pool, residual, sequential
from jaxann.models.stages import blocks_of, conv_norm, conv_norm_act

__all__ = ["resnet", "resnet_cifar"]

_KNOWN = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


@factory(Layer, static=("depth", "classes", "width", "bottleneck"))
def resnet(
    depth: int | tuple[int, ...] = 18,
    classes: int = 1000,
    *,
    stem: str = "imagenet",
    width: int = 64,
    bottleneck: bool | None = None,
):
    """Stages of residual blocks, y = relu(skip(x) + body(x)), the mean over all places, and a dense layer; logits.

    A basic block's body is conv 3 x 3 - norm - relu - conv 3 x 3 - norm; a bottleneck's is conv 1 x 1 - norm - relu -
    conv 3 x 3 - norm - relu - conv 1 x 1 to four times the filters - norm. The first block of each stage but the first
    goes two places at a time (in its 3 x 3 convolution); where the shape changes the skip is a conv 1 x 1 and norm.

    Args:
        depth: 18, 34 (basic blocks), 50, 101, 152 (bottlenecks), or the blocks of each stage.
        classes: number of outputs.
        stem: "imagenet", a convolution 7 x 7 / 2 and a max pool 3 x 3 / 2; or "cifar", a convolution of 3 x 3 for
            pictures of 32 x 32.
        width: filters of the first stage, doubled from stage to stage.
        bottleneck: kind of the blocks; None for that of the depth, basic ones where the blocks of each stage are given.

    Input `(batch, height, width, channels)`, output `(batch, classes)`. Layers by name: `stem`, `stage0` (`block0`,
    ...), ..., `pool`, `dense`. Convolutions have no bias and pad both sides alike. Parameters of three channels and
    1000 classes: 11,689,512, 21,797,672, 25,557,032, 44,549,160 and 60,192,808.

    Peers: torchvision's resnet18 to resnet152; Keras' ResNet50 has its stride in the first 1 x 1 convolution, biases
    and eps 1.001e-5.

    Source: He et al. 2016; the stride in the 3 x 3 convolution: Gross and Wilber 2016.

    Raises:
        InputError: an argument is wrong.
    """
    blocks = blocks_of("resnet", depth, _KNOWN)
    for name, value in (("classes", classes), ("width", width)):
        check_integer("resnet", name, value)
    check_choice("resnet", "stem", stem, ("imagenet", "cifar"))
    if bottleneck is not None and not isinstance(bottleneck, bool):
        fail("resnet", "bottleneck", "True, False or None", bottleneck)
    if bottleneck is None:
        bottleneck = not isinstance(depth, tuple) and depth >= 50
    elif not isinstance(depth, tuple) and bottleneck != (depth >= 50):
        fail("resnet", "bottleneck", f"None or {depth >= 50} for depth {depth}", bottleneck)
    if stem == "imagenet":
        first = conv_norm_act(0, width, 7, 2) | {"pool0": max_pool(3, stride=2, padding=1)}
    else:
        first = conv_norm_act(0, width, 3)
    layers: dict[str, Layer] = {"stem": sequential(first)}
    before = width
    for stage, number in enumerate(blocks):
        layers[f"stage{stage}"], before = _stage(number, before, width * 2**stage, 1 + (stage > 0), bottleneck)
    return sequential(layers | {"pool": global_pool(), "dense": dense(classes)}).functions


@factory(Layer, static=("depth", "classes", "width"))
def resnet_cifar(depth: int = 20, classes: int = 10, *, width: int = 16):
    """The residual networks of 32 x 32 pictures: a convolution, three stages of (depth - 2) / 6 basic blocks; logits.

    Args:
        depth: 6 n + 2 layers with weights: 20, 32, 44, 56, 110.
        classes: number of outputs.
        width: filters of the first stage; the two others have twice and four times as many.

    Input `(batch, 32, 32, channels)`, output `(batch, classes)`; layers by name as those of `resnet`. Where the shape
    changes the skip is a convolution 1 x 1 and norm: 272,474 parameters at depth 20.

    Peers: none of PyTorch, Keras and flax has it. The paper pads the missing channels of the skip with zeros instead
    (2,752 parameters less at depth 20).

    Source: He et al. 2016, section 4.2.

    Raises:
        InputError: an argument is wrong.
    """
    for name, value in (("depth", depth), ("classes", classes), ("width", width)):
        check_integer("resnet_cifar", name, value)
    if depth < 8 or (depth - 2) % 6:
        fail("resnet_cifar", "depth", "6 n + 2, such as 20 or 56", depth)
    return resnet(((depth - 2) // 6,) * 3, classes, stem="cifar", width=width).functions


def _stage(number: int, before: int, filters: int, stride: int, bottleneck: bool) -> tuple[Layer, int]:
    """A stage of blocks, and how many channels it gives."""
    after = 4 * filters if bottleneck else filters
    blocks: dict[str, Layer] = {}
    for i in range(number):
        if bottleneck:
            body = conv_norm_act(0, filters, 1) | conv_norm_act(1, filters, 3, stride) | conv_norm(2, after, 1)
        else:
            body = conv_norm_act(0, filters, 3, stride) | conv_norm(1, filters, 3)
        skip = None
        if stride > 1 or before != after:
            skip = sequential(conv_norm(0, after, 1, stride))
        block = {"sum": residual(sequential(body), skip), "act": elementwise("relu")}
        blocks[f"block{i}"] = sequential(block)
        before, stride = after, 1
    return sequential(blocks), after
