"""U-Net: an answer for each place of a picture."""

from __future__ import annotations

from jaxann.core.checks import check_integer
from jaxann.core.factories import factory
from jaxann.core.products import Layer
from jaxann.initializers import init_for
from jaxann.layers import batch_norm as normalization
from jaxann.layers import branch, concatenate, conv, conv_transpose, elementwise, max_pool, sequential

__all__ = ["unet"]


@factory(Layer, static=("classes", "width", "levels"))
def unet(classes: int = 1, *, width: int = 64, levels: int = 4, batch_norm: bool = False):
    """Convolutions on ever smaller maps and back, each size on the way up joined with that of the way down; logits.

        level(i) = twice [conv - relu] - joined with (pool - level(i + 1) - up-convolution) - twice [conv - relu]

    Args:
        classes: outputs of each place.
        width: filters at the full size, doubled from level to level.
        levels: how many times the size is halved; height and width are multiples of 2^levels.
        batch_norm: whether to normalize before each ReLU (convolutions have no bias then).

    Input `(batch, height, width, channels)`, output `(batch, height, width, classes)`. Layers by name: `level`, with
    `down`, `joined` (`skip`, `below`) and `up` in it, and `below` holding `pool`, `level` and `enlarge`; `out`.
    31,030,593 parameters for one channel and one class.

    Peers: none of PyTorch, Keras and flax has it. The paper's convolutions do not pad, so that its output is smaller
    than the picture and skips are cropped; here they pad and no place is lost.

    Source: Ronneberger, Fischer and Brox 2015.

    Raises:
        InputError: an argument is wrong, or (when called) the sides are no multiples of 2^levels.
    """
    for name, value in (("classes", classes), ("width", width), ("levels", levels)):
        check_integer("unet", name, value)
    level = _twice(width * 2**levels, batch_norm)
    for i in reversed(range(levels)):
        filters = width * 2**i
        enlarge = conv_transpose(filters, 2, stride=2, padding="valid")
        below = sequential({"pool": max_pool(2), "level": level, "enlarge": enlarge})
        joined = branch({"skip": sequential({}), "below": below})
        level = sequential(
            {
                "down": _twice(filters, batch_norm),
                "sides": joined,
                "joined": concatenate(names=("skip", "below")),
                "up": _twice(filters, batch_norm),
            }
        )
    return sequential({"level": level, "out": conv(classes, 1)}).functions


def _twice(filters: int, normalized: bool) -> Layer:
    layers: dict[str, Layer] = {}
    for i in range(2):
        layers[f"conv{i}"] = conv(filters, 3, padding=1, use_bias=not normalized, kernel_init=init_for("relu"))
        if normalized:
            layers[f"norm{i}"] = normalization()
        layers[f"act{i}"] = elementwise("relu")
    return sequential(layers)
