"""Wide residual networks: fewer blocks, more filters, normalization before the convolutions."""

from __future__ import annotations

from jaxann.core.checks import check_integer, check_range, fail
from jaxann.core.factories import factory
from jaxann.core.products import Layer
from jaxann.core.typing import Scalar
from jaxann.initializers import init_for
from jaxann.layers import batch_norm, conv, dense, elementwise, global_pool, residual, sequential
from jaxann.layers import dropout as drop
from jaxann.models.stages import norm_act_conv

__all__ = ["wide_resnet"]


@factory(Layer, static=("depth", "widen", "classes", "width"))
def wide_resnet(depth: int = 28, widen: int = 10, classes: int = 10, *, dropout: Scalar | None = None, width: int = 16):
    """A convolution, three stages of (depth - 4) / 6 pre-activated blocks, norm - relu - mean, a dense layer; logits.

    A block's body is norm - relu - conv 3 x 3 - norm - relu - (dropout) - conv 3 x 3. Where the shape changes, the
    first norm - relu comes before both sides, and the skip is a convolution 1 x 1.

    Args:
        depth: 6 n + 4 layers: 16, 22, 28, 40.
        widen: times as many filters as `width` in the first stage, doubled in each of the others.
        classes: number of outputs.
        dropout: probability of dropping within each block; None for no dropout layers.
        width: filters of the first convolution.

    Input `(batch, 32, 32, channels)`, output `(batch, classes)`. Layers by name: `conv`, `stage0` (`block0`, ...), ...,
    `norm`, `act`, `pool`, `dense`. 36,479,194 parameters for depth 28, widen 10, three channels and 10 classes.

    Peers: none of PyTorch, Keras and flax has it (torchvision's wide_resnet50_2 is a bottleneck net of twice the inner
    width).

    Source: Zagoruyko and Komodakis 2016; pre-activation: He et al. 2016b.

    Raises:
        InputError: an argument is wrong.
    """
    for name, value in (("depth", depth), ("widen", widen), ("classes", classes), ("width", width)):
        check_integer("wide_resnet", name, value)
    if depth < 10 or (depth - 4) % 6:
        fail("wide_resnet", "depth", "6 n + 4, such as 16 or 28", depth)
    if dropout is not None:
        check_range("wide_resnet", "dropout", dropout, 0, 1, open_high=True)
    layers: dict[str, Layer] = {"conv": conv(width, 3, padding=1, use_bias=False, kernel_init=init_for("relu"))}
    before = width
    for stage in range(3):
        filters, blocks = width * widen * 2**stage, {}
        for i in range((depth - 4) // 6):
            stride = 2 if stage and not i else 1
            blocks[f"block{i}"] = _block(before, filters, stride, dropout)
            before = filters
        layers[f"stage{stage}"] = sequential(blocks)
    layers |= {"norm": batch_norm(), "act": elementwise("relu"), "pool": global_pool(), "dense": dense(classes)}
    return sequential(layers).functions


def _block(before: int, filters: int, stride: int, dropout: Scalar | None) -> Layer:
    first, second = norm_act_conv(0, filters, 3, stride), norm_act_conv(1, filters, 3)
    dropped = {} if dropout is None else {"drop": drop(dropout)}
    inner = {"norm1": second["norm1"], "act1": second["act1"]} | dropped | {"conv1": second["conv1"]}
    if stride == 1 and before == filters:
        return residual(sequential(first | inner))
    skip = conv(filters, 1, stride=stride, padding=0, use_bias=False, kernel_init=init_for("relu"))
    body = sequential({"conv0": first["conv0"]} | inner)
    return sequential({"norm0": first["norm0"], "act0": first["act0"], "sum": residual(body, skip)})
